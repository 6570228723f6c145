//! Masked-language-model training as a task.

use crate::evaluate::{LengthScore, evaluate};
use kexue_nn::{Mask, Model, PackedBatch, Prediction};
use kexue_text::{Corpus, Masking, SpecialTokens, Token, Window};
use kexue_train::{Loss, Metric, Objective, Task, TrainError, TransformerBatch, TransformerWorkspace};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::{Hash as _, Hasher};

/// How sequences are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MlmSettings {
    /// Tokens of a sequence, `[CLS]` and `[SEP]` among them.
    pub length: usize,
    /// Maximum number of tokens left out of the middle of a training sequence; the number is drawn for each sequence. The others keep their positions,
    /// so distances up to `length + gap − 1` are trained, while no token sees more than `length` keys.
    #[serde(skip_serializing_if = "is_zero")]
    pub gap: usize,
    /// The masking of tokens to predict.
    pub masking: Masking,
    /// One document in `hold_out` is held out for evaluation; 0 for none.
    pub hold_out: usize,
    /// Tokens of the held-out documents read at each validation.
    pub validate_on: usize,
}

impl Default for MlmSettings {
    fn default() -> Self {
        Self {
            length: 128,
            gap: 0,
            masking: Masking::default(),
            hold_out: 20,
            validate_on: 20_000,
        }
    }
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl MlmSettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// If a setting is invalid; the error names it.
    pub fn validate(&self) -> Result<(), TrainError> {
        let problem = |field, problem: &str| {
            let problem = problem.to_owned();
            Err(TrainError::Setting { field, problem })
        };
        if self.length < 3 {
            return problem("length", "must be at least 3: [CLS], a token, [SEP]");
        }
        if self.length > 1 << 16 {
            return problem("length", "must be at most 65536");
        }
        if self.gap > 1 << 20 {
            return problem("gap", "must be at most 1048576");
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
    /// A task that trains on `training` and validates on `held_out`.
    ///
    /// # Errors
    /// If a setting is invalid, or `training` is empty.
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
                problem: "hold nothing to train on; give more documents, or hold out fewer of them".to_owned(),
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

/// `stretch` without the `gap` tokens from `at` on. The token after the gap starts a word.
fn without_middle<'a>(
    stretch: Window<'a>,
    at: usize,
    gap: usize,
    tokens: &'a mut Vec<Token>,
    begins: &'a mut Vec<bool>,
) -> Window<'a> {
    if gap == 0 {
        return stretch;
    }
    tokens.clear();
    begins.clear();
    for part in [0..at, at + gap..stretch.tokens.len()] {
        tokens.extend_from_slice(&stretch.tokens[part.clone()]);
        begins.extend_from_slice(&stretch.begins[part]);
    }
    begins[at] = true;
    Window { tokens, begins }
}

/// Packed sequences with masks, and what was masked.
#[derive(Default)]
pub struct MlmBatch {
    packed: PackedBatch,
    predictions: Vec<Prediction>,
}

impl TransformerBatch for MlmBatch {
    fn packed(&self) -> &PackedBatch {
        &self.packed
    }

    fn objective(&self) -> Objective<'_> {
        Objective::Predictions(&self.predictions)
    }

    fn loss(&self, sum: f64) -> Loss {
        Loss {
            sum,
            terms: self.predictions.len() as f64,
            items: self.packed.len(),
            also: Vec::new(),
        }
    }
}

