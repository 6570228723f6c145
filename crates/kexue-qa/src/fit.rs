//! Fits learned rescoring: the weights of a conditional logit that ranks facts, by Newton's method, and the steps that estimate how probable it is
//! that the graph lacks the answer.
//!
//! The graph has the facts of the questions to fit on. If there are no questions that it cannot answer, the same questions with their fact hidden
//! serve as examples of missing answers: once as they are, and once as if no training question had asked for their relation, so that its words
//! are new.

use crate::distribution::log_softmax;
use crate::evaluate::Case;
use crate::options::SearchOptions;
use crate::phrasing::Phrasing;
use crate::prompt::Mentions;
use crate::rerank::{
    EVIDENCE, Evidence, OF_RELATION, QUESTIONS_OF_RELATION, Reranker, WORDING, dot, doubt, phrase_around,
};
use crate::search::{Asked, candidates};
use crate::state::SearchResult;
use crate::steps::{Example, Steps};
use crate::words::{WordCounter, WordCounts};
use crate::{Error, Question, Result};
use kexue_kg::KnowledgeGraph;
use kexue_nn::Model;
use kexue_text::SEP;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Weight of the squared distance to the initial weights, for each question.
const SHRINKAGE: f64 = 1e-3;
/// Assumed share of questions that the graph cannot answer if the only examples are hidden facts.
const LACKING: f64 = 0.1;
/// The same if there are real examples. It is more than people are likely to ask, since an invented answer costs more than none.
const UNANSWERABLE: f64 = 2.0 / 3.0;
/// The number of weights.
const N: usize = EVIDENCE.len();
/// Maximum number of Newton steps; about ten are usual.
const STEPS: usize = 50;
/// Number of folds of cross-validation.
const FOLDS: usize = 5;
/// The fewest questions that determine the weights well enough.
pub const LEAST_QUESTIONS: usize = 200;
/// Questions searched between two checks of the interrupt flag.
const AT_ONCE: usize = 256;

/// How well the probabilities of candidates predict the right one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Calibration {
    /// Questions whose most probable fact is right, in percent.
    pub right: f64,
    /// Mean negative logarithm of the probability of the right candidates, in nats.
    pub negative_log_likelihood: f64,
    /// The same for questions with a right candidate, given that the graph has the answer.
    pub ranking_loss: f64,
    /// Questions that are answered, in percent: the probability that the graph has the answer, times that of the most probable fact, is at
    /// least one half.
    pub answered: f64,
}

/// The result of a fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The weights, fitted on all questions.
    pub reranker: Reranker,
    /// Number of questions fitted on: those with the right fact among the candidates.
    pub questions: usize,
    /// Number of questions without the right fact among the candidates.
    pub out_of_reach: usize,
    /// The model's own probabilities.
    pub before: Calibration,
    /// The fitted probabilities (5-fold cross-validation).
    pub after: Calibration,
    /// The same for the questions with their fact hidden.
    pub hidden: Calibration,
    /// The same for questions that the graph cannot answer, if there are any.
    pub unanswerable: Option<Calibration>,
}

impl Fit {
    /// Whether the fitted weights predict held-out questions better than the model alone.
    pub fn is_better(&self) -> bool {
        self.after.ranking_loss < self.before.ranking_loss
    }
}

/// The candidates of a question, the right ones first.
struct Facts {
    candidates: Vec<Evidence>,
    right: usize,
}

/// The candidates of a question as it is, and with its fact hidden.
struct Variants {
    plain: Facts,
    hidden: [Vec<Evidence>; 2],
}

/// The questions of a fit.
#[derive(Clone, Copy, Debug)]
pub struct FitQuestions<'a> {
    /// Questions that the model was trained on. Their words are counted.
    pub known: &'a [Case],
    /// Questions that the graph cannot answer. Their words, and how they are phrased, are counted too.
    pub known_unanswerable: &'a [Question],
    /// Questions to fit on. The model must not have been trained on them.
    pub cases: &'a [Case],
    /// Questions to fit on that the graph cannot answer, of other kinds than the known ones. They must be grouped by kind, so that
    /// cross-validation keeps most kinds in one fold.
    pub unanswerable: &'a [Question],
}

