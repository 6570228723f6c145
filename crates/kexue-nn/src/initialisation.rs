//! The initial values of each parameter.

use crate::{BranchScaling, Initializer, TransformerConfig};
use kexue_optim::{Role, Slot};
use rand::Rng;

impl Initializer {
    /// The standard deviation of a parameter's initial values, as the layers see it; `None` if it starts as a constant.
    pub fn std(&self, config: &TransformerConfig, slot: &Slot) -> Option<f64> {
        let &[fan_out, fan_in] = &slot.shape[..] else {
            return None;
        };
        if slot.role == Role::Embedding {
            return Some(self.embeddings.effective_std(fan_in, fan_out));
        }
        let sublayers = 2.0 * config.layers as f64;
        let last = matches!(slot.role, Role::AttentionOutput | Role::Down);
        let before_last = matches!(slot.role, Role::Value | Role::Up);
        let scale = match self.branches {
            BranchScaling::Gpt2 if last => sublayers.sqrt().recip(),
            BranchScaling::DeepNorm if last || before_last => config.norm_placement.branch_weight_scale(config.layers),
            BranchScaling::Fixup if last => 0.0,
            BranchScaling::Fixup if before_last => sublayers.sqrt().recip(),
            _ => 1.0,
        };
        let query = if self.scaled_queries && slot.role == Role::Query {
            (config.head_dim() as f64).sqrt().recip()
        } else {
            1.0
        };
        Some(self.weights.effective_std(fan_in, fan_out) * scale * query)
    }

