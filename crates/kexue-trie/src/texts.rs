//! A numbered list of token sequences, packed: a byte for a frequent token, two for the others.
//!
//! ```text
//! text  = frequent u32 · that many tokens u32 · codes
//! code  = b               the token number b of the frequent ones, where b is below their number
//!       | b c             the token (b - frequent) << 8 | c, where b is below 255
//!       | 255 t t t t     the token t
//! ends  = where the codes of each sequence end, in bytes from the first code, a 0 before them:
//!         Elias–Fano, or where they are asked for often an array of u32
//! ```

use crate::bytes::Bytes;
use crate::container::{Container, ContainerWriter};
use crate::elias_fano::{EliasFano, EliasFanoBuilder};
use crate::varint::{read_varint, write_varint};
use crate::{Error, Result, Token};
use std::collections::HashMap;
use std::io::{Seek, Write};
use std::ops::Range;

/// The byte before a token that is written out.
const WHOLE: u8 = 255;

/// Collects sequences.
#[derive(Clone, Debug, Default)]
pub(crate) struct TextsBuilder {
    tokens: Vec<Token>,
    ends: Vec<u64>,
}

impl TextsBuilder {
    pub fn push(&mut self, tokens: &[Token]) {
        self.tokens.extend_from_slice(tokens);
        self.ends.push(self.tokens.len() as u64);
    }

    /// Writes the sections `prefix` + `ends` and `prefix` + `text`; with `direct`, the ends as an array where they fit.
    pub fn write<W: Write + Seek>(
        &self,
        prefix: &str,
        direct: bool,
        out: &mut ContainerWriter<W>,
    ) -> std::io::Result<()> {
        let (text, starts) = self.encode(false);
        let mut ends = EliasFanoBuilder::new();
        starts.iter().for_each(|&start| ends.push(start));
        let name = format!("{prefix}ends");
        if direct && starts.last().is_some_and(|&last| last <= u64::from(u32::MAX)) {
            let mut bytes = Vec::with_capacity(8 + 4 * starts.len());
            bytes.extend(u64::MAX.to_le_bytes());
            starts
                .iter()
                .for_each(|&start| bytes.extend((start as u32).to_le_bytes()));
            out.section(&name, &bytes)?;
        } else {
            out.section(&name, &ends.finish())?;
        }
        out.section(&format!("{prefix}text"), &text)
    }

    /// The text, and where each sequence starts in its codes, the end last. With `lengths`, each begins with the number of its bytes.
    pub fn encode(&self, lengths: bool) -> (Vec<u8>, Vec<u64>) {
        let mut counts: HashMap<Token, u64> = HashMap::new();
        for &token in &self.tokens {
            *counts.entry(token).or_default() += 1;
        }
        let mut order: Vec<(u64, Token)> = counts.into_iter().map(|(token, count)| (count, token)).collect();
        order.sort_unstable_by_key(|&(count, token)| (std::cmp::Reverse(count), token));
        // Two bytes must reach the largest token, as long as that leaves enough single ones.
        let largest = order.iter().map(|&(_, token)| token).max().unwrap_or_default();
        let frequent = 255 - (largest / 256 + 1).min(191);
        order.truncate(frequent as usize);
        let frequent = order.len() as u32;
        let singles: HashMap<Token, u8> = order.iter().zip(0..).map(|(&(_, token), code)| (token, code)).collect();

        let mut text = Vec::with_capacity(self.tokens.len() * 3 / 2);
        text.extend(frequent.to_le_bytes());
        order.iter().for_each(|(_, token)| text.extend(token.to_le_bytes()));
        let head = text.len();
        let mut starts = Vec::with_capacity(self.ends.len() + 1);
        let mut codes = Vec::new();
        let mut start = 0;
        for &end in &self.ends {
            starts.push((text.len() - head) as u64);
            codes.clear();
            for token in &self.tokens[start as usize..end as usize] {
                match singles.get(token) {
                    Some(&code) => codes.push(code),
                    None => {
                        let first = (token >> 8) + frequent;
                        if first < u32::from(WHOLE) {
                            codes.extend([first as u8, *token as u8]);
                        } else {
                            codes.push(WHOLE);
                            codes.extend(token.to_le_bytes());
                        }
                    }
                }
            }
            if lengths {
                write_varint(codes.len() as u64, &mut text);
            }
            text.extend_from_slice(&codes);
            start = end;
        }
        starts.push((text.len() - head) as u64);
        (text, starts)
    }
}

#[derive(Clone, Debug)]
enum Ends {
    Coded(EliasFano),
    Direct(Bytes),
}

/// The codes of token sequences.
#[derive(Clone, Debug)]
pub(crate) struct Codes {
    frequent: Bytes,
    codes: Bytes,
}

fn damaged() -> Error {
    Error::Damaged("a sequence of tokens is cut off".into())
}

impl Codes {
    pub fn open(container: &Container, name: &str) -> Result<Self> {
        let text = container.section(name)?;
        let frequent: [u8; 4] = text
            .get(..4)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(damaged)?;
        let frequent = u32::from_le_bytes(frequent);
        if frequent > u32::from(WHOLE) {
            return Err(Error::Damaged(format!("`{name}` has too many frequent tokens")));
        }
        let head = 4 + 4 * frequent as usize;
        Ok(Self {
            frequent: text.slice(4..head).ok_or_else(damaged)?,
            codes: text.slice(head..text.len()).ok_or_else(damaged)?,
        })
    }

    /// The bytes of all codes.
    pub fn len(&self) -> u64 {
        self.codes.len() as u64
    }

