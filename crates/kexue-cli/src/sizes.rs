//! How large a model is, and how long it is trained, where nothing is said: by what there is to learn from.

use kexue_nn::{Head, TransformerConfig};
use kexue_train::TrainSettings;

/// A size of model and training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A minute or so on two cores.
    Small,
    /// The libraries' own defaults: hours on two cores.
    Full,
}

impl Size {
    /// The size for so many questions.
    pub fn of_questions(questions: usize) -> Self {
        match questions {
            ..3_000 => Self::Small,
            _ => Self::Full,
        }
    }

    /// The size for a text of so many tokens.
    pub fn of_text(tokens: usize) -> Self {
        match tokens {
            ..300_000 => Self::Small,
            _ => Self::Full,
        }
    }

    /// The model.
    pub fn model(self, vocab_size: usize, head: Head) -> TransformerConfig {
        let (d_model, layers, heads) = match self {
            Self::Small => (96, 2, 4),
            Self::Full => {
                return TransformerConfig {
                    head,
                    ..TransformerConfig::new(vocab_size)
                };
            }
        };
        TransformerConfig {
            head,
            d_model,
            layers,
            heads,
            d_ffn: 4 * d_model,
            ..TransformerConfig::new(vocab_size)
        }
    }

    /// The training, of so many steps where they are asked for: what depends on the steps depends on those.
    pub fn training(self, steps: Option<u64>) -> TrainSettings {
        let full = TrainSettings::default();
        let (usual, batch_size, learning_rate) = match self {
            Self::Small => (600, 32, 3e-3),
            Self::Full => (full.steps, full.batch_size, full.learning_rate),
        };
        let steps = steps.unwrap_or(usual);
        TrainSettings {
            steps,
            batch_size,
            learning_rate,
            warmup: (steps / 20).clamp(1, full.warmup),
            // The average is over the last fifth of the steps, as far as that makes it shorter.
            average: (1.0 - 5.0 / steps as f32).clamp(0.0, full.average),
            validate_every: (steps / 10).clamp(1, full.validate_every),
            ..full
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_valid_and_the_full_one_is_the_default() {
        for size in [Size::Small, Size::Full] {
            size.model(300, Head::None).validate().unwrap();
            for steps in [None, Some(1), Some(100), Some(100_000)] {
                size.training(steps).validate().unwrap();
            }
        }
        assert_eq!(Size::Full.training(None), TrainSettings::default());
        assert_eq!(Size::Full.training(Some(5_000)), TrainSettings::default());
        assert_eq!(Size::Full.model(300, Head::None), TransformerConfig::new(300));
    }

    #[test]
    fn more_data_never_means_a_smaller_size() {
        let steps = |size: Size| size.training(None).steps;
        for of in [Size::of_questions, Size::of_text] {
            let sizes = [0, 500, 5_000, 50_000, 500_000, 5_000_000].map(|amount| steps(of(amount)));
            assert!(sizes.is_sorted(), "{sizes:?}");
        }
    }
}
