//! Beam search along the index: only facts of the graph can come out.
//!
//! Hypotheses advance token by token, and at each token the best `beam` of them stay, as in the plain algorithm. But a chain of tokens
//! that leaves no choice has probability 1, so it costs no model call until the next choice, and none at all when no choice follows; and a
//! choice needs the logits of its allowed tokens only. Both are exact.

use crate::exact::rescore;
use crate::prompt::{Prompt, Reading, Subject};
use crate::rerank::{EVIDENCE, Evidence, Reranker, SUBJECTS};
use crate::words::WordCounts;
use crate::{Error, Result};
use kexue_kg::KnowledgeGraph;
use kexue_nn::{Decoder, Model, Node};
use kexue_text::SEP;
use kexue_trie::{Allowed, Handle, Key, Token};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Range;
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
    pub reranker: Option<Reranker>,
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
    fn effective(&self) -> Cow<'_, Self> {
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
}

/// A fact that was found, and how probable it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The fact's key.
    pub key: Key,
    /// Natural logarithm of its probability.
    pub log_probability: f64,
}

/// A choice that was made on the way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedChoice {
    /// What stood before it.
    pub prefix: String,
    /// Probability of the prefix.
    pub prefix_probability: f64,
    /// The tokens (or rests of facts) allowed, the most probable first: text, probability, look-ahead gain.
    pub allowed: Vec<(String, f64, u32)>,
}

/// What the search found for a question: the best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchResult {
    /// At most `beam` facts (with exact rescoring: the best of all that were scored).
    pub found: Vec<Found>,
    /// The choices, when asked for.
    pub choices: Vec<ExplainedChoice>,
    /// How many subjects of the graph occur in the question; 0 where mentions are not looked for.
    pub mentioned: usize,
    /// Words of the question that were read as a subject by an alias, or in spite of a slip.
    pub readings: Vec<Reading>,
    /// What is known of each fact found, when asked for and weighed by learning.
    pub evidence: Vec<Evidence>,
    /// How probable it is, by learned rescoring, that the graph lacks what is asked for; 0 without.
    pub lacking: f64,
    /// Whether the first fact was pinned to the question by decree: its probability is then 1.
    pub pinned: bool,
}

/// Searches facts for questions, on all cores. A fact that is pinned to a question comes first.
///
/// # Errors
/// When a question cannot be asked, or the index is damaged.
pub fn search(
    graph: &KnowledgeGraph,
    model: &Model,
    options: &SearchOptions,
    questions: &[&str],
    explain: bool,
) -> Result<Vec<SearchResult>> {
    let mut results = run(graph, model, options, &asked(questions), explain, explain)?;
    for (question, result) in questions.iter().zip(&mut results) {
        if let Some((key, _)) = graph.pinned(question)? {
            result.pin(key);
        }
    }
    Ok(results)
}

/// A question, and what is to be thought away when its facts are weighed.
#[derive(Clone, Default)]
pub(crate) struct Asked<'q> {
    pub text: &'q str,
    /// Facts that the graph is to lack; with exact rescoring only.
    pub hidden: Vec<Key>,
    /// Questions that learned rescoring is not to have counted.
    pub less: Option<Arc<WordCounts>>,
}

fn asked<'q>(questions: &[&'q str]) -> Vec<Asked<'q>> {
    let of = |&text| Asked {
        text,
        ..Asked::default()
    };
    questions.iter().map(of).collect()
}

