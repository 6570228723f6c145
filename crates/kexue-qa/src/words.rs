//! The words of questions: how informative each is, and how strongly it is associated with a relation.

use crate::postings::{Counted, Postings};
use kexue_text::{BYTES, FIRST_CHARACTER, Token, Vocabulary};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The words of a text: runs of letters and digits. Each character of a script without spaces is a word.
pub(crate) fn words(vocabulary: &Vocabulary, tokens: &[Token]) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut open = false;
    for (at, &token) in tokens.iter().enumerate() {
        let (is_word, joins) = match token {
            // A byte of a character that is not in the vocabulary.
            BYTES..FIRST_CHARACTER => {
                let byte = (token - BYTES) as u8;
                (byte.is_ascii_alphanumeric() || !byte.is_ascii(), true)
            }
            _ => vocabulary
                .character(token)
                .map_or((false, false), |c| (c.is_alphanumeric(), c < '\u{2e80}')),
        };
        match words.last_mut() {
            Some(last) if open && is_word && joins => last.end = at + 1,
            _ if is_word => words.push(at..at + 1),
            _ => {}
        }
        open = is_word && joins;
    }
    words
}

/// Questions and their words, while they are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountedWords {
    /// Number of questions counted.
    pub questions: u32,
    /// How many of them contain each word.
    pub words: BTreeMap<String, u32>,
}

impl CountedWords {
    fn add(&mut self, words: &BTreeSet<String>) {
        self.questions += 1;
        for word in words {
            *self.words.entry(word.clone()).or_default() += 1;
        }
    }
}

/// Counts the words of questions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordCounter {
    /// All questions but the unanswerable ones.
    pub all: CountedWords,
    /// Those that ask for each relation.
    pub relations: BTreeMap<String, CountedWords>,
    /// Questions that the graph cannot answer.
    pub unanswerable: CountedWords,
}

fn distinct_words(vocabulary: &Vocabulary, question: &str) -> BTreeSet<String> {
    let tokens = vocabulary.encode(question);
    let words = words(vocabulary, &tokens).into_iter();
    words.map(|word| vocabulary.decode(&tokens[word])).collect()
}

impl WordCounter {
    /// Counts a question, and counts it for the relation that it asks for.
    pub fn add(&mut self, vocabulary: &Vocabulary, question: &str, relation: Option<&str>) {
        let found = distinct_words(vocabulary, question);
        if let Some(relation) = relation {
            self.relations.entry(relation.to_owned()).or_default().add(&found);
        }
        self.all.add(&found);
    }

    /// Counts a question that the graph cannot answer.
    pub fn add_unanswerable(&mut self, vocabulary: &Vocabulary, question: &str) {
        self.unanswerable.add(&distinct_words(vocabulary, question));
    }

    /// What was counted.
    pub fn counts(&self) -> WordCounts {
        let groups = [&self.all, &self.unanswerable]
            .into_iter()
            .chain(self.relations.values());
        let mut counted = Counted::new();
        for (group, words) in groups.enumerate() {
            for (word, &count) in &words.words {
                counted.entry(word.clone()).or_default().insert(group, count);
            }
        }
        let of = |(name, words): (&String, &CountedWords)| (name.clone(), words.questions);
        WordCounts {
            questions: Questions {
                all: self.all.questions,
                unanswerable: self.unanswerable.questions,
                relations: self.relations.iter().map(of).collect(),
            },
            words: Postings::new(&counted),
        }
    }
}

/// Numbers of questions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Questions {
    pub all: u32,
    pub unanswerable: u32,
    pub relations: BTreeMap<String, u32>,
}

/// How many questions contain each word: of all, of those that ask for each relation, and of those that the graph cannot answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordCounts {
    pub(crate) questions: Questions,
    /// The groups are all questions, the unanswerable ones, and the relations in order.
    pub(crate) words: Postings,
}

/// How many questions of each group contain a word.
#[derive(Debug)]
pub(crate) struct WordCount {
    /// In the order of [`WordCounts::words`].
    row: Vec<u32>,
    /// The smoothed share of all questions that contain the word: half a question is added to the count, and one to the total.
    share: f64,
    /// `−ln` of the smoothed share of questions that contain the word: one question with the word is added.
    pub information: f64,
    /// Whether no question contains the word.
    pub is_new: bool,
}

/// A relation that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AskedRelation {
    group: usize,
    /// Number of questions for it.
    pub questions: u32,
}

/// Strength of the prior: each relation gets this many pseudo-questions with the words of an average question.
const PRIOR_QUESTIONS: f64 = 5.0;

impl WordCounts {
    /// Whether questions were counted for relations.
    pub(crate) fn has_relations(&self) -> bool {
        !self.questions.relations.is_empty()
    }

