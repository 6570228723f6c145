//! Interned strings in the order of their tokens.

use crate::interner::Interner;
use kexue_text::{Token, Vocabulary};
use rayon::prelude::*;

/// The distinct token sequences of a set of strings, ascending, and the rank of each string among them.
///
/// Strings whose tokens agree (a vocabulary that folds case) share a rank.
#[derive(Debug)]
pub(crate) struct Sorted {
    tokens: Vec<u16>,
    wide: Vec<Token>,
    ends: Vec<u64>,
    /// Rank of each string.
    pub rank: Vec<u32>,
    /// For each rank a string that has it.
    first: Vec<u32>,
}

impl Sorted {
    pub fn new(strings: &Interner, vocabulary: &Vocabulary) -> Self {
        let narrow = vocabulary.len() <= 1 << 16;
        let (mut tokens, mut wide, mut ends) = (Vec::new(), Vec::new(), Vec::with_capacity(strings.len()));
        let mut scratch = Vec::new();
        for text in strings.iter() {
            scratch.clear();
            vocabulary.encode_into(text, &mut scratch);
            if narrow {
                tokens.extend(scratch.iter().map(|&token| token as u16));
                ends.push(tokens.len() as u64);
            } else {
                wide.extend_from_slice(&scratch);
                ends.push(wide.len() as u64);
            }
        }
        let mut sorted = Self {
            tokens,
            wide,
            ends,
            rank: Vec::new(),
            first: Vec::new(),
        };
        sorted.sort(narrow);
        sorted
    }

    fn range(&self, string: u32) -> std::ops::Range<usize> {
        let string = string as usize;
        let start = if string == 0 { 0 } else { self.ends[string - 1] };
        start as usize..self.ends[string] as usize
    }

    fn sort(&mut self, narrow: bool) {
        // Most comparisons are decided by the first tokens, kept beside the number; a missing token counts as 0, which is no token of text.
        let mut order: Vec<(u64, u32)> = (0..self.ends.len() as u32)
            .into_par_iter()
            .map(|string| {
                let range = self.range(string);
                let head = if narrow {
                    let text = &self.tokens[range];
                    (0..4).fold(0, |head, place| {
                        head << 16 | u64::from(text.get(place).copied().unwrap_or(0))
                    })
                } else {
                    let text = &self.wide[range];
                    (0..2).fold(0, |head, place| {
                        head << 32 | u64::from(text.get(place).copied().unwrap_or(0))
                    })
                };
                (head, string)
            })
            .collect();
        let same_head = |one: u32, other: u32| {
            if narrow {
                self.tokens[self.range(one)].cmp(&self.tokens[self.range(other)])
            } else {
                self.wide[self.range(one)].cmp(&self.wide[self.range(other)])
            }
        };
        order.par_sort_unstable_by(|one, other| {
            one.0
                .cmp(&other.0)
                .then_with(|| same_head(one.1, other.1))
                .then(one.1.cmp(&other.1))
        });
        let mut first: Vec<u32> = Vec::with_capacity(order.len());
        let mut rank = vec![0; order.len()];
        for &(_, string) in &order {
            if first
                .last()
                .is_none_or(|&last| same_head(last, string) != std::cmp::Ordering::Equal)
            {
                first.push(string);
            }
            rank[string as usize] = first.len() as u32 - 1;
        }
        self.rank = rank;
        self.first = first;
    }

    /// The number of ranks.
    pub fn len(&self) -> usize {
        self.first.len()
    }

    /// Appends the tokens of a rank.
    pub fn append(&self, rank: u32, out: &mut Vec<Token>) {
        let range = self.range(self.first[rank as usize]);
        if self.wide.is_empty() {
            out.extend(self.tokens[range].iter().map(|&token| Token::from(token)));
        } else {
            out.extend_from_slice(&self.wide[range]);
        }
    }
}

/// Numbers ranks by falling count, then by rank: `(number of each rank, rank of each number)`.
pub(crate) fn by_count(counts: &[u64]) -> (Vec<u32>, Vec<u32>) {
    let mut ranks: Vec<u32> = (0..counts.len() as u32).collect();
    ranks.sort_unstable_by_key(|&rank| (std::cmp::Reverse(counts[rank as usize]), rank));
    let mut numbers = vec![0; counts.len()];
    for (number, &rank) in ranks.iter().enumerate() {
        numbers[rank as usize] = number as u32;
    }
    (numbers, ranks)
}
