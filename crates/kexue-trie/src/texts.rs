//! Token sequences, packed: a byte for a frequent token, two for the others; and a numbered list of them.
//!
//! ```text
//! text  = frequent u32 · that many tokens u32 · codes
//! code  = b               the token number b of the frequent ones, where b is below their number
//!       | b c             the token (b - frequent) << 8 | c, where b is below 255
//!       | 255 t t t t     the token t
//! ends  = where the codes of each sequence end, in bytes from the first code, a 0 before them:
//!         Elias–Fano, or where they are asked for often eight bytes of ones and an array of numbers of three bytes
//! ```

use crate::bytes::{Bytes, prefetch, word};
use crate::container::{Container, ContainerWriter};
use crate::elias_fano::{EliasFano, EliasFanoBuilder};
use crate::index::{Error, Result, Token};
use std::collections::HashMap;
use std::io::{Seek, Write};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Bytes of a number in an array of ends.
const DIRECT: usize = 3;
/// The byte before a token that is written out.
const WHOLE: u8 = 255;

/// How often each token occurs.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenCounts {
    small: Vec<u64>,
    others: HashMap<Token, u64>,
}

/// Tokens that are counted in a list.
const SMALL: usize = 1 << 16;

impl TokenCounts {
    pub fn add(&mut self, tokens: &[Token]) {
        self.small.resize(SMALL, 0);
        for &token in tokens {
            match self.small.get_mut(token as usize) {
                Some(count) => *count += 1,
                None => *self.others.entry(token).or_default() += 1,
            }
        }
    }
}

/// Codes chosen by how often each token occurs.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    frequent: Vec<Token>,
    /// Codes of the frequent tokens that are small, [`WHOLE`] for the others, and those of the rest.
    small: Vec<u8>,
    others: HashMap<Token, u8>,
}

impl Encoder {
    pub fn new(counts: &TokenCounts) -> Self {
        let small = (0..).zip(counts.small.iter().copied()).filter(|&(_, count)| count > 0);
        let mut order: Vec<(u64, Token)> = small
            .chain(counts.others.iter().map(|(&token, &count)| (token, count)))
            .map(|(token, count)| (count, token))
            .collect();
        order.sort_unstable_by_key(|&(count, token)| (std::cmp::Reverse(count), token));
        // Two bytes must reach the largest token, as long as that leaves enough single ones.
        let largest = order.iter().map(|&(_, token)| token).max().unwrap_or_default();
        order.truncate((255 - (largest / 256 + 1).min(191)) as usize);
        let mut encoder = Self {
            frequent: order.into_iter().map(|(_, token)| token).collect(),
            small: vec![WHOLE; SMALL],
            others: HashMap::new(),
        };
        for (code, &token) in (0u8..).zip(&encoder.frequent) {
            match encoder.small.get_mut(token as usize) {
                Some(slot) => *slot = code,
                None => {
                    encoder.others.insert(token, code);
                }
            }
        }
        encoder
    }

    /// What stands before the codes.
    pub fn head(&self) -> Vec<u8> {
        let mut head = (self.frequent.len() as u32).to_le_bytes().to_vec();
        head.extend(self.frequent.iter().flat_map(|token| token.to_le_bytes()));
        head
    }

    /// Appends the codes of a sequence.
    pub fn encode(&self, tokens: &[Token], codes: &mut Vec<u8>) {
        let frequent = self.frequent.len() as u32;
        for &token in tokens {
            let single = match self.small.get(token as usize) {
                Some(&code) => code,
                None => self.others.get(&token).copied().unwrap_or(WHOLE),
            };
            let first = (token >> 8) + frequent;
            if single != WHOLE {
                codes.push(single);
            } else if first < u32::from(WHOLE) {
                codes.extend([first as u8, token as u8]);
            } else {
                codes.push(WHOLE);
                codes.extend(token.to_le_bytes());
            }
        }
    }
}

/// Calls what it is given with each sequence of a list, in order; it is called more than once.
pub type Sequences<'a> = dyn Fn(&mut dyn FnMut(&[Token])) + 'a;

/// Writes a numbered list: the sections `prefix` + `ends` and `prefix` + `text`; with `direct`, the ends as an array where they fit.
pub(crate) fn write_texts<W: Write + Seek>(
    sequences: &Sequences<'_>,
    prefix: &str,
    direct: bool,
    out: &mut ContainerWriter<W>,
) -> std::io::Result<()> {
    let mut counts = TokenCounts::default();
    sequences(&mut |tokens| counts.add(tokens));
    let encoder = Encoder::new(&counts);
    out.section(&format!("{prefix}text"), &encoder.head())?;
    let mut ends = EliasFanoBuilder::new();
    ends.push(0);
    let mut array = u64::MAX.to_le_bytes().to_vec();
    array.extend([0; DIRECT]);
    let (mut codes, mut end, mut written) = (Vec::new(), 0, Ok(()));
    sequences(&mut |tokens| {
        let before = codes.len();
        encoder.encode(tokens, &mut codes);
        end += (codes.len() - before) as u64;
        ends.push(end);
        if direct {
            array.extend_from_slice(&(end as u32).to_le_bytes()[..DIRECT]);
        }
        if codes.len() >= 1 << 16 {
            if written.is_ok() {
                written = out.write_all(&codes);
            }
            codes.clear();
        }
    });
    written?;
    out.write_all(&codes)?;
    if direct && end < 1 << 24 {
        // So that any two can be read as a word.
        array.extend([0; 8 - DIRECT]);
        return out.section(&format!("{prefix}ends"), &array);
    }
    out.section(&format!("{prefix}ends"), &ends.finish())
}

