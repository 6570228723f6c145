//! The words of questions, and how much each tells.

use kexue_text::{BYTES, FIRST_CHARACTER, Token, Vocabulary};
use std::collections::BTreeMap;
use std::ops::Range;

/// Where the words of a text are: runs of letters and digits, and by itself each character of the scripts that write no spaces.
pub(crate) fn words(vocabulary: &Vocabulary, tokens: &[Token]) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut open = false;
    for (at, &token) in tokens.iter().enumerate() {
        let (is_word, joins) = match token {
            // Bytes of a character that the vocabulary has not: one in ASCII, or of several bytes.
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

/// In how many questions each word stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordCounts {
    /// Questions that were counted.
    pub questions: u32,
    /// How many of them have each word; words that none has are left out.
    pub words: BTreeMap<String, u32>,
}

impl WordCounts {
    /// Counts a question.
    pub fn add(&mut self, vocabulary: &Vocabulary, question: &str) {
        let tokens = vocabulary.encode(question);
        let mut found: Vec<String> = words(vocabulary, &tokens)
            .into_iter()
            .map(|word| vocabulary.decode(&tokens[word]))
            .collect();
        found.sort_unstable();
        found.dedup();
        self.questions += 1;
        for word in found {
            *self.words.entry(word).or_default() += 1;
        }
    }

    /// Questions with a word, but for those that `less` counts.
    pub fn count(&self, word: &str, less: Option<&Self>) -> u32 {
        let of = |counts: &Self| counts.words.get(word).copied().unwrap_or(0);
        of(self).saturating_sub(less.map_or(0, of))
    }

    /// `−ln` of the share of questions that have a word, as if there were one question more, which has it; without those that `less` counts.
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
        // What the vocabulary has not is a word of its bytes.
        assert_eq!(of("的铜it"), ["的", "铜it"]);
        assert_eq!(of("?, "), Vec::<String>::new());
    }

    #[test]
    fn counts_questions_not_words() {
        let vocabulary = Vocabulary::new("ab铁".chars(), false);
        let (mut counts, mut less) = (WordCounts::default(), WordCounts::default());
        for text in ["a a 铁", "b", "铁"] {
            counts.add(&vocabulary, text);
        }
        less.add(&vocabulary, "b");
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
}
