//! Learned rescoring: what the model says of a fact, and what spelling says of it, weighed by a conditional logit.
//!
//! After exact rescoring all facts of the subjects in the beam have a probability by the model. A question's facts then get the logit
//! `w · evidence`, and their softmax is the answer's probability. The weights are fitted on questions that the model was not trained on, so
//! that they say how much it can be trusted on such; [`crate::fit`] does it.

use crate::lcs::QuestionLcs;
use crate::{Error, Result};
use kexue_kg::{KnowledgeGraph, Order};
use kexue_text::SEP;
use kexue_trie::Token;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What is known of a candidate, by name. Lengths are in tokens, without blanks; "the rest" is the question without the subject's mention.
pub const EVIDENCE: [&str; 14] = [
    // The model's log-probability of the subject, and of relation and sense after it.
    "subject_log_probability",
    "fact_log_probability",
    // The mention's length, its square over 10, and where in the question it begins (0 to 1).
    "mention_length",
    "mention_length_squared",
    "mention_position",
    // The relation's length, and what it shares with the rest: longest common subsequence, longest common substring, share of its tokens,
    // and how much the shared ones tell: the sum of −ln of the share of questions that have each.
    "relation_length",
    "common_subsequence",
    "common_substring",
    "shared_tokens",
    "shared_information",
    // Whether the relation's first and last token stand in the rest.
    "first_token_shared",
    "last_token_shared",
    // Whether the fact has a sense, and the logarithm of the number of the subject's facts.
    "sense",
    "log_facts",
];

/// Values of [`EVIDENCE`], in its order.
pub type Evidence = [f64; EVIDENCE.len()];

/// The subjects whose facts are all scored before they are weighed.
pub(crate) const SUBJECTS: usize = 24;

/// The file of a run's folder that holds the weights.
pub const RERANKER_FILE: &str = "reranker.toml";

/// The weights of the evidence, and what its last piece is counted from.
#[derive(Clone, Debug, PartialEq)]
pub struct Reranker {
    /// In the order of [`EVIDENCE`].
    pub weights: Evidence,
    /// Questions that were counted.
    pub questions: u32,
    /// How many of them have each token of the vocabulary; what lies beyond its end, none.
    pub counts: Vec<u32>,
}

/// The file: the same, the weights by name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    weights: BTreeMap<String, f64>,
    questions: u32,
    counts: Vec<u32>,
}

impl Default for Reranker {
    /// The model's own probability and nothing else.
    fn default() -> Self {
        let mut weights = [0.0; EVIDENCE.len()];
        weights[..2].fill(1.0);
        Self {
            weights,
            questions: 0,
            counts: Vec::new(),
        }
    }
}

impl Reranker {
    /// The weights in a run's folder, where it has any.
    ///
    /// # Errors
    /// Names the field that is missing, unknown or no finite number.
    pub fn open(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(RERANKER_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::from_toml(&text, &path).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// Reads the text of `reranker.toml`; `path` is for messages.
    ///
    /// # Errors
    /// As [`Reranker::open`].
    pub fn from_toml(text: &str, path: &Path) -> Result<Self> {
        let problem = |problem: String| Error::File {
            path: path.to_path_buf(),
            problem: format!("{problem}; `kexue qa fit` writes the file anew"),
        };
        let file: File = toml::from_str(text).map_err(|error| problem(error.to_string().trim_end().to_owned()))?;
        let mut named = file.weights;
        let mut weights = [0.0; EVIDENCE.len()];
        for (weight, name) in weights.iter_mut().zip(EVIDENCE) {
            *weight = named
                .remove(name)
                .ok_or_else(|| problem(format!("has no weight of `{name}`")))?;
            if !weight.is_finite() {
                return Err(problem(format!("`{name}` is {weight}, not a finite number")));
            }
        }
        match named.pop_first() {
            Some((name, _)) => Err(problem(format!("`{name}` is not the name of any evidence"))),
            None => Ok(Self {
                weights,
                questions: file.questions,
                counts: file.counts,
            }),
        }
    }

    /// The text of `reranker.toml`.
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "# How `--rescore learned` weighs what it knows of a fact: its logit is the sum of weight times evidence.\n\
             # Of so many questions, so many have each token of vocab.txt, in its order.\n\
             questions = {}\ncounts = {:?}\n\n[weights]\n",
            self.questions, self.counts
        );
        for (name, weight) in EVIDENCE.iter().zip(self.weights) {
            text += &format!("{name} = {weight:?}\n");
        }
        text
    }

    /// `−ln` of the share of questions that have a token, as if there were one question more, which has it.
    fn information(&self, token: Token) -> f64 {
        let count = self.counts.get(token as usize).copied().unwrap_or(0);
        ((f64::from(self.questions) + 1.0) / (f64::from(count) + 1.0)).ln()
    }

    /// The logit of a candidate.
    pub fn logit(&self, evidence: &Evidence) -> f64 {
        logit(&self.weights, evidence)
    }
}

/// The sum of weight times evidence.
pub(crate) fn logit(weights: &Evidence, evidence: &Evidence) -> f64 {
    weights.iter().zip(evidence).map(|(w, x)| w * x).sum()
}

