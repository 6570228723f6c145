//! Learned rescoring: a conditional logit weighs the model's probability of a fact together with evidence from spelling.
//!
//! After exact rescoring, all facts of the subjects in the beam have a probability by the model. Learned rescoring gives each fact the logit
//! `w · evidence`; the softmax of the logits is the probability of a fact, given that the graph has the answer. A sum of step functions of the
//! evidence of the best fact estimates the probability that the graph lacks the answer. [`crate::fit`] fits both on questions that the model was
//! not trained on, so that they show how far it can be trusted there.

use crate::lcs::QuestionLcs;
use crate::phrasing::{Explained, Phrases, Phrasing, phrase};
use crate::postings::Postings;
use crate::prompt::Prompt;
use crate::steps::{Step, Steps};
use crate::words::{Questions, WordCount, WordCounts, words};
use crate::{Error, Result};
use kexue_kg::{FactOrder, KnowledgeGraph};
use kexue_text::{SEP, Vocabulary};
use kexue_trie::Token;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use xxhash_rust::xxh3::xxh3_64;

/// The names of the evidence for a candidate. Lengths are in tokens, without spaces; "the rest" is the question without the subject's mention.
pub const EVIDENCE: [&str; 26] = [
    // The model's log-probability of the subject, and of relation and sense after it.
    "subject_log_probability",
    "fact_log_probability",
    // The mention's length, its square divided by 10, and its start in the question (0 to 1).
    "mention_length",
    "mention_length_squared",
    "mention_position",
    // The relation's length, and what it has in common with the rest: longest common subsequence, longest common substring, share of its tokens,
    // and the information of the common words: the sum of −ln of the share of training questions that have each.
    "relation_length",
    "common_subsequence",
    "common_substring",
    "shared_tokens",
    "shared_information",
    // Whether the rest contains the relation's first and last token.
    "first_token_shared",
    "last_token_shared",
    // Whether the fact has a sense, and the logarithm of the number of the subject's facts.
    "sense",
    "log_facts",
    // What the relation does not explain in the rest: the number of words that no training question has, and the information of the most
    // informative word.
    "new_words",
    "unexplained_information",
    // The association of the rest's words with the relation in the training questions: the sum of their pointwise mutual information with it
    // (as in naive Bayes), the lowest one, the number of words that no question for it has, and the logarithm of the number of questions for
    // it. All are 0 for a relation that no question asks for.
    "word_association",
    "least_association",
    "strange_words",
    "log_questions",
    // How the question is phrased: how much more probable it is by the bigram model of the relation's questions than by that of unanswerable
    // questions (logarithms of the ratio, divided by the root of the number of words, and by the number), and by how much the relation that
    // explains it best is better. All are 0 if no unanswerable questions were counted.
    "phrasing",
    "phrasing_of_a_word",
    "better_phrasing",
    // The mutual information of the words with questions that the graph cannot answer, if any were counted: the sum, and the highest one.
    "unanswerable_association",
    "most_unanswerable_association",
    // The logarithm of the odds that the question is unanswerable, by the weights of its words, pairs and triples of words, if any were counted.
    "unanswerable_wording",
];

/// Values of [`EVIDENCE`], in its order.
pub type Evidence = [f64; EVIDENCE.len()];

/// The first of the numbers that tell whether the graph lacks the answer. The evidence of the best fact follows.
const BEST: &str = "best_log_probability";

/// The logarithm of the best fact's probability, and its evidence.
pub(crate) type Doubt = [f64; 1 + EVIDENCE.len()];

pub(crate) fn doubt(evidence: &Evidence, log_probability: f64) -> Doubt {
    let mut doubt = [log_probability; 1 + EVIDENCE.len()];
    doubt[1..].copy_from_slice(evidence);
    doubt
}

/// The names of a [`Doubt`]'s numbers.
fn doubts() -> impl Iterator<Item = &'static str> {
    [BEST].into_iter().chain(EVIDENCE)
}

