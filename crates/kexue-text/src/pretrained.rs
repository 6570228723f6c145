//! Tokenizers of pretrained models: Hugging Face's `tokenizer.json` or `vocab.txt` in, `tokenizer.json` out.

use crate::vocabulary::SPECIAL;
use crate::{BYTES, FIRST_CHARACTER, SpecialTokens, TextEncoder, Token, Vocabulary};
use kexue_output::{OutputError, read_text, write_file};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use thiserror::Error;
use tokenizers::{EncodeInput, Tokenizer, TruncationParams};

/// Why a tokenizer cannot be used.
#[derive(Debug, Error)]
pub enum TokenizerError {
    /// A file cannot be read, or its folder cannot be created.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's message.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The content of a file is invalid.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: PathBuf,
        /// What was found, what was expected.
        problem: String,
    },
    /// There is neither a `tokenizer.json` nor a `vocab.txt`.
    #[error("{folder}: found neither tokenizer.json nor vocab.txt")]
    Nothing {
        /// The folder.
        folder: PathBuf,
    },
    /// A special token is missing.
    #[error("the tokenizer has no token {0}, which sequences need")]
    Special(String),
    /// A text cannot be tokenized.
    #[error("the tokenizer cannot read the text: {0}")]
    Text(String),
}

/// The tokens of a text or a pair of texts, special tokens included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Token ids.
    pub ids: Vec<Token>,
    /// The segment of each token: 1 for the second text and its final `[SEP]`, else 0.
    pub types: Vec<u8>,
}

/// The tokenizer of a pretrained model.
#[derive(Clone, Debug)]
pub struct PretrainedTokenizer {
    tokenizer: Tokenizer,
}