    /// Draws the initial values of a parameter.
    pub(crate) fn fill(&self, config: &TransformerConfig, slot: &Slot, values: &mut [f32], generator: &mut impl Rng) {
        match (self.std(config, slot), slot.role) {
            (Some(std), role) => {
                let distribution = if role == Role::Embedding {
                    self.embeddings
                } else {
                    self.weights
                };
                // Under the NTK parametrisation, the weights are larger by the factor that the layers divide by.
                let stored = (std / f64::from(config.weight_factor(slot))) as f32;
                values.fill_with(|| distribution.draw(generator) * stored);
            }
            (None, Role::Gamma) => values.fill(1.0),
            (None, Role::Gate) => values.fill(config.gate.unwrap_or(1.0)),
            (None, _) => values.fill(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Distribution, InitializerPreset, Layout, Mask, Model, PackedBatch, Parametrization, Tape};
    use crate::{NormPlacement, StdConvention, TRUNCATED_STD};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// Checks mean and standard deviation, within four standard errors, and the support.
    fn check(values: &[f32], std: f64, bound: Option<f64>, what: &str) {
        let count = values.len() as f64;
        let mean = values.iter().map(|&w| f64::from(w)).sum::<f64>() / count;
        let square = |w: &f32| f64::from(*w).powi(2);
        let variance = values.iter().map(square).sum::<f64>() / count;
        let fourth = values.iter().map(|w| square(w).powi(2)).sum::<f64>() / count;
        assert!(mean.abs() <= 4.0 * std / count.sqrt(), "{what}: mean {mean}");
        let error = ((fourth - variance.powi(2)) / count).sqrt();
        assert!(
            (variance - std.powi(2)).abs() <= 4.0 * error,
            "{what}: std {}, expected {std}",
            variance.sqrt()
        );
        let largest = values.iter().fold(0.0f32, |most, w| most.max(w.abs()));
        if let Some(bound) = bound {
            assert!(
                f64::from(largest) <= bound * 1.000_01,
                "{what}: {largest} above {bound}"
            );
            assert!(f64::from(largest) > bound * 0.99, "{what}: {largest} far from {bound}");
        }
    }

    fn drawn(distribution: Distribution, fan_in: usize) -> Vec<f32> {
        let std = distribution.effective_std(fan_in, fan_in) as f32;
        let mut generator = ChaCha8Rng::seed_from_u64(5);
        (0..200_000).map(|_| distribution.draw(&mut generator) * std).collect()
    }

    #[test]
    fn distributions_have_their_deviation_and_support() {
        let nominal = Distribution::TruncatedNormal {
            std: 0.02,
            means: StdConvention::Nominal,
        };
        // BERT's 0.02, and Xavier for a width of 768 (spec S3).
        check(&drawn(nominal, 768), 0.017_593, Some(0.04), "nominal");
        let effective = Distribution::TruncatedNormal {
            std: 0.02,
            means: StdConvention::Effective,
        };
        let bound = 2.0 * effective.nominal_std().unwrap();
        check(&drawn(effective, 768), 0.02, Some(bound), "effective");
        check(&drawn(Distribution::Xavier, 768), 0.036_084, None, "Xavier");
        check(&drawn(Distribution::LeCun, 768), 768f64.powf(-0.5), None, "LeCun");
        check(
            &drawn(Distribution::Kaiming, 768),
            (2.0f64 / 768.0).sqrt(),
            None,
            "Kaiming",
        );
        check(&drawn(Distribution::Normal { std: 0.3 }, 1), 0.3, None, "normal");
    }

    #[test]
    fn the_truncated_deviation_is_that_of_its_density() {
        // ∫ x² φ over ±2, by Simpson's rule.
        let phi = |x: f64| (-0.5 * x * x).exp();
        let (steps, mut mass, mut second) = (20_000, 0.0, 0.0);
        for i in 0..=steps {
            let x = -2.0 + 4.0 * f64::from(i) / f64::from(steps);
            let weight = if i == 0 || i == steps {
                1.0
            } else {
                f64::from(2 + 2 * (i % 2))
            };
            mass += weight * phi(x);
            second += weight * phi(x) * x * x;
        }
        assert!(((second / mass).sqrt() - TRUNCATED_STD).abs() < 1e-12);
        assert!(
            (TRUNCATED_STD - 1.0 / 1.136_847_2).abs() < 1e-6,
            "article 8747's factor"
        );
    }

    fn config(initializer: Initializer) -> TransformerConfig {
        TransformerConfig {
            d_model: 64,
            layers: 8,
            heads: 4,
            d_ffn: 256,
            initializer,
            ..TransformerConfig::new(400)
        }
    }

    fn std_of(config: &TransformerConfig, name: &str) -> f64 {
        let layout = Layout::new(config);
        let slot = layout.slots().iter().find(|slot| slot.name.contains(name)).unwrap();
        let values = layout.initialise(config, &mut ChaCha8Rng::seed_from_u64(2));
        let values = &values[slot.range.clone()];
        let declared = config.initializer.std(config, slot).unwrap();
        let stored = declared / f64::from(config.weight_factor(slot));
        check(values, stored, None, name);
        declared
    }

    #[test]
    fn presets_scale_what_they_say() {
        let gpt2 = config(Initializer::preset(InitializerPreset::Gpt2));
        assert!(
            (std_of(&gpt2, "1.output.dense.weight") - 0.02 / 4.0).abs() < 1e-9,
            "0.02/√(2·8)"
        );
        assert!((std_of(&gpt2, "intermediate.dense.weight") - 0.02).abs() < 1e-9);

        let mut deep = config(Initializer::preset(InitializerPreset::DeepNet));
        deep.norm_placement = NormPlacement::DeepNorm;
        let xavier = (2.0f64 / 128.0).sqrt();
        let beta = (8.0f64 * 8.0).powf(-0.25);
        assert!((std_of(&deep, "self.value.weight") - xavier * beta).abs() < 1e-9);
        assert!((std_of(&deep, "self.query.weight") - xavier).abs() < 1e-9);

        let t5 = config(Initializer::preset(InitializerPreset::T5));
        assert!((std_of(&t5, "self.query.weight") - (64.0f64 * 16.0).powf(-0.5)).abs() < 1e-9);
        assert!((std_of(&t5, "2.output.dense.weight") - 256f64.powf(-0.5)).abs() < 1e-9);

        assert_eq!(std_of(&t5, "word_embeddings.weight"), 1.0);

        let fixup = config(Initializer {
            branches: BranchScaling::Fixup,
            ..Initializer::default()
        });
        assert_eq!(std_of(&fixup, "3.output.dense.weight"), 0.0);
        assert!((std_of(&fixup, "intermediate.dense.weight") - 0.02 / 4.0).abs() < 1e-9);

        let mut ntk = config(Initializer {
            weights: Distribution::LeCun,
            ..Initializer::default()
        });
        ntk.parametrization = Parametrization::Ntk;
        let layout = Layout::new(&ntk);
        let values = layout.initialise(&ntk, &mut ChaCha8Rng::seed_from_u64(2));
        let up = layout.slots().iter().find(|slot| slot.role == Role::Up).unwrap();
        check(&values[up.range.clone()], 1.0, None, "stored NTK weights");
    }

    #[test]
    fn gates_begin_where_they_are_told_and_close_their_branches_at_0() {
        for gate in [0.0, 1.0] {
            let config = TransformerConfig {
                gate: Some(gate),
                norm_placement: NormPlacement::None,
                ..config(Initializer::default())
            };
            let model = Model::new(config, &mut ChaCha8Rng::seed_from_u64(2)).unwrap();
            let slots = model.layout().slots().iter();
            let gates: Vec<f32> = slots
                .filter(|slot| slot.role == Role::Gate)
                .flat_map(|slot| &model.values()[slot.range.clone()])
                .copied()
                .collect();
            assert_eq!(gates, [gate; 16], "two for each of eight layers");
            // With closed gates the model is its embeddings (ReZero, SkipInit).
            let (mut batch, mut tape) = (PackedBatch::default(), Tape::default());
            batch.push(&[7], Mask::BIDIRECTIONAL);
            model.forward(&batch, &mut tape, None);
            assert_eq!(tape.hidden() == model.embedding(7), gate == 0.0);
        }
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let deep = Initializer::preset(InitializerPreset::DeepNet);
        assert_eq!(
            deep.validate(NormPlacement::Post).unwrap_err().field,
            "initializer.branches"
        );
        let embeddings = Initializer {
            embeddings: Distribution::LeCun,
            ..Initializer::default()
        };
        assert_eq!(
            embeddings.validate(NormPlacement::Pre).unwrap_err().field,
            "initializer.embeddings"
        );
        let nan = Initializer::truncated_normal(f32::NAN, StdConvention::Nominal);
        assert_eq!(
            nan.validate(NormPlacement::Pre).unwrap_err().field,
            "initializer.weights"
        );
    }
}