/// The number of subjects whose facts are scored before learned rescoring.
pub(crate) const SUBJECTS: usize = 24;

/// The file with the weights and counts, in a run's folder.
pub const RERANKER_FILE: &str = "reranker.txt";
/// The file of versions that wrote all of it in TOML.
pub(crate) const OLD_FILE: &str = "reranker.toml";
/// The line between the weights, in TOML, and the counts.
const COUNTS_BELOW: &str = "\n+++\n";

/// The places in [`EVIDENCE`] of what comes from a relation's questions, and of the number of these questions.
pub(crate) const OF_RELATION: Range<usize> = 16..23;
pub(crate) const QUESTIONS_OF_RELATION: usize = 19;
/// The place of what comes from the wordings of unanswerable questions.
pub(crate) const WORDING: usize = 25;

/// The weights of the evidence, and the word counts that it is computed from.
#[derive(Clone, Debug, PartialEq)]
pub struct Reranker {
    /// In the order of [`EVIDENCE`].
    pub weights: Evidence,
    /// The probability that the graph lacks the answer, from the logarithm of the best fact's probability and its evidence; `None` if it was not
    /// fitted.
    pub lacking: Option<Steps>,
    /// How many training questions have each word.
    pub counts: WordCounts,
    /// How the training questions are phrased.
    pub phrasing: Phrasing,
}

/// What the file has in TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    weights: BTreeMap<String, f64>,
    lacking: Option<Lacking>,
    counted: CountedQuestions,
}

#[derive(Deserialize)]
struct Lacking {
    constant: Option<f64>,
    /// For each name, from which value on how much is added.
    #[serde(flatten)]
    steps: BTreeMap<String, StepsOrWeight>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum StepsOrWeight {
    Steps(Vec<[f64; 2]>),
    /// That of a logistic regression, in files of earlier versions.
    Weight(IgnoredAny),
}

/// What the counts below are of.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct CountedQuestions {
    /// The checksum (XXH3) of the counts, in hexadecimal digits.
    xxh3: String,
    /// The size of the counts of words in bytes; those of phrases follow.
    words: usize,
    questions: Questions,
    phrases: Phrases,
}

impl Default for Reranker {
    /// Weights that keep the model's own probabilities.
    fn default() -> Self {
        let mut weights = [0.0; EVIDENCE.len()];
        weights[..2].fill(1.0);
        Self {
            weights,
            lacking: None,
            counts: WordCounts::default(),
            phrasing: Phrasing::default(),
        }
    }
}