    /// A relation, if questions for it were counted.
    pub(crate) fn relation(&self, name: &str) -> Option<AskedRelation> {
        let (place, (_, &questions)) = self
            .questions
            .relations
            .iter()
            .enumerate()
            .find(|(_, (other, _))| *other == name)?;
        Some(AskedRelation {
            group: 2 + place,
            questions,
        })
    }

    /// The counts of a word. The questions in `less` are subtracted from all.
    pub(crate) fn word(&self, word: &str, less: Option<&Self>) -> WordCount {
        let row = self.words.row(word, 2 + self.questions.relations.len());
        let (less_questions, less_count) = less.map_or((0, 0), |less| (less.questions.all, less.words.row(word, 1)[0]));
        let questions = self.questions.all.saturating_sub(less_questions);
        let count = row[0].saturating_sub(less_count);
        let [total, with_word] = [questions, count.min(questions)].map(f64::from);
        WordCount {
            row,
            share: (with_word + 0.5) / (total + 1.0),
            information: ((total + 1.0) / (with_word + 1.0)).ln(),
            is_new: count == 0,
        }
    }

    /// The association of a word with unanswerable questions.
    pub(crate) fn unanswerable(&self, word: &WordCount) -> f64 {
        word.association(1, self.questions.unanswerable)
    }
}

impl WordCount {
    /// The pointwise mutual information of word and relation: the logarithm of how many times more often the word occurs in questions for the
    /// relation than in all questions.
    pub fn with(&self, relation: AskedRelation) -> f64 {
        self.association(relation.group, relation.questions)
    }

    /// Number of questions for a relation that contain the word.
    pub fn count(&self, relation: AskedRelation) -> u32 {
        self.row[relation.group]
    }

    fn association(&self, group: usize, questions: u32) -> f64 {
        let expected = PRIOR_QUESTIONS * self.share;
        ((f64::from(self.row[group]) + expected) / (f64::from(questions) + PRIOR_QUESTIONS) / self.share).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_join_and_characters_do_not() {
        let vocabulary = Vocabulary::new("capitl of铁的3,? ".chars(), true);
        let of = |text: &str| -> Vec<String> {
            let tokens = vocabulary.encode(text);
            words(&vocabulary, &tokens)
                .into_iter()
                .map(|word| vocabulary.decode(&tokens[word]))
                .collect()
        };
        assert_eq!(of("Capital of 铁铁的, 3?"), ["capital", "of", "铁", "铁", "的", "3"]);
        // A character outside the vocabulary is a word of its bytes.
        assert_eq!(of("的铜it"), ["的", "铜it"]);
        assert_eq!(of("?, "), Vec::<String>::new());
    }

    #[test]
    fn counts_questions_not_words() {
        let vocabulary = Vocabulary::new("ab铁".chars(), false);
        let (mut counter, mut less) = (WordCounter::default(), WordCounter::default());
        for text in ["a a 铁", "b", "铁"] {
            counter.add(&vocabulary, text, None);
        }
        less.add(&vocabulary, "b", None);
        let (counts, less) = (counter.counts(), less.counts());
        let of = |word: &str| counts.word(word, None);
        assert_eq!([of("a").row[0], of("铁").row[0], of("c").row[0]], [1, 2, 0]);
        assert_eq!(of("铁").information, (4.0f64 / 3.0).ln());
        let subtracted = counts.word("b", Some(&less));
        assert!(subtracted.is_new && !of("b").is_new);
        assert_eq!(subtracted.information, 3.0f64.ln());
    }

    #[test]
    fn words_speak_for_relations() {
        let vocabulary = Vocabulary::new("abcdw".chars(), false);
        let mut counter = WordCounter::default();
        for _ in 0..40 {
            counter.add(&vocabulary, "a w", Some("capital"));
            counter.add(&vocabulary, "b w", Some("area"));
        }
        let counts = counter.counts();
        let of = |relation: &str, word: &str| counts.word(word, None).with(counts.relation(relation).unwrap());
        assert!(of("capital", "a") > 0.5 && of("capital", "b") < -1.5);
        assert!(of("capital", "w").abs() < 0.01, "{}", of("capital", "w"));
        assert!(counts.relation("height").is_none());
        // A word that unanswerable questions do not have either says nothing.
        assert_eq!(counts.unanswerable(&counts.word("x", None)), 0.0);
        // In 2 of 8 questions for the relation, and in (2 + 1/2) of 8 + 1 of all: (2 + 5 · 2.5/9) / (8 + 5) / (2.5/9).
        let few = CountedWords {
            questions: 8,
            words: [("x".to_owned(), 2)].into(),
        };
        let counts = WordCounter {
            relations: [("few".to_owned(), few.clone())].into(),
            all: few,
            ..WordCounter::default()
        };
        let (counts, share) = (counts.counts(), 2.5f64 / 9.0);
        let association = counts.word("x", None).with(counts.relation("few").unwrap());
        assert!((association - ((2.0 + 5.0 * share) / 13.0 / share).ln()).abs() < 1e-12);
    }
}
