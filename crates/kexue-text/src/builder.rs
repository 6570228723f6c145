//! Counting characters into a vocabulary.

use crate::Vocabulary;
use std::collections::HashMap;

/// Builds a [`Vocabulary`] of the most frequent characters it has counted.
///
/// Characters are ordered by descending count, then by code point, so the order of the texts does not matter.
#[derive(Clone, Debug)]
pub struct VocabularyBuilder {
    ascii: [u64; 128],
    others: HashMap<char, u64>,
    fold_case: bool,
    max_characters: usize,
    min_count: u64,
}

impl Default for VocabularyBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl VocabularyBuilder {
    /// Keeps ASCII case, at most 20,000 characters, each seen at least once.
    pub fn new() -> Self {
        Self {
            ascii: [0; 128],
            others: HashMap::new(),
            fold_case: false,
            max_characters: 20_000,
            min_count: 1,
        }
    }

    /// Folds ASCII letters to lower case, in the counts and in the vocabulary.
    pub fn fold_case(mut self, fold_case: bool) -> Self {
        self.fold_case = fold_case;
        self
    }

    /// Maximum number of characters to keep; others are encoded as bytes.
    pub fn max_characters(mut self, max_characters: usize) -> Self {
        self.max_characters = max_characters;
        self
    }

    /// Minimum count of a character to keep.
    pub fn min_count(mut self, min_count: u64) -> Self {
        self.min_count = min_count;
        self
    }

    /// Counts the characters of `text`.
    pub fn count(&mut self, text: &str) {
        for character in text.chars() {
            match self.ascii.get_mut(character as usize) {
                Some(count) => *count += 1,
                None => *self.others.entry(character).or_default() += 1,
            }
        }
    }

    /// Adds the counts of another builder, so that parts of a file can be counted in parallel.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.ascii.iter_mut().zip(other.ascii) {
            *count += more;
        }
        for (&character, &more) in &other.others {
            *self.others.entry(character).or_default() += more;
        }
    }

    /// Builds the vocabulary.
    pub fn build(&self) -> Vocabulary {
        let mut ascii = self.ascii;
        if self.fold_case {
            for upper in b'A'..=b'Z' {
                let count = std::mem::take(&mut ascii[upper as usize]);
                ascii[upper.to_ascii_lowercase() as usize] += count;
            }
        }
        let mut counts: Vec<(char, u64)> = ascii
            .iter()
            .enumerate()
            .map(|(code, &count)| (code as u8 as char, count))
            .chain(self.others.iter().map(|(&character, &count)| (character, count)))
            .filter(|&(_, count)| count >= self.min_count.max(1))
            .collect();
        counts.sort_unstable_by_key(|&(character, count)| (std::cmp::Reverse(count), character));
        counts.truncate(self.max_characters);
        Vocabulary::new(counts.into_iter().map(|(character, _)| character), self.fold_case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_most_frequent_in_a_stable_order() {
        let mut first = VocabularyBuilder::new().max_characters(3);
        first.count("cabbcc龙龙龙龙");
        let mut second = VocabularyBuilder::new().max_characters(3);
        let mut part = VocabularyBuilder::new();
        second.count("龙龙ccc");
        part.count("龙bab龙");
        second.merge(&part);
        assert_eq!(first.build().characters(), ['龙', 'c', 'b']);
        assert_eq!(second.build().characters(), ['龙', 'c', 'b']);
    }

    #[test]
    fn folding_adds_the_counts_of_both_cases() {
        let mut builder = VocabularyBuilder::new().fold_case(true).max_characters(1);
        builder.count("aAbbB!!!AA");
        assert_eq!(builder.build().characters(), ['a']);
    }

    #[test]
    fn rare_characters_are_left_to_bytes() {
        let mut builder = VocabularyBuilder::new().min_count(2);
        builder.count("aab");
        assert_eq!(builder.build().characters(), ['a']);
    }
}