impl Task for MlmTask<'_> {
    type Model = Model;
    type Batch = MlmBatch;
    type Workspace = TransformerWorkspace;

    const UNIT: &'static str = "tokens";

    /// The number of sequences that fill the corpus. The window of each example is redrawn at every step.
    fn examples(&self) -> usize {
        self.training.len().div_ceil(self.settings.length)
    }

    fn hash_examples(&self, mut hasher: &mut dyn Hasher) {
        self.training.hash(&mut hasher);
    }

    fn workspace(&self, _: &Model) -> TransformerWorkspace {
        TransformerWorkspace::default()
    }

    fn batch(&self, examples: &[usize], _: u64, generator: &mut ChaCha8Rng) -> Result<MlmBatch, TrainError> {
        let mut batch = MlmBatch::default();
        let (mut sequence, mut places) = (Vec::new(), Vec::new());
        let (mut tokens, mut begins) = (Vec::new(), Vec::new());
        for _ in examples {
            let most = self.settings.length - 2;
            let wanted = match self.settings.gap {
                0 => 0,
                gap => generator.random_range(0..=gap),
            };
            let Some(stretch) = self.training.sample(most + wanted, generator) else {
                continue;
            };
            // Less where the document ends.
            let gap = stretch.tokens.len().saturating_sub(most);
            let window = without_middle(stretch, most / 2, gap, &mut tokens, &mut begins);
            sequence.clear();
            places.clear();
            let masking = &self.settings.masking;
            masking.apply(window, &self.special, generator, &mut sequence, &mut places);
            // One more in front: [CLS].
            let (first, second) = sequence.split_at((1 + most / 2).min(sequence.len()));
            let start = batch.packed.push_apart(first, second, gap, Mask::BIDIRECTIONAL);
            let prediction = |&(at, token): &(usize, Token)| Prediction { row: start + at, token };
            batch.predictions.extend(places.iter().map(prediction));
        }
        batch.packed.set_outputs(batch.predictions.iter().map(|one| one.row));
        Ok(batch)
    }

    fn loss(
        &self,
        model: &Model,
        batch: &MlmBatch,
        generator: &mut ChaCha8Rng,
        workspace: &mut TransformerWorkspace,
        gradient: &mut [f32],
    ) -> Result<Loss, TrainError> {
        model.forward(&batch.packed, &mut workspace.tape, Some(generator));
        workspace.clear_d_hidden();
        let TransformerWorkspace { tape, d_hidden, head } = workspace;
        let (sum, _) = model.prediction_loss(tape.hidden(), &batch.predictions, head, d_hidden, gradient);
        model.backward(&batch.packed, tape, d_hidden, gradient);
        Ok(batch.loss(sum))
    }

    fn validate(&self, model: &Model) -> Result<Vec<Metric>, TrainError> {
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
            Metric::maximized("accuracy", 100.0 * accuracy),
            Metric::minimized("held_out_loss", loss),
            Metric::observed("attention_entropy", score.mean_entropy()),
        ])
    }

    fn metadata(&self) -> HashMap<String, String> {
        HashMap::from([("format".to_owned(), "pt".to_owned())])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kexue_nn::{Head, Initializer, StdConvention, TransformerConfig};
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
            initializer: Initializer::truncated_normal(0.1, StdConvention::Effective),
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
    fn a_gap_leaves_out_the_middle_and_no_more_than_there_is() {
        let tokens: Vec<Token> = (0..20).collect();
        let begins: Vec<bool> = tokens.iter().map(|token| token % 4 == 0).collect();
        let stretch = Window {
            tokens: &tokens,
            begins: &begins,
        };
        let (mut kept, mut kept_begins) = (Vec::new(), Vec::new());
        let window = without_middle(stretch, 3, 14, &mut kept, &mut kept_begins);
        assert_eq!(window.tokens, [0, 1, 2, 17, 18, 19]);
        assert_eq!(
            window.begins,
            [true, false, false, true, false, false],
            "a word begins after the gap"
        );
        assert_eq!(
            without_middle(stretch, 3, 0, &mut kept, &mut kept_begins).tokens,
            tokens
        );
    }

    #[test]
    fn distances_are_learned_that_no_sequence_is_long_enough_for() {
        // The first character comes again 40 places later, and all others are drawn: only who has been trained at such distances can tell.
        let mut random = generator(1, 2, 3);
        let line = |random: &mut ChaCha8Rng| -> String {
            let half: Vec<char> = (0..40)
                .map(|_| "甲乙丙丁"[3 * random.random_range(0..4)..].chars().next().unwrap())
                .collect();
            half.iter().chain(&half).collect()
        };
        let documents: String = (0..400).map(|_| format!("== a ==\n{}\n", line(&mut random))).collect();
        let mut builder = VocabularyBuilder::new();
        builder.count(&documents);
        let vocabulary = builder.build();
        let mut corpus = Corpus::default();
        corpus.read(documents.as_bytes(), &vocabulary).unwrap();
        let (training, held_out) = corpus.hold_out(10);
        let accuracy = |gap: usize| {
            let settings = MlmSettings {
                length: 26,
                gap,
                ..MlmSettings::default()
            };
            let task = MlmTask::new(settings.clone(), vocabulary.special_tokens(), &training, &held_out).unwrap();
            let config = TransformerConfig {
                d_model: 32,
                layers: 2,
                heads: 2,
                d_ffn: 64,
                dropout: 0.0,
                initializer: Initializer::truncated_normal(0.1, StdConvention::Effective),
                ..TransformerConfig::new(vocabulary.len())
            };
            let model = Model::new(config, &mut generator(0, 0, 0)).unwrap();
            let train_settings = TrainSettings {
                steps: 600,
                batch_size: 32,
                warmup: 20,
                learning_rate: 5e-3,
                validate_every: 600,
                ..TrainSettings::default()
            };
            let folder = tempfile::tempdir().unwrap();
            let model = train(
                &task,
                model,
                &train_settings,
                folder.path(),
                "",
                &AtomicBool::new(false),
            )
            .unwrap()
            .model;
            let whole = held_out.stretches(80, 1000);
            let (masking, special) = (&settings.masking, &vocabulary.special_tokens());
            evaluate(&model, &whole, 82, Mask::BIDIRECTIONAL, masking, special, 0).accuracy
        };
        let (near, far) = (accuracy(0), accuracy(56));
        assert!(near < 0.35 && far > 0.5, "{near} {far}");
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
        for (length, gap, field) in [
            (usize::MAX, 0, "length"),
            (65_537, 0, "length"),
            (65_536, 0, "texts"),
            (16, usize::MAX, "gap"),
        ] {
            let settings = MlmSettings {
                length,
                gap,
                ..MlmSettings::default()
            };
            assert_eq!(error(settings), field);
        }
        assert_eq!(error(MlmSettings::default()), "texts");
    }
}