impl Reranker {
    /// Reads the weights and counts in a run's folder; `None` if it has none.
    ///
    /// # Errors
    /// If the file cannot be read or is that of an earlier version; if a field is missing, unknown or not a finite number; if the counts are
    /// damaged.
    pub fn open(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(RERANKER_FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::from_text(text, &path).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => match folder.join(OLD_FILE) {
                old if old.exists() => Err(Error::File {
                    path: old,
                    problem: format!("was written by an earlier version; `kexue qa fit` writes {RERANKER_FILE}"),
                }),
                _ => Ok(None),
            },
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// Reads the text of the file; `path` is for messages.
    ///
    /// # Errors
    /// As [`Reranker::open`].
    pub fn from_text(text: impl Into<Cow<'static, str>>, path: &Path) -> Result<Self> {
        let problem = |problem: String| Error::File {
            path: path.to_path_buf(),
            problem: format!("{problem}; `kexue qa fit` rewrites the file"),
        };
        let text = text.into();
        let end = text
            .find(COUNTS_BELOW)
            .ok_or_else(|| problem("has no line `+++` between its weights and its counts".to_owned()))?;
        let (head, counts) = split_at(text, end + COUNTS_BELOW.len());
        let file: File =
            toml::from_str(&head[..end]).map_err(|error| problem(error.to_string().trim_end().to_owned()))?;
        let CountedQuestions {
            xxh3,
            words,
            questions,
            phrases,
        } = file.counted;
        if xxh3 != checksum(&counts) || !counts.is_char_boundary(words) {
            return Err(problem("the counts below `+++` are damaged".to_owned()));
        }
        let (of_words, of_phrases) = split_at(counts, words);
        let mut reranker = Self {
            counts: WordCounts {
                questions,
                words: Postings::from_text(of_words),
            },
            phrasing: Phrasing {
                phrases,
                counts: Postings::from_text(of_phrases),
            },
            ..Self::default()
        };
        take(file.weights, &mut reranker.weights).map_err(&problem)?;
        reranker.lacking = file.lacking.map(Lacking::steps).transpose().map_err(&problem)?;
        Ok(reranker)
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        let [words, phrases] = [&self.counts.words, &self.phrasing.counts].map(Postings::text);
        let counts = format!("{words}{phrases}");
        let counted = CountedQuestions {
            xxh3: checksum(&counts),
            words: words.len(),
            questions: self.counts.questions.clone(),
            phrases: self.phrasing.phrases.clone(),
        };
        let mut text =
            "# How `--rescore learned` weighs what it knows of a fact: its logit is the sum of weight times evidence.\n[weights]\n".to_owned();
        // Writing to a string does not fail.
        for (name, weight) in EVIDENCE.iter().zip(&self.weights) {
            let _ = writeln!(text, "{name} = {weight:?}");
        }
        if let Some(lacking) = &self.lacking {
            text += "\n# The logit that the graph lacks what is asked for: a constant, and for the evidence of the best fact, from which value on how much is\n\
                     # added.\n[lacking]\n";
            let _ = writeln!(text, "constant = {:?}", lacking.constant);
            for (input, name) in doubts().enumerate() {
                let steps = lacking.steps.iter().filter(|step| step.input == input);
                let steps: Vec<[f64; 2]> = steps.map(|step| [step.from, step.added]).collect();
                if !steps.is_empty() {
                    let _ = writeln!(text, "{name} = {steps:?}");
                }
            }
        }
        // Names are keys of tables, and numbers are in range, so this does not fail either.
        let counted = toml::to_string(&BTreeMap::from([("counted", counted)])).unwrap_or_default();
        text + "\n# What is counted below: how many questions have each word, of all, of unanswerable ones and of those for each relation in order,\n\
                # as number:count; then how often words, and pairs of words, occur in unanswerable questions and in those for each relation, and\n\
                # a hundred times the weights of words, pairs and triples for unanswerable questions and against.\n"
            + counted.trim_end()
            + COUNTS_BELOW
            + &counts
    }

    /// The logit of a candidate.
    pub fn logit(&self, evidence: &Evidence) -> f64 {
        dot(&self.weights, evidence)
    }

    /// The probability that the graph lacks the answer, given the evidence of the best fact and the logarithm of its probability.
    pub fn lacking(&self, best: &Evidence, log_probability: f64) -> f64 {
        let of = |lacking: &Steps| lacking.probability(&doubt(best, log_probability));
        self.lacking.as_ref().map_or(0.0, of)
    }
}

/// The checksum of counts.
fn checksum(counts: &str) -> String {
    format!("{:016x}", xxh3_64(counts.as_bytes()))
}

/// Splits a text without a copy, where it is part of the program.
fn split_at(text: Cow<'static, str>, at: usize) -> (Cow<'static, str>, Cow<'static, str>) {
    match text {
        Cow::Borrowed(text) => {
            let (head, rest) = text.split_at(at);
            (head.into(), rest.into())
        }
        Cow::Owned(mut head) => {
            let rest = head.split_off(at);
            (head.into(), rest.into())
        }
    }
}

/// Copies the weights of the evidence to their places.
fn take(mut named: BTreeMap<String, f64>, weights: &mut Evidence) -> std::result::Result<(), String> {
    for (name, weight) in EVIDENCE.iter().zip(weights) {
        *weight = named
            .remove(*name)
            .ok_or_else(|| format!("[weights] has no weight of `{name}`"))?;
        check("weights", name, *weight)?;
    }
    match named.pop_first() {
        Some((name, _)) => Err(unknown("weights", &name)),
        None => Ok(()),
    }
}

impl Lacking {
    fn steps(mut self) -> std::result::Result<Steps, String> {
        let mut steps = Vec::new();
        for (input, name) in doubts().enumerate() {
            let of_input = match self.steps.remove(name) {
                None => continue,
                Some(StepsOrWeight::Steps(steps)) => steps,
                Some(StepsOrWeight::Weight(_)) => return Err("was written by an earlier version".to_owned()),
            };
            for [from, added] in of_input {
                check("lacking", name, from)?;
                check("lacking", name, added)?;
                steps.push(Step { input, from, added });
            }
        }
        let constant = self.constant.ok_or("[lacking] has no `constant`")?;
        check("lacking", "constant", constant)?;
        match self.steps.pop_first() {
            Some((name, _)) => Err(unknown("lacking", &name)),
            None => Ok(Steps { constant, steps }),
        }
    }
}

fn check(table: &str, name: &str, number: f64) -> std::result::Result<(), String> {
    match number.is_finite() {
        true => Ok(()),
        false => Err(format!("[{table}] `{name}` has {number}, not a finite number")),
    }
}

fn unknown(table: &str, name: &str) -> String {
    format!("[{table}] `{name}` is not the name of any evidence")
}

/// The sum of weight times evidence.
pub(crate) fn dot(weights: &Evidence, evidence: &Evidence) -> f64 {
    weights.iter().zip(evidence).map(|(w, x)| w * x).sum()
}

/// A word of the rest of a question.
struct Word {
    tokens: Vec<Token>,
    count: Rc<WordCount>,
}

/// What was looked up for one question. Its subjects have most of it in common.
#[derive(Default)]
pub(crate) struct Lookups<'a> {
    words: HashMap<String, Rc<WordCount>>,
    explained: HashMap<Vec<String>, Rc<Explained<'a>>>,
}

/// Evidence from the spelling of a question, for the facts of one subject.
pub(crate) struct Spelling<'a> {
    graph: &'a KnowledgeGraph,
    counts: &'a WordCounts,
    /// The question without the mention.
    rest: Vec<Token>,
    words: Vec<Word>,
    explained: Rc<Explained<'a>>,
    lcs: QuestionLcs,
    blank: Vec<Token>,
    /// The evidence that is the same for all facts of the subject.
    common: Evidence,
}

