//! What a training step of a masked language model is.

use crate::evaluate::{LengthScore, evaluate};
use kexue_nn::{Mask, Model, Prediction};
use kexue_text::{Corpus, Masking, SpecialTokens};
use kexue_train::{Loss, Scratch, Task, TrainError};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How sequences are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlmSettings {
    /// Tokens of a sequence, `[CLS]` and `[SEP]` among them.
    pub length: usize,
    /// What is to be predicted.
    pub masking: Masking,
    /// One document in so many is kept out of the training, for evaluation.
    pub hold_out: usize,
    /// Tokens of the held-out documents read at each validation.
    pub validate_on: usize,
}

impl Default for MlmSettings {
    fn default() -> Self {
        Self {
            length: 128,
            masking: Masking::default(),
            hold_out: 20,
            validate_on: 20_000,
        }
    }
}

impl MlmSettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// Names the one that cannot stand.
    pub fn validate(&self) -> Result<(), TrainError> {
        let problem = |field, problem: &str| {
            let problem = problem.to_owned();
            Err(TrainError::Setting { field, problem })
        };
        if self.length < 3 {
            return problem("length", "must be at least 3: [CLS], a token, [SEP]");
        }
        match self.masking.problem() {
            Some((field, text)) => problem(field, text),
            None => Ok(()),
        }
    }
}

/// Masked-language-model training as a task.
pub struct MlmTask<'a> {
    settings: MlmSettings,
    special: SpecialTokens,
    training: &'a Corpus,
    held_out: &'a Corpus,
}

impl<'a> MlmTask<'a> {
    /// A task on some documents, validated on others.
    ///
    /// # Errors
    /// When a setting cannot stand, or there is nothing to train on.
    pub fn new(
        settings: MlmSettings,
        special: SpecialTokens,
        training: &'a Corpus,
        held_out: &'a Corpus,
    ) -> Result<Self, TrainError> {
        settings.validate()?;
        if training.is_empty() {
            return Err(TrainError::Setting {
                field: "texts",
                problem: "hold nothing to train on; give more documents, or a larger --hold-out".to_owned(),
            });
        }
        Ok(Self {
            settings,
            special,
            training,
            held_out,
        })
    }
}

impl Task for MlmTask<'_> {
    /// As many as there are sequences in the corpus; which stretch of it an example is, is drawn at every step.
    fn examples(&self) -> usize {
        self.training.len().div_ceil(self.settings.length)
    }

    fn loss(
        &self,
        model: &Model,
        examples: &[usize],
        generator: &mut ChaCha8Rng,
        scratch: &mut Scratch,
    ) -> Result<Loss, TrainError> {
        scratch.batch.clear();
        let (mut sequence, mut places, mut predictions) = (Vec::new(), Vec::new(), Vec::new());
        for _ in examples {
            let Some(window) = self.training.sample(self.settings.length - 2, generator) else {
                continue;
            };
            sequence.clear();
            places.clear();
            let masking = &self.settings.masking;
            masking.apply(window, &self.special, generator, &mut sequence, &mut places);
            let start = scratch.batch.push(&sequence, Mask::BIDIRECTIONAL);
            predictions.extend(places.iter().map(|&(at, token)| Prediction { row: start + at, token }));
        }
        let tokens = scratch.batch.len();
        model.forward(&scratch.batch, &mut scratch.tape, Some(generator));
        scratch.d_hidden.clear();
        scratch.d_hidden.resize(tokens * model.config().d_model, 0.0);
        let (sum, _) = model.prediction_loss(
            scratch.tape.hidden(),
            &predictions,
            &mut scratch.head,
            &mut scratch.d_hidden,
            &mut scratch.gradient,
        );
        model.backward(
            &scratch.batch,
            &mut scratch.tape,
            &mut scratch.d_hidden,
            &mut scratch.gradient,
        );
        Ok(Loss {
            sum,
            terms: predictions.len() as f64,
            tokens,
        })
    }

    fn validate(&self, model: &Model) -> Result<Vec<(String, f64)>, TrainError> {
        let (length, tokens) = (self.settings.length, self.settings.validate_on);
        let windows = self.held_out.stretches(length - 2, tokens.div_ceil(length));
        if windows.is_empty() {
            return Ok(Vec::new());
        }
        let score = evaluate(
            model,
            &windows,
            length,
            Mask::BIDIRECTIONAL,
            &self.settings.masking,
            &self.special,
            0,
        );
        let LengthScore { accuracy, loss, .. } = score;
        Ok(vec![
            ("accuracy".to_owned(), 100.0 * accuracy),
            ("held_out_loss".to_owned(), loss),
            ("attention_entropy".to_owned(), score.mean_entropy()),
        ])
    }

    fn metadata(&self) -> HashMap<String, String> {
        HashMap::from([("format".to_owned(), "pt".to_owned())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kexue_nn::{Head, Initializer, StdMeans, TransformerConfig};
    use kexue_text::{TextEncoder, VocabularyBuilder};
    use kexue_train::{TrainSettings, generator, train};
    use std::sync::atomic::AtomicBool;

    #[test]
    fn learns_a_text_that_its_neighbours_decide() {
        // Each character has one successor: one masked token follows from the one before it.
        let text: String = "甲乙丙丁戊己庚辛".chars().cycle().take(4000).collect();
        let documents = format!("== 1 ==\n{text}\n== 2 ==\n{text}\n");
        let mut builder = VocabularyBuilder::new();
        builder.count(&documents);
        let vocabulary = builder.build();
        let mut corpus = Corpus::default();
        corpus.read(documents.as_bytes(), &vocabulary).unwrap();
        let (training, held_out) = corpus.hold_out(2);
        let settings = MlmSettings {
            length: 18,
            validate_on: 2000,
            ..MlmSettings::default()
        };
        let task = MlmTask::new(settings, vocabulary.special_tokens(), &training, &held_out).unwrap();
        let config = TransformerConfig {
            d_model: 32,
            layers: 2,
            heads: 2,
            d_ffn: 64,
            dropout: 0.0,
            head: Head::DenseNorm,
            initializer: Initializer::truncated_normal(0.1, StdMeans::Effective),
            ..TransformerConfig::new(vocabulary.len())
        };
        let model = Model::new(config, &mut generator(0, 0, 0)).unwrap();
        let settings = TrainSettings {
            steps: 300,
            batch_size: 16,
            warmup: 10,
            learning_rate: 5e-3,
            average: 0.9,
            validate_every: 300,
            ..TrainSettings::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let outcome = train(&task, model, &settings, folder.path(), "", &AtomicBool::new(false)).unwrap();
        let (accuracy, _) = outcome.best.unwrap();
        assert!(accuracy > 95.0, "accuracy {accuracy} of a text without surprises");
    }

    #[test]
    fn refuses_settings_and_texts_that_are_too_small() {
        let (empty, special) = (Corpus::default(), VocabularyBuilder::new().build().special_tokens());
        let short = MlmSettings {
            length: 2,
            ..MlmSettings::default()
        };
        let error = |settings: MlmSettings| match MlmTask::new(settings, special.clone(), &empty, &empty) {
            Err(TrainError::Setting { field, .. }) => field,
            _ => "none",
        };
        assert_eq!(error(short), "length");
        assert_eq!(error(MlmSettings::default()), "texts");
    }
}
