//! Conversion of texts to a model's tokens, by a vocabulary of Kexue or by a pretrained model's tokenizer.

#[cfg(feature = "pretrained")]
use crate::PretrainedEncoder;
use crate::{SpecialTokens, TextEncoder, Token, Vocabulary};

/// Converts texts to a model's tokens.
#[derive(Clone, Debug)]
pub enum Tokenizer {
    /// A vocabulary of characters and bytes.
    Vocabulary(Vocabulary),
    /// The tokenizer of a pretrained model.
    #[cfg(feature = "pretrained")]
    Pretrained(Box<PretrainedEncoder>),
}

impl Tokenizer {
    /// Number of tokens.
    #[allow(clippy::len_without_is_empty)] // never empty: the bytes are always there
    pub fn len(&self) -> usize {
        match self {
            Self::Vocabulary(vocabulary) => vocabulary.len(),
            #[cfg(feature = "pretrained")]
            Self::Pretrained(encoder) => encoder.special_tokens().ordinary.end as usize,
        }
    }

    /// Whether both convert every text to the same tokens.
    pub fn same_tokens(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Vocabulary(one), Self::Vocabulary(other)) => one.same_tokens(other),
            #[cfg(feature = "pretrained")]
            (Self::Pretrained(one), Self::Pretrained(other)) => one.to_json() == other.to_json(),
            #[cfg(feature = "pretrained")]
            _ => false,
        }
    }

    /// The name and content of the file that stores it in the folder of a model.
    pub fn file(&self) -> (&'static str, String) {
        match self {
            Self::Vocabulary(vocabulary) => ("vocab.txt", vocabulary.to_text()),
            #[cfg(feature = "pretrained")]
            Self::Pretrained(encoder) => ("tokenizer.json", encoder.to_json()),
        }
    }
}

impl From<Vocabulary> for Tokenizer {
    fn from(vocabulary: Vocabulary) -> Self {
        Self::Vocabulary(vocabulary)
    }
}

impl TextEncoder for Tokenizer {
    fn encode_words(&self, text: &str, tokens: &mut Vec<Token>, begins: &mut Vec<bool>) -> std::io::Result<()> {
        match self {
            Self::Vocabulary(vocabulary) => vocabulary.encode_words(text, tokens, begins),
            #[cfg(feature = "pretrained")]
            Self::Pretrained(encoder) => encoder.encode_words(text, tokens, begins),
        }
    }

    fn special_tokens(&self) -> SpecialTokens {
        match self {
            Self::Vocabulary(vocabulary) => vocabulary.special_tokens(),
            #[cfg(feature = "pretrained")]
            Self::Pretrained(encoder) => encoder.special_tokens(),
        }
    }
}