impl PretrainedTokenizer {
    /// Loads `tokenizer.json`, or builds BERT's tokenizer from `vocab.txt` with the settings of `tokenizer_config.json`, if there is one.
    ///
    /// The file's settings for padding and truncation are ignored: batches are packed, and [`Self::truncate`] sets a length.
    ///
    /// # Errors
    /// If a file cannot be read or is invalid. The error names the file and the problem.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self, TokenizerError> {
        let folder = folder.as_ref();
        let (json, vocabulary) = (folder.join("tokenizer.json"), folder.join("vocab.txt"));
        let (path, text) = if json.is_file() {
            let text = read(&json)?;
            (json, text)
        } else if vocabulary.is_file() {
            let text = bert(folder, &vocabulary)?.to_string();
            (vocabulary, text)
        } else {
            return Err(TokenizerError::Nothing {
                folder: folder.to_owned(),
            });
        };
        Self::parse(&text).map_err(|problem| TokenizerError::File { path, problem })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_str(text).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        Ok(Self { tokenizer })
    }

    /// Truncates texts to `longest` tokens, including special tokens. Of a pair, the longer text is truncated first.
    ///
    /// # Errors
    /// If there is no room for the special tokens.
    pub fn truncate(&mut self, longest: usize) -> Result<(), TokenizerError> {
        let parameters = TruncationParams {
            max_length: longest,
            ..TruncationParams::default()
        };
        let set = self.tokenizer.with_truncation(Some(parameters));
        set.map(|_| ()).map_err(|error| TokenizerError::Text(error.to_string()))
    }

    /// The tokens of a text, with the special tokens that the model expects.
    ///
    /// # Errors
    /// If the tokenizer has no token for a part of the text, and none for unknown text.
    pub fn encode(&self, text: &str) -> Result<Tokens, TokenizerError> {
        self.tokens(text.into())
    }

    /// The tokens of a pair of texts.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_pair(&self, first: &str, second: &str) -> Result<Tokens, TokenizerError> {
        self.tokens((first, second).into())
    }

    fn tokens(&self, input: EncodeInput<'_>) -> Result<Tokens, TokenizerError> {
        let encoding = self.tokenizer.encode(input, true);
        let encoding = encoding.map_err(|error| TokenizerError::Text(error.to_string()))?;
        let types = encoding.get_type_ids().iter();
        Ok(Tokens {
            ids: encoding.get_ids().to_vec(),
            types: types.map(|&segment| u8::try_from(segment).unwrap_or(u8::MAX)).collect(),
        })
    }

    /// The text of tokens, without special tokens.
    ///
    /// # Errors
    /// If the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[Token]) -> Result<String, TokenizerError> {
        let text = self.tokenizer.decode(ids, true);
        text.map_err(|error| TokenizerError::Text(error.to_string()))
    }

    /// The id of a token by its text, such as `[MASK]`.
    pub fn id(&self, token: &str) -> Option<Token> {
        self.tokenizer.token_to_id(token)
    }

    /// This tokenizer as the encoder of a [`Corpus`](crate::Corpus). Sequences use `[CLS]`, `[SEP]` and `[MASK]`, and any token may replace a token to
    /// predict, as in BERT's own masking.
    ///
    /// # Errors
    /// If a special token is missing. The error names it.
    pub fn text_encoder(&self) -> Result<PretrainedEncoder, TokenizerError> {
        let id = |token: &str| {
            let missing = TokenizerError::Special(token.to_owned());
            self.id(token).ok_or(missing)
        };
        let mut tokenizer = self.tokenizer.clone();
        let whole = tokenizer.with_truncation(None);
        whole.map_err(|error| TokenizerError::Text(error.to_string()))?;
        let last = tokenizer.get_vocab(true).into_values().max().unwrap_or_default();
        Ok(PretrainedEncoder {
            special: SpecialTokens {
                cls: id("[CLS]")?,
                sep: id("[SEP]")?,
                mask: id("[MASK]")?,
                ordinary: 0..last.saturating_add(1),
            },
            tokenizer,
        })
    }

    /// Number of tokens.
    #[allow(clippy::len_without_is_empty)] // a tokenizer has tokens
    pub fn len(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// Saves `tokenizer.json` and a `tokenizer_config.json` with which `AutoTokenizer` of `transformers` loads it.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), TokenizerError> {
        let folder = folder.as_ref();
        let path = folder.join("tokenizer.json");
        let text = self.tokenizer.to_string(false).map_err(|error| TokenizerError::File {
            path: path.clone(),
            problem: error.to_string(),
        })?;
        let mut config = Map::from_iter([("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast"))]);
        for (field, token) in ROLES {
            if self.id(token).is_some() {
                config.insert(field.to_owned(), json!(token));
            }
        }
        fs::create_dir_all(folder).map_err(io(folder))?;
        write_file(&path, text.as_bytes())?;
        let config = Value::Object(config).to_string();
        Ok(write_file(&folder.join("tokenizer_config.json"), config.as_bytes())?)
    }
}

/// A pretrained model's tokenizer as the encoder of a [`Corpus`](crate::Corpus).
#[derive(Clone, Debug)]
pub struct PretrainedEncoder {
    tokenizer: Tokenizer,
    special: SpecialTokens,
}

impl PretrainedEncoder {
    /// The content of a `tokenizer.json`.
    pub fn to_json(&self) -> String {
        self.tokenizer.to_string(false).unwrap_or_default()
    }

    /// The tokenizer for texts and pairs.
    pub fn tokenizer(&self) -> PretrainedTokenizer {
        PretrainedTokenizer {
            tokenizer: self.tokenizer.clone(),
        }
    }
}

impl TextEncoder for PretrainedEncoder {
    /// Words are the tokenizer's own.
    fn encode_words(&self, text: &str, tokens: &mut Vec<Token>, begins: &mut Vec<bool>) -> std::io::Result<()> {
        let encoding = self.tokenizer.encode(text, false).map_err(std::io::Error::other)?;
        let words = encoding.get_word_ids();
        tokens.extend(encoding.get_ids());
        begins.extend((0..words.len()).map(|at| at == 0 || words[at].is_none() || words[at] != words[at - 1]));
        Ok(())
    }

    fn special_tokens(&self) -> SpecialTokens {
        self.special.clone()
    }
}

