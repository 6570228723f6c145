//! A packed array of tokens: two bytes each where every token fits, four otherwise.

use crate::bytes::Bytes;
use crate::{Error, Result, Token};

/// Writes tokens one after another.
#[derive(Clone, Debug)]
pub(crate) struct TokensBuilder {
    bytes: Vec<u8>,
    wide: bool,
}

impl TokensBuilder {
    /// For tokens up to `largest`.
    pub fn new(largest: Token) -> Self {
        let wide = largest > Token::from(u16::MAX);
        Self {
            bytes: vec![u8::from(wide), 0, 0, 0],
            wide,
        }
    }

    pub fn push(&mut self, token: Token) {
        if self.wide {
            self.bytes.extend(token.to_le_bytes());
        } else {
            self.bytes.extend((token as u16).to_le_bytes());
        }
    }

    pub fn len(&self) -> u64 {
        (self.bytes.len() as u64 - 4) / if self.wide { 4 } else { 2 }
    }

    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// A packed array of tokens.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    bytes: Bytes,
    wide: bool,
}

fn damaged() -> Error {
    Error::Damaged("a list of tokens is cut off".into())
}

impl Tokens {
    pub fn new(bytes: Bytes, name: &str) -> Result<Self> {
        let wide = match bytes.get(..4) {
            Some([0, 0, 0, 0]) => false,
            Some([1, 0, 0, 0]) => true,
            _ => return Err(Error::Damaged(format!("the tokens of `{name}` have no known width"))),
        };
        let body = bytes.slice(4..bytes.len()).ok_or_else(damaged)?;
        if body.len() % if wide { 4 } else { 2 } != 0 {
            return Err(Error::Damaged(format!("the tokens of `{name}` are cut off")));
        }
        Ok(Self { bytes: body, wide })
    }

    pub fn len(&self) -> u64 {
        (self.bytes.len() / if self.wide { 4 } else { 2 }) as u64
    }

    #[inline]
    pub fn get(&self, index: u64) -> Result<Token> {
        self.try_get(index).ok_or_else(damaged)
    }

    #[inline]
    fn try_get(&self, index: u64) -> Option<Token> {
        let index = usize::try_from(index).ok()?;
        if self.wide {
            let at = index.checked_mul(4)?;
            Some(Token::from_le_bytes(
                self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
            ))
        } else {
            let at = index.checked_mul(2)?;
            Some(Token::from(u16::from_le_bytes(
                self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?,
            )))
        }
    }

    /// Appends `count` tokens from `start`.
    #[inline]
    pub fn append(&self, start: u64, count: u64, out: &mut Vec<Token>) -> Result<()> {
        let size = if self.wide { 4 } else { 2 };
        let range = || {
            let start = usize::try_from(start).ok()?.checked_mul(size)?;
            let end = start.checked_add(usize::try_from(count).ok()?.checked_mul(size)?)?;
            self.bytes.get(start..end)
        };
        let bytes = range().ok_or_else(damaged)?;
        if self.wide {
            out.extend(
                bytes
                    .chunks_exact(4)
                    .map(|token| Token::from_le_bytes([token[0], token[1], token[2], token[3]])),
            );
        } else {
            out.extend(
                bytes
                    .chunks_exact(2)
                    .map(|token| Token::from(u16::from_le_bytes([token[0], token[1]]))),
            );
        }
        Ok(())
    }

    /// Where `token` stands among the `count` ascending tokens from `start`.
    #[inline]
    pub fn search(&self, start: u64, count: u64, token: Token) -> Result<Option<u64>> {
        let (mut low, mut size) = (start, count);
        while size > 0 {
            let half = size / 2;
            let middle = low + half;
            match self.get(middle)?.cmp(&token) {
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
                std::cmp::Ordering::Less => {
                    low = middle + 1;
                    size -= half + 1;
                }
                std::cmp::Ordering::Greater => size = half,
            }
        }
        Ok(None)
    }
}