/// Fits the weights of rescoring. Returns `None` if `interrupt` was set.
///
/// # Errors
/// If there are fewer than [`LEAST_QUESTIONS`] questions to fit on, a question cannot be asked, or the graph is damaged.
pub fn fit(
    graph: &KnowledgeGraph,
    model: &Model,
    options: &SearchOptions,
    questions: FitQuestions<'_>,
    interrupt: &AtomicBool,
) -> Result<Option<Fit>> {
    let FitQuestions {
        known,
        known_unanswerable,
        cases,
        unanswerable,
    } = questions;
    let mut words = count_words(graph, known)?;
    for question in known_unanswerable {
        words.add_unanswerable(graph.vocabulary(), &question.text);
    }
    let mut phrasing = count_phrases(graph, known.iter(), known_unanswerable)?;
    let mut options = SearchOptions {
        rescore: true,
        reranker: Some(Arc::new(Reranker {
            counts: words.counts(),
            phrasing: phrasing.clone(),
            ..Reranker::default()
        })),
        ..options.clone()
    };
    let ask = |options: &SearchOptions, asked: Vec<Asked<'_>>| -> Result<Option<Vec<SearchResult>>> {
        let mut results = Vec::with_capacity(asked.len());
        for part in asked.chunks(AT_ONCE) {
            if interrupt.load(Ordering::Relaxed) {
                return Ok(None);
            }
            results.extend(candidates(graph, model, options, part)?);
        }
        Ok(Some(results))
    };
    let Some(results) = ask(&options, cases.iter().map(plain).collect())? else {
        return Ok(None);
    };
    let (mut reached, mut choices) = (Vec::new(), Vec::new());
    for (case, result) in cases.iter().zip(results) {
        let all = result.found.iter().zip(result.evidence);
        let (mut candidates, wrong): (Vec<_>, Vec<_>) = all.partition(|(found, _)| case.gold_keys.contains(&found.key));
        let right = candidates.len();
        if right > 0 {
            candidates.extend(wrong);
            reached.push(case);
            choices.push(Facts {
                candidates: candidates.into_iter().map(|(_, evidence)| evidence).collect(),
                right,
            });
        }
    }
    if choices.len() < LEAST_QUESTIONS {
        return Err(Error::TooFew {
            found: choices.len(),
            needed: LEAST_QUESTIONS,
        });
    }
    if !are_relations_known(&choices) {
        words.relations.clear();
        phrasing = Phrasing::default();
        for evidence in choices.iter_mut().flat_map(|choice| &mut choice.candidates) {
            evidence[OF_RELATION].fill(0.0);
            evidence[WORDING] = 0.0;
        }
        options.reranker = Some(Arc::new(Reranker {
            counts: words.counts(),
            phrasing: phrasing.clone(),
            ..Reranker::default()
        }));
    }
    let by_relation = count_by_relation(graph, known, &reached)?;
    let unknown = reached.iter().zip(&by_relation).map(|(case, less)| Asked {
        less: Some(less.clone()),
        ..hidden(case)
    });
    let known_kinds = ask(&options, reached.iter().map(|case| hidden(case)).collect())?;
    let unknown_kinds = ask(&options, unknown.collect())?;
    let (Some(known_kinds), Some(unknown_kinds)) = (known_kinds, unknown_kinds) else {
        return Ok(None);
    };
    let asked = unanswerable.iter().map(|question| Asked {
        text: &question.text,
        ..Asked::default()
    });
    let Some(lacking) = ask(&options, asked.collect())? else {
        return Ok(None);
    };
    let lacking: Vec<Vec<Evidence>> = lacking.into_iter().map(|result| result.evidence).collect();
    let variants: Vec<Variants> = choices
        .into_iter()
        .zip(known_kinds.into_iter().zip(unknown_kinds))
        .map(|(plain, (known, unknown))| Variants {
            plain,
            hidden: [known.evidence, unknown.evidence],
        })
        .collect();
    let (mut after, mut without, mut never) = <(Calibration, Calibration, Calibration)>::default();
    for fold in 0..FOLDS {
        // Neighbours in a file are similar, so they stay in one fold.
        let is_inside = |index: usize| index * FOLDS / variants.len() == fold;
        let (never_inside, never_outside): (Vec<_>, Vec<_>) =
            (0..lacking.len()).partition(|index| index * FOLDS / lacking.len() == fold);
        let of =
            |indices: Vec<usize>| -> Vec<&Vec<Evidence>> { indices.into_iter().map(|index| &lacking[index]).collect() };
        let (never_inside, never_outside) = (of(never_inside), of(never_outside));
        let part = |inside: bool| {
            let indexed = variants.iter().enumerate();
            let part = indexed.filter(|(index, _)| is_inside(*index) == inside);
            part.map(|(_, variants)| variants).collect::<Vec<_>>()
        };
        let (weights, doubts) = learn(&part(false), &never_outside);
        let part = part(true);
        let learned = Reranker {
            weights,
            lacking: Some(doubts),
            ..Reranker::default()
        };
        let never_share = never_inside.len() as f64 / lacking.len().max(1) as f64;
        never.add(
            never_share,
            measure(&learned, never_inside.into_iter().map(|candidates| (candidates, 0))),
        );
        let share = part.len() as f64 / variants.len() as f64;
        let plain = part
            .iter()
            .map(|variants| (&variants.plain.candidates, variants.plain.right));
        let hidden = part
            .iter()
            .flat_map(|variants| &variants.hidden)
            .map(|candidates| (candidates, 0));
        after.add(share, measure(&learned, plain));
        without.add(share, measure(&learned, hidden));
    }
    let (weights, doubts) = learn(
        &variants.iter().collect::<Vec<_>>(),
        &lacking.iter().collect::<Vec<_>>(),
    );
    let plain = variants
        .iter()
        .map(|variants| (&variants.plain.candidates, variants.plain.right));
    // The weights tell what wordings are worth that were not counted. From now on those that were fitted on are counted too.
    if !phrasing.is_empty() {
        phrasing = count_phrases(graph, known.iter().chain(cases), known_unanswerable)?;
        for case in cases {
            let relation = relation_of(graph, case)?;
            words.add(graph.vocabulary(), &case.question.text, relation.as_deref());
        }
    }
    Ok(Some(Fit {
        before: measure(&Reranker::default(), plain),
        reranker: Reranker {
            weights,
            lacking: Some(doubts),
            counts: words.counts(),
            phrasing,
        },
        questions: variants.len(),
        out_of_reach: cases.len() - variants.len(),
        after,
        hidden: without,
        unanswerable: (!lacking.is_empty()).then_some(never),
    }))
}