/// As [`search`], with the evidence for all facts found, without the choices, and whatever is pinned.
pub(crate) fn candidates(
    graph: &KnowledgeGraph,
    model: &Model,
    options: &SearchOptions,
    questions: &[Asked<'_>],
) -> Result<Vec<SearchResult>> {
    run(graph, model, options, questions, false, true)
}

impl SearchResult {
    /// Puts a fact first, by decree.
    fn pin(&mut self, key: Key) {
        let place = self.found.iter().position(|found| found.key == key);
        if let Some(place) = place {
            self.found.remove(place);
        }
        self.found.insert(
            0,
            Found {
                key,
                log_probability: 0.0,
            },
        );
        if !self.evidence.is_empty() {
            if let Some(place) = place {
                self.evidence.remove(place);
            }
            // Nothing but the decree speaks for it.
            self.evidence.insert(0, [0.0; EVIDENCE.len()]);
        }
        self.pinned = true;
    }
}

fn run(
    graph: &KnowledgeGraph,
    model: &Model,
    options: &SearchOptions,
    questions: &[Asked<'_>],
    explain: bool,
    keep_evidence: bool,
) -> Result<Vec<SearchResult>> {
    let options = &*options.effective();
    if graph.index().is_empty() {
        return Err(Error::Question("cannot be answered: the graph has no facts".to_owned()));
    }
    // Smaller batches when there are few questions, so that every core has one.
    let batch = questions
        .len()
        .div_ceil(rayon::current_num_threads())
        .clamp(1, options.batch.max(1));
    let results: Vec<Vec<SearchResult>> = questions
        .par_chunks(batch)
        .map_init(
            || Decoder::new(model),
            |decoder, group| {
                Search {
                    graph,
                    options,
                    explain,
                    keep_evidence,
                }
                .group(decoder, group)
            },
        )
        .collect::<Result<_>>()?;
    Ok(results.into_iter().flatten().collect())
}

#[derive(Clone, Copy)]
pub(crate) struct Search<'a> {
    pub graph: &'a KnowledgeGraph,
    pub options: &'a SearchOptions,
    pub explain: bool,
    pub keep_evidence: bool,
}

/// A prefix on its way.
#[derive(Clone, Debug)]
pub(crate) struct Hypothesis {
    at: Handle,
    /// Everything chosen or forced so far.
    tokens: Vec<Token>,
    /// Subjects of the question that begin so; only while the subject is open.
    mentions: Range<usize>,
    pub subject: Option<Subject>,
    /// The last token whose hidden state is known, and how many of `tokens` it covers.
    node: Node,
    computed: usize,
    pub log_probability: f64,
    /// Number of tokens at which the next choice stands (or the end).
    ready_at: usize,
    end: Option<Key>,
}

impl Hypothesis {
    fn done(&self, rescore: bool) -> bool {
        self.end.is_some() || (rescore && self.subject.is_some())
    }

    /// Adds the tokens that are not computed yet to a list of steps; the last one's node is the hypothesis's.
    pub fn compute(&mut self, steps: &mut kexue_nn::Steps) -> Node {
        for &token in &self.tokens[self.computed..] {
            self.node = steps.push(self.node, token);
        }
        self.computed = self.tokens.len();
        self.node
    }
}

/// One question's search.
pub(crate) struct State {
    pub prompt: Prompt,
    pub beam: Vec<Hypothesis>,
    pub result: SearchResult,
}

/// Logarithms of the probabilities of the allowed tokens (the terminal, if it is one of several choices, last), and their gains.
pub(crate) struct Distribution {
    pub log_probabilities: Vec<f64>,
    pub gains: Vec<u32>,
}

/// What a choice's probabilities depend on beside the model.
pub(crate) struct Context<'a> {
    pub allowed: &'a Allowed,
    /// Tokens that spell a mentioned subject, ascending.
    pub mentioned: &'a [Token],
    /// The gain of each allowed token, where the look-ahead applies.
    pub gains: Option<Vec<u32>>,
    /// The logits of the whole vocabulary, where they were computed together.
    pub row: Option<&'a [f32]>,
}

/// Lists of allowed tokens beyond this length get their logits from one matrix product for all questions.
const LONG: usize = 1024;

/// A choice to be made at this token.
#[derive(Default)]
struct PendingChoice {
    /// Which hypothesis of the beam makes it.
    hypothesis: usize,
    allowed: Allowed,
    mentioned: Vec<Token>,
    /// Its row among the logits that are computed together.
    row: Option<usize>,
}

