//! Standard deviations of initial weights, as configured and as drawn.

use crate::snapshot::square;
use kexue_nn::{Distribution, Model, Role};
use serde::Serialize;

/// The weights of one role, over all layers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WeightStd {
    /// The role of the matrices.
    pub role: String,
    /// Their shape, `[out, in]`.
    pub shape: Vec<usize>,
    /// The nominal standard deviation, for code that truncates at two standard deviations; `None` for a normal without truncation.
    pub nominal: Option<f64>,
    /// The configured standard deviation, as the layers see the weights.
    pub effective: f64,
    /// The standard deviation of the drawn weights, as the layers see them.
    pub measured: f64,
    /// The standard error of [`measured`](Self::measured).
    pub standard_error: f64,
    /// Xavier's standard deviation for this shape; `None` for embeddings, which have no fan-in or fan-out.
    pub xavier: Option<f64>,
}

/// The standard deviations of a model's weights, by role.
pub fn weight_stds(model: &Model) -> Vec<WeightStd> {
    let config = model.config();
    let mut roles: Vec<Role> = Vec::new();
    for slot in model.layout().slots() {
        if slot.decays() && !roles.contains(&slot.role) {
            roles.push(slot.role);
        }
    }
    roles
        .into_iter()
        .filter_map(|role| {
            let slots: Vec<_> = model.layout().slots().iter().filter(|slot| slot.role == role).collect();
            let first = slots.first()?;
            let effective = config.initializer.std(config, first)?;
            let embedding = role == Role::Embedding;
            let distribution = match embedding {
                true => config.initializer.embeddings,
                false => config.initializer.weights,
            };
            let values = || slots.iter().flat_map(|slot| &model.values()[slot.range.clone()]);
            let count = values().count() as f64;
            let variance = slots
                .iter()
                .map(|slot| square(&model.values()[slot.range.clone()]))
                .sum::<f64>()
                / count;
            let fourth = values().map(|&weight| f64::from(weight).powi(4)).sum::<f64>() / count;
            let &[fan_out, fan_in] = &first.shape[..] else {
                return None;
            };
            // Under the NTK parametrisation, the layers divide the stored weights.
            let factor = f64::from(config.weight_factor(first));
            let own = distribution.effective_std(fan_in, fan_out);
            Some(WeightStd {
                role: format!("{role:?}"),
                shape: first.shape.clone(),
                nominal: distribution.nominal_std().map(|nominal| nominal * effective / own),
                effective,
                measured: variance.sqrt() * factor,
                // The error of a square root is that of the variance divided by twice the root.
                standard_error: match variance {
                    // All weights are zero, as in the last matrix of a branch with Fixup.
                    0.0 => 0.0,
                    _ => ((fourth - variance.powi(2)).max(0.0) / count).sqrt() / (2.0 * variance.sqrt()) * factor,
                },
                xavier: (!embedding).then(|| Distribution::Xavier.effective_std(fan_in, fan_out)),
            })
        })
        .collect()
}