/// Words are counted by relation only if no more than this share of the candidates has a relation that no known question asks for.
const MOST_UNKNOWN: f64 = 0.05;

/// Whether the known questions ask for the relations of nearly all candidates. If they do not, the words of a relation's questions mislead: all
/// held-out questions ask for known relations, so the fit would learn that facts of other relations are never meant. On KgCLUE, whose train and
/// dev questions ask for different relations, that costs 22 points.
fn are_relations_known(choices: &[Facts]) -> bool {
    let candidates = || choices.iter().flat_map(|choice| &choice.candidates);
    let unknown = candidates()
        .filter(|evidence| evidence[QUESTIONS_OF_RELATION] == 0.0)
        .count();
    unknown as f64 <= MOST_UNKNOWN * candidates().count() as f64
}

fn plain(case: &Case) -> Asked<'_> {
    Asked {
        text: &case.question.text,
        ..Asked::default()
    }
}

fn hidden(case: &Case) -> Asked<'_> {
    Asked {
        hidden: case.gold_keys.clone(),
        ..plain(case)
    }
}

/// Learns the weights that rank facts, then the steps that estimate whether the graph lacks the answer.
fn learn(variants: &[&Variants], unanswerable: &[&Vec<Evidence>]) -> (Evidence, Steps) {
    let choices: Vec<&Facts> = variants.iter().map(|variants| &variants.plain).collect();
    let ranking = Reranker {
        weights: newton(&choices, Reranker::default().weights),
        ..Reranker::default()
    };
    // Hidden facts only stand in for real examples.
    let (share, hides) = if unanswerable.is_empty() {
        (LACKING, true)
    } else {
        (UNANSWERABLE, false)
    };
    let odds = share / (1.0 - share);
    // A subject without any fact cannot be asked about.
    let example = |candidates: &[Evidence], is_true: bool, weight: f64| {
        let (best, log_probability) = best(&ranking, candidates)?;
        Some(Example {
            inputs: doubt(&candidates[best], log_probability),
            is_true,
            weight,
        })
    };
    let hidden = variants.iter().filter(|_| hides).flat_map(|variants| &variants.hidden);
    let hidden = hidden.filter_map(|candidates| example(candidates, true, odds / 2.0));
    let never_weight = odds * variants.len() as f64 / unanswerable.len() as f64;
    let never = unanswerable
        .iter()
        .filter_map(|candidates| example(candidates, true, never_weight));
    let plain = variants
        .iter()
        .filter_map(|variants| example(&variants.plain.candidates, false, 1.0));
    let examples: Vec<_> = hidden.chain(never).chain(plain).collect();
    let lacking = Steps::fit(&examples);
    (ranking.weights, lacking)
}

