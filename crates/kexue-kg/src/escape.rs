//! Names on one line, separated by tabs.

use std::borrow::Cow;

/// The escaped characters, and the character that represents each after a backslash.
const ESCAPES: [(char, char); 4] = [('\\', '\\'), ('\t', 't'), ('\n', 'n'), ('\r', 'r')];

/// Escapes a name for a line of names separated by tabs: tabs, line breaks and backslashes become `\t`, `\n`, `\r` and `\\`.
///
/// ```
/// assert_eq!(kexue_kg::escape_name("two\nlines"), "two\\nlines");
/// assert_eq!(kexue_kg::unescape_name("two\\nlines"), "two\nlines");
/// ```
pub fn escape_name(name: &str) -> Cow<'_, str> {
    if !name.contains(ESCAPES.map(|(character, _)| character)) {
        return name.into();
    }
    let mut escaped = String::with_capacity(name.len() + 8);
    for character in name.chars() {
        match ESCAPES.iter().find(|(special, _)| *special == character) {
            Some(&(_, letter)) => escaped.extend(['\\', letter]),
            None => escaped.push(character),
        }
    }
    escaped.into()
}

/// Reverses [`escape_name`]. A backslash before any other character is kept.
pub fn unescape_name(escaped: &str) -> Cow<'_, str> {
    if !escaped.contains('\\') {
        return escaped.into();
    }
    let mut name = String::with_capacity(escaped.len());
    let mut rest = escaped.chars();
    while let Some(character) = rest.next() {
        let mut after = rest.clone();
        let meant = (character == '\\').then(|| after.next()).flatten();
        let meant = meant.and_then(|letter| ESCAPES.iter().find(|(_, other)| *other == letter));
        match meant {
            Some(&(special, _)) => {
                name.push(special);
                rest = after;
            }
            None => name.push(character),
        }
    }
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_backslash_that_escapes_nothing_stands_for_itself() {
        for text in ["C:\\x", "\\", "\\甲", "a\\"] {
            assert_eq!(unescape_name(text), text);
        }
    }

    proptest! {
        #[test]
        fn round_trip(name in "[a\\\\\t\n\rtn甲]{0,12}") {
            let escaped = escape_name(&name);
            prop_assert!(!escaped.contains(['\t', '\n', '\r']));
            prop_assert_eq!(unescape_name(&escaped), name.as_str());
        }
    }
}
