//! The subjects that a question mentions.
//!
//! A name counts where it stands at the boundaries of words ([`Boundaries`]); a longer mention shadows those inside it, which count only where
//! the question has them once more.

use crate::{KgError, KnowledgeGraph};
use kexue_text::{Boundaries, Token};
use std::ops::Range;

/// A subject of the graph in a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// Where it stands among the question's tokens.
    pub span: Range<usize>,
    /// The subject's own tokens, without the separator.
    pub subject: Vec<Token>,
}

/// A question's tokens, and where in its text each begins; the text's length behind the last.
struct Question<'q> {
    text: &'q str,
    tokens: Vec<Token>,
    starts: Vec<usize>,
}

impl<'q> Question<'q> {
    fn new(graph: &KnowledgeGraph, text: &'q str) -> Self {
        let (mut tokens, mut starts) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
        for (at, character) in text.char_indices() {
            let mut utf8 = [0; 4];
            graph
                .vocabulary()
                .encode_into(character.encode_utf8(&mut utf8), &mut tokens);
            // A character without a token of its own has one for each byte.
            starts.resize(tokens.len(), at);
        }
        starts.push(text.len());
        Self { text, tokens, starts }
    }

    /// The bytes of tokens; none where a character is cut.
    fn bytes(&self, span: &Range<usize>) -> Option<Range<usize>> {
        let whole = |at: usize| at == 0 || self.starts[at] != self.starts[at - 1];
        (whole(span.start) && whole(span.end)).then(|| self.starts[span.start]..self.starts[span.end])
    }
}

/// A name in the question's text.
#[derive(Clone, Debug)]
struct Name {
    bytes: Range<usize>,
    span: Range<usize>,
}

impl KnowledgeGraph {
    /// The subjects that a question mentions, by rising start.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn mentions(&self, question: &str) -> Result<Vec<Mention>, KgError> {
        let question = Question::new(self, question);
        let boundaries = Boundaries::new(question.text);
        let mut names = Vec::new();
        self.occurrences(&question.tokens, &mut |span, _| {
            if let Some(bytes) = question.bytes(&span)
                && boundaries.allow(bytes.clone())
            {
                names.push(Name { bytes, span });
            }
        })?;
        let kept = (names.iter())
            .filter(|name| !is_half_of_compound(question.text, name, &names))
            .cloned()
            .collect();
        let mention = |name: Name| Mention {
            subject: question.tokens[name.span.clone()].to_vec(),
            span: name.span,
        };
        Ok(without_shadowed(kept).into_iter().map(mention).collect())
    }
}

/// Drops the names that stand inside longer ones.
fn without_shadowed(mut names: Vec<Name>) -> Vec<Name> {
    names.sort_by_key(|name| (name.bytes.start, std::cmp::Reverse(name.bytes.end)));
    let mut last = 0..0;
    names.retain(|name| {
        let shadowed = name.bytes.end <= last.end && name.bytes != last;
        if !shadowed {
            last = name.bytes.clone();
        }
        !shadowed
    });
    names
}

/// Whether a name is half of a compound with a hyphen that the graph does not know as a whole: Guinea-Bissau is no Guinea. It is none where both
/// halves are names (France-Germany), or the other is an ordinary word or a number (Germany-based, uranium-235).
fn is_half_of_compound(text: &str, name: &Name, names: &[Name]) -> bool {
    let (before, after) = (&text[..name.bytes.start], &text[name.bytes.end..]);
    let is_name = text[name.bytes.clone()].chars().next().is_some_and(char::is_uppercase);
    let joins = |word: &str| {
        let is_ordinary = is_name && word.chars().all(char::is_lowercase);
        !(is_ordinary || word.chars().all(char::is_numeric))
    };
    if let Some(rest) = after.strip_prefix(HYPHENS) {
        let start = text.len() - rest.len();
        let end = rest.find(|character: char| !character.is_alphanumeric());
        if joins(&rest[..end.unwrap_or(rest.len())]) && !names.iter().any(|other| other.bytes.start == start) {
            return true;
        }
    }
    if let Some(rest) = before.strip_suffix(HYPHENS) {
        let word = rest.rsplit(|character: char| !character.is_alphanumeric()).next();
        if joins(word.unwrap_or_default()) && !names.iter().any(|other| other.bytes.end == rest.len()) {
            return true;
        }
    }
    false
}

const HYPHENS: [char; 3] = ['-', '\u{2010}', '\u{2011}'];