/// The index of the best candidate, and the logarithm of its probability.
fn best(ranking: &Reranker, candidates: &[Evidence]) -> Option<(usize, f64)> {
    let mut logits: Vec<f64> = candidates.iter().map(|evidence| ranking.logit(evidence)).collect();
    log_softmax(&mut logits);
    logits.into_iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(&b.1))
}

/// Counts the words of questions, also for each relation that they ask for.
fn count_words<'c>(graph: &KnowledgeGraph, cases: impl IntoIterator<Item = &'c Case>) -> Result<WordCounter> {
    let mut words = WordCounter::default();
    for case in cases {
        let relation = relation_of(graph, case)?;
        words.add(graph.vocabulary(), &case.question.text, relation.as_deref());
    }
    Ok(words)
}

/// Counts how questions are phrased. Without unanswerable ones to compare with, nothing is counted.
fn count_phrases<'c>(
    graph: &KnowledgeGraph,
    known: impl Iterator<Item = &'c Case>,
    unanswerable: &[Question],
) -> Result<Phrasing> {
    if unanswerable.is_empty() {
        return Ok(Phrasing::default());
    }
    let vocabulary = graph.vocabulary();
    let words = |text: &str, subject: Option<&str>| -> Result<Vec<String>> {
        let mentions = Mentions::find(graph, text)?;
        let span = match subject {
            Some(subject) => mentions.span(&[&vocabulary.encode(subject)[..], &[SEP]].concat()),
            None => mentions.longest(),
        };
        Ok(phrase_around(vocabulary, &vocabulary.encode(text), span))
    };
    let known: Vec<&Case> = known.collect();
    let asked = known.into_par_iter().map(|case| -> Result<_> {
        let Some(&key) = case.gold_keys.first() else {
            return Ok(None);
        };
        let relation = relation_of(graph, case)?.unwrap_or_default();
        let subject = graph.fact(key)?.subject;
        Ok(Some((relation, words(case.question.text.trim(), Some(&subject))?)))
    });
    let asked = asked
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
    let others = unanswerable
        .par_iter()
        .map(|question| words(question.text.trim(), None));
    Ok(Phrasing::count(&asked, &others.collect::<Result<Vec<_>>>()?))
}