/// BERT's special tokens and their names in `transformers`.
const ROLES: [(&str, &str); 5] = [
    ("pad_token", "[PAD]"),
    ("unk_token", "[UNK]"),
    ("cls_token", "[CLS]"),
    ("sep_token", "[SEP]"),
    ("mask_token", "[MASK]"),
];

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> TokenizerError + '_ {
    |source| TokenizerError::Io {
        path: path.to_owned(),
        source,
    }
}

fn read(path: &Path) -> Result<String, TokenizerError> {
    read_text(path).map_err(io(path))
}

/// A special token that is recognised literally in a text.
fn special(id: Token, content: &str) -> Value {
    json!({
        "id": id, "content": content, "special": true,
        "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
    })
}

/// `[CLS] A [SEP]`, `[CLS] A [SEP] B [SEP]`.
fn template(cls: Token, sep: Token) -> Value {
    let part = |name: &str, segment: u8| json!({"Sequence": {"id": name, "type_id": segment}});
    let token = |name: &str, segment: u8| json!({"SpecialToken": {"id": name, "type_id": segment}});
    let (first, second) = ([part("A", 0), token("[SEP]", 0)], [part("B", 1), token("[SEP]", 1)]);
    let single: Vec<Value> = [token("[CLS]", 0)].into_iter().chain(first).collect();
    let pair: Vec<Value> = single.iter().cloned().chain(second).collect();
    json!({
        "type": "TemplateProcessing",
        "single": single,
        "pair": pair,
        "special_tokens": {
            "[CLS]": {"id": "[CLS]", "ids": [cls], "tokens": ["[CLS]"]},
            "[SEP]": {"id": "[SEP]", "ids": [sep], "tokens": ["[SEP]"]},
        },
    })
}

/// The model type in `config.json`, if there is one.
fn model_type(folder: &Path) -> Option<String> {
    let text = fs::read_to_string(folder.join("config.json")).ok()?;
    let config: Value = serde_json::from_str(&text).ok()?;
    config["model_type"].as_str().map(str::to_owned)
}

/// BERT's tokenizer for the tokens of a `vocab.txt`, as a `tokenizer.json`.
fn bert(folder: &Path, path: &Path) -> Result<Value, TokenizerError> {
    let settings_path = folder.join("tokenizer_config.json");
    let refuse = |path: &Path, problem: String| TokenizerError::File {
        path: path.to_owned(),
        problem,
    };
    let settings: Value = if settings_path.is_file() {
        serde_json::from_str(&read(&settings_path)?).map_err(|error| refuse(&settings_path, error.to_string()))?
    } else {
        Value::Null
    };
    match settings["tokenizer_class"].as_str() {
        // RoFormer's own tokenizer also has a vocab.txt, but segments words in a different way.
        None if model_type(folder).as_deref() == Some("roformer") => {
            let problem = "RoFormer's word segmenter cannot be built from this file; save the tokenizer with `transformers` to get a \
                           tokenizer.json, or set {\"tokenizer_class\": \"BertTokenizer\"} in tokenizer_config.json if it is BERT's";
            return Err(refuse(path, problem.to_owned()));
        }
        None | Some("BertTokenizer" | "BertTokenizerFast") => {}
        Some(other) => {
            let problem = format!(
                "tokenizer_class: {other:?} cannot be built from vocab.txt, only BertTokenizer can; \
                 save the tokenizer with `transformers` to get a tokenizer.json"
            );
            return Err(refuse(&settings_path, problem));
        }
    }
    let setting = |name: &str, default: Value| match &settings[name] {
        Value::Null => default,
        value => value.clone(),
    };
    let text = read(path)?;
    // For a token that is listed twice, the last place counts, as in `transformers`.
    let vocabulary: Map<String, Value> = text
        .lines()
        .zip(0..)
        .map(|(token, id)| (token.to_owned(), json!(id as u32)))
        .collect();
    let mut ids = [0; ROLES.len()];
    for (id, (_, token)) in ids.iter_mut().zip(ROLES) {
        let found = vocabulary.get(token).and_then(Value::as_u64);
        let Some(found) = found.and_then(|id| Token::try_from(id).ok()) else {
            return Err(refuse(
                path,
                format!("has no line {token}, which BERT's tokenizer needs"),
            ));
        };
        *id = found;
    }
    let [.., cls, sep, _] = ids;
    let added: Vec<Value> = ids
        .iter()
        .zip(ROLES)
        .map(|(&id, (_, token))| special(id, token))
        .collect();
    Ok(json!({
        "version": "1.0",
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": setting("tokenize_chinese_chars", json!(true)),
            "strip_accents": setting("strip_accents", Value::Null),
            "lowercase": setting("do_lower_case", json!(true)),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": template(cls, sep),
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary,
        },
    }))
}

