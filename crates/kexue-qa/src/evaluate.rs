//! Scores of answers: EM, F1 and Score of article 8802, Hits@1, and what was wrong.

use crate::Result;
use crate::dataset::gold_facts;
use crate::lcs::lcs_of_texts;
use crate::options::SearchOptions;
use crate::question::{Gold, Question};
use crate::search::search;
use crate::state::SearchResult;
use kexue_kg::{Fact, KnowledgeGraph};
use kexue_nn::Model;
use kexue_trie::Key;
use serde::Serialize;
use std::collections::BTreeMap;

/// A question to score.
#[derive(Clone, Debug)]
pub struct Case {
    /// The question and its gold answer.
    pub question: Question,
    /// The keys of the facts that match the gold answer.
    pub gold_keys: Vec<Key>,
    gold_objects: Vec<String>,
}

impl Case {
    /// Prepares questions for scoring.
    ///
    /// # Errors
    /// When the graph is damaged.
    pub fn prepare(graph: &KnowledgeGraph, questions: Vec<Question>) -> Result<Vec<Self>> {
        questions
            .into_iter()
            .map(|question| {
                let gold_keys: Vec<Key> = gold_facts(graph, &question.gold)?
                    .into_iter()
                    .map(|(key, _)| key)
                    .collect();
                let gold_objects = match (&question.gold, gold_keys.first()) {
                    (
                        Gold::Fact {
                            object: Some(object), ..
                        },
                        _,
                    ) => vec![object.clone()],
                    (Gold::Answers { answers, .. }, _) => answers.clone(),
                    // No object in the file: the graph's own.
                    (_, Some(&key)) => graph.fact(key)?.objects,
                    _ => Vec::new(),
                };
                Ok(Self {
                    question,
                    gold_keys,
                    gold_objects,
                })
            })
            .collect()
    }
}

/// Scores over a set of questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Scores {
    /// Questions scored.
    pub questions: usize,
    /// Questions whose first object equals the gold object, in percent.
    pub exact_match: f64,
    /// `2·LCS/(len+len)` over characters of the two, in percent.
    pub f1: f64,
    /// `(EM+F1)/2`.
    pub score: f64,
    /// Questions whose first object is one of the gold answers, in percent.
    pub hits_at_1: f64,
    /// Questions whose fact is the gold fact, in percent.
    pub fact: f64,
    /// Expected calibration error, in percent: the distance between stated probability and share of right answers (Hits@1), over ten groups of
    /// equal size, formed by probability.
    pub calibration_error: f64,
    /// Questions whose subject is wrong.
    pub wrong_subject: usize,
    /// Right subject, wrong relation.
    pub wrong_relation: usize,
    /// Right subject and relation, wrong sense.
    pub wrong_sense: usize,
    /// Questions whose gold fact is not in the graph. Their fact counts as wrong; their object counts as right if another fact has it.
    pub not_in_graph: usize,
}

impl Scores {
    /// The scores by name. The first is the one to maximise.
    pub fn as_named(&self) -> Vec<(String, f64)> {
        [
            ("score", self.score),
            ("exact_match", self.exact_match),
            ("f1", self.f1),
            ("hits_at_1", self.hits_at_1),
            ("fact", self.fact),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// F1 of article 8802: `2·LCS(a, b)/(len a + len b)` over characters; two empty texts are alike.
pub fn f1(a: &str, b: &str) -> f64 {
    let length = a.chars().count() + b.chars().count();
    if length == 0 {
        1.0
    } else {
        2.0 * lcs_of_texts(a, b) as f64 / length as f64
    }
}

/// Answers questions and scores the answers.
///
/// # Errors
/// When a question cannot be asked, or the graph is damaged.
pub fn evaluate(
    graph: &KnowledgeGraph,
    model: &Model,
    options: &SearchOptions,
    cases: &[Case],
) -> Result<(Scores, Vec<SearchResult>)> {
    let texts: Vec<&str> = cases.iter().map(|case| case.question.text.as_str()).collect();
    let results = search(graph, model, options, &texts, false)?;
    let scores = score(graph, cases, &results)?;
    Ok((scores, results))
}

/// Scores results.
///
/// # Errors
/// When the graph is damaged.
pub fn score(graph: &KnowledgeGraph, cases: &[Case], results: &[SearchResult]) -> Result<Scores> {
    let mut scores = Scores {
        questions: cases.len(),
        ..Scores::default()
    };
    let mut f1_sum = 0.0;
    let (mut exact, mut hits, mut facts) = (0, 0, 0);
    let mut stated = Vec::with_capacity(cases.len());
    for (case, result) in cases.iter().zip(results) {
        let gold = case.gold_keys.first().map(|&key| graph.fact(key)).transpose()?;
        scores.not_in_graph += usize::from(gold.is_none());
        let Some(best) = result.found.first() else { continue };
        let fact = graph.fact(best.key)?;
        let gold_object = case.gold_objects.first().map_or("", String::as_str);
        // A gold object that lists several, `a|b`, is compared with the whole list.
        let whole = fact.objects.join("|");
        let first = fact.objects.first().map_or("", String::as_str);
        let object = if whole == gold_object { gold_object } else { first };
        exact += usize::from(object == gold_object);
        let hit = case.gold_objects.iter().any(|gold| gold == object);
        hits += usize::from(hit);
        stated.push((best.log_probability.exp(), hit));
        f1_sum += f1(object, gold_object);
        if case.gold_keys.contains(&best.key) {
            facts += 1;
        } else if let Some(gold) = gold {
            *wrong_part(&mut scores, &fact, &gold) += 1;
        }
    }
    let percent = |count: f64| {
        if cases.is_empty() {
            0.0
        } else {
            100.0 * count / cases.len() as f64
        }
    };
    scores.exact_match = percent(exact as f64);
    scores.f1 = percent(f1_sum);
    scores.score = (scores.exact_match + scores.f1) / 2.0;
    scores.hits_at_1 = percent(hits as f64);
    scores.fact = percent(facts as f64);
    scores.calibration_error = 100.0 * calibration_error(stated);
    Ok(scores)
}

/// The mean distance between stated probability and share of right answers over ten groups of equal size (after Guo et al. 2017, whose groups
/// have equal width).
fn calibration_error(mut stated: Vec<(f64, bool)>) -> f64 {
    stated.sort_by(|a, b| a.0.total_cmp(&b.0));
    let groups = stated.chunks(stated.len().div_ceil(10).max(1));
    let distance = |group: &[(f64, bool)]| {
        let gap: f64 = group.iter().map(|&(p, right)| p - f64::from(u8::from(right))).sum();
        gap.abs() / stated.len() as f64
    };
    groups.map(distance).sum()
}

fn wrong_part<'s>(scores: &'s mut Scores, fact: &Fact, gold: &Fact) -> &'s mut usize {
    if fact.subject != gold.subject {
        &mut scores.wrong_subject
    } else if fact.relation != gold.relation {
        &mut scores.wrong_relation
    } else {
        &mut scores.wrong_sense
    }
}

/// A point of the risk–coverage curve: the answers that remain if those below a confidence are withheld.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// The lowest confidence of an answer that is given.
    pub min_confidence: f64,
    /// Questions with an answer in the graph that are answered, in percent.
    pub answered: f64,
    /// The right ones among these answers (Hits@1), in percent.
    pub right: f64,
    /// Questions whose right answer is withheld only because the graph is estimated to lack the answer, in percent.
    pub lost: f64,
    /// Questions without an answer in the graph that are answered, in percent.
    pub unanswerable_answered: f64,
}