impl<'a> Spelling<'a> {
    /// Prepares the evidence for a question and a subject, which is given by its tokens with the separator and its log-probability.
    pub fn new(
        reranker: &'a Reranker,
        graph: &'a KnowledgeGraph,
        prompt: &Prompt,
        subject: &[Token],
        log_probability: f64,
        facts: usize,
        lookups: &mut Lookups<'a>,
    ) -> Self {
        let question = prompt.question();
        let mut common = [0.0; EVIDENCE.len()];
        common[0] = log_probability;
        common[13] = (facts as f64).ln();
        let vocabulary = graph.vocabulary();
        // A space without its own token is encoded as bytes, which other characters share.
        let blanks = [" ", "\u{3000}"].map(|blank| vocabulary.encode(blank));
        let blank: Vec<Token> = blanks
            .into_iter()
            .filter(|tokens| tokens.len() == 1)
            .flatten()
            .collect();
        let mut rest = question.to_vec();
        let phrase = phrase_around(vocabulary, question, prompt.mentions.span(subject));
        if let Some(span) = prompt.mentions.span(subject) {
            let length = span.len() as f64;
            common[2] = length;
            common[3] = length * length / 10.0;
            common[4] = span.start as f64 / question.len() as f64;
            // The separator keeps substrings from spanning the gap.
            rest.splice(span, [SEP]);
        }
        let less = prompt.less.as_deref();
        let word = |range: Range<usize>| {
            let tokens = rest[range].to_vec();
            let text = vocabulary.decode(&tokens);
            let look_up = |text: &String| Rc::new(reranker.counts.word(text, less));
            let count = lookups.words.entry(text).or_insert_with_key(look_up).clone();
            Word { tokens, count }
        };
        let mut words: Vec<Word> = words(vocabulary, &rest).into_iter().map(word).collect();
        words.sort_by(|a, b| a.tokens.cmp(&b.tokens));
        words.dedup_by(|a, b| a.tokens == b.tokens);
        for word in &words {
            let association = reranker.counts.unanswerable(&word.count);
            common[23] += association;
            common[24] = f64::max(common[24], association);
        }
        let unasked = |relation: &str| less.is_some_and(|less| less.relation(relation).is_some());
        let explain = |phrase: &Vec<String>| Rc::new(reranker.phrasing.explain(phrase, unasked));
        let explained = lookups.explained.entry(phrase).or_insert_with_key(explain).clone();
        common[WORDING] = explained.unanswerable;
        rest.retain(|token| !blank.contains(token));
        Self {
            graph,
            counts: &reranker.counts,
            words,
            explained,
            lcs: QuestionLcs::new(&rest),
            rest,
            blank,
            common,
        }
    }

