//! The words of questions: how informative each is, and how strongly it is associated with a relation.

use kexue_text::{BYTES, FIRST_CHARACTER, Token, Vocabulary};
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

/// How many questions contain each word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordCounts {
    /// Number of questions counted.
    pub questions: u32,
    /// How many of them contain each word. Words that occur in none are left out.
    pub words: BTreeMap<String, u32>,
    /// The same for the questions that ask for each relation.
    pub relations: BTreeMap<String, RelationWords>,
    /// The same for questions that the graph cannot answer. They are not included in the counts above.
    pub unanswerable: RelationWords,
}

/// How many questions for a relation contain each word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelationWords {
    /// Number of questions for the relation.
    pub questions: u32,
    /// How many of them contain each word. Words that occur in none are left out.
    pub words: BTreeMap<String, u32>,
}

/// Strength of the prior: each relation gets this many pseudo-questions with the words of an average question.
const PRIOR_QUESTIONS: f64 = 5.0;

impl RelationWords {
    fn add(&mut self, words: &BTreeSet<String>) {
        self.questions += 1;
        for word in words {
            *self.words.entry(word.clone()).or_default() += 1;
        }
    }

    /// Number of questions that contain a word.
    pub fn count(&self, word: &str) -> u32 {
        self.words.get(word).copied().unwrap_or(0)
    }

    /// The pointwise mutual information of word and relation: the logarithm of how many times more often the word occurs in questions for the
    /// relation than in all questions, where its share is `share`.
    pub fn association(&self, word: &str, share: f64) -> f64 {
        let expected = PRIOR_QUESTIONS * share;
        ((f64::from(self.count(word)) + expected) / (f64::from(self.questions) + PRIOR_QUESTIONS) / share).ln()
    }

    /// The counts as text: the number of questions, then each word with its count.
    fn to_text(&self) -> String {
        let words = self.words.iter().map(|(word, count)| format!(" {word}:{count}"));
        self.questions.to_string() + &words.collect::<String>()
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut fields = text.split(' ');
        let questions = fields.next()?.parse().ok()?;
        let word = |field: &str| {
            let (word, count) = field.rsplit_once(':')?;
            Some((word.to_owned(), count.parse().ok()?))
        };
        let words = fields.map(word).collect::<Option<_>>()?;
        Some(Self { questions, words })
    }
}

/// The first field of the line for all questions, and for those without an answer. Other lines begin with a relation in quotation marks.
const ALL: &str = "all";
const UNANSWERABLE: &str = "unanswerable";

fn distinct_words(vocabulary: &Vocabulary, question: &str) -> BTreeSet<String> {
    let tokens = vocabulary.encode(question);
    let words = words(vocabulary, &tokens).into_iter();
    words.map(|word| vocabulary.decode(&tokens[word])).collect()
}

impl WordCounts {
    /// Counts a question, and counts it for the relation that it asks for.
    pub fn add(&mut self, vocabulary: &Vocabulary, question: &str, relation: Option<&str>) {
        let found = distinct_words(vocabulary, question);
        if let Some(relation) = relation {
            self.relations.entry(relation.to_owned()).or_default().add(&found);
        }
        self.questions += 1;
        for word in found {
            *self.words.entry(word).or_default() += 1;
        }
    }

    /// The counts as lines without apostrophes: `all ⇥ 7 the:3 of:2`, then the same for questions without an answer and for each relation.
    pub(crate) fn to_text(&self) -> String {
        let all = RelationWords {
            questions: self.questions,
            words: self.words.clone(),
        };
        let mut text = format!(
            "{ALL}\t{}\n{UNANSWERABLE}\t{}\n",
            all.to_text(),
            self.unanswerable.to_text()
        );
        for (relation, words) in &self.relations {
            let name = serde_json::Value::from(relation.as_str()).to_string();
            text += &format!("{}\t{}\n", name.replace('\'', "\\u0027"), words.to_text());
        }
        text
    }