/// Unanswerable questions of one kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnsweredKind<'k> {
    /// The kind.
    pub kind: &'k str,
    /// Questions that are answered with a confidence of at least one half, in percent.
    pub answered: f64,
    /// Number of questions.
    pub questions: usize,
}

/// How many unanswerable questions of each kind are answered; the worst kind first. `kinds` and `results` are those of the questions.
pub fn answered_by_kind<'k>(
    options: &SearchOptions,
    kinds: &'k [String],
    results: &[SearchResult],
) -> Vec<AnsweredKind<'k>> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (kind, result) in kinds.iter().zip(results) {
        let (answered, all) = counts.entry(kind).or_default();
        *answered += usize::from(result.confidence(options).is_some_and(|confidence| confidence >= 0.5));
        *all += 1;
    }
    let share = |(kind, (answered, questions))| AnsweredKind {
        kind,
        answered: 100.0 * answered as f64 / questions as f64,
        questions,
    };
    let mut shares: Vec<AnsweredKind<'_>> = counts.into_iter().map(share).collect();
    shares.sort_by(|a, b| b.answered.total_cmp(&a.answered));
    shares
}

/// The risk–coverage curve, at the given confidences (El-Yaniv and Wiener 2010).
///
/// # Errors
/// When the graph is damaged.
pub fn coverage(
    graph: &KnowledgeGraph,
    options: &SearchOptions,
    cases: &[Case],
    results: &[SearchResult],
    unanswerable: &[SearchResult],
    confidences: &[f64],
) -> Result<Vec<Coverage>> {
    let mut stated = Vec::with_capacity(cases.len());
    for (case, result) in cases.iter().zip(results) {
        let Some(best) = result.found.first() else { continue };
        let fact = graph.fact(best.key)?;
        let right = fact
            .objects
            .first()
            .is_some_and(|object| case.gold_objects.contains(object));
        stated.push((
            result.confidence(options).unwrap_or(0.0),
            best.log_probability.exp(),
            right,
        ));
    }
    let percent = |count: usize, all: usize| 100.0 * count as f64 / all.max(1) as f64;
    let at = |&min_confidence: &f64| {
        let answered = stated.iter().filter(|(confidence, ..)| *confidence >= min_confidence);
        let right = answered.clone().filter(|(.., right)| *right).count();
        let lost = |&&(confidence, probability, right): &&(f64, f64, bool)| {
            right && confidence < min_confidence && probability >= min_confidence
        };
        let given = |result: &&SearchResult| {
            result
                .confidence(options)
                .is_some_and(|confidence| confidence >= min_confidence)
        };
        let answered = answered.count();
        Coverage {
            min_confidence,
            answered: percent(answered, cases.len()),
            right: percent(right, answered),
            lost: percent(stated.iter().filter(lost).count(), cases.len()),
            unanswerable_answered: percent(unanswerable.iter().filter(given).count(), unanswerable.len()),
        }
    };
    Ok(confidences.iter().map(at).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_is_over_characters() {
        assert_eq!(f1("周迅", "周迅"), 1.0);
        assert_eq!(f1("周迅2013", "周迅"), 2.0 * 2.0 / 8.0);
        assert_eq!(f1("", ""), 1.0);
        assert_eq!(f1("a", ""), 0.0);
    }

    #[test]
    fn calibration_is_by_groups() {
        let answers = |p: f64, right: usize| (0..100).map(move |index| (p, index % 10 < right));
        assert!(calibration_error(answers(0.3, 3).chain(answers(0.8, 8)).collect()) < 1e-9);
        assert!((calibration_error(answers(0.9, 0).collect()) - 0.9).abs() < 1e-12);
        assert_eq!(calibration_error(Vec::new()), 0.0);
    }
}