    /// The evidence for a fact, given its tokens after the subject and its log-probability given the subject.
    pub fn evidence(&self, suffix: &[Token], log_probability: f64) -> Evidence {
        let mut parts = suffix.split(|&token| token == SEP);
        let (second, third) = (parts.next().unwrap_or(&[]), parts.next().unwrap_or(&[]));
        let (named, sense) = match self.graph.order() {
            FactOrder::SubjectRelationSense => (second, third),
            FactOrder::SubjectSenseRelation => (third, second),
        };
        let relation: Vec<Token> = named
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
        evidence[10] = f64::from(u8::from(relation.first().as_ref().is_some_and(shared)));
        evidence[11] = f64::from(u8::from(relation.last().as_ref().is_some_and(shared)));
        evidence[12] = f64::from(u8::from(!sense.is_empty()));
        for word in &self.words {
            if named.windows(word.tokens.len()).any(|window| window == word.tokens) {
                evidence[9] += word.count.information;
            } else {
                evidence[14] += f64::from(u8::from(word.count.is_new));
                evidence[15] = f64::max(evidence[15], word.count.information);
            }
        }
        let relation = match self.counts.has_relations() {
            true => self.graph.vocabulary().decode(named),
            false => String::new(),
        };
        if let Some(asked) = self.counts.relation(&relation) {
            for word in &self.words {
                let association = word.count.with(asked);
                evidence[16] += association;
                evidence[17] = f64::min(evidence[17], association);
                evidence[18] += f64::from(u8::from(word.count.count(asked) == 0));
            }
            evidence[19] = f64::from(asked.questions).ln_1p();
            evidence[20..23].copy_from_slice(&self.explained.by(&relation));
        }
        evidence
    }
}

/// The words of a question around the mention of its subject.
pub(crate) fn phrase_around(vocabulary: &Vocabulary, question: &[Token], mention: Option<Range<usize>>) -> Vec<String> {
    match mention {
        Some(span) => phrase(
            &vocabulary.decode(&question[..span.start]),
            Some(&vocabulary.decode(&question[span.end..])),
        ),
        None => phrase(&vocabulary.decode(question), None),
    }
}

