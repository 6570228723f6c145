//! Answers to questions.

use crate::Result;
use crate::composite::{
    Composite, Joined, is_chain, is_within, joined, joined_apart, longest, relations_in, sharing_their_end,
};
use crate::explanation::ExplainedChoice;
use crate::options::SearchOptions;
use crate::prompt::Reading;
use crate::rerank::{EVIDENCE, Evidence, Reranker};
use crate::search::{search, search_with};
use crate::state::SearchResult;
use kexue_kg::{Fact, FactOrder, KnowledgeGraph, Mention, join_sense};
use kexue_nn::{Decoder, Model};
use kexue_text::{SEP, Token, Vocabulary};
use kexue_trie::Key;
use serde::Serialize;
use std::ops::{ControlFlow, Range};

/// A fact and its probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The subject, without its sense.
    pub subject: String,
    /// Its sense.
    pub sense: Option<String>,
    /// The relation.
    pub relation: String,
    /// All objects, in the file's order.
    pub objects: Vec<String>,
    /// Its probability, given that the graph has the answer.
    pub probability: f64,
    /// The contributions of learned rescoring to the fact's logit, if requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Reason>,
}

/// A piece of evidence for a fact.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reason {
    /// Its name, one of [`EVIDENCE`].
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// Its value times its weight.
    pub logit: f64,
}

fn reasons(reranker: &Reranker, evidence: &Evidence) -> Vec<Reason> {
    let weighed = EVIDENCE.iter().zip(evidence).zip(reranker.weights);
    let reason = |((&name, &value), weight)| Reason {
        name,
        value,
        logit: weight * value,
    };
    weighed.map(reason).collect()
}

impl Candidate {
    fn new(fact: Fact, probability: f64) -> Self {
        let Fact {
            subject,
            sense,
            relation,
            objects,
        } = fact;
        Self {
            subject,
            sense,
            relation,
            objects,
            probability,
            evidence: Vec::new(),
        }
    }

    /// The subject with its sense in full-width brackets.
    pub fn full_subject(&self) -> String {
        join_sense(&self.subject, self.sense.as_deref())
    }
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// The question.
    pub question: String,
    /// Whether the best candidate is probable enough to be the answer.
    pub known: bool,
    /// Whether the answer was pinned to the question.
    pub pinned: bool,
    /// The probability that the graph lacks the answer, estimated by learned rescoring; 0 without it.
    pub lacking: f64,
    /// The subjects that the question mentions, by rising start.
    #[serde(skip)]
    pub mentions: Vec<Mention>,
    /// Words of the question that were recognised as a subject although they are not its exact name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<Reading>,
    /// The probability that the best fact answers the question: its own probability times that of the graph having the answer.
    pub confidence: f64,
    /// Why one fact may not answer the question, if its wording suggests that.
    pub composite: Option<Composite>,
    /// One answer for each subject, or for each relation, if the question asks for several. The question as a whole is then not `known`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Answer>,
    /// The best fact and its runners-up.
    pub candidates: Vec<Candidate>,
    /// The choices made during decoding, if requested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<ExplainedChoice>,
}

impl Answer {
    /// Whether the question is answered, by one fact or in all its parts.
    pub fn is_answered(&self) -> bool {
        self.known || !self.parts.is_empty() && self.parts.iter().all(Self::is_answered)
    }
}

/// Options of [`ask`].
#[derive(Clone, Debug, PartialEq)]
pub struct AskOptions {
    /// Options of the search.
    pub search: SearchOptions,
    /// The lowest [`Answer::confidence`] of an answer that is `known`.
    pub min_confidence: f64,
    /// Number of candidates to return, including the best one.
    pub top: usize,
    /// Whether to return the choices made during decoding.
    pub explain: bool,
}

impl AskOptions {
    /// The default options: a confidence of at least 0.5, three candidates, no choices.
    pub fn new(search: SearchOptions) -> Self {
        Self {
            search,
            min_confidence: 0.5,
            top: 3,
            explain: false,
        }
    }
}

/// Answers questions. A question about several subjects, or several relations of one, gets an answer for each in [`Answer::parts`].
///
/// # Errors
/// If a question cannot be asked, or the graph is damaged.
pub fn ask(graph: &KnowledgeGraph, model: &Model, options: &AskOptions, questions: &[&str]) -> Result<Vec<Answer>> {
    let mut searched = |questions: &[&str]| search(graph, model, &options.search, questions, options.explain);
    answers(graph, options, questions, &mut searched)
}

/// As [`ask`], on this thread, with a decoder of the model whose memory is used again: for callers that ask one batch after the other.
///
/// # Errors
/// As [`ask`].
pub fn ask_with(
    graph: &KnowledgeGraph,
    decoder: &mut Decoder<'_>,
    options: &AskOptions,
    questions: &[&str],
) -> Result<Vec<Answer>> {
    let mut searched = |questions: &[&str]| search_with(graph, decoder, &options.search, questions, options.explain);
    answers(graph, options, questions, &mut searched)
}