/// The relation that a question asks for, as the vocabulary spells it.
fn relation_of(graph: &KnowledgeGraph, case: &Case) -> Result<Option<String>> {
    let Some(&key) = case.gold_keys.first() else {
        return Ok(None);
    };
    let vocabulary = graph.vocabulary();
    let relation = graph.fact(key)?.relation;
    Ok(Some(vocabulary.decode(&vocabulary.encode(&relation))))
}

/// For each question, the words of the known questions that ask for the same relation.
fn count_by_relation(graph: &KnowledgeGraph, known: &[Case], cases: &[&Case]) -> Result<Vec<Arc<WordCounts>>> {
    let relation = |case: &Case| relation_of(graph, case).map(Option::unwrap_or_default);
    let wanted: Vec<String> = cases.iter().map(|case| relation(case)).collect::<Result<_>>()?;
    let mut groups: HashMap<&str, Vec<&Case>> = wanted.iter().map(|relation| (relation.as_str(), Vec::new())).collect();
    for case in known {
        if let Some(group) = groups.get_mut(relation(case)?.as_str()) {
            group.push(case);
        }
    }
    let mut counts: HashMap<&str, Arc<WordCounts>> = HashMap::new();
    for (relation, group) in groups {
        counts.insert(relation, Arc::new(count_words(graph, group)?.counts()));
    }
    Ok(wanted
        .iter()
        .map(|relation| counts[relation.as_str()].clone())
        .collect())
}

impl Calibration {
    fn add(&mut self, share: f64, part: Self) {
        self.right += share * part.right;
        self.negative_log_likelihood += share * part.negative_log_likelihood;
        self.ranking_loss += share * part.ranking_loss;
        self.answered += share * part.answered;
    }
}

/// Measures weights on questions, each given by its candidates (the right ones first) and the number of right ones.
fn measure<'c>(learned: &Reranker, questions: impl Iterator<Item = (&'c Vec<Evidence>, usize)>) -> Calibration {
    let (mut sum, mut count) = (Calibration::default(), 0.0);
    for (candidates, right) in questions {
        count += 1.0;
        let Some((best, log_probability)) = best(learned, candidates) else {
            continue;
        };
        let lacking = learned.lacking(&candidates[best], log_probability);
        let probability = if right == 0 {
            lacking
        } else {
            let chosen = choose(&learned.weights, candidates, right).1;
            sum.ranking_loss -= chosen.ln();
            (1.0 - lacking) * chosen
        };
        sum.right += f64::from(u8::from(best < right));
        sum.answered += f64::from(u8::from((1.0 - lacking) * log_probability.exp() >= 0.5));
        sum.negative_log_likelihood -= probability.max(1e-300).ln();
    }
    let count = f64::max(count, 1.0);
    Calibration {
        right: 100.0 * sum.right / count,
        negative_log_likelihood: sum.negative_log_likelihood / count,
        ranking_loss: sum.ranking_loss / count,
        answered: 100.0 * sum.answered / count,
    }
}

/// The probability of each candidate, and the total of the first `right` ones.
fn choose(weights: &Evidence, candidates: &[Evidence], right: usize) -> (Vec<f64>, f64) {
    let mut probabilities: Vec<f64> = candidates.iter().map(|evidence| dot(weights, evidence)).collect();
    log_softmax(&mut probabilities);
    probabilities.iter_mut().for_each(|p| *p = p.exp());
    // Keeps the logarithm finite where the probability underflows.
    let right = probabilities[..right].iter().sum::<f64>().max(1e-300);
    (probabilities, right)
}