    /// Reads the text of [`WordCounts::to_text`].
    ///
    /// # Errors
    /// If a line is malformed; the message quotes it.
    pub(crate) fn from_text(text: &str) -> std::result::Result<Self, String> {
        let mut counts = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let bad = || {
                let begin: String = line.chars().take(40).collect();
                format!(
                    "`{begin}` in `words` is not a name and, after a tab, a number of questions with words, such as `7 the:3`"
                )
            };
            let (name, words) = line.split_once('\t').ok_or_else(bad)?;
            let words = RelationWords::from_text(words).ok_or_else(bad)?;
            match name {
                ALL => (counts.questions, counts.words) = (words.questions, words.words),
                UNANSWERABLE => counts.unanswerable = words,
                _ => {
                    let relation = serde_json::from_str(name).map_err(|_| bad())?;
                    counts.relations.insert(relation, words);
                }
            }
        }
        Ok(counts)
    }

    /// Counts a question that the graph cannot answer.
    pub fn add_unanswerable(&mut self, vocabulary: &Vocabulary, question: &str) {
        self.unanswerable.add(&distinct_words(vocabulary, question));
    }

    /// The smoothed share of questions that contain a word: half a question is added to the count, and one to the total. The questions in `less`
    /// are subtracted.
    pub fn share(&self, word: &str, less: Option<&Self>) -> f64 {
        let questions = self.questions.saturating_sub(less.map_or(0, |less| less.questions));
        (f64::from(self.count(word, less).min(questions)) + 0.5) / (f64::from(questions) + 1.0)
    }

    /// Number of questions that contain a word, minus those in `less`.
    pub fn count(&self, word: &str, less: Option<&Self>) -> u32 {
        let of = |counts: &Self| counts.words.get(word).copied().unwrap_or(0);
        of(self).saturating_sub(less.map_or(0, of))
    }

    /// `−ln` of the smoothed share of questions that contain a word: one question with the word is added. The questions in `less` are subtracted.
    pub fn information(&self, word: &str, less: Option<&Self>) -> f64 {
        let questions = self.questions.saturating_sub(less.map_or(0, |less| less.questions));
        let count = self.count(word, less).min(questions);
        ((f64::from(questions) + 1.0) / (f64::from(count) + 1.0)).ln()
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
        let (mut counts, mut less) = (WordCounts::default(), WordCounts::default());
        for text in ["a a 铁", "b", "铁"] {
            counts.add(&vocabulary, text, None);
        }
        less.add(&vocabulary, "b", None);
        assert_eq!(
            (
                counts.count("a", None),
                counts.count("铁", None),
                counts.count("c", None)
            ),
            (1, 2, 0)
        );
        assert_eq!(counts.information("铁", None), (4.0f64 / 3.0).ln());
        assert_eq!(counts.count("b", Some(&less)), 0);
        assert_eq!(counts.information("b", Some(&less)), 3.0f64.ln());
    }

    #[test]
    fn words_speak_for_relations() {
        let vocabulary = Vocabulary::new("abcdw".chars(), false);
        let mut counts = WordCounts::default();
        for _ in 0..40 {
            counts.add(&vocabulary, "a w", Some("capital"));
            counts.add(&vocabulary, "b w", Some("area"));
        }
        let of = |relation: &str, word: &str| counts.relations[relation].association(word, counts.share(word, None));
        assert!(of("capital", "a") > 0.5 && of("capital", "b") < -1.5);
        assert!(of("capital", "w").abs() < 0.01, "{}", of("capital", "w"));
        // A relation that nothing asks for has nothing to do with any word.
        assert_eq!(RelationWords::default().association("a", 0.25), 0.0);
        // (2 + 5 · 0.1) / (8 + 5) / 0.1
        let few = RelationWords {
            questions: 8,
            words: [("x".to_owned(), 2)].into(),
        };
        assert!((few.association("x", 0.1) - (2.5f64 / 13.0 / 0.1).ln()).abs() < 1e-12);
        assert_eq!(few.to_text(), "8 x:2");
        assert_eq!(RelationWords::from_text("8 x:2"), Some(few));
        assert_eq!(RelationWords::from_text("8 x"), None);
        assert_eq!(RelationWords::from_text(""), None);
        assert_eq!(WordCounts::from_text(&counts.to_text()), Ok(counts));
    }
}
