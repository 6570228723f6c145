//! How to search.

use crate::rerank::{Reranker, SUBJECTS};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// How the gain Δ in the longest common subsequence with the question is used: article 8802 raises a probability to the power `1/(Δ+1)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookAhead {
    /// Nothing: no look-ahead.
    Off,
    /// The power of the probability among the allowed tokens: for models trained on that choice.
    #[default]
    Allowed,
    /// The power of the probability in the whole vocabulary, as in the article: for models trained with the ordinary cross-entropy.
    Vocabulary,
    /// Not a power: this much for each token of gain is added to the logit, for subjects too, whose gain is the length of the longest
    /// mention. For models that were trained so (`QaSettings::lexical_prior`).
    Added(f32),
}

/// What subjects that occur in the question mean for the choice of the subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MentionUse {
    /// Nothing.
    Off,
    /// Tokens that spell one get this much more logit.
    Prior(f32),
    /// Only they may be chosen, where there are any.
    #[default]
    Only,
}

/// How to search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchOptions {
    /// Hypotheses kept.
    pub beam: usize,
    /// The look-ahead.
    pub look_ahead: LookAhead,
    /// The use of mentions.
    pub mentions: MentionUse,
    /// Beam search for the subject only; then all facts of the subjects in the beam are scored exactly.
    pub rescore: bool,
    /// Weighs what rescoring found with what spelling says. The model's probabilities then enter without the look-ahead's power, and at least
    /// 24 subjects are kept. It is no setting but learned, so it is not written among them.
    #[serde(skip)]
    pub reranker: Option<Arc<Reranker>>,
    /// Chains without a choice cost no model calls.
    pub skip_forced: bool,
    /// Only the logits of allowed tokens are computed.
    pub allowed_logits_only: bool,
    /// Questions decoded together in one batch.
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
    /// Checks the numbers; the problem begins with the field's name.
    ///
    /// # Errors
    /// Names the one that cannot stand.
    pub fn validate(&self) -> std::result::Result<(), String> {
        if let LookAhead::Added(weight) = self.look_ahead
            && !weight.is_finite()
        {
            return Err(format!("look_ahead: a weight of {weight} is no finite number"));
        }
        if let MentionUse::Prior(weight) = self.mentions
            && !weight.is_finite()
        {
            return Err(format!("mentions: a weight of {weight} is no finite number"));
        }
        if self.beam == 0 {
            return Err("beam: there must be at least one hypothesis".to_owned());
        }
        Ok(())
    }

    /// The options that hold when facts are weighed by learning.
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
