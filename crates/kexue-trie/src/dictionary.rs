//! A numbered list of token sequences.

use crate::container::{Container, ContainerWriter};
use crate::elias_fano::{EliasFano, EliasFanoBuilder};
use crate::tokens::{Tokens, TokensBuilder};
use crate::{Result, Token};
use std::io::{Seek, Write};

/// Token sequences by number; the builder of an index numbers the frequent ones first, which keeps their numbers short and the memory that
/// is read for them small.
#[derive(Clone, Debug)]
pub(crate) struct Dictionary {
    ends: EliasFano,
    tokens: Tokens,
}

impl Dictionary {
    pub fn write<'a, W: Write + Seek>(
        prefix: &str,
        entries: impl Iterator<Item = &'a [Token]> + Clone,
        out: &mut ContainerWriter<W>,
    ) -> std::io::Result<()> {
        let largest = entries.clone().flatten().copied().max().unwrap_or_default();
        let mut ends = EliasFanoBuilder::new();
        let mut tokens = TokensBuilder::new(largest);
        ends.push(0);
        for entry in entries {
            entry.iter().for_each(|&token| tokens.push(token));
            ends.push(tokens.len());
        }
        out.section(&format!("{prefix}ends"), &ends.finish())?;
        out.section(&format!("{prefix}tokens"), &tokens.finish())
    }

    pub fn open(container: &Container, prefix: &str) -> Result<Self> {
        let (ends, tokens) = (format!("{prefix}ends"), format!("{prefix}tokens"));
        Ok(Self {
            ends: EliasFano::new(container.section(&ends)?, &ends)?,
            tokens: Tokens::new(container.section(&tokens)?, &tokens)?,
        })
    }

    pub fn len(&self) -> u64 {
        self.ends.len().saturating_sub(1)
    }

    /// The bounds of an entry's tokens.
    #[inline]
    pub fn entry(&self, number: u64) -> Result<std::ops::Range<u64>> {
        self.ends.range(number)
    }

    #[inline]
    pub fn token(&self, at: u64) -> Result<Token> {
        self.tokens.get(at)
    }

    #[inline]
    pub fn append(&self, range: std::ops::Range<u64>, out: &mut Vec<Token>) -> Result<()> {
        self.tokens
            .append(range.start, range.end.saturating_sub(range.start), out)
    }
}
