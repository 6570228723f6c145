//! What every prefix index offers.

use std::ops::ControlFlow;
use thiserror::Error;

/// A token id.
pub type Token = u32;

/// Longest part of a key, in tokens.
pub const MAX_PART: usize = (1 << 21) - 1;

/// The number of a key in its index: keys are numbered from 0, without gaps, in the order in which [`PrefixIndex::completions`] visits them
/// from the root.
pub type Key = u64;

/// Why an index could not answer.
#[derive(Debug, Error)]
pub enum Error {
    /// The file is something else.
    #[error("this is not an index")]
    NotAnIndex,
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file does not hold what its format promises.
    #[error("the index is damaged: {0}; build it again")]
    Damaged(String),
    /// The file has another version of the format.
    #[error(
        "the index has version {found} of the format, and this program reads version {expected}; build it again from its triples"
    )]
    Version {
        /// The file's version.
        found: u32,
        /// What this program reads.
        expected: u32,
    },
    /// A handle that this index did not give out.
    #[error("the handle does not belong to this index")]
    ForeignHandle,
    /// The parts of a batch do not fit together.
    #[error("{0}")]
    Batch(String),
}

/// What an index returns.
pub type Result<T> = std::result::Result<T, Error>;

/// A position in an index: the node that a prefix leads to.
///
/// Handles are small and `Copy`: to step back to a prefix, keep its handle. What the words mean is private to the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub(crate) [u64; 3], pub(crate) u64);

/// What may follow a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The tokens that continue some key, ascending, each once.
    pub tokens: Vec<Token>,
    /// The key that ends exactly here, if one does: the terminal is a choice in its own right, also where tokens follow (a key that is a
    /// prefix of another).
    pub terminal: Option<Key>,
}

impl Allowed {
    /// The number of choices, the terminal counted.
    pub fn len(&self) -> usize {
        self.tokens.len() + usize::from(self.terminal.is_some())
    }

    /// Whether there is no choice at all: a dead end. A non-empty index has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The only choice, if that is a token.
    pub fn forced(&self) -> Option<Token> {
        match (self.tokens.as_slice(), self.terminal) {
            (&[token], None) => Some(token),
            _ => None,
        }
    }
}

/// A set of token sequences (keys) that is queried by prefix.
///
/// Invariants: no position is a dead end (every handle has at least one allowed token or a terminal), `allowed` is sorted, and
/// `step(at, t)` is `Some` exactly for the `t` that `allowed(at)` lists.
pub trait PrefixIndex: Send + Sync {
    /// The number of keys.
    fn len(&self) -> u64;

    /// Whether there are no keys; then the root is the only dead end there is.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The empty prefix.
    fn root(&self) -> Handle;

    /// Fills `allowed` with what may follow, reusing its memory.
    ///
    /// # Errors
    /// If the index is damaged or the handle foreign.
    fn allowed(&self, at: Handle, allowed: &mut Allowed) -> Result<()>;

    /// The position after `token`, `None` where it is not allowed.
    ///
    /// # Errors
    /// If the index is damaged or the handle foreign.
    fn step(&self, at: Handle, token: Token) -> Result<Option<Handle>>;

    /// How many keys begin with this prefix.
    ///
    /// # Errors
    /// If the index is damaged or the handle foreign.
    fn count(&self, at: Handle) -> Result<u64>;

    /// Visits every key that begins with this prefix, in order, as the tokens *after* the prefix and the key's number, until the visitor breaks.
    ///
    /// # Errors
    /// If the index is damaged or the handle foreign.
    fn completions(&self, at: Handle, visit: &mut dyn FnMut(&[Token], Key) -> ControlFlow<()>) -> Result<()>;

    /// Follows the tokens that leave no choice: appends them to `path` and returns the position of the next choice (several tokens, or a terminal).
    ///
    /// # Errors
    /// If the index is damaged or the handle foreign.
    fn forced(&self, mut at: Handle, path: &mut Vec<Token>) -> Result<Handle> {
        let mut allowed = Allowed::default();
        loop {
            self.allowed(at, &mut allowed)?;
            let Some(token) = allowed.forced() else {
                return Ok(at);
            };
            path.push(token);
            at = self
                .step(at, token)?
                .ok_or_else(|| Error::Damaged(format!("token {token} is allowed but leads nowhere")))?;
        }
    }

    /// The position that a prefix leads to, `None` where no key begins so.
    ///
    /// # Errors
    /// If the index is damaged.
    fn find(&self, prefix: &[Token]) -> Result<Option<Handle>> {
        let mut at = self.root();
        for &token in prefix {
            match self.step(at, token)? {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    /// The number of the key that is exactly `tokens`.
    ///
    /// # Errors
    /// If the index is damaged.
    fn get(&self, tokens: &[Token]) -> Result<Option<Key>> {
        let Some(at) = self.find(tokens)? else {
            return Ok(None);
        };
        let mut allowed = Allowed::default();
        self.allowed(at, &mut allowed)?;
        Ok(allowed.terminal)
    }

    /// Fills a bit mask over the vocabulary (bit `t` of word `t / 64`) with the allowed tokens, for decoders that mask logits; tokens beyond the
    /// mask are left out. Returns the terminal.
    ///
    /// # Errors
    /// If the index is damaged or the handle foreign.
    fn allowed_mask(&self, at: Handle, mask: &mut [u64]) -> Result<Option<Key>> {
        let mut allowed = Allowed::default();
        self.allowed(at, &mut allowed)?;
        mask.fill(0);
        for &token in &allowed.tokens {
            if let Some(word) = mask.get_mut(token as usize / 64) {
                *word |= 1 << (token % 64);
            }
        }
        Ok(allowed.terminal)
    }
}
