//! Long documents as tokens, cut into sequences for training and evaluation.

use crate::{Token, Vocabulary};
use rand::Rng;
use std::io::{self, BufRead};
use std::ops::Range;

/// The special tokens of a language model's sequences, and the range of its ordinary tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Starts a sequence.
    pub cls: Token,
    /// Ends it.
    pub sep: Token,
    /// Replaces a token to predict.
    pub mask: Token,
    /// Tokens that may replace a token to predict.
    pub ordinary: Range<Token>,
}

/// Splits text into tokens and marks where words begin.
pub trait TextEncoder {
    /// Appends the tokens of `text` to `tokens`, and to `begins` whether a word begins at each of them. Words are masked as a whole.
    ///
    /// # Errors
    /// If a part of the text has no tokens.
    fn encode_words(&self, text: &str, tokens: &mut Vec<Token>, begins: &mut Vec<bool>) -> io::Result<()>;

    /// The special tokens of sequences.
    fn special_tokens(&self) -> SpecialTokens;
}

impl TextEncoder for Vocabulary {
    /// A word is a run of ASCII letters and digits, or one other character, even if that is spelled in several bytes.
    fn encode_words(&self, text: &str, tokens: &mut Vec<Token>, begins: &mut Vec<bool>) -> io::Result<()> {
        let mut within_word = false;
        let mut utf8 = [0; 4];
        for character in text.chars() {
            let start = tokens.len();
            self.encode_into(character.encode_utf8(&mut utf8), tokens);
            let joins = character.is_ascii_alphanumeric();
            begins.extend((start..tokens.len()).map(|at| at == start && !(joins && within_word)));
            within_word = joins;
        }
        Ok(())
    }

    fn special_tokens(&self) -> SpecialTokens {
        SpecialTokens {
            cls: crate::CLS,
            sep: crate::SEP,
            mask: crate::MASK,
            // An empty vocabulary has bytes only.
            ordinary: match self.characters().len() {
                0 => crate::BYTES..crate::FIRST_CHARACTER,
                _ => crate::FIRST_CHARACTER..self.len() as Token,
            },
        }
    }
}

/// Documents as tokens.
#[derive(Clone, Debug, Default, Hash)]
pub struct Corpus {
    tokens: Vec<Token>,
    begins: Vec<bool>,
    /// End of each document.
    ends: Vec<usize>,
}

/// Consecutive tokens of one document.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Its tokens.
    pub tokens: &'a [Token],
    /// Whether a word begins at each token.
    pub begins: &'a [bool],
}

impl Corpus {
    /// Reads text. A line `== name ==` starts a document, as does the start of the text. A line break between two ASCII characters becomes a
    /// space; any other is dropped.
    ///
    /// # Errors
    /// If the text cannot be read, is not UTF-8, or the encoder has no tokens for it.
    pub fn read(&mut self, reader: impl BufRead, encoder: &dyn TextEncoder) -> io::Result<()> {
        self.end_document();
        let mut ascii_before = false;
        for line in reader.lines() {
            let line = line?;
            let line = line.trim();
            if line.len() > 4 && line.starts_with("==") && line.ends_with("==") {
                self.end_document();
                ascii_before = false;
                continue;
            }
            let (Some(first), Some(last)) = (line.chars().next(), line.chars().next_back()) else {
                continue;
            };
            if ascii_before && first.is_ascii() {
                encoder.encode_words(" ", &mut self.tokens, &mut self.begins)?;
            }
            encoder.encode_words(line, &mut self.tokens, &mut self.begins)?;
            ascii_before = last.is_ascii();
        }
        self.end_document();
        Ok(())
    }

    fn end_document(&mut self) {
        if self.tokens.len() > self.ends.last().copied().unwrap_or(0) {
            self.ends.push(self.tokens.len());
        }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether the corpus is empty.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.ends.len()
    }