/// The objective with shrinkage towards `centre`, its gradient, and an approximation of its Hessian matrix: it treats each question as if it had
/// one right candidate, which keeps the matrix positive definite.
fn derivatives(weights: &Evidence, choices: &[&Facts], centre: &Evidence) -> (f64, Evidence, [Evidence; N]) {
    let (mut value, mut gradient, mut hessian) = (0.0, [0.0; N], [[0.0; N]; N]);
    let shrinkage = SHRINKAGE * choices.len() as f64;
    for i in 0..N {
        let distance = weights[i] - centre[i];
        value += shrinkage * distance * distance / 2.0;
        gradient[i] = shrinkage * distance;
        hessian[i][i] = shrinkage;
    }
    for choice in choices {
        let (probabilities, right) = choose(weights, &choice.candidates, choice.right);
        value -= right.ln();
        let mut mean = [0.0; N];
        for (index, (evidence, probability)) in choice.candidates.iter().zip(&probabilities).enumerate() {
            let pull = if index < choice.right { probability / right } else { 0.0 };
            for i in 0..N {
                mean[i] += probability * evidence[i];
                gradient[i] += (probability - pull) * evidence[i];
                for j in 0..=i {
                    hessian[i][j] += probability * evidence[i] * evidence[j];
                }
            }
        }
        for i in 0..N {
            for j in 0..=i {
                hessian[i][j] -= mean[i] * mean[j];
            }
        }
    }
    (value, gradient, hessian)
}

/// Minimises the negative log-likelihood with shrinkage towards `centre`. Steps that do not lower it are halved.
fn newton(choices: &[&Facts], centre: Evidence) -> Evidence {
    let mut weights = centre;
    let (mut value, mut gradient, mut hessian) = derivatives(&weights, choices, &centre);
    for _ in 0..STEPS {
        let step = solve(hessian, gradient);
        let mut length = 1.0;
        let accepted = loop {
            let mut next = weights;
            next.iter_mut()
                .zip(step)
                .for_each(|(weight, step)| *weight -= length * step);
            let at_next = derivatives(&next, choices, &centre);
            if at_next.0 < value {
                break Some((next, at_next));
            }
            length /= 2.0;
            if length < 1e-4 {
                break None;
            }
        };
        let Some((next, at_next)) = accepted else { break };
        let gained = value - at_next.0;
        weights = next;
        (value, gradient, hessian) = at_next;
        if gained < 1e-9 * value {
            break;
        }
    }
    weights
}

