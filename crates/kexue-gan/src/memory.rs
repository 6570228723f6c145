//! The memory that a training of two players needs.

use crate::network::{Architecture, ModelSettings, Space};
use crate::settings::GanConfig;
use kexue_images::Shape;

/// A lower bound on the memory, in bytes, for training both players: values, gradient, Adam's two moments and the generator's moving average; and either the
/// hidden values that a step keeps for its backward pass, or the samples of a validation. The actual memory is of the same order.
pub fn least_memory(config: &GanConfig, space: Space) -> f64 {
    let [critic, generator] = players(&config.model, space);
    let averages = if config.gan.average > 0.0 { 1.0 } else { 0.0 };
    let parameters = 4.0 * (critic.parameters + generator.parameters) + averages * generator.parameters;
    // The critic reads real and generated samples.
    let critic_step = 2.0 * config.gan.critic_batch as f64 * critic.hidden;
    let generator_step = config.gan.generator_batch as f64 * generator.hidden;
    let validation = config.gan.samples as f64 * space.size() as f64;
    4.0 * (parameters + critic_step.max(generator_step).max(validation))
}

/// Lower bounds of the size of a player.
struct Player {
    parameters: f64,
    /// Hidden values of each sample.
    hidden: f64,
}

/// The critic and the generator.
fn players(model: &ModelSettings, space: Space) -> [Player; 2] {
    let [width, layers, latent] = [model.width, model.layers, model.latent].map(|size| size as f64);
    match (model.architecture, space) {
        (Architecture::Cnn, Space::Images(shape)) => [1.0, latent].map(|end| convolutions(width, shape, end)),
        // The kernels of 3×3 pixels between equal widths, and the values of the largest block.
        (Architecture::Resnet, Space::Images(shape)) => {
            [(7.0, width), (6.0, 2.0 * width)].map(|(kernels, width)| Player {
                parameters: 9.0 * kernels * width * width,
                hidden: 2.0 * width * (shape.height * shape.width) as f64,
            })
        }
        _ => [1.0, latent].map(|end| Player {
            parameters: (end + space.size() as f64) * width + (layers - 1.0) * width * width,
            hidden: layers * width,
        }),
    }
}

/// Kernels of 4×4 pixels, each of which halves the image and doubles the channels, or the reverse; and a dense layer between the smallest image and `end`
/// numbers.
fn convolutions(width: f64, shape: Shape, end: f64) -> Player {
    let (mut sides, mut from, mut to) = ([shape.height, shape.width], shape.channels as f64, width);
    let (mut parameters, mut hidden, mut smallest) = (0.0, 0.0, 0.0);
    while sides.iter().all(|side| side.is_multiple_of(2) && *side >= 8) {
        sides = sides.map(|side| side / 2);
        parameters += 16.0 * from * to;
        smallest = to * (sides[0] * sides[1]) as f64;
        hidden += smallest;
        (from, to) = (to, 2.0 * to);
    }
    Player {
        parameters: parameters + smallest * end,
        hidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::players::GanModel;
    use crate::settings::Preset;
    use kexue_optim::Parameters as _;

    #[test]
    fn sizes_are_those_of_real_players_or_less() {
        let image = Space::Images(Shape {
            channels: 3,
            height: 32,
            width: 32,
        });
        for (preset, space, least) in [
            (Preset::Mlp, Space::Points(2), 0.9),
            (Preset::Cnn, image, 0.95),
            (Preset::Resnet, image, 0.6),
        ] {
            let settings = ModelSettings {
                width: 32,
                ..preset.model()
            };
            let normalizer = preset.gan().normalizer.build();
            let model = GanModel::new(&settings, space, &*normalizer, 0);
            let [critic, generator] = players(&settings, space).map(|player| player.parameters);
            let share = (critic + generator) / model.values().len() as f64;
            assert!((least..=1.0).contains(&share), "{preset:?}: {share}");
        }
    }
}