    /// Tokens of the longest document; 0 for an empty corpus.
    pub fn longest_document(&self) -> usize {
        let lengths = (0..self.documents()).map(|index| self.document(index).len());
        lengths.max().unwrap_or(0)
    }

    fn document(&self, index: usize) -> Range<usize> {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        start..self.ends[index]
    }

    fn window_at(&self, range: Range<usize>) -> Window<'_> {
        Window {
            tokens: &self.tokens[range.clone()],
            begins: &self.begins[range],
        }
    }

    /// Adds the documents of another corpus.
    pub fn append(&mut self, other: &Self) {
        let before = self.tokens.len();
        self.tokens.extend_from_slice(&other.tokens);
        self.begins.extend_from_slice(&other.begins);
        self.ends.extend(other.ends.iter().map(|end| before + end));
    }

    /// Splits off one document in `one_in` (the last of each group) for evaluation; 0 splits off none. If there are fewer documents than
    /// `one_in`, the last `1/one_in` of the text is split off; it may begin within a document. Returns the remaining and the held-out corpus.
    pub fn hold_out(self, one_in: usize) -> (Self, Self) {
        let (mut kept, mut held) = (Self::default(), Self::default());
        if self.documents() < one_in {
            let cut = self.len() - self.len() / one_in;
            for index in 0..self.documents() {
                let Range { start, end } = self.document(index);
                let middle = cut.clamp(start, end);
                for (to, range) in [(&mut kept, start..middle), (&mut held, middle..end)] {
                    to.tokens.extend_from_slice(&self.tokens[range.clone()]);
                    to.begins.extend_from_slice(&self.begins[range]);
                    to.end_document();
                }
            }
            return (kept, held);
        }
        for index in 0..self.documents() {
            let to = if one_in > 0 && index % one_in == one_in - 1 {
                &mut held
            } else {
                &mut kept
            };
            let range = self.document(index);
            to.tokens.extend_from_slice(&self.tokens[range.clone()]);
            to.begins.extend_from_slice(&self.begins[range]);
            to.end_document();
        }
        (kept, held)
    }

    /// A random window of `length` tokens of one document, or a whole document that is shorter. Every token is equally likely to be near its
    /// middle. `None` if the corpus is empty.
    pub fn sample(&self, length: usize, generator: &mut impl Rng) -> Option<Window<'_>> {
        if self.is_empty() {
            return None;
        }
        let middle = generator.random_range(0..self.len());
        let document = self.document(self.ends.partition_point(|&end| end <= middle));
        let latest = document.end.saturating_sub(length).max(document.start);
        let start = middle.saturating_sub(length / 2).clamp(document.start, latest);
        Some(self.window_at(start..start.saturating_add(length).min(document.end)))
    }

    /// Up to `count` windows of exactly `length` tokens that do not overlap, spread evenly over the documents that are long enough.
    pub fn stretches(&self, length: usize, count: usize) -> Vec<Window<'_>> {
        let all: Vec<Range<usize>> = (0..self.documents())
            .map(|index| self.document(index))
            .flat_map(|document| {
                let whole = document.len() / length.max(1);
                (0..whole).map(move |part| document.start + part * length..document.start + (part + 1) * length)
            })
            .collect();
        let chosen = count.min(all.len());
        (0..chosen)
            .map(|index| self.window_at(all[index * all.len() / chosen].clone()))
            .collect()
    }
}

impl<'a> Window<'a> {
    /// Consecutive parts of `length` tokens; a shorter rest is dropped.
    pub fn parts(self, length: usize) -> impl Iterator<Item = Window<'a>> {
        let parts = self
            .tokens
            .chunks_exact(length.max(1))
            .zip(self.begins.chunks_exact(length.max(1)));
        parts.map(|(tokens, begins)| Window { tokens, begins })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VocabularyBuilder;
    use rand::SeedableRng;

    const TEXT: &str = "before\n== 第一回 ==\n甲乙丙\n丁 ab c1\nde 戊\n\n== 二 ==\n己庚辛\n";