/// Solves `matrix · x = right` by Cholesky decomposition. Reads the lower triangle of the symmetric positive definite matrix.
fn solve(mut matrix: [Evidence; N], mut right: Evidence) -> Evidence {
    for i in 0..N {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| matrix[i][k] * matrix[j][k]).sum();
            let rest = matrix[i][j] - dot;
            matrix[i][j] = if i == j {
                rest.max(1e-12).sqrt()
            } else {
                rest / matrix[j][j]
            };
        }
    }
    for i in 0..N {
        let dot: f64 = (0..i).map(|k| matrix[i][k] * right[k]).sum();
        right[i] = (right[i] - dot) / matrix[i][i];
    }
    for i in (0..N).rev() {
        let dot: f64 = (i + 1..N).map(|k| matrix[k][i] * right[k]).sum();
        right[i] = (right[i] - dot) / matrix[i][i];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Questions whose right candidate is drawn with the probabilities that the given weights imply.
    fn drawn(truth: &Evidence, questions: usize) -> Vec<Facts> {
        let mut generator = ChaCha8Rng::seed_from_u64(7);
        (0..questions)
            .map(|_| {
                let mut candidates: Vec<Evidence> = (0..8)
                    .map(|_| std::array::from_fn(|_| generator.random_range(-1.0..1.0)))
                    .collect();
                let mut left: f64 = generator.random();
                let probabilities = choose(truth, &candidates, 1).0;
                let chosen = probabilities.iter().position(|p| {
                    left -= p;
                    left < 0.0
                });
                candidates.swap(0, chosen.unwrap_or(0));
                Facts { candidates, right: 1 }
            })
            .collect()
    }

    #[test]
    fn the_words_of_relations_count_where_nearly_all_relations_are_asked_for() {
        assert_eq!(EVIDENCE[QUESTIONS_OF_RELATION], "log_questions");
        assert_eq!(
            &EVIDENCE[OF_RELATION],
            [
                "word_association",
                "least_association",
                "strange_words",
                "log_questions",
                "phrasing",
                "phrasing_of_a_word",
                "better_phrasing"
            ]
        );
        // A hundred candidates, some of relations that no question asks for.
        let known_but = |unknown: usize| {
            let mut candidates = vec![[0.0; EVIDENCE.len()]; 100];
            candidates[unknown..]
                .iter_mut()
                .for_each(|evidence| evidence[QUESTIONS_OF_RELATION] = 1.0);
            let choice = |candidates: &[Evidence]| Facts {
                candidates: candidates.to_vec(),
                right: 1,
            };
            are_relations_known(&candidates.chunks(10).map(choice).collect::<Vec<_>>())
        };
        assert!(known_but(0) && known_but(5));
        assert!(!known_but(6) && !known_but(100));
    }

    #[test]
    fn finds_the_weights_that_drew_the_answers() {
        let truth: Evidence = std::array::from_fn(|index| 3.8 * index as f64 / EVIDENCE.len() as f64 - 1.5);
        let choices = drawn(&truth, 4000);
        let centre = Reranker::default().weights;
        let found = newton(&choices.iter().collect::<Vec<_>>(), centre);
        for (found, truth) in found.iter().zip(truth) {
            // A standard error is about 0.03 here; shrinkage takes a hundredth.
            assert!((found - truth).abs() < 0.2, "{found} for {truth}");
        }
        let of = |weights: Evidence| {
            let learned = Reranker {
                weights,
                ..Reranker::default()
            };
            measure(&learned, choices.iter().map(|choice| (&choice.candidates, 1)))
        };
        let (before, after) = (of(centre), of(found));
        assert!(after.negative_log_likelihood < before.negative_log_likelihood && after.right > before.right);
    }

    #[test]
    fn doubts_what_is_like_hidden_facts() {
        // The last evidence is high where the fact is hidden.
        let plain = drawn(&Reranker::default().weights, 400);
        let variants: Vec<Variants> = plain
            .into_iter()
            .map(|mut plain| {
                let mut hidden = plain.candidates.clone();
                plain.candidates.iter_mut().for_each(|evidence| evidence[15] -= 1.0);
                hidden.iter_mut().for_each(|evidence| evidence[15] += 1.0);
                Variants {
                    plain,
                    hidden: [hidden.clone(), hidden],
                }
            })
            .collect();
        let (weights, lacking) = learn(&variants.iter().collect::<Vec<_>>(), &[]);
        let learned = Reranker {
            weights,
            lacking: Some(lacking),
            ..Reranker::default()
        };
        let doubted = |candidates: &[Evidence]| {
            let (best, log_probability) = best(&learned, candidates).unwrap();
            learned.lacking(&candidates[best], log_probability) > 0.5
        };
        let plain = variants.iter().filter(|variants| doubted(&variants.plain.candidates));
        let hidden = variants.iter().filter(|variants| doubted(&variants.hidden[0]));
        let (plain, hidden) = (plain.count(), hidden.count());
        assert!(plain < 40 && hidden > 320, "{plain} and {hidden} of 400");
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let centre = Reranker::default().weights;
        let mut choices = drawn(&centre, 20);
        choices[3].right = 3;
        let choices: Vec<&Facts> = choices.iter().collect();
        let at: Evidence = std::array::from_fn(|index| (index as f64).sin());
        let (_, gradient, _) = derivatives(&at, &choices, &centre);
        for (i, exact) in gradient.into_iter().enumerate() {
            let moved = |by: f64| {
                let mut moved = at;
                moved[i] += by;
                derivatives(&moved, &choices, &centre).0
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!((difference - exact).abs() < 1e-6, "{difference} {exact}");
        }
    }
}
