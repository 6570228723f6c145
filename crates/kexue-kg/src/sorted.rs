//! Strings sorted by their tokens.

use crate::interner::Interner;
use kexue_text::{Token, Vocabulary};
use rayon::prelude::*;

/// The distinct token sequences of a set of strings, ascending, and the rank of each string among them.
///
/// Strings with the same tokens (in a vocabulary that folds case) share a rank.
#[derive(Debug)]
pub(crate) struct Sorted {
    /// The tokens, each encoded like a code point in UTF-8, so that bytes have the order of the tokens and take half the memory.
    codes: Vec<u8>,
    ends: Vec<u64>,
    /// Rank of each string.
    pub rank: Vec<u32>,
    /// For each rank, the first string with it.
    first: Vec<u32>,
}

impl Sorted {
    pub fn new(strings: &Interner, vocabulary: &Vocabulary) -> Self {
        let mut sorted = Self::encode(strings, vocabulary);
        sorted.sort();
        sorted
    }

    /// The tokens alone, so that the strings can be dropped before sorting.
    pub fn encode(strings: &Interner, vocabulary: &Vocabulary) -> Self {
        let mut sorted = Self {
            codes: Vec::new(),
            ends: Vec::with_capacity(strings.len()),
            rank: Vec::new(),
            first: Vec::new(),
        };
        let mut tokens = Vec::new();
        for text in strings.iter() {
            tokens.clear();
            vocabulary.encode_into(text, &mut tokens);
            tokens.iter().for_each(|&token| write_ordered(token, &mut sorted.codes));
            sorted.ends.push(sorted.codes.len() as u64);
        }
        sorted
    }

    fn of_string(&self, string: u32) -> &[u8] {
        let string = string as usize;
        let start = if string == 0 { 0 } else { self.ends[string - 1] };
        &self.codes[start as usize..self.ends[string] as usize]
    }

    pub fn sort(&mut self) {
        // The first bytes, stored beside the number, decide most comparisons. A missing byte counts as 0, which no text begins with.
        let head = |string| {
            let codes = self.of_string(string);
            (0..8).fold(0, |head, place| {
                head << 8 | u64::from(codes.get(place).copied().unwrap_or(0))
            })
        };
        let mut order: Vec<(u64, u32)> = (0..self.ends.len() as u32)
            .map(|string| (head(string), string))
            .collect();
        order.par_sort_unstable_by(|one, other| {
            (one.0.cmp(&other.0))
                .then_with(|| self.of_string(one.1).cmp(self.of_string(other.1)))
                .then(one.1.cmp(&other.1))
        });
        let mut first: Vec<u32> = Vec::with_capacity(order.len());
        let mut rank = vec![0; order.len()];
        let mut last = 0;
        for &(head, string) in &order {
            let same = |&other: &u32| last == head && self.of_string(other) == self.of_string(string);
            if !first.last().is_some_and(same) {
                first.push(string);
            }
            last = head;
            rank[string as usize] = first.len() as u32 - 1;
        }
        self.rank = rank;
        self.first = first;
    }

    /// The number of ranks.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Writes the tokens of a rank to `tokens`.
    pub fn tokens(&self, rank: u32, tokens: &mut Vec<Token>) {
        tokens.clear();
        let mut codes = self.of_string(self.first[rank as usize]);
        while let Some((token, rest)) = read_ordered(codes) {
            tokens.push(token);
            codes = rest;
        }
    }
}

/// Tokens are below 2²¹, since a vocabulary has at most one token for each character, and a few more.
fn write_ordered(token: Token, codes: &mut Vec<u8>) {
    let tail = |shift: u32| 0x80 | (token >> shift) as u8 & 0x3f;
    match token {
        0..0x80 => codes.push(token as u8),
        0x80..0x800 => codes.extend([0xc0 | (token >> 6) as u8, tail(0)]),
        0x800..0x1_0000 => codes.extend([0xe0 | (token >> 12) as u8, tail(6), tail(0)]),
        _ => codes.extend([0xf0 | (token >> 18) as u8, tail(12), tail(6), tail(0)]),
    }
}

fn read_ordered(codes: &[u8]) -> Option<(Token, &[u8])> {
    let (&first, rest) = codes.split_first()?;
    let (start, more) = match first {
        0..0x80 => (first, 0),
        0x80..0xe0 => (first & 0x1f, 1),
        0xe0..0xf0 => (first & 0x0f, 2),
        _ => (first & 0x07, 3),
    };
    let (tail, rest) = rest.split_at_checked(more)?;
    let token = tail
        .iter()
        .fold(Token::from(start), |token, &byte| token << 6 | Token::from(byte & 0x3f));
    Some((token, rest))
}

/// Numbers ranks by descending count, then by rank: `(number of each rank, rank of each number)`.
pub(crate) fn by_count(counts: &[u64]) -> (Vec<u32>, Vec<u32>) {
    let mut ranks: Vec<u32> = (0..counts.len() as u32).collect();
    ranks.sort_unstable_by_key(|&rank| (std::cmp::Reverse(counts[rank as usize]), rank));
    let mut numbers = vec![0; counts.len()];
    for (number, &rank) in ranks.iter().enumerate() {
        numbers[rank as usize] = number as u32;
    }
    (numbers, ranks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn codes_are_read_back_and_keep_the_order(one in proptest::collection::vec(0u32..1 << 21, 0..6), other in proptest::collection::vec(0u32..1 << 21, 0..6)) {
            let coded = |tokens: &[Token]| {
                let mut codes = Vec::new();
                tokens.iter().for_each(|&token| write_ordered(token, &mut codes));
                codes
            };
            let mut codes = &coded(&one)[..];
            for &token in &one {
                let (read, rest) = read_ordered(codes).unwrap();
                prop_assert_eq!(read, token);
                codes = rest;
            }
            prop_assert!(codes.is_empty());
            prop_assert_eq!(coded(&one).cmp(&coded(&other)), one.cmp(&other));
        }
    }
}
