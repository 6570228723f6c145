//! Interned strings in the order of their tokens.

use crate::interner::Interner;
use kexue_text::{Token, Vocabulary};
use rayon::prelude::*;

/// The distinct token sequences of a set of strings, ascending, and the rank of each string among them.
///
/// Strings whose tokens agree (a vocabulary that folds case) share a rank.
#[derive(Debug)]
pub(crate) struct Sorted {
    tokens: Vec<Token>,
    ends: Vec<u64>,
    /// Rank of each string.
    pub rank: Vec<u32>,
    /// For each rank the first string that has it.
    pub first: Vec<u32>,
}

impl Sorted {
    pub fn new(strings: &Interner, vocabulary: &Vocabulary) -> Self {
        let (mut tokens, mut ends) = (Vec::new(), Vec::with_capacity(strings.len()));
        for text in strings.iter() {
            vocabulary.encode_into(text, &mut tokens);
            ends.push(tokens.len() as u64);
        }
        let mut sorted = Self {
            tokens,
            ends,
            rank: Vec::new(),
            first: Vec::new(),
        };
        sorted.sort();
        sorted
    }

    fn of_string(&self, string: u32) -> &[Token] {
        let string = string as usize;
        let start = if string == 0 { 0 } else { self.ends[string - 1] };
        &self.tokens[start as usize..self.ends[string] as usize]
    }

    fn sort(&mut self) {
        // Most comparisons are decided by the first tokens, kept beside the number.
        let mut order: Vec<(u64, u32)> = (0..self.ends.len() as u32)
            .map(|string| (head(self.of_string(string)), string))
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

    /// The tokens of a rank.
    pub fn tokens(&self, rank: u32) -> &[Token] {
        self.of_string(self.first[rank as usize])
    }
}

/// The first three tokens as a number, in the order of the tokens; a missing one counts as 0, which is no token of text.
pub(crate) fn head(tokens: &[Token]) -> u64 {
    (0..3).fold(0, |head, place| {
        head << 21 | u64::from(tokens.get(place).copied().unwrap_or(0).min((1 << 21) - 1))
    })
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