/// Converts the lossless vocabulary to a tokenizer with the same ids, enclosed in `[CLS]` and `[SEP]`.
///
/// One difference: names of special tokens in a text become those tokens, whereas [`Vocabulary::encode`] treats them as characters.
impl TryFrom<&Vocabulary> for PretrainedTokenizer {
    type Error = TokenizerError;

    fn try_from(vocabulary: &Vocabulary) -> Result<Self, TokenizerError> {
        let specials = SPECIAL.iter().map(|&name| name.to_owned()).zip(0..);
        let bytes = (0..=255u8).map(|byte| (format!("<0x{byte:02X}>"), BYTES + Token::from(byte)));
        let characters = vocabulary
            .characters()
            .iter()
            .map(char::to_string)
            .zip(FIRST_CHARACTER..);
        let ids: Map<String, Value> = specials
            .chain(bytes)
            .chain(characters)
            .map(|(name, id)| (name, json!(id)))
            .collect();
        let fold: Vec<Value> = ('A'..='Z')
            .map(|letter| {
                json!({"type": "Replace", "pattern": {"String": letter}, "content": letter.to_ascii_lowercase()})
            })
            .collect();
        let added: Vec<Value> = SPECIAL.iter().zip(0..).map(|(name, id)| special(id, name)).collect();
        let tokenizer = json!({
            "version": "1.0",
            "added_tokens": added,
            "normalizer": vocabulary.folds_case().then(|| json!({"type": "Sequence", "normalizers": fold})),
            "pre_tokenizer": null,
            "post_processor": template(crate::CLS, crate::SEP),
            "decoder": {"type": "Sequence", "decoders": [{"type": "ByteFallback"}, {"type": "Fuse"}]},
            "model": {"type": "BPE", "vocab": ids, "merges": [], "byte_fallback": true},
        });
        Self::parse(&tokenizer.to_string()).map_err(TokenizerError::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CLS, SEP};
    use proptest::prelude::*;

    const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nun\n##aff\n##able\ncafe\n的\n,\n";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn bert_from_a_list_of_tokens() {
        let folder = folder(&[("vocab.txt", VOCABULARY)]);
        let mut tokenizer = PretrainedTokenizer::load(folder.path()).unwrap();
        assert_eq!(tokenizer.len(), 11);
        let tokens = tokenizer.encode_pair("Unaffable, café 的x", "的的").unwrap();
        assert_eq!(tokens.ids, [2, 5, 6, 7, 10, 8, 9, 1, 3, 9, 9, 3]);
        assert_eq!(tokens.types, [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]);
        assert_eq!(tokenizer.encode("[MASK]").unwrap().ids, [2, 4, 3]);
        assert_eq!(tokenizer.decode(&[2, 5, 6, 7, 3]).unwrap(), "unaffable");
        tokenizer.truncate(4).unwrap();
        assert_eq!(tokenizer.encode("unaffable").unwrap().ids, [2, 5, 6, 3]);
        let saved = tempfile::tempdir().unwrap();
        tokenizer.save(saved.path()).unwrap();
        let again = PretrainedTokenizer::load(saved.path()).unwrap();
        assert_eq!(again.encode("unaffable").unwrap().ids, [2, 5, 6, 7, 3]);
    }