impl<'a> Search<'a> {
    fn group(self, decoder: &mut Decoder<'_>, questions: &[Asked<'_>]) -> Result<Vec<SearchResult>> {
        decoder.clear();
        let prompts = questions
            .iter()
            .map(|asked| {
                let mut prompt = Prompt::new(self.graph, asked.text)?;
                prompt.hidden.clone_from(&asked.hidden);
                prompt.less.clone_from(&asked.less);
                Ok(prompt)
            })
            .collect::<Result<Vec<_>>>()?;
        let ends = decoder.prompts(prompts.iter().map(|prompt| &prompt.tokens[..]));
        let mut states = prompts
            .into_iter()
            .zip(ends)
            .map(|(prompt, end)| {
                let mentions = match self.options.mentions {
                    MentionUse::Off => 0..0,
                    _ => prompt.mentions.all(),
                };
                let mut first = Hypothesis {
                    at: self.graph.index().root(),
                    tokens: Vec::new(),
                    mentions: mentions.clone(),
                    subject: None,
                    node: end,
                    computed: 0,
                    log_probability: 0.0,
                    ready_at: 0,
                    end: None,
                };
                self.follow(&prompt, &mut first)?;
                let result = SearchResult {
                    mentioned: mentions.len(),
                    readings: prompt.mentions.readings(self.graph),
                    ..SearchResult::default()
                };
                Ok(State {
                    prompt,
                    beam: vec![first],
                    result,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        while self.advance(decoder, &mut states)? {}
        if self.options.rescore {
            rescore(self, decoder, &mut states)?;
        }
        Ok(states
            .into_iter()
            .map(|mut state| {
                let ended = state.beam.iter().filter_map(|hypothesis| {
                    let found = |key| Found {
                        key,
                        log_probability: hypothesis.log_probability,
                    };
                    hypothesis.end.map(found)
                });
                state.result.found.extend(ended);
                state.result.found.sort_by(best_first);
                state.result
            })
            .collect())
    }

    /// One token further for every question that is not done, computing what the choices at this token need in one call.
    fn advance(self, decoder: &mut Decoder<'_>, states: &mut [State]) -> Result<bool> {
        let rescore = self.options.rescore;
        let mut steps = decoder.steps();
        let (mut choices, mut long) = (Vec::with_capacity(states.len()), Vec::new());
        for state in &mut *states {
            let open = state.beam.iter().filter(|hypothesis| !hypothesis.done(rescore));
            let time = open.map(|hypothesis| hypothesis.ready_at).min();
            let mut here = Vec::new();
            for (index, hypothesis) in state.beam.iter_mut().enumerate() {
                if Some(hypothesis.ready_at) == time && !hypothesis.done(rescore) {
                    let mut choice = PendingChoice {
                        hypothesis: index,
                        ..PendingChoice::default()
                    };
                    self.allowed(&state.prompt, hypothesis, &mut choice.allowed, &mut choice.mentioned)?;
                    let node = hypothesis.compute(&mut steps);
                    if choice.allowed.len() > LONG {
                        choice.row = Some(long.len());
                        long.push(node);
                    }
                    here.push(choice);
                }
            }
            choices.push(here);
        }
        if choices.iter().all(Vec::is_empty) {
            return Ok(false);
        }
        if !steps.is_empty() {
            decoder.extend(&steps);
        }
        let logits = if long.is_empty() {
            Vec::new()
        } else {
            decoder.vocabulary_logits(&long)
        };
        for (state, choices) in states.iter_mut().zip(choices) {
            if !choices.is_empty() {
                self.choose(decoder, state, &choices, &logits)?;
            }
        }
        Ok(true)
    }

    /// Makes the choices that stand at this number of tokens and keeps the best hypotheses.
    fn choose(self, decoder: &Decoder<'_>, state: &mut State, choices: &[PendingChoice], logits: &[f32]) -> Result<()> {
        enum Candidate {
            Stays,
            Takes(Token),
            Ends(Key),
        }
        let vocabulary = decoder.model().config().vocab_size;
        let mut candidates = Vec::new();
        let mut pending = choices.iter().peekable();
        for (index, hypothesis) in state.beam.iter().enumerate() {
            let Some(choice) = pending.next_if(|choice| choice.hypothesis == index) else {
                candidates.push((hypothesis.log_probability, index, Candidate::Stays));
                continue;
            };
            let allowed = &choice.allowed;
            let gains = self.gains(&mut state.prompt, hypothesis, &allowed.tokens)?;
            let row = choice.row.map(|row| &logits[row * vocabulary..][..vocabulary]);
            let context = Context {
                allowed,
                mentioned: &choice.mentioned,
                gains,
                row,
            };
            let distribution = self.distribution(decoder, hypothesis.node, &context);
            if self.explain {
                let probability = hypothesis.log_probability.exp();
                let choice = self.explained(&hypothesis.tokens, probability, allowed, &distribution);
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

    /// What may follow a hypothesis, and which of it spells a mentioned subject.
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

    /// Follows the tokens that leave no choice, up to the next choice, the end, or the end of the subject where rescoring takes over.
    fn follow(self, prompt: &Prompt, hypothesis: &mut Hypothesis) -> Result<()> {
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

    /// Without skipping: the end where nothing but the terminal is left.
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

    /// How much each token could add to the longest common subsequence, where the look-ahead applies.
    fn gains(self, prompt: &mut Prompt, hypothesis: &Hypothesis, tokens: &[Token]) -> Result<Option<Vec<u32>>> {
        match &hypothesis.subject {
            Some(subject) if self.looks_ahead() => {
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

    /// Whether choices after the subject look ahead.
    pub fn looks_ahead(self) -> bool {
        self.options.look_ahead != LookAhead::Off
    }

    /// The probabilities of a choice after `node`.
    pub fn distribution(self, decoder: &Decoder<'_>, node: Node, context: &Context<'_>) -> Distribution {
        let tokens = &context.allowed.tokens;
        // A terminal among tokens is read as the separator that would come: the model has no token for "nothing more".
        let terminal = context.allowed.terminal.map(|_| SEP);
        let choices = || tokens.iter().copied().chain(terminal);
        let gains = context.gains.as_ref().filter(|_| context.allowed.len() > 1);
        let whole = gains.is_some() && self.options.look_ahead == LookAhead::Vocabulary;
        let logit = |token: Token| match context.row {
            Some(row) => f64::from(row[token as usize]),
            None => f64::from(decoder.logit(node, token)),
        };
        let mut logits: Vec<f64> = if self.options.allowed_logits_only && !whole {
            choices().map(logit).collect()
        } else {
            let vocabulary = 0..decoder.model().config().vocab_size as Token;
            let mut all: Vec<f64> = vocabulary.map(logit).collect();
            log_softmax(&mut all);
            choices().map(|token| all[token as usize]).collect()
        };
        if let (MentionUse::Prior(weight), false) = (self.options.mentions, context.mentioned.is_empty()) {
            for (logit, token) in logits.iter_mut().zip(choices()) {
                if context.mentioned.binary_search(&token).is_ok() {
                    *logit += f64::from(weight);
                }
            }
        }
        if let (LookAhead::Added(weight), Some(gains)) = (self.options.look_ahead, gains) {
            for (logit, gain) in logits.iter_mut().zip(gains) {
                *logit += f64::from(weight) * f64::from(*gain);
            }
        }
        if !whole {
            log_softmax(&mut logits);
        }
        if let (LookAhead::Allowed | LookAhead::Vocabulary, Some(gains)) = (self.options.look_ahead, gains) {
            for (logit, gain) in logits.iter_mut().zip(gains) {
                *logit /= f64::from(gain + 1);
            }
            log_softmax(&mut logits);
        }
        Distribution {
            log_probabilities: logits,
            gains: gains.cloned().unwrap_or_default(),
        }
    }

    /// A choice in words.
    pub fn explained(
        self,
        prefix: &[Token],
        prefix_probability: f64,
        allowed: &Allowed,
        distribution: &Distribution,
    ) -> ExplainedChoice {
        let vocabulary = self.graph.vocabulary();
        let names = allowed.tokens.iter().map(|&token| vocabulary.name(token));
        let names = names.chain(allowed.terminal.map(|_| "(end)".to_owned()));
        let gains = distribution.gains.iter().copied().chain(std::iter::repeat(0));
        let probabilities = distribution.log_probabilities.iter().map(|log| log.exp());
        let mut choices: Vec<_> = names
            .zip(probabilities)
            .zip(gains)
            .map(|((name, p), gain)| (name, p, gain))
            .collect();
        choices.sort_by(|a, b| b.1.total_cmp(&a.1));
        ExplainedChoice {
            prefix: vocabulary.decode(prefix),
            prefix_probability,
            allowed: choices,
        }
    }
}

/// The order of what is found.
pub(crate) fn best_first(a: &Found, b: &Found) -> std::cmp::Ordering {
    b.log_probability.total_cmp(&a.log_probability).then(a.key.cmp(&b.key))
}

/// Subtracts the logarithm of the sum of the exponentials.
pub(crate) fn log_softmax(logits: &mut [f64]) {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    let log_sum = largest + sum.ln();
    logits.iter_mut().for_each(|logit| *logit -= log_sum);
}
