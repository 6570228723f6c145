//! Options of the search.

use crate::rerank::{Reranker, SUBJECTS};
use kexue_train::TrainError;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// How decoding uses Δ, the gain in the longest common subsequence with the question. Article 8802 raises a probability to the power `1/(Δ+1)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookAhead {
    /// Not at all.
    Off,
    /// The power of the probability among the allowed tokens. For models trained with [`LossOver::Allowed`](crate::LossOver::Allowed).
    #[default]
    Allowed,
    /// The power of the probability in the whole vocabulary, as in the article. For models trained with the ordinary cross-entropy.
    Vocabulary,
    /// No power: this weight is added to the logit for each token of gain. It applies to subjects too; their gain is the length of the longest
    /// mention. For models trained the same way ([`QaSettings::lexical_prior`](crate::QaSettings::lexical_prior)).
    Added(f32),
}

/// How decoding uses the subjects that the question mentions when it chooses a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MentionUse {
    /// Not at all.
    Off,
    /// This weight is added to the logit of each token that continues a mentioned subject.
    Prior(f32),
    /// Only mentioned subjects are allowed, if there are any.
    #[default]
    Only,
}

/// Options of the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchOptions {
    /// Number of hypotheses kept.
    pub beam: usize,
    /// The look-ahead.
    pub look_ahead: LookAhead,
    /// The use of mentions.
    pub mentions: MentionUse,
    /// Search only the subject with the beam, then score all facts of the subjects in the beam exactly.
    pub rescore: bool,
    /// Learned rescoring: weighs the exact probabilities together with evidence from spelling. The model's probabilities are then used without
    /// the power of the look-ahead, and at least 24 subjects are kept. The weights are learned, not a setting, so they are not serialised.
    #[serde(skip)]
    pub reranker: Option<Arc<Reranker>>,
    /// Skip model calls where the index allows only one token.
    pub skip_forced: bool,
    /// Compute the logits of allowed tokens only.
    pub allowed_logits_only: bool,
    /// Number of questions decoded in one batch.
    pub batch: usize,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            beam: 3,
            look_ahead: LookAhead::default(),
            mentions: MentionUse::default(),
            rescore: true,
            reranker: None,
            skip_forced: true,
            allowed_logits_only: true,
            batch: 32,
        }
    }
}

impl SearchOptions {
    /// Checks the options.
    ///
    /// # Errors
    /// Names the invalid option.
    pub fn validate(&self) -> std::result::Result<(), TrainError> {
        let problem = |field, problem: String| Err(TrainError::Setting { field, problem });
        if let LookAhead::Added(weight) = self.look_ahead
            && !weight.is_finite()
        {
            return problem("look_ahead", format!("the weight {weight} is not a finite number"));
        }
        if let MentionUse::Prior(weight) = self.mentions
            && !weight.is_finite()
        {
            return problem("mentions", format!("the weight {weight} is not a finite number"));
        }
        if self.beam == 0 {
            return problem("beam", "must be at least 1".to_owned());
        }
        Ok(())
    }

    /// The options that apply with learned rescoring.
    pub(crate) fn effective(&self) -> Cow<'_, Self> {
        if !self.rescore || self.reranker.is_none() {
            return Cow::Borrowed(self);
        }
        let mut options = self.clone();
        options.beam = options.beam.max(SUBJECTS);
        if matches!(options.look_ahead, LookAhead::Allowed | LookAhead::Vocabulary) {
            options.look_ahead = LookAhead::Off;
        }
        Cow::Owned(options)
    }

    /// Whether choices after the subject look ahead.
    pub(crate) fn looks_ahead(&self) -> bool {
        self.look_ahead != LookAhead::Off
    }
}
