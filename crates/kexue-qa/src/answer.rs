//! Answers for people and programs.

use crate::Result;
use crate::explanation::ExplainedChoice;
use crate::options::{MentionUse, SearchOptions};
use crate::prompt::Reading;
use crate::rerank::{EVIDENCE, Evidence, Reranker};
use crate::search::search;
use kexue_kg::{Fact, KnowledgeGraph};
use kexue_nn::Model;
use serde::Serialize;

/// A fact and how probable it is.
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
    /// Its probability among all that could be answered, if one of them is the answer.
    pub probability: f64,
    /// What learned rescoring adds to the fact's logit and why, when asked for.
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
        match &self.sense {
            Some(sense) => format!("{}（{sense}）", self.subject),
            None => self.subject.clone(),
        }
    }
}

/// What is answered to a question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// The question.
    pub question: String,
    /// Whether the best candidate is probable enough to be given as the answer.
    pub known: bool,
    /// Whether the answer was pinned by decree.
    pub pinned: bool,
    /// How probable it is, by learned rescoring, that the graph lacks what is asked for.
    pub lacking: f64,
    /// How words of the question were read that do not spell a name of the graph.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<Reading>,
    /// The best fact and its runners-up.
    pub candidates: Vec<Candidate>,
    /// The choices on the way, when asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<ExplainedChoice>,
}

/// How to answer.
#[derive(Clone, Debug, PartialEq)]
pub struct AskOptions {
    /// The search.
    pub search: SearchOptions,
    /// The least probability of an answer that is given: that of the fact, times that of the graph not lacking the answer.
    pub min_confidence: f64,
    /// Candidates shown, the best one included.
    pub top: usize,
    /// Whether to tell the choices.
    pub explain: bool,
}

/// Answers questions.
///
/// # Errors
/// When a question cannot be asked, or the graph is damaged.
pub fn ask(graph: &KnowledgeGraph, model: &Model, options: &AskOptions, questions: &[&str]) -> Result<Vec<Answer>> {
    let results = search(graph, model, &options.search, questions, options.explain)?;
    questions
        .iter()
        .zip(results)
        .map(|(&question, result)| {
            let pinned = result.pinned;
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
            // Who is to choose among the mentioned subjects cannot tell when there is none.
            let lost = options.search.mentions == MentionUse::Only && result.mentioned == 0;
            let probable = |best: &Candidate| best.probability * (1.0 - result.lacking) >= options.min_confidence;
            let known = pinned || candidates.first().is_some_and(probable) && !lost;
            let choices = result.choices;
            let mut readings = result.readings;
            for reading in &mut readings {
                // A vocabulary that folds case does not say how a name is written; a fact does.
                let same = |candidate: &&Candidate| candidate.subject.eq_ignore_ascii_case(&reading.subject);
                if let Some(candidate) = candidates.iter().find(same) {
                    reading.subject.clone_from(&candidate.subject);
                }
            }
            Ok(Answer {
                question: question.to_owned(),
                known,
                pinned,
                lacking: result.lacking,
                readings,
                candidates,
                choices,
            })
        })
        .collect()
}
