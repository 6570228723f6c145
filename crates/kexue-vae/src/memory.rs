//! The memory that a training needs.

use crate::task::CHUNK;
use crate::{Objective, Vae, VaeConfig};
use kexue_optim::Parameters as _;
use kexue_train::{TrainError, TrainSettings};

/// A lower bound on the memory, in bytes, for training a model with `held_out` observations in a validation: values, gradient, Adam's two moments and moving
/// averages; latents and values of the networks for each draw of a step, or of a validation if that computes more at once.
///
/// # Errors
/// If the configuration is invalid. The error names the setting.
pub fn least_memory(
    config: &VaeConfig,
    objective: &Objective,
    train: &TrainSettings,
    held_out: usize,
) -> Result<f64, TrainError> {
    let model = Vae::without_values(config.clone())?;
    let averages = usize::from(train.average > 0.0) + train.more_averages.len();
    let parameters = (4 + averages) as f64 * model.slots().size() as f64;
    let observations = train.batch_size.max(held_out.min(CHUNK)) as f64;
    // Only the first encoder reads observations, the other networks read draws.
    let (first, others) = (&model.encoders[0], &model.encoders[1..]);
    let networks = others
        .iter()
        .chain(&model.decoders)
        .map(|network| network.numbers() as f64);
    let each_draw = 2.0 * model.noise_size() as f64 + networks.sum::<f64>();
    let values = observations * (first.numbers() as f64 + objective.draws as f64 * each_draw);
    Ok(4.0 * (parameters + values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageSize;
    use kexue_train::generator;

    #[test]
    fn sizes_are_those_of_real_models() {
        let config = VaeConfig::one_layer(ImageSize {
            channels: 1,
            height: 28,
            width: 28,
        });
        let model = Vae::new(config.clone(), &mut generator(0, 0, 0)).unwrap();
        let train = TrainSettings {
            batch_size: 20,
            average: 0.0,
            ..TrainSettings::default()
        };
        let least = |draws, held_out| {
            let objective = Objective {
                draws,
                ..Objective::default()
            };
            least_memory(&config, &objective, &train, held_out).unwrap()
        };
        let values = 20.0 * (2.0 * 200.0 + 100.0 + 7.0 * (2.0 * 50.0 + 2.0 * 200.0 + 784.0));
        assert_eq!(least(7, 0), 4.0 * (4.0 * model.values().len() as f64 + values));
        assert!(least(7, 1000) > 2.0 * least(7, 0) - 16.0 * model.values().len() as f64);
        assert!(least(1 << 16, 1 << 20) > 3e10);
    }
}