    fn corpus() -> (Vocabulary, Corpus) {
        let mut builder = VocabularyBuilder::new();
        builder.count(TEXT);
        let vocabulary = builder.build();
        let mut corpus = Corpus::default();
        corpus.read(TEXT.as_bytes(), &vocabulary).unwrap();
        (vocabulary, corpus)
    }

    #[test]
    fn headings_separate_documents_and_line_ends_are_blanks_between_ascii_only() {
        let (vocabulary, corpus) = corpus();
        let text = |index: usize| vocabulary.decode(&corpus.tokens[corpus.document(index)]);
        let texts: Vec<String> = (0..corpus.documents()).map(text).collect();
        assert_eq!(texts, ["before", "甲乙丙丁 ab c1 de 戊", "己庚辛"]);
        assert_eq!(
            (corpus.longest_document(), Corpus::default().longest_document()),
            (15, 0)
        );
    }

    #[test]
    fn what_is_held_out_of_few_documents_is_the_end_of_the_text() {
        let (_, all) = corpus();
        let tokens = all.tokens.clone();
        for one_in in [4, 5, 10] {
            let (kept, held) = all.clone().hold_out(one_in);
            assert_eq!(held.len(), tokens.len() / one_in);
            assert_eq!([&kept.tokens[..], &held.tokens[..]].concat(), tokens);
            assert_eq!((kept.begins.len(), held.begins.len()), (kept.len(), held.len()));
        }
        let (kept, held) = all.hold_out(3);
        assert_eq!((kept.documents(), held.documents()), (2, 1));
    }

    #[test]
    fn words_are_runs_of_ascii_or_single_characters_of_any_bytes() {
        let vocabulary = Vocabulary::new("甲ab1".chars(), false);
        let (mut tokens, mut begins) = (Vec::new(), Vec::new());
        vocabulary.encode_words("甲乙ab1 b", &mut tokens, &mut begins).unwrap();
        // 乙 is three bytes, the blank one.
        let expected = [true, true, false, false, true, false, false, true, true];
        assert_eq!(begins, expected);
    }

    #[test]
    fn samples_stay_within_a_document() {
        let (_, corpus) = corpus();
        let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(0);
        for length in [1, 4, 100, usize::MAX] {
            let mut seen = std::collections::HashSet::new();
            for _ in 0..300 {
                let window = corpus.sample(length, &mut generator).unwrap();
                let start = (window.tokens.as_ptr() as usize - corpus.tokens.as_ptr() as usize) / 4;
                let range = start..start + window.tokens.len();
                let document = (0..3)
                    .map(|index| corpus.document(index))
                    .find(|document| document.contains(&start))
                    .unwrap();
                assert!(range.end <= document.end);
                assert_eq!(range.len(), length.min(document.len()));
                seen.extend(range);
            }
            assert_eq!(seen.len(), corpus.len(), "every token comes");
        }
    }

    #[test]
    fn stretches_are_whole_and_apart_and_parts_cover_them() {
        let (_, corpus) = corpus();
        let stretches = corpus.stretches(3, 100);
        assert_eq!(stretches.len(), 2 + 5 + 1);
        assert_eq!(corpus.stretches(3, 2).len(), 2);
        assert!(corpus.stretches(50, 2).is_empty());
        let parts: Vec<Token> = corpus.stretches(6, 9)[1]
            .parts(2)
            .flat_map(|part| part.tokens.to_vec())
            .collect();
        assert_eq!(parts, corpus.stretches(6, 9)[1].tokens);
    }

    #[test]
    fn hold_out_keeps_every_document_once() {
        let (_, corpus) = corpus();
        let (kept, held) = corpus.clone().hold_out(2);
        assert_eq!((kept.documents(), held.documents()), (2, 1));
        assert_eq!(held.tokens, corpus.tokens[corpus.document(1)]);
        assert_eq!(kept.len() + held.len(), corpus.len());
        assert_eq!(corpus.clone().hold_out(0).1.documents(), 0);
    }
}
