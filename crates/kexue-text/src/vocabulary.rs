//! The vocabulary: characters and bytes to token ids, and back.

use std::collections::HashMap;

/// A token id.
pub type Token = u32;

/// Padding.
pub const PAD: Token = 0;
/// Start of a sequence.
pub const CLS: Token = 1;
/// End of a part of a sequence.
pub const SEP: Token = 2;
/// A masked position.
pub const MASK: Token = 3;
/// The token of byte 0; the 256 byte tokens follow each other.
pub const BYTES: Token = 4;
/// The token of the first character.
pub const FIRST_CHARACTER: Token = BYTES + 256;

/// Names of the special tokens, by id.
pub(crate) const SPECIAL: [&str; 4] = ["[PAD]", "[CLS]", "[SEP]", "[MASK]"];

/// A lossless character vocabulary with byte fallback.
///
/// Ids are ordered: the special tokens `[PAD] [CLS] [SEP] [MASK]`, 256 byte tokens, the characters. Text never encodes to a special token:
/// `[SEP]` in a question is five characters.
///
/// `decode(encode(x)) = x`, or `x` with its ASCII letters in lower case if the vocabulary folds case.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    characters: Vec<char>,
    fold_case: bool,
    /// Token of each character below U+10000, or 0, so that a lookup takes one load.
    basic: Vec<Token>,
    /// Tokens of the characters above.
    supplementary: HashMap<char, Token>,
}

impl Vocabulary {
    /// Creates a vocabulary of these characters. A repeated character keeps its first place.
    pub fn new(characters: impl IntoIterator<Item = char>, fold_case: bool) -> Self {
        let mut vocabulary = Self {
            characters: Vec::new(),
            fold_case,
            basic: vec![0; 0x10000],
            supplementary: HashMap::new(),
        };
        for character in characters {
            if vocabulary.token_of(character).is_some() || (fold_case && character.is_ascii_uppercase()) {
                continue;
            }
            let token = FIRST_CHARACTER + vocabulary.characters.len() as Token;
            vocabulary.characters.push(character);
            match vocabulary.basic.get_mut(character as usize) {
                Some(slot) => *slot = token,
                None => {
                    vocabulary.supplementary.insert(character, token);
                }
            }
        }
        vocabulary
    }

    /// Number of tokens: special tokens, bytes and characters.
    #[allow(clippy::len_without_is_empty)] // never empty: the bytes are always there
    pub fn len(&self) -> usize {
        FIRST_CHARACTER as usize + self.characters.len()
    }

    /// Whether ASCII letters are folded to lower case.
    pub fn folds_case(&self) -> bool {
        self.fold_case
    }

    /// The characters that have their own token, in the order of their ids.
    pub fn characters(&self) -> &[char] {
        &self.characters
    }

    /// Whether both vocabularies encode every text to the same tokens.
    pub fn same_tokens(&self, other: &Self) -> bool {
        self.fold_case == other.fold_case && self.characters == other.characters
    }

    fn token_of(&self, character: char) -> Option<Token> {
        match self.basic.get(character as usize) {
            Some(&token) => (token != 0).then_some(token),
            None => self.supplementary.get(&character).copied(),
        }
    }

    /// Appends the tokens of `text` to `tokens`.
    pub fn encode_into(&self, text: &str, tokens: &mut Vec<Token>) {
        tokens.reserve(text.len());
        for mut character in text.chars() {
            if self.fold_case {
                character.make_ascii_lowercase();
            }
            match self.token_of(character) {
                Some(token) => tokens.push(token),
                None => {
                    let mut utf8 = [0; 4];
                    tokens.extend(
                        character
                            .encode_utf8(&mut utf8)
                            .bytes()
                            .map(|byte| BYTES + Token::from(byte)),
                    );
                }
            }
        }
    }

    /// The tokens of `text`.
    pub fn encode(&self, text: &str) -> Vec<Token> {
        let mut tokens = Vec::new();
        self.encode_into(text, &mut tokens);
        tokens
    }

    /// The text of `tokens`. Special tokens are written by name; invalid UTF-8 and unknown ids become U+FFFD.
    pub fn decode(&self, tokens: &[Token]) -> String {
        let mut bytes = Vec::with_capacity(tokens.len() * 3);
        for &token in tokens {
            let mut utf8 = [0; 4];
            match token {
                BYTES..FIRST_CHARACTER => bytes.push((token - BYTES) as u8),
                _ => bytes.extend_from_slice(match SPECIAL.get(token as usize) {
                    Some(name) => name.as_bytes(),
                    None => self
                        .character(token)
                        .unwrap_or(char::REPLACEMENT_CHARACTER)
                        .encode_utf8(&mut utf8)
                        .as_bytes(),
                }),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The character of a token, if it stands for one.
    pub fn character(&self, token: Token) -> Option<char> {
        let index = token.checked_sub(FIRST_CHARACTER)?;
        self.characters.get(index as usize).copied()
    }

    /// A readable name of a token: a character, `[SEP]`, or a byte as `<0xE4>`.
    pub fn name(&self, token: Token) -> String {
        match token {
            BYTES..FIRST_CHARACTER => format!("<0x{:02X}>", token - BYTES),
            _ => self.decode(&[token]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unknown_characters_are_bytes() {
        let vocabulary = Vocabulary::new("ab".chars(), false);
        assert_eq!(vocabulary.encode("b"), [FIRST_CHARACTER + 1]);
        assert_eq!(
            vocabulary.encode("é"),
            [BYTES + 0xc3, BYTES + 0xa9],
            "two bytes of UTF-8"
        );
        assert_eq!(vocabulary.len(), 4 + 256 + 2);
    }

    #[test]
    fn text_never_becomes_a_special_token() {
        let vocabulary = Vocabulary::new("[SEP]".chars(), false);
        assert_eq!(vocabulary.encode("[SEP]").len(), 5);
        assert!(vocabulary.encode("[SEP]").iter().all(|&token| token >= BYTES));
    }

    #[test]
    fn folding_makes_one_path_of_two_spellings() {
        let vocabulary = Vocabulary::new("Rrio".chars(), true);
        assert_eq!(vocabulary.encode("Rio"), vocabulary.encode("rIO"));
        assert_eq!(vocabulary.decode(&vocabulary.encode("RIO é")), "rio é");
        assert!(!vocabulary.characters().contains(&'R'));
    }

    proptest! {
        #[test]
        fn decode_inverts_encode(text in any::<String>(), characters in any::<String>()) {
            let vocabulary = Vocabulary::new(characters.chars(), false);
            prop_assert_eq!(vocabulary.decode(&vocabulary.encode(&text)), text);
        }

        #[test]
        fn any_tokens_decode(tokens in proptest::collection::vec(any::<Token>(), 0..20)) {
            Vocabulary::new("中文".chars(), false).decode(&tokens);
        }
    }
}