#[derive(Clone, Debug)]
enum Ends {
    Coded(EliasFano),
    Direct(Bytes),
}

/// The codes of token sequences.
#[derive(Clone, Debug)]
pub(crate) struct Codes {
    /// Number of frequent tokens, and for each first byte its token, or the upper bits of the token that the next byte completes.
    frequent: u8,
    firsts: Box<[Token; 256]>,
    codes: Bytes,
}

fn damaged() -> Error {
    Error::Damaged("a sequence of tokens is cut off".into())
}

impl Codes {
    pub fn open(container: &Container, name: &str) -> Result<Self> {
        let text = container.section(name)?;
        let frequent = text
            .first_chunk()
            .map(|&bytes| u32::from_le_bytes(bytes))
            .ok_or_else(damaged)?;
        let frequent =
            u8::try_from(frequent).map_err(|_| Error::Damaged(format!("`{name}` has too many frequent tokens")))?;
        let head = 4 + 4 * usize::from(frequent);
        let singles = text.get(4..head).ok_or_else(damaged)?;
        let mut firsts = Box::new([0; 256]);
        let tokens = singles.as_chunks().0.iter().map(|&token| Token::from_le_bytes(token));
        let pairs = (0..).map(|upper| upper << 8);
        for (first, token) in firsts.iter_mut().zip(tokens.chain(pairs)) {
            *first = token;
        }
        Ok(Self {
            frequent,
            firsts,
            codes: text.slice(head..text.len()).ok_or_else(damaged)?,
        })
    }

    /// The bytes of all codes.
    pub fn len(&self) -> u64 {
        self.codes.len() as u64
    }

    /// The word at a byte of the codes.
    pub fn word(&self, at: u64) -> Option<u64> {
        word(&self.codes, usize::try_from(at).ok()?)
    }

    /// Asks for the memory of the code at a byte.
    #[inline(always)]
    pub fn expect(&self, at: u64) {
        prefetch(&self.codes, usize::try_from(at).unwrap_or(usize::MAX));
    }

    /// The token whose code stands at `*at`, which moves behind it.
    #[inline(always)]
    pub fn next(&self, at: &mut u64) -> Result<Token> {
        let mut place = usize::try_from(*at).map_err(|_| damaged())?;
        let token = self.try_next(&self.codes, &mut place).ok_or_else(damaged)?;
        *at = place as u64;
        Ok(token)
    }

    #[inline(always)]
    fn try_next(&self, codes: &[u8], at: &mut usize) -> Option<Token> {
        let first = *codes.get(*at)?;
        *at += 1;
        let token = self.firsts[usize::from(first)];
        if first < self.frequent {
            return Some(token);
        }
        if first < WHOLE {
            let second = *codes.get(*at)?;
            *at += 1;
            return Some(token | Token::from(second));
        }
        let whole = codes.get(*at..)?.first_chunk()?;
        *at += 4;
        Some(Token::from_le_bytes(*whole))
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
    /// The first tokens of the first sequences, [`UNKNOWN`] where they do not fit; read when they are first asked for.
    firsts: Arc<OnceLock<Vec<u16>>>,
}

/// Sequences whose first tokens are kept at hand.
const FIRSTS: u64 = 1 << 16;
const UNKNOWN: u16 = u16::MAX;

impl Texts {
    pub fn open(container: &Container, prefix: &str) -> Result<Self> {
        let name = format!("{prefix}ends");
        let ends = container.section(&name)?;
        let ends = if ends.get(..8) == Some(&[0xff; 8]) {
            let array = ends.slice(8..ends.len()).ok_or_else(damaged)?;
            if array.len() < 8 || !(array.len() - (8 - DIRECT)).is_multiple_of(DIRECT) {
                return Err(Error::Damaged(format!("the numbers of `{name}` are cut off")));
            }
            Ends::Direct(array)
        } else {
            Ends::Coded(EliasFano::new(ends, &name)?)
        };
        Ok(Self {
            ends,
            codes: Codes::open(container, &format!("{prefix}text"))?,
            firsts: Arc::default(),
        })
    }

    /// The number of sequences.
    pub fn len(&self) -> u64 {
        match &self.ends {
            Ends::Coded(ends) => ends.len().saturating_sub(1),
            Ends::Direct(ends) => ((ends.len() - (8 - DIRECT)) / DIRECT - 1) as u64,
        }
    }

    /// The first token of a sequence, where it is at hand.
    #[inline]
    pub fn first(&self, number: u32) -> Option<Token> {
        let firsts = self.firsts.get_or_init(|| {
            let first = |number| {
                let range = self.range(number).ok().filter(|range| !range.is_empty())?;
                u16::try_from(self.codes.next(&mut { range.start }).ok()?).ok()
            };
            (0..self.len().min(FIRSTS))
                .map(|number| first(number).unwrap_or(UNKNOWN))
                .collect()
        });
        let first = *firsts.get(number as usize)?;
        (first != UNKNOWN).then_some(Token::from(first))
    }

    /// Where the codes of a sequence stand.
    #[inline]
    pub fn range(&self, number: u64) -> Result<Range<u64>> {
        match &self.ends {
            Ends::Coded(ends) => ends.range(number),
            Ends::Direct(ends) => {
                let read = || {
                    let pair = word(ends, usize::try_from(number).ok()?.checked_mul(DIRECT)?)?;
                    let (start, end) = (pair & 0xff_ffff, pair >> 24 & 0xff_ffff);
                    (number < self.len() && start <= end).then_some(start..end)
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
            let mut out = ContainerWriter::new(Cursor::new(Vec::new())).unwrap();
            write_texts(&|visit| sequences.iter().for_each(|sequence| visit(sequence)), "t.", direct, &mut out).unwrap();
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