/// Searches for the facts that answer questions.
type Searched<'s> = dyn FnMut(&[&str]) -> Result<Vec<SearchResult>> + 's;

fn answers(
    graph: &KnowledgeGraph,
    options: &AskOptions,
    questions: &[&str],
    searched: &mut Searched<'_>,
) -> Result<Vec<Answer>> {
    let results = searched(questions)?;
    let answer = |(&question, result)| {
        let mut answer = single(graph, options, question, result)?;
        if answer.pinned {
            return Ok(answer);
        }
        let vocabulary = graph.vocabulary();
        let tokens = vocabulary.encode(question.trim());
        let mentions: Vec<Range<usize>> = answer.mentions.iter().map(|mention| mention.span.clone()).collect();
        let rest = without(vocabulary, &tokens, &mentions);
        let words = Composite::of_words(&rest);
        // A relation such as "highest mountain" answers a superlative itself.
        let relation = answer.candidates.first().map_or("", |best| best.relation.as_str());
        answer.composite = words.filter(|_| Composite::of_words(relation) != words);
        let mut ask_each = |questions: Vec<String>| -> Result<Vec<Answer>> {
            let questions: Vec<&str> = questions.iter().map(String::as_str).collect();
            answers(graph, options, &questions, searched)
        };
        // The question with one of the joined parts in the place of all.
        let each_alone = |joined: Joined| -> Vec<String> {
            let around = [&tokens[..joined.whole.start], &tokens[joined.whole.end..]];
            let alone = |part: Range<usize>| vocabulary.decode(&[around[0], &tokens[part], around[1]].concat());
            joined.each.into_iter().map(alone).collect()
        };
        // Questions for relations of the only name.
        let of_name = |relations: Vec<String>| -> Vec<String> {
            let name = vocabulary.decode(&tokens[mentions[0].clone()]);
            let question = |relation: String| match relation.is_ascii() {
                true => format!("{relation} of {name}"),
                false => format!("{name}的{relation}"),
            };
            relations.into_iter().map(question).collect()
        };
        if words == Some(Composite::Comparison) {
            return Ok(answer);
        }
        if answer.composite == Some(Composite::Negation) {
            answer.known = false;
            return Ok(answer);
        }
        let best = answer.candidates.first();
        let of_subject = best.map_or(Ok(Vec::new()), |best| relations_of(graph, &best.subject))?;
        let of_subject: Vec<Vec<Token>> = of_subject.into_iter().map(|(relation, _)| relation).collect();
        let relations = relations_in(vocabulary, &tokens, &mentions, &of_subject);
        let has_one_name = longest(&mentions).len() == 1;
        let composite = if let Some(joined) = joined(vocabulary, &tokens, &mentions) {
            answer.parts = ask_each(each_alone(joined))?;
            Composite::SeveralSubjects
        } else if let Some(joined) = joined_with_unknown(vocabulary, question.trim(), &tokens, &mentions) {
            answer.parts = ask_each(each_alone(joined))?;
            Composite::SeveralSubjects
        } else if is_within(vocabulary, &tokens, &mentions) {
            Composite::SeveralSubjects
        } else if let Some(joined) = joined(vocabulary, &tokens, &relations) {
            answer.parts = ask_each(each_alone(joined))?;
            Composite::SeveralRelations
        } else if let (Some(both), true) = (
            sharing_their_end(vocabulary, &tokens, &relations, &of_subject),
            has_one_name,
        ) {
            answer.parts = ask_each(of_name(both.to_vec()))?;
            Composite::SeveralRelations
        } else if let (Some(apart), true) = (joined_apart(vocabulary, &tokens, &mentions, &relations), has_one_name) {
            let texts = apart.into_iter().map(|range| vocabulary.decode(&tokens[range]));
            answer.parts = ask_each(of_name(texts.collect()))?;
            Composite::SeveralRelations
        } else if is_chain(vocabulary, &tokens, &relations) || asks_further(graph, &answer, &tokens, &mentions)? {
            Composite::Chain
        } else {
            return Ok(answer);
        };
        answer.composite = Some(composite);
        answer.known = false;
        Ok(answer)
    };
    questions.iter().zip(results).map(answer).collect()
}

