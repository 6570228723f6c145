//! A short code for text: a byte for a frequent character, two for most others.
//!
//! ```text
//! code = b          character b of the table, where b is below 192
//!      | b c        character 192 + ((b - 192) << 8 | c) of the table, where b is below 255
//!      | 255 c c c  the code point
//! ```
//!
//! Zstandard works on bytes. It compresses codes of one or two bytes better than UTF-8, which needs three bytes for a Chinese character.

use std::collections::HashMap;

const SINGLES: usize = 192;
const TABLE: usize = SINGLES + (255 - SINGLES) * 256;
const WHOLE: u8 = 255;
/// The code of a character that is not in the table.
const NONE: u16 = u16::MAX;

/// Encodes text.
pub(crate) struct CharacterEncoder {
    characters: Vec<char>,
    basic: Vec<u16>,
    supplementary: HashMap<char, u16>,
}

impl CharacterEncoder {
    /// Creates an encoder with a table of the most frequent characters of `sample`.
    pub fn new(sample: &str) -> Self {
        let mut counts: HashMap<char, u64> = HashMap::new();
        for character in sample.chars() {
            *counts.entry(character).or_default() += 1;
        }
        let mut order: Vec<(char, u64)> = counts.into_iter().collect();
        order.sort_unstable_by_key(|&(character, count)| (std::cmp::Reverse(count), character));
        order.truncate(TABLE);
        let mut encoder = Self {
            characters: order.into_iter().map(|(character, _)| character).collect(),
            basic: vec![NONE; 1 << 16],
            supplementary: HashMap::new(),
        };
        for (place, &character) in (0u16..).zip(&encoder.characters) {
            match encoder.basic.get_mut(character as usize) {
                Some(slot) => *slot = place,
                None => {
                    encoder.supplementary.insert(character, place);
                }
            }
        }
        encoder
    }

    /// The table as text.
    pub fn table(&self) -> String {
        self.characters.iter().collect()
    }

    /// Appends the codes of a text, given as UTF-8, and returns their number of bytes.
    pub fn encode(&self, text: &[u8], codes: &mut Vec<u8>) -> usize {
        let before = codes.len();
        codes.reserve(4 * text.len());
        for character in Characters(text) {
            let place = match self.basic.get(character as usize) {
                Some(&place) => place,
                None => char::from_u32(character)
                    .and_then(|character| self.supplementary.get(&character).copied())
                    .unwrap_or(NONE),
            };
            if usize::from(place) < SINGLES {
                codes.push(place as u8);
            } else if place != NONE {
                let rest = place - SINGLES as u16;
                codes.extend([(rest >> 8) as u8 + SINGLES as u8, rest as u8]);
            } else {
                let [one, two, three, _] = character.to_le_bytes();
                codes.extend([WHOLE, one, two, three]);
            }
        }
        codes.len() - before
    }
}

/// The code points of valid UTF-8, which was checked when it was read.
struct Characters<'a>(&'a [u8]);

impl Iterator for Characters<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        let low = |byte: u8| u32::from(byte & 0x3f);
        let (character, rest) = match *self.0 {
            [] => return None,
            [one @ ..0x80, ref rest @ ..] => (u32::from(one), rest),
            [one @ 0xe0..0xf0, two, three, ref rest @ ..] => {
                (u32::from(one & 0x0f) << 12 | low(two) << 6 | low(three), rest)
            }
            [one @ 0xc0..0xe0, two, ref rest @ ..] => (u32::from(one & 0x1f) << 6 | low(two), rest),
            [one @ 0xf0..=0xff, two, three, four, ref rest @ ..] => (
                u32::from(one & 0x07) << 18 | low(two) << 12 | low(three) << 6 | low(four),
                rest,
            ),
            [_, ref rest @ ..] => (u32::from(char::REPLACEMENT_CHARACTER), rest),
        };
        self.0 = rest;
        Some(character)
    }
}

/// Decodes text.
#[derive(Debug)]
pub(crate) struct CharacterDecoder {
    characters: Vec<char>,
}

impl CharacterDecoder {
    pub fn new(table: &str) -> Self {
        Self {
            characters: table.chars().collect(),
        }
    }

    /// The text of codes; `None` if they are invalid.
    pub fn decode(&self, codes: &[u8]) -> Option<String> {
        let mut text = String::with_capacity(codes.len() * 2);
        let mut codes = codes.iter().copied();
        while let Some(first) = codes.next() {
            let character = if usize::from(first) < SINGLES {
                *self.characters.get(usize::from(first))?
            } else if first < WHOLE {
                let rest = (usize::from(first) - SINGLES) << 8 | usize::from(codes.next()?);
                *self.characters.get(SINGLES + rest)?
            } else {
                char::from_u32(u32::from_le_bytes([codes.next()?, codes.next()?, codes.next()?, 0]))?
            };
            text.push(character);
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_kind_of_code_is_read_back() {
        let all: String = (0x20..0x9000).filter_map(char::from_u32).collect();
        let encoder = CharacterEncoder::new(&all);
        let decoder = CharacterDecoder::new(&encoder.table());
        let text = " ~\u{e0}\u{2000}\u{8fff}\u{10ffff}龙";
        let mut codes = Vec::new();
        assert_eq!(encoder.encode(text.as_bytes(), &mut codes), codes.len());
        assert_eq!(decoder.decode(&codes).as_deref(), Some(text));
    }

    proptest! {
        #[test]
        fn round_trip(sample in any::<String>(), text in any::<String>()) {
            let encoder = CharacterEncoder::new(&sample);
            let decoder = CharacterDecoder::new(&encoder.table());
            let mut codes = Vec::new();
            encoder.encode(text.as_bytes(), &mut codes);
            prop_assert_eq!(decoder.decode(&codes), Some(text));
        }

        #[test]
        fn any_codes_are_read_or_refused(sample in any::<String>(), codes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = CharacterDecoder::new(&sample).decode(&codes);
        }
    }
}