    /// The range of the sequence with its length before it that is `skipped` such sequences behind `start`.
    #[inline]
    pub fn with_length(&self, start: u64, skipped: u32) -> Result<Range<u64>> {
        let codes = self.codes.as_slice();
        let mut at = usize::try_from(start).map_err(|_| damaged())?;
        for _ in 0..skipped {
            let length = read_varint(codes, &mut at).ok_or_else(damaged)?;
            at = usize::try_from(length)
                .ok()
                .and_then(|length| at.checked_add(length))
                .ok_or_else(damaged)?;
        }
        let length = read_varint(codes, &mut at).ok_or_else(damaged)?;
        let end = (at as u64).checked_add(length).filter(|&end| end <= codes.len() as u64);
        Ok(at as u64..end.ok_or_else(damaged)?)
    }

    /// The token whose code stands at `*at`, which moves behind it.
    #[inline]
    pub fn next(&self, at: &mut u64) -> Result<Token> {
        let mut place = usize::try_from(*at).map_err(|_| damaged())?;
        let token = self.try_next(&self.codes, &mut place).ok_or_else(damaged)?;
        *at = place as u64;
        Ok(token)
    }

    #[inline]
    fn try_next(&self, codes: &[u8], at: &mut usize) -> Option<Token> {
        let frequent = self.frequent.as_slice();
        let first = *codes.get(*at)?;
        let place = 4 * usize::from(first);
        if let Some(token) = frequent.get(place..place + 4) {
            *at += 1;
            return Some(Token::from_le_bytes(token.try_into().ok()?));
        }
        if first < WHOLE {
            let second = *codes.get(*at + 1)?;
            *at += 2;
            return Some(((Token::from(first) - (frequent.len() / 4) as Token) << 8) | Token::from(second));
        }
        let whole = codes.get(*at + 1..*at + 5)?;
        *at += 5;
        Some(Token::from_le_bytes(whole.try_into().ok()?))
    }

    /// Appends the tokens whose codes stand in a range.
    #[inline]
    pub fn append(&self, range: Range<u64>, out: &mut Vec<Token>) -> Result<()> {
        let mut read = || {
            let codes = self
                .codes
                .get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)?;
            let mut at = 0;
            while at < codes.len() {
                out.push(self.try_next(codes, &mut at)?);
            }
            Some(())
        };
        read().ok_or_else(damaged)
    }

    /// Moves over `count` tokens; false where the range has fewer.
    #[inline]
    pub fn skip(&self, range: &mut Range<u64>, count: u64) -> Result<bool> {
        for _ in 0..count {
            if range.is_empty() {
                return Ok(false);
            }
            self.next(&mut range.start)?;
        }
        Ok(range.start <= range.end)
    }
}

/// Packed token sequences by number.
#[derive(Clone, Debug)]
pub(crate) struct Texts {
    ends: Ends,
    pub codes: Codes,
}

impl Texts {
    pub fn open(container: &Container, prefix: &str) -> Result<Self> {
        let name = format!("{prefix}ends");
        let ends = container.section(&name)?;
        let ends = if ends.get(..8) == Some(&[0xff; 8]) {
            let array = ends.slice(8..ends.len()).ok_or_else(damaged)?;
            if array.len() % 4 != 0 || array.is_empty() {
                return Err(Error::Damaged(format!("the numbers of `{name}` are cut off")));
            }
            Ends::Direct(array)
        } else {
            Ends::Coded(EliasFano::new(ends, &name)?)
        };
        Ok(Self {
            ends,
            codes: Codes::open(container, &format!("{prefix}text"))?,
        })
    }

    /// The number of sequences.
    pub fn len(&self) -> u64 {
        match &self.ends {
            Ends::Coded(ends) => ends.len().saturating_sub(1),
            Ends::Direct(ends) => (ends.len() as u64 / 4).saturating_sub(1),
        }
    }

    /// Where the codes of a sequence stand.
    #[inline]
    pub fn range(&self, number: u64) -> Result<Range<u64>> {
        match &self.ends {
            Ends::Coded(ends) => ends.range(number),
            Ends::Direct(ends) => {
                let read = || {
                    let at = usize::try_from(number).ok()?.checked_mul(4)?;
                    let pair = u64::from_le_bytes(ends.get(at..at.checked_add(8)?)?.try_into().ok()?);
                    let (start, end) = (pair & u64::from(u32::MAX), pair >> 32);
                    (start <= end).then_some(start..end)
                };
                read().ok_or_else(damaged)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    proptest! {
        #[test]
        fn reads_back_what_was_put_in(
            sequences in proptest::collection::vec(proptest::collection::vec((any::<u32>(), 0u32..32).prop_map(|(token, shift)| token >> shift), 0..12), 0..30),
            direct: bool,
        ) {
            let mut builder = TextsBuilder::default();
            sequences.iter().for_each(|sequence| builder.push(sequence));
            let mut out = ContainerWriter::new(Cursor::new(Vec::new())).unwrap();
            builder.write("t.", direct, &mut out).unwrap();
            let container = Container::open(out.finish().unwrap().into_inner().into()).unwrap();
            let texts = Texts::open(&container, "t.").unwrap();
            prop_assert_eq!(texts.len(), sequences.len() as u64);
            for (number, sequence) in sequences.iter().enumerate() {
                let range = texts.range(number as u64).unwrap();
                let mut read = Vec::new();
                texts.codes.append(range.clone(), &mut read).unwrap();
                prop_assert_eq!(&read, sequence);
                let mut rest = range.clone();
                prop_assert!(texts.codes.skip(&mut rest, sequence.len() as u64).unwrap());
                prop_assert!(rest.is_empty());
                prop_assert!(!texts.codes.skip(&mut rest, 1).unwrap());
            }
            prop_assert!(texts.range(sequences.len() as u64).is_err());
        }
    }
}
