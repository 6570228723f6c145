//! Beam search along the index, so that only facts of the graph are found.
//!
//! Hypotheses advance token by token, and the best `beam` of them are kept, as in ordinary beam search. Two exact shortcuts save work. Tokens
//! that the index forces have probability 1, so they need no model call until the next choice. A choice needs the logits of its allowed tokens
//! only.

use crate::distribution::{Context, distribution};
use crate::explanation::explain;
use crate::logits::{AllLogits, LogitsAt, Wanted};
use crate::options::{LookAhead, MentionUse};
use crate::prompt::{Prompt, Subject};
use crate::state::{Hypothesis, Search, State};
use crate::{Error, Result};
use kexue_nn::Decoder;
use kexue_text::SEP;
use kexue_trie::{Allowed, Key, Token};
use std::sync::Arc;

/// A choice to make at the current token.
struct PendingChoice {
    /// Which hypothesis of the beam makes it.
    hypothesis: usize,
    allowed: Allowed,
    mentioned: Vec<Token>,
    logits: LogitsAt,
}

impl Search<'_> {
    /// Advances all unfinished questions by one token. One model call serves all choices at this token.
    pub fn advance(self, decoder: &mut Decoder<'_>, states: &mut [State]) -> Result<bool> {
        let rescore = self.options.rescore;
        let mut steps = decoder.steps();
        let (mut pending, mut wanted) = (Vec::with_capacity(states.len()), Wanted::default());
        for state in &mut *states {
            let open = state.beam.iter().filter(|hypothesis| !hypothesis.done(rescore));
            let time = open.map(|hypothesis| hypothesis.ready_at).min();
            let mut here = Vec::new();
            for (index, hypothesis) in state.beam.iter_mut().enumerate() {
                if Some(hypothesis.ready_at) == time && !hypothesis.done(rescore) {
                    let (mut allowed, mut mentioned) = (Allowed::default(), Vec::new());
                    self.allowed(&state.prompt, hypothesis, &mut allowed, &mut mentioned)?;
                    let node = hypothesis.compute(&mut steps);
                    let logits = wanted.add(self.options, node, &allowed, hypothesis.subject.is_some());
                    here.push(PendingChoice {
                        hypothesis: index,
                        allowed,
                        mentioned,
                        logits,
                    });
                }
            }
            pending.push(here);
        }
        if pending.iter().all(Vec::is_empty) {
            return Ok(false);
        }
        decoder.extend(&steps)?;
        let logits = wanted.compute(decoder)?;
        for (state, choices) in states.iter_mut().zip(pending) {
            if !choices.is_empty() {
                self.choose(state, &choices, &logits)?;
            }
        }
        Ok(true)
    }

    /// Makes the choices at this token and keeps the best hypotheses.
    fn choose(self, state: &mut State, choices: &[PendingChoice], logits: &AllLogits) -> Result<()> {
        enum Candidate {
            Stays,
            Takes(Token),
            Ends(Key),
        }
        let mut candidates = Vec::new();
        let mut pending = choices.iter().peekable();
        for (index, hypothesis) in state.beam.iter().enumerate() {
            let Some(choice) = pending.next_if(|choice| choice.hypothesis == index) else {
                candidates.push((hypothesis.log_probability, index, Candidate::Stays));
                continue;
            };
            let allowed = &choice.allowed;
            let gains = self.gains(&mut state.prompt, hypothesis, &allowed.tokens)?;
            let context = Context {
                allowed,
                mentioned: &choice.mentioned,
                gains,
                logits: logits.of(choice.logits),
            };
            let distribution = distribution(self.options, &context);
            if self.explain {
                let probability = hypothesis.log_probability.exp();
                let choice = explain(self.graph, &hypothesis.tokens, probability, allowed, &distribution);
                state.result.choices.push(choice);
            }
            let takes = allowed.tokens.iter().map(|&token| Candidate::Takes(token));
            let takes = takes.chain(allowed.terminal.map(Candidate::Ends));
            for (candidate, log_probability) in takes.zip(distribution.log_probabilities) {
                candidates.push((hypothesis.log_probability + log_probability, index, candidate));
            }
        }
        let kept = self.options.beam.max(1);
        if candidates.len() > kept {
            candidates.select_nth_unstable_by(kept - 1, |a, b| b.0.total_cmp(&a.0));
            candidates.truncate(kept);
        }
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut beam = Vec::with_capacity(candidates.len());
        for (log_probability, index, candidate) in candidates {
            let mut hypothesis = state.beam[index].clone();
            hypothesis.log_probability = log_probability;
            match candidate {
                Candidate::Stays => {}
                Candidate::Ends(key) => hypothesis.end = Some(key),
                Candidate::Takes(token) => {
                    self.push(&state.prompt, &mut hypothesis, token)?;
                    if self.options.skip_forced {
                        self.follow(&state.prompt, &mut hypothesis)?;
                    } else {
                        self.end_if_over(&mut hypothesis)?;
                    }
                }
            }
            beam.push(hypothesis);
        }
        state.beam = beam;
        Ok(())
    }

    /// Finds the tokens that may follow a hypothesis, and those of them that continue a mentioned subject.
    fn allowed(
        self,
        prompt: &Prompt,
        hypothesis: &Hypothesis,
        allowed: &mut Allowed,
        mentioned: &mut Vec<Token>,
    ) -> Result<()> {
        mentioned.clear();
        let open = hypothesis.subject.is_none() && !hypothesis.mentions.is_empty();
        if open {
            prompt
                .mentions
                .allowed(hypothesis.mentions.clone(), hypothesis.tokens.len(), mentioned);
        }
        if open && self.options.mentions == MentionUse::Only {
            allowed.tokens.clone_from(mentioned);
            allowed.terminal = None;
        } else {
            self.graph.index().allowed(hypothesis.at, allowed)?;
        }
        if allowed.is_empty() {
            return Err(Error::DeadEnd(self.graph.vocabulary().decode(&hypothesis.tokens)));
        }
        Ok(())
    }

    /// Follows forced tokens up to the next choice or the end; with rescoring, up to the end of the subject.
    pub fn follow(self, prompt: &Prompt, hypothesis: &mut Hypothesis) -> Result<()> {
        let (mut allowed, mut mentioned) = (Allowed::default(), Vec::new());
        while !hypothesis.done(self.options.rescore) {
            self.allowed(prompt, hypothesis, &mut allowed, &mut mentioned)?;
            match allowed.forced() {
                Some(token) => self.push(prompt, hypothesis, token)?,
                None => {
                    if allowed.tokens.is_empty() {
                        hypothesis.end = allowed.terminal;
                    }
                    break;
                }
            }
        }
        hypothesis.ready_at = hypothesis.tokens.len();
        Ok(())
    }

    /// Without skipping: ends the hypothesis if nothing but the terminal is left.
    fn end_if_over(self, hypothesis: &mut Hypothesis) -> Result<()> {
        hypothesis.ready_at = hypothesis.tokens.len();
        let mut allowed = Allowed::default();
        self.graph.index().allowed(hypothesis.at, &mut allowed)?;
        if allowed.tokens.is_empty() {
            hypothesis.end = allowed.terminal;
        }
        Ok(())
    }

    fn push(self, prompt: &Prompt, hypothesis: &mut Hypothesis, token: Token) -> Result<()> {
        let next = self.graph.index().step(hypothesis.at, token)?;
        let dead_end = || Error::DeadEnd(self.graph.vocabulary().decode(&hypothesis.tokens));
        hypothesis.at = next.ok_or_else(dead_end)?;
        if hypothesis.subject.is_none() {
            let (range, depth) = (hypothesis.mentions.clone(), hypothesis.tokens.len());
            hypothesis.mentions = prompt.mentions.narrow(range, depth, token);
        }
        hypothesis.tokens.push(token);
        if token == SEP && hypothesis.subject.is_none() {
            let tokens: Arc<[Token]> = hypothesis.tokens.as_slice().into();
            hypothesis.subject = Some(Subject {
                at: hypothesis.at,
                tokens,
            });
        }
        Ok(())
    }

    /// The gain of each token in the longest common subsequence, if the look-ahead applies.
    fn gains(self, prompt: &mut Prompt, hypothesis: &Hypothesis, tokens: &[Token]) -> Result<Option<Vec<u32>>> {
        match &hypothesis.subject {
            Some(subject) if self.options.looks_ahead() => {
                let facts = prompt.facts(self.graph.index(), subject)?;
                let prefix = &hypothesis.tokens[subject.tokens.len()..];
                Ok(Some(facts.gains(
                    &prompt.lcs,
                    prefix,
                    facts.with_prefix(prefix),
                    tokens,
                )))
            }
            None if matches!(self.options.look_ahead, LookAhead::Added(_)) => Ok(Some(prompt.mentions.gains(
                hypothesis.mentions.clone(),
                hypothesis.tokens.len(),
                tokens,
            ))),
            _ => Ok(None),
        }
    }
}
