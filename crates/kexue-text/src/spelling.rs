//! Normalisation of texts, so that different spellings of a name compare as equal.
//!
//! Letters lose their case, width, diacritics and compatibility forms; traditional characters become simplified ones; hyphens and spaces of any kind
//! become one space. Apostrophes, quotation marks, middle dots, and the full stops of abbreviations are removed.

use crate::boundaries::is_apostrophe;
use unicode_normalization::char::{compose, decompose_compatible};

/// Traditional characters and their simplified forms, ascending.
const SIMPLIFIED: &[(char, char)] = include!(concat!(env!("OUT_DIR"), "/simplified.rs"));

/// A normalised character, and the bytes of the text that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The normalised character.
    pub character: char,
    /// Start of the bytes.
    pub start: usize,
    /// End of the bytes.
    pub end: usize,
}

/// Normalises a text for comparison.
///
/// ```
/// let spelt = |text| -> String { kexue_text::fold(text).iter().map(|folded| folded.character).collect() };
/// assert_eq!(spelt("Côte d’Ivoire"), spelt("COTE D'IVOIRE"));
/// assert_eq!(spelt("德國"), spelt("德国"));
/// assert_eq!(spelt("U.S."), spelt("us"));
/// ```
pub fn fold(text: &str) -> Vec<Folded> {
    let mut folded: Vec<Folded> = Vec::with_capacity(text.len());
    for (start, character) in text.char_indices() {
        let end = start + character.len_utf8();
        if is_mark(character)
            && let Some(last) = folded.last_mut().filter(|last| last.end == start)
        {
            last.end = end;
        } else if character != '.' {
            fold_character(character, &mut |character| push(&mut folded, character, start, end));
        } else if !folded.last().is_some_and(|last| is_abbreviated(last.character)) {
            push(&mut folded, '.', start, end);
        }
    }
    while folded.last().is_some_and(|last| last.character == ' ') {
        folded.pop();
    }
    folded
}

/// Whether a full stop after this character may be that of an abbreviation: not in scripts without spaces, as in 域名是.jp.
fn is_abbreviated(character: char) -> bool {
    character.is_alphabetic() && character < '\u{2e80}'
}

fn push(folded: &mut Vec<Folded>, character: char, start: usize, end: usize) {
    match folded.last_mut() {
        None if character == ' ' => {}
        Some(last) if character == ' ' && last.character == ' ' => last.end = end,
        last => {
            // Composes a kana and its voicing mark, and the parts of a Korean syllable.
            if let Some(last) = last
                && last.end >= start
                && let Some(composed) = compose(last.character, character)
            {
                (last.character, last.end) = (composed, end);
                return;
            }
            folded.push(Folded { character, start, end });
        }
    }
}

/// The normalised form of a character, if it is one character in every text; `None` for those that are removed or become several.
pub fn fold_alone(character: char) -> Option<char> {
    if character == '.' || matches!(character, '\u{1100}'..='\u{11ff}' | '\u{3099}' | '\u{309a}') {
        return None;
    }
    let mut folded = Vec::new();
    fold_character(character, &mut |character| push(&mut folded, character, 0, 1));
    match folded.as_slice() {
        [] if is_blank(character) => Some(' '),
        [folded] => Some(folded.character),
        _ => None,
    }
}

fn fold_character(character: char, give: &mut dyn FnMut(char)) {
    if character.is_ascii_alphanumeric() {
        return give(character.to_ascii_lowercase());
    }
    if is_blank(character) {
        return give(' ');
    }
    if is_left_out(character) {
        return;
    }
    if let Ok(place) = SIMPLIFIED.binary_search_by_key(&character, |&(traditional, _)| traditional) {
        return give(SIMPLIFIED[place].1);
    }
    decompose_compatible(character, |part| {
        if is_mark(part) || is_left_out(part) || part == '.' {
            return;
        }
        if is_blank(part) {
            return give(' ');
        }
        for letter in part.to_lowercase().filter(|&letter| !is_mark(letter)) {
            match letter {
                'ß' => "ss",
                'æ' => "ae",
                'œ' => "oe",
                'þ' => "th",
                'ø' => "o",
                'đ' | 'ð' => "d",
                'ł' => "l",
                'ħ' => "h",
                'ı' => "i",
                'ς' => "σ",
                other => match SIMPLIFIED.binary_search_by_key(&other, |&(traditional, _)| traditional) {
                    Ok(place) => return give(SIMPLIFIED[place].1),
                    Err(_) => return give(other),
                },
            }
            .chars()
            .for_each(&mut *give);
        }
    });
}

