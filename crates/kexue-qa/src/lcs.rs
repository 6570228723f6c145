//! The longest common subsequence with a question, kept up to date token by token.

use kexue_trie::Token;

/// The positions of each token in a question, as bit masks.
///
/// The algorithm is bit-parallel (Hyyrö, 2004): a token costs a few word operations for every 64 tokens of the question.
#[derive(Clone, Debug)]
pub struct QuestionLcs {
    words: usize,
    length: usize,
    /// The distinct tokens of the question, ascending.
    tokens: Vec<Token>,
    /// `words` masks for each of them.
    masks: Vec<u64>,
}

/// The state of the longest common subsequence with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LcsState(Vec<u64>);

impl QuestionLcs {
    /// Prepares a question.
    pub fn new(question: &[Token]) -> Self {
        let words = question.len().div_ceil(64).max(1);
        let mut tokens = question.to_vec();
        tokens.sort_unstable();
        tokens.dedup();
        let mut masks = vec![0; tokens.len() * words];
        for (position, token) in question.iter().enumerate() {
            if let Ok(index) = tokens.binary_search(token) {
                masks[index * words + position / 64] |= 1 << (position % 64);
            }
        }
        Self {
            words,
            length: question.len(),
            tokens,
            masks,
        }
    }

    /// The state of the empty prefix.
    pub fn start(&self) -> LcsState {
        LcsState(vec![u64::MAX; self.words])
    }

    /// Appends a token to the prefix.
    pub fn advance(&self, state: &mut LcsState, token: Token) {
        let Ok(index) = self.tokens.binary_search(&token) else {
            return;
        };
        let mut carry = false;
        for (v, &mask) in state.0.iter_mut().zip(&self.masks[index * self.words..]) {
            let matched = *v & mask;
            let (sum, first) = v.overflowing_add(matched);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            carry = first || second;
            *v = sum | (*v & !mask);
        }
    }

    /// The length of the longest common subsequence of the question and the prefix.
    pub fn length(&self, state: &LcsState) -> usize {
        let unmatched: usize = state
            .0
            .iter()
            .enumerate()
            .map(|(word, v)| {
                let bits = self.length.saturating_sub(word * 64).min(64);
                let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
                (v & mask).count_ones() as usize
            })
            .sum();
        self.length - unmatched
    }
}

/// The length of the longest common subsequence of two texts, over characters.
pub fn lcs_of_texts(a: &str, b: &str) -> usize {
    let tokens = |text: &str| text.chars().map(Token::from).collect::<Vec<_>>();
    let lcs = QuestionLcs::new(&tokens(a));
    let mut state = lcs.start();
    for token in tokens(b) {
        lcs.advance(&mut state, token);
    }
    lcs.length(&state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(a: &[Token], b: &[Token]) -> usize {
        let mut row = vec![0; a.len() + 1];
        for y in b {
            let mut diagonal = 0;
            for (i, x) in a.iter().enumerate() {
                let up = row[i + 1];
                row[i + 1] = if x == y { diagonal + 1 } else { up.max(row[i]) };
                diagonal = up;
            }
        }
        row[a.len()]
    }

    proptest! {
        #[test]
        fn agrees_with_the_table(
            a in proptest::collection::vec(0u32..6, 0..150),
            b in proptest::collection::vec(0u32..8, 0..150),
        ) {
            let lcs = QuestionLcs::new(&a);
            let mut state = lcs.start();
            for (taken, &token) in b.iter().enumerate() {
                prop_assert_eq!(lcs.length(&state), naive(&a, &b[..taken]));
                lcs.advance(&mut state, token);
            }
            prop_assert_eq!(lcs.length(&state), naive(&a, &b));
        }
    }

    #[test]
    fn texts() {
        assert_eq!(lcs_of_texts("牛郎织女", "织女星"), 2);
        assert_eq!(lcs_of_texts("", "x"), 0);
    }
}
