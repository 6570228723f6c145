//! Default sizes of model and training, by the amount of data.

use kexue_nn::{Head, TransformerConfig};
use kexue_train::TrainSettings;

/// A size of model and training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// About a minute on two cores.
    Small,
    /// The defaults of the libraries: hours on two cores.
    Full,
}

impl Size {
    /// The size for this number of questions.
    pub fn of_questions(questions: usize) -> Self {
        match questions {
            ..3_000 => Self::Small,
            _ => Self::Full,
        }
    }

    /// The size for a text of this many tokens.
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

    /// The training. It does not depend on the number of steps, so that a finished run can be continued with more steps.
    pub fn training(self) -> TrainSettings {
        match self {
            Self::Small => TrainSettings {
                steps: 600,
                batch_size: 32,
                learning_rate: 3e-3,
                warmup: 30,
                average: 0.99,
                validate_every: 60,
                ..TrainSettings::default()
            },
            Self::Full => TrainSettings::default(),
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
            size.training().validate().unwrap();
        }
        assert_eq!(Size::Full.training(), TrainSettings::default());
        assert_eq!(Size::Full.model(300, Head::None), TransformerConfig::new(300));
    }

    #[test]
    fn more_data_never_means_a_smaller_size() {
        let steps = |size: Size| size.training().steps;
        for of in [Size::of_questions, Size::of_text] {
            let sizes = [0, 500, 5_000, 50_000, 500_000, 5_000_000].map(|amount| steps(of(amount)));
            assert!(sizes.is_sorted(), "{sizes:?}");
        }
    }
}