/// The length of the longest common substring of two token sequences.
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
    use crate::words::{CountedWords, WordCounter};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_longest_common_substring(a in proptest::collection::vec(0u32..4, 0..20), b in proptest::collection::vec(0u32..4, 0..20)) {
            let runs = (0..b.len()).flat_map(|start| (start + 1..=b.len()).map(move |end| start..end));
            let naive = runs.filter(|run| a.windows(run.len()).any(|window| window == &b[run.clone()]));
            prop_assert_eq!(common_substring(&a, &b), naive.map(|run| run.len()).max().unwrap_or(0));
        }

        #[test]
        fn weights_survive_their_file(
            weights in proptest::collection::vec(-1e3f64..1e3, EVIDENCE.len()),
            lacking in proptest::option::of((-9.0f64..9.0, proptest::collection::btree_set((0..=EVIDENCE.len(), -99i8..99), 0..9))),
            words in proptest::collection::btree_map("[a-z铁é]{1,4}", 0u32..9, 0..4),
            relation in "\\PC{1,4}|[\"'\\\\\n]{3}",
            of_relation in proptest::collection::btree_map("[a-z铁]{1,4}", 0u32..9, 0..4),
        ) {
            let unanswerable = CountedWords { questions: of_relation.len() as u32, words: of_relation.clone() };
            let phrases = [phrase("who made ", Some("")), phrase("", Some("的国王"))];
            let phrasing = Phrasing::count(&[(relation.clone(), phrases[1].clone())], &phrases);
            let relations = [(relation, CountedWords { questions: 5, words: of_relation })].into();
            let counter = WordCounter { all: CountedWords { questions: 7, words }, relations, unanswerable };
            let lacking = lacking.map(|(constant, steps)| {
                let step = |(input, from)| Step { input, from: f64::from(from) / 8.0, added: 0.1 * f64::from(from) };
                Steps { constant, steps: steps.into_iter().map(step).collect() }
            });
            let reranker = Reranker { weights: weights.try_into().unwrap(), lacking, counts: counter.counts(), phrasing };
            prop_assert_eq!(Reranker::from_text(reranker.to_text(), Path::new("x")).unwrap(), reranker);
        }
    }

    #[test]
    fn a_file_of_an_earlier_version_is_not_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Reranker::open(folder.path()).unwrap(), None);
        std::fs::write(folder.path().join(OLD_FILE), "").unwrap();
        let error = Reranker::open(folder.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("reranker.toml: was written by an earlier version; `kexue qa fit` writes reranker.txt"),
            "{error}"
        );
        std::fs::write(folder.path().join(RERANKER_FILE), Reranker::default().to_text()).unwrap();
        assert_eq!(Reranker::open(folder.path()).unwrap(), Some(Reranker::default()));
    }

    #[test]
    fn bad_files_are_refused_by_name() {
        let lacking = Some(Steps {
            constant: -1.5,
            steps: vec![Step {
                input: 0,
                from: -0.25,
                added: -1.0,
            }],
        });
        let good = Reranker {
            lacking,
            ..Reranker::default()
        }
        .to_text();
        let refused = |text: String| {
            Reranker::from_text(text, Path::new("run/reranker.txt"))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(good.replacen("sense = 0.0\n", "", 1)),
            "run/reranker.txt: [weights] has no weight of `sense`; `kexue qa fit` rewrites the file"
        );
        let more = good.replace("[lacking]\n", "[lacking]\nsens = [[1.0, 2.0]]\n");
        assert!(refused(more).contains("[lacking] `sens` is not the name of any evidence"));
        let nan = good.replacen("sense = 0.0", "sense = nan", 1);
        assert!(refused(nan).contains("[weights] `sense` has NaN, not a finite number"));
        let infinite = good.replacen("[[-0.25, -1.0]]", "[[-0.25, inf]]", 1);
        assert!(refused(infinite).contains("[lacking] `best_log_probability` has inf, not a finite number"));
        assert!(refused(good.replacen("constant = -1.5\n", "", 1)).contains("[lacking] has no `constant`"));
        let regression = good.replacen("[[-0.25, -1.0]]", "0.5", 1);
        assert_eq!(
            refused(regression),
            "run/reranker.txt: was written by an earlier version; `kexue qa fit` rewrites the file"
        );
        assert!(refused(good.replace("sense = 0.0", "sense = \"x\"")).contains("expected f64"));
        assert!(refused(good.replace("+++", "")).contains("has no line `+++`"));
        assert!(refused(good + "the\t0:1\n").contains("the counts below `+++` are damaged"));
    }
}