/// What the spelling of a question says of the facts of one subject.
pub(crate) struct Spelling<'a> {
    reranker: &'a Reranker,
    /// The question without the mention.
    rest: Vec<Token>,
    lcs: QuestionLcs,
    blank: Vec<Token>,
    order: Order,
    /// Evidence that all facts of the subject have in common.
    common: Evidence,
}

impl<'a> Spelling<'a> {
    /// Of `[CLS] Q [SEP]` and a subject's tokens with their separator, chosen with this log-probability.
    pub fn new(
        reranker: &'a Reranker,
        graph: &KnowledgeGraph,
        prompt: &[Token],
        subject: &[Token],
        log_probability: f64,
        facts: usize,
    ) -> Self {
        let question = &prompt[1..prompt.len() - 1];
        let subject = &subject[..subject.len() - 1];
        let at = question
            .windows(subject.len().max(1))
            .position(|window| window == subject);
        let mut common = [0.0; EVIDENCE.len()];
        common[0] = log_probability;
        common[13] = (facts as f64).ln();
        // A blank that has no token of its own is spelt in bytes, which other characters have too.
        let blanks = [" ", "\u{3000}"].map(|blank| graph.vocabulary().encode(blank));
        let blank: Vec<Token> = blanks
            .into_iter()
            .filter(|tokens| tokens.len() == 1)
            .flatten()
            .collect();
        let mut rest = question.to_vec();
        if let Some(at) = at {
            let length = subject.len() as f64;
            common[2] = length;
            common[3] = length * length / 10.0;
            common[4] = at as f64 / question.len() as f64;
            // The separator keeps a substring from running over the gap.
            rest.splice(at..at + subject.len(), [SEP]);
        }
        rest.retain(|token| !blank.contains(token));
        Self {
            reranker,
            lcs: QuestionLcs::new(&rest),
            rest,
            blank,
            order: graph.order(),
            common,
        }
    }

    /// Of one fact, by its tokens after the subject, with its log-probability given the subject.
    pub fn evidence(&self, suffix: &[Token], log_probability: f64) -> Evidence {
        let mut parts = suffix.split(|&token| token == SEP);
        let (second, third) = (parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]));
        let (relation, sense) = match self.order {
            Order::SubjectRelationSense => (second, third),
            Order::SubjectSenseRelation => (third, second),
        };
        let relation: Vec<Token> = relation
            .iter()
            .copied()
            .filter(|token| !self.blank.contains(token))
            .collect();
        let shared = |token: &&Token| self.rest.contains(token);
        let mut state = self.lcs.start();
        for &token in &relation {
            self.lcs.advance(&mut state, token);
        }
        let mut evidence = self.common;
        evidence[1] = log_probability;
        evidence[5] = relation.len() as f64;
        evidence[6] = self.lcs.length(&state) as f64;
        evidence[7] = common_substring(&self.rest, &relation) as f64;
        evidence[8] = relation.iter().filter(shared).count() as f64 / relation.len().max(1) as f64;
        evidence[9] = relation
            .iter()
            .filter(shared)
            .map(|&token| self.reranker.information(token))
            .sum();
        evidence[10] = f64::from(u8::from(relation.first().as_ref().is_some_and(shared)));
        evidence[11] = f64::from(u8::from(relation.last().as_ref().is_some_and(shared)));
        evidence[12] = f64::from(u8::from(!sense.is_empty()));
        evidence
    }
}

/// The length of the longest run of tokens that two sequences have in common.
fn common_substring(a: &[Token], b: &[Token]) -> usize {
    let (mut longest, mut row) = (0, vec![0; a.len() + 1]);
    for y in b {
        for i in (0..a.len()).rev() {
            row[i + 1] = if a[i] == *y { row[i] + 1 } else { 0 };
            longest = longest.max(row[i + 1]);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_longest_common_substring(a in proptest::collection::vec(0u32..4, 0..20), b in proptest::collection::vec(0u32..4, 0..20)) {
            let runs = (0..b.len()).flat_map(|start| (start + 1..=b.len()).map(move |end| start..end));
            let naive = runs.filter(|run| a.windows(run.len()).any(|window| window == &b[run.clone()]));
            prop_assert_eq!(common_substring(&a, &b), naive.map(|run| run.len()).max().unwrap_or(0));
        }

        #[test]
        fn weights_survive_their_file(weights in proptest::array::uniform14(-1e3f64..1e3)) {
            let reranker = Reranker { weights, questions: 7, counts: vec![0, 3, 7] };
            prop_assert_eq!(Reranker::from_toml(&reranker.to_toml(), Path::new("x")).unwrap(), reranker);
        }
    }

    #[test]
    fn bad_files_are_refused_by_name() {
        let good = Reranker::default().to_toml();
        let refused = |text: String| {
            Reranker::from_toml(&text, Path::new("run/reranker.toml"))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(good.replace("sense = 0.0\n", "")),
            "run/reranker.toml: has no weight of `sense`; `kexue qa fit` writes the file anew"
        );
        assert!(refused(good.clone() + "sens = 1.0\n").contains("`sens` is not the name of any evidence"));
        assert!(refused(good.replace("sense = 0.0", "sense = nan")).contains("`sense` is NaN, not a finite number"));
        assert!(refused(good.replace("sense = 0.0", "sense = \"x\"")).contains("expected f64"));
    }
}
