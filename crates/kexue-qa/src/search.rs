//! Search for the facts that answer questions: beam search, then exact rescoring.

use crate::exact::rescore;
use crate::options::{MentionUse, SearchOptions};
use crate::prompt::Prompt;
use crate::state::{Found, Hypothesis, Search, SearchResult, State, best_first};
use crate::words::WordCounts;
use crate::{Error, Result};
use kexue_kg::KnowledgeGraph;
use kexue_nn::{Decoder, Model};
use kexue_trie::Key;
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::Arc;

/// Searches for the facts that answer questions, on all cores. A fact that is pinned to a question comes first.
///
/// # Errors
/// If a question cannot be asked, or the index is damaged.
pub fn search(
    graph: &KnowledgeGraph,
    model: &Model,
    options: &SearchOptions,
    questions: &[&str],
    explain: bool,
) -> Result<Vec<SearchResult>> {
    pinned(
        graph,
        questions,
        run(graph, model, options, &asked(questions), explain, explain)?,
    )
}

/// As [`search`], on this thread, with a decoder whose memory is used again.
pub(crate) fn search_with(
    graph: &KnowledgeGraph,
    decoder: &mut Decoder<'_>,
    options: &SearchOptions,
    questions: &[&str],
    explain: bool,
) -> Result<Vec<SearchResult>> {
    let options = &*usable(graph, options)?;
    let search = Search {
        graph,
        options,
        explain,
        keep_evidence: explain,
    };
    let mut results = Vec::with_capacity(questions.len());
    for group in asked(questions).chunks(options.batch.max(1)) {
        results.extend(search.group(decoder, group)?);
    }
    pinned(graph, questions, results)
}

/// Puts the fact that is pinned to a question first.
fn pinned(graph: &KnowledgeGraph, questions: &[&str], mut results: Vec<SearchResult>) -> Result<Vec<SearchResult>> {
    for (question, result) in questions.iter().zip(&mut results) {
        if let Some((key, _)) = graph.pinned(question)? {
            result.pin(key);
        }
    }
    Ok(results)
}

/// The options that apply, if there is anything to search.
fn usable<'o>(graph: &KnowledgeGraph, options: &'o SearchOptions) -> Result<Cow<'o, SearchOptions>> {
    match graph.index().is_empty() {
        true => Err(Error::Question("cannot be answered: the graph has no facts".to_owned())),
        false => Ok(options.effective()),
    }
}

/// A question, and what the search ignores for it.
#[derive(Clone, Default)]
pub(crate) struct Asked<'q> {
    pub text: &'q str,
    /// Facts that are treated as missing from the graph (exact rescoring only).
    pub hidden: Vec<Key>,
    /// Word counts that learned rescoring subtracts from its own.
    pub less: Option<Arc<WordCounts>>,
}

fn asked<'q>(questions: &[&'q str]) -> Vec<Asked<'q>> {
    let of = |&text| Asked {
        text,
        ..Asked::default()
    };
    questions.iter().map(of).collect()
}

/// As [`search`], with the evidence for all facts found, and without choices and pinned facts.
pub(crate) fn candidates(
    graph: &KnowledgeGraph,
    model: &Model,
    options: &SearchOptions,
    questions: &[Asked<'_>],
) -> Result<Vec<SearchResult>> {
    run(graph, model, options, questions, false, true)
}

fn run(
    graph: &KnowledgeGraph,
    model: &Model,
    options: &SearchOptions,
    questions: &[Asked<'_>],
    explain: bool,
    keep_evidence: bool,
) -> Result<Vec<SearchResult>> {
    let options = &*usable(graph, options)?;
    // Batches are smaller if there are few questions, so that every core gets one. A device is faster with large ones.
    let share = match model.device() {
        None => questions.len().div_ceil(rayon::current_num_threads()),
        Some(_) => questions.len(),
    };
    let batch = share.clamp(1, options.batch.max(1));
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

impl Search<'_> {
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
        let ends = decoder.prompts(prompts.iter().map(|prompt| &prompt.tokens[..]))?;
        let mut states = prompts
            .into_iter()
            .zip(ends)
            .map(|(mut prompt, end)| {
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
                    mentions: std::mem::take(&mut prompt.found),
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
}