    #[test]
    fn reads_texts_in_words() {
        let folder = folder(&[("vocab.txt", VOCABULARY)]);
        let mut tokenizer = PretrainedTokenizer::load(folder.path()).unwrap();
        tokenizer.truncate(3).unwrap();
        let encoder = tokenizer.text_encoder().unwrap();
        let (mut tokens, mut begins) = (Vec::new(), Vec::new());
        encoder
            .encode_words("unaffable, 的的", &mut tokens, &mut begins)
            .unwrap();
        assert_eq!(tokens, [5, 6, 7, 10, 9, 9], "whole, without special tokens");
        assert_eq!(begins, [true, false, false, true, true, true]);
        let special = encoder.special_tokens();
        assert_eq!(
            (special.cls, special.sep, special.mask, special.ordinary),
            (2, 3, 4, 0..11)
        );
    }

    #[test]
    fn case_as_the_settings_say() {
        let folder = folder(&[
            ("vocab.txt", VOCABULARY),
            (
                "tokenizer_config.json",
                r#"{"do_lower_case": false, "tokenizer_class": "BertTokenizer"}"#,
            ),
        ]);
        let tokenizer = PretrainedTokenizer::load(folder.path()).unwrap();
        assert_eq!(tokenizer.encode("Un un café").unwrap().ids, [2, 1, 5, 1, 3]);
    }

    #[test]
    fn names_file_and_problem() {
        let message = |files: &[(&str, &str)]| {
            let folder = folder(files);
            PretrainedTokenizer::load(folder.path()).unwrap_err().to_string()
        };
        assert!(message(&[]).ends_with("found neither tokenizer.json nor vocab.txt"));
        assert!(message(&[("vocab.txt", "[PAD]\n[UNK]\n")]).contains("vocab.txt: has no line [CLS]"));
        assert!(message(&[("tokenizer.json", "{}")]).contains("tokenizer.json: "));
        let jieba = [
            ("vocab.txt", VOCABULARY),
            ("tokenizer_config.json", r#"{"tokenizer_class": "RoFormerTokenizer"}"#),
        ];
        assert!(message(&jieba).contains("tokenizer_config.json: tokenizer_class: \"RoFormerTokenizer\""));
        let model = |kind: &str| format!(r#"{{"model_type": "{kind}"}}"#);
        let (roformer, bert) = (model("roformer"), model("bert"));
        let untold = message(&[("vocab.txt", VOCABULARY), ("config.json", &roformer)]);
        assert!(untold.contains("vocab.txt: RoFormer's word segmenter"), "{untold}");
        let own = ("tokenizer_config.json", r#"{"tokenizer_class": "BertTokenizer"}"#);
        for files in [
            &[("vocab.txt", VOCABULARY), ("config.json", &bert)][..],
            &[("vocab.txt", VOCABULARY), ("config.json", &roformer), own],
            &[("vocab.txt", VOCABULARY), ("config.json", "not JSON")],
        ] {
            PretrainedTokenizer::load(folder(files).path()).unwrap();
        }
    }

    proptest! {
        #[test]
        fn no_tokenizer_file_panics(text in "\\PC{0,60}") {
            let folder = folder(&[("tokenizer.json", &text)]);
            prop_assert!(PretrainedTokenizer::load(folder.path()).is_err());
            let folder = super::tests::folder(&[("vocab.txt", VOCABULARY), ("tokenizer_config.json", &text)]);
            let _ = PretrainedTokenizer::load(folder.path());
        }

        #[test]
        fn a_lossless_vocabulary_keeps_its_ids(text in "[\\PC&&[^\\[]]{0,30}", known in "[a-c的 \u{2f00}-\u{2f08}A]{0,12}", fold: bool) {
            let vocabulary = Vocabulary::new("abc的 \u{2f00}".chars(), fold);
            let tokenizer = PretrainedTokenizer::try_from(&vocabulary).unwrap();
            let text = text + &known;
            let mut expected = vec![CLS];
            vocabulary.encode_into(&text, &mut expected);
            expected.push(SEP);
            prop_assert_eq!(&tokenizer.encode(&text).unwrap().ids, &expected);
            prop_assert_eq!(tokenizer.decode(&expected).unwrap(), vocabulary.decode(&vocabulary.encode(&text)));
        }
    }
}