/// A name of the question with another one behind "and" that the graph does not know: a word with a capital.
fn joined_with_unknown(
    vocabulary: &Vocabulary,
    question: &str,
    tokens: &[Token],
    mentions: &[Range<usize>],
) -> Option<Joined> {
    let token_at = |byte: usize| vocabulary.encode(&question[..byte]).len();
    let starts = question.match_indices(" and ").chain(question.match_indices(" or "));
    starts.into_iter().find_map(|(at, join)| {
        let known = mentions.iter().find(|mention| mention.end == token_at(at))?;
        let start = at + join.len();
        let end = question[start..]
            .find(|character: char| !character.is_alphanumeric() && character != '-')
            .map_or(question.len(), |length| start + length);
        let is_last = !question[end..].contains(char::is_alphanumeric);
        let is_name = question[start..end].starts_with(char::is_uppercase);
        let unknown = token_at(start)..token_at(end);
        let is_unknown = mentions
            .iter()
            .all(|mention| mention.end <= unknown.start || unknown.end <= mention.start);
        (is_name && is_last && is_unknown && unknown.end <= tokens.len()).then(|| Joined {
            whole: known.start..unknown.end,
            each: vec![known.clone(), unknown],
        })
    })
}

/// Whether a question names the relation by which what was found leads back to the subject, and another relation of it: it asks for that one. The
/// answer to "population of the country whose capital is Paris" is not France.
fn asks_further(
    graph: &KnowledgeGraph,
    answer: &Answer,
    question: &[Token],
    mentions: &[Range<usize>],
) -> Result<bool> {
    let Some((best, object)) = answer
        .candidates
        .first()
        .and_then(|best| Some((best, best.objects.first()?)))
    else {
        return Ok(false);
    };
    let (mut back, mut other) = (Vec::new(), Vec::new());
    for (relation, key) in relations_of(graph, object)? {
        let places = relations_in(graph.vocabulary(), question, mentions, &[relation]);
        if !places.is_empty() {
            // "DE / DEU" has both codes of a country.
            let leads_back = |object: &String| object.contains(&best.subject);
            match graph.fact(key)?.objects.iter().any(leads_back) {
                true => back.extend(places),
                false => other.extend(places),
            }
        }
    }
    let apart = longest(&[&back[..], &other].concat());
    Ok([back, other]
        .iter()
        .all(|places| apart.iter().any(|place| places.contains(place))))
}

/// The relations of a subject as tokens, and the key of a fact of each.
fn relations_of(graph: &KnowledgeGraph, subject: &str) -> Result<Vec<(Vec<Token>, Key)>> {
    let mut prefix = graph.vocabulary().encode(subject);
    prefix.push(SEP);
    let mut relations: Vec<(Vec<Token>, Key)> = Vec::new();
    if let Some(at) = graph.index().find(&prefix)? {
        graph.index().completions(at, &mut |suffix, key| {
            let mut parts = suffix.split(|&token| token == SEP);
            let relation = match graph.order() {
                FactOrder::SubjectRelationSense => parts.next(),
                FactOrder::SubjectSenseRelation => parts.nth(1),
            };
            relations.extend(relation.map(|relation| (relation.to_vec(), key)));
            ControlFlow::Continue(())
        })?;
    }
    Ok(relations)
}

/// The text of a question without the names that it mentions.
fn without(vocabulary: &Vocabulary, question: &[Token], mentions: &[Range<usize>]) -> String {
    let named = |at: &usize| mentions.iter().any(|range| range.len() > 1 && range.contains(at));
    let rest: Vec<Token> = (0..question.len())
        .filter(|at| !named(at))
        .map(|at| question[at])
        .collect();
    vocabulary.decode(&rest)
}

/// The answer by one fact.
fn single(graph: &KnowledgeGraph, options: &AskOptions, question: &str, result: SearchResult) -> Result<Answer> {
    let confidence = result.confidence(&options.search);
    let found = result.found.iter().enumerate().take(options.top.max(1));
    let candidates: Vec<Candidate> = found
        .map(|(rank, found)| {
            let mut candidate = Candidate::new(graph.fact(found.key)?, found.log_probability.exp());
            if let (Some(reranker), Some(evidence)) = (&options.search.reranker, result.evidence.get(rank)) {
                candidate.evidence = reasons(reranker, evidence);
            }
            Ok(candidate)
        })
        .collect::<Result<_>>()?;
    let mut readings = result.readings;
    for reading in &mut readings {
        // A vocabulary that folds case loses the spelling of a name; the fact has it.
        let same = |candidate: &&Candidate| candidate.subject.eq_ignore_ascii_case(&reading.subject);
        if let Some(candidate) = candidates.iter().find(same) {
            reading.subject.clone_from(&candidate.subject);
        }
    }
    Ok(Answer {
        question: question.to_owned(),
        known: result.pinned || confidence.is_some_and(|confidence| confidence >= options.min_confidence),
        pinned: result.pinned,
        lacking: result.lacking,
        confidence: confidence.unwrap_or(0.0),
        composite: None,
        parts: Vec::new(),
        mentions: result.mentions,
        readings,
        candidates,
        choices: result.choices,
    })
}