/// Whether a character is a diacritic, which is removed.
fn is_mark(character: char) -> bool {
    matches!(character,
        '\u{0300}'..='\u{036f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}'
        | '\u{0591}'..='\u{05bd}' | '\u{05bf}' | '\u{05c1}' | '\u{05c2}' | '\u{05c4}' | '\u{05c5}' | '\u{05c7}' // Hebrew
        | '\u{0640}' | '\u{064b}'..='\u{0655}' | '\u{0670}' // Arabic
        | '\u{00ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

fn is_blank(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '-' | '_' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' | '\u{ff3f}'
        )
}

fn is_left_out(character: char) -> bool {
    is_apostrophe(character)
        || matches!(character,
            '"' | '\u{ab}' | '\u{bb}' | '\u{201a}'..='\u{201f}' | '\u{2039}' | '\u{203a}' | '\u{300a}'..='\u{300f}' | '\u{ff02}'
            | '\u{b7}' | '\u{2022}' | '\u{2027}' | '\u{2219}' | '\u{30fb}' | '\u{ff65}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    fn spelt(text: &str) -> String {
        fold(text).iter().map(|folded| folded.character).collect()
    }

    #[test]
    fn spellings_that_people_use_are_one() {
        for (one, other) in [
            ("Côte d’Ivoire", "cote d'ivoire"),
            ("Co\u{302}te", "Côte"),
            ("ｆｒａｎｃｅ", "France"),
            ("德國的首都", "德国的首都"),
            ("日本的貨幣", "日本的货币"),
            ("U.S.A.", "USA"),
            ("Guinea-Bissau", "guinea  bissau"),
            ("São Tomé and Príncipe", "Sao Tome and Principe"),
            ("Łódź", "lodz"),
            ("Straße", "STRASSE"),
            ("列奥纳多·达·芬奇", "列奥纳多达芬奇"),
            ("ﾄﾖﾀ", "トヨタ"),
            ("が", "か\u{3099}"),
            ("《红楼梦》", "紅樓夢"),
        ] {
            assert_eq!(spelt(one), spelt(other));
        }
        for (one, other) in [
            ("か", "が"),
            ("3.5", "35"),
            ("+39", "39"),
            (".fr", "fr"),
            ("域名是.jp", "域名是jp"),
            ("เมือง", "เมอง"),
        ] {
            assert_ne!(spelt(one), spelt(other));
        }
        let end = |text: &str| fold(text).last().map(|folded| folded.end);
        assert_eq!(end("Cafe\u{301}"), Some(6), "a mark belongs to its letter");
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "\\PC*|[a-zéß'’. -]*|[德國国中貨ｆ·が]*") {
            let once = spelt(&text);
            prop_assert_eq!(spelt(&once), once);
        }

        #[test]
        fn forms_of_unicode_are_one(text in "[ -~]*|[À-ž]*|[あ-んが-ぽ]*|[가-힣]*") {
            for other in [text.nfc().collect::<String>(), text.nfd().collect(), text.nfkc().collect()] {
                prop_assert_eq!(spelt(&other), spelt(&text));
            }
        }

        #[test]
        fn a_character_alone_is_compared_as_in_a_text(character: char) {
            if let Some(alone) = fold_alone(character) {
                let text = format!("x{character}x");
                prop_assert_eq!(spelt(&text), format!("x{alone}x"));
            }
        }
    }
}
