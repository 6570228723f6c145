//! The subjects that a question mentions.
//!
//! A name counts where it stands at the boundaries of words ([`Boundaries`]); a longer mention shadows those inside it, which count only where
//! the question has them once more. A name may be spelled as people do ([`kexue_text::fold`]), or be an alias; where it is written as in the graph,
//! other readings of the same words do not count. Where nothing is mentioned, names of five letters or more count that are one likely slip away.

use crate::error::KgError;
use crate::graph::KnowledgeGraph;
use crate::spellings::{compared, is_byte};
use kexue_text::{Boundaries, Folded, SEP, Token, Vocabulary, fold, fold_alone};
use kexue_trie::{Allowed, Error, Handle, PrefixIndex};
use serde::Serialize;
use std::ops::Range;

/// How a name was recognised, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recognition {
    /// It is written as in the graph.
    Exact,
    /// Case, width, diacritics, punctuation, or the set of Chinese characters differ.
    Spelling,
    /// It is another name of the subject.
    Alias,
    /// A letter is wrong, missing, too many, or has changed places with the next.
    Typo,
}

/// A subject of the graph in a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// Where it stands in the question, in bytes.
    pub bytes: Range<usize>,
    /// Where it stands among the question's tokens.
    pub span: Range<usize>,
    /// The subject's own tokens, without the separator.
    pub subject: Vec<Token>,
    /// How it was recognised.
    pub recognition: Recognition,
}

/// A question, and what is compared of it.
struct Question<'q> {
    text: &'q str,
    tokens: Vec<Token>,
    /// Where in the text each token begins, and its length behind the last.
    starts: Vec<usize>,
    boundaries: Boundaries<'q>,
    letters: Vec<Letter>,
    /// What the letters may be in a name.
    forms: Vec<Token>,
    /// The tokens of the compared text, the letter of each, and where each letter's begin.
    compared: Vec<Token>,
    letter_of: Vec<usize>,
    compared_at: Vec<usize>,
}

/// A compared letter of a question.
struct Letter {
    folded: Folded,
    /// Tokens that it may be in a name, among the forms.
    tokens: Range<usize>,
    /// The bytes that it is in a name, where it has no token, among the forms.
    bytes: Range<usize>,
}

/// A name in the question.
#[derive(Clone, Debug)]
struct Name {
    bytes: Range<usize>,
    subject: Vec<Token>,
    recognition: Recognition,
}

impl<'q> Question<'q> {
    fn new(graph: &KnowledgeGraph, text: &'q str) -> Self {
        let vocabulary = graph.vocabulary();
        let (mut tokens, mut starts) = (Vec::with_capacity(text.len()), Vec::with_capacity(text.len() + 1));
        for (at, character) in text.char_indices() {
            vocabulary.encode_into(character.encode_utf8(&mut [0; 4]), &mut tokens);
            // A character without a token of its own has one for each byte.
            starts.resize(tokens.len(), at);
        }
        starts.push(text.len());
        let folded = fold(text);
        let count = folded.len();
        let (mut letters, mut compared) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let (mut letter_of, mut compared_at) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut forms = Vec::with_capacity(4 * count);
        for (place, folded) in folded.into_iter().enumerate() {
            compared_at.push(compared.len());
            vocabulary.encode_into(folded.character.encode_utf8(&mut [0; 4]), &mut compared);
            letter_of.resize(compared.len(), place);
            let own = &compared[compared_at[place]..];
            let first = forms.len();
            forms.extend_from_slice(own);
            let after_bytes = if is_byte(own[0]) { forms.len() } else { first };
            if let Some(spellings) = graph.spellings() {
                spellings.letters(folded.character, &mut forms);
            }
            letters.push(Letter {
                folded,
                tokens: after_bytes..forms.len(),
                bytes: first..after_bytes,
            });
        }
        Self {
            text,
            tokens,
            starts,
            boundaries: Boundaries::new(text),
            letters,
            forms,
            compared,
            letter_of,
            compared_at,
        }
    }

    /// The letters at which a name may begin.
    fn starts_of_names(&self) -> Vec<usize> {
        let may = |&letter: &usize| self.boundaries.allow_start(self.letters[letter].folded.start);
        (0..self.letters.len()).filter(may).collect()
    }

    /// The tokens that a letter may be in a name.
    fn tokens_in_name(&self, letter: usize) -> &[Token] {
        &self.forms[self.letters[letter].tokens.clone()]
    }

    /// The bytes that a letter is in a name, if it has no token.
    fn bytes_in_name(&self, letter: usize) -> &[Token] {
        &self.forms[self.letters[letter].bytes.clone()]
    }

    /// The tokens of bytes.
    fn span(&self, bytes: &Range<usize>) -> Range<usize> {
        let at = |byte: usize| self.starts.partition_point(|&start| start < byte);
        at(bytes.start)..at(bytes.end)
    }

    /// The bytes of tokens; none where a character is cut.
    fn bytes(&self, span: &Range<usize>) -> Option<Range<usize>> {
        let whole = |at: usize| at == 0 || self.starts[at] != self.starts[at - 1];
        (whole(span.start) && whole(span.end)).then(|| self.starts[span.start]..self.starts[span.end])
    }

    /// The bytes of letters.
    fn bytes_of(&self, letters: &Range<usize>) -> Range<usize> {
        self.letters[letters.start].folded.start..self.letters[letters.end - 1].folded.end
    }

    /// Whether letters are whole characters of the text: `㍿` is compared as the four letters 株式会社, and 式 alone is no part of it.
    fn are_whole(&self, letters: &Range<usize>) -> bool {
        let is_edge = |at: usize| {
            let (before, after) = (
                at.checked_sub(1).map(|before| &self.letters[before]),
                self.letters.get(at),
            );
            before
                .zip(after)
                .is_none_or(|(before, after)| before.folded.end <= after.folded.start)
        };
        is_edge(letters.start) && is_edge(letters.end)
    }

    /// The name that letters spell, if one may stand there.
    fn name(&self, letters: &Range<usize>, subject: &[Token], is_alias: &dyn Fn() -> bool) -> Option<Name> {
        let bytes = self.bytes_of(letters);
        if !self.are_whole(letters) || !self.boundaries.allow(bytes.clone()) {
            return None;
        }
        let (mut bytes, mut recognition) = (bytes, Recognition::Spelling);
        // What is left out of the comparison may stand beside it: the last full stop of U.S.
        let before = match letters.start.checked_sub(1) {
            Some(before) => self.letters[before].folded.end,
            None => 0,
        };
        let after = self
            .letters
            .get(letters.end)
            .map_or(self.text.len(), |letter| letter.folded.start);
        let around = self.span(&(before..after));
        let exact = (self.tokens[around.clone()].windows(subject.len().max(1)))
            .position(|window| window == subject)
            .map(|at| around.start + at..around.start + at + subject.len())
            .and_then(|span| self.bytes(&span))
            .filter(|exact| exact.start <= bytes.start && bytes.end <= exact.end);
        if let Some(exact) = exact {
            bytes = exact;
            recognition = Recognition::Exact;
        } else if is_alias() {
            recognition = Recognition::Alias;
        }
        Some(Name {
            bytes,
            subject: subject.to_vec(),
            recognition,
        })
    }

    /// Whether a word of grammar stands there, which is hardly the name that it looks like: in lower case where the name is not, or first in the
    /// question, where every word has a capital.
    fn is_grammar(&self, name: &Name, folds_case: bool) -> bool {
        let text = &self.text[name.bytes.clone()];
        if text.len() > 6 || !text.is_ascii() || name.bytes == (0..self.text.len()) {
            return false;
        }
        let first = !self.text[..name.bytes.start].contains(char::is_alphanumeric);
        let lower = !text.contains(|character: char| character.is_ascii_uppercase());
        let unsure = name.recognition != Recognition::Exact || folds_case;
        (first || text == "I" || lower && unsure) && is_word_of_grammar(text)
    }
}

impl KnowledgeGraph {
    /// The subjects that a question mentions, by rising start.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn mentions(&self, question: &str) -> Result<Vec<Mention>, KgError> {
        let question = Question::new(self, question);
        let mut names = Vec::new();
        self.spelled(&question, &mut names)?;
        if self.spellings().is_none() {
            self.verbatim(&question, &mut names)?;
        }
        let folds_case = self.vocabulary().folds_case();
        names.retain(|name| !question.is_grammar(name, folds_case));
        if names.is_empty() {
            self.mistyped(&question, &mut names)?;
        }
        let mention = |name: Name| Mention {
            span: question.span(&name.bytes),
            bytes: name.bytes,
            subject: name.subject,
            recognition: name.recognition,
        };
        Ok(settle(question.text, names).into_iter().map(mention).collect())
    }

    /// Finds names as they are written, for an index that knows no other spellings.
    fn verbatim(&self, question: &Question<'_>, names: &mut Vec<Name>) -> Result<(), KgError> {
        self.occurrences(&question.tokens, &mut |span, _| {
            if let Some(bytes) = question.bytes(&span)
                && question.boundaries.allow(bytes.clone())
            {
                names.push(Name {
                    bytes,
                    subject: question.tokens[span].to_vec(),
                    recognition: Recognition::Exact,
                });
            }
        })
    }

    /// Finds names and aliases in all spellings.
    fn spelled(&self, question: &Question<'_>, names: &mut Vec<Name>) -> Result<(), KgError> {
        let starts = question.starts_of_names();
        let mut found =
            |letters: Range<usize>, subject: &[Token]| names.extend(question.name(&letters, subject, &|| false));
        match self.changed_index() {
            None => along(self.facts(), question, &starts, &mut found)?,
            Some(index) => along(index, question, &starts, &mut found)?,
        }
        let mut failed = None;
        let mut found = |tokens: Range<usize>, subject: &[Token]| {
            let letters = question.letter_of[tokens.start]..question.letter_of[tokens.end - 1] + 1;
            let is_alias = || {
                let own = compared(self.vocabulary(), &self.vocabulary().decode(subject));
                own != question.compared[tokens.clone()]
            };
            let Some(name) = question.name(&letters, subject, &is_alias) else {
                return;
            };
            // What has been removed, or never was, is no subject.
            match self.index().find(&[subject, &[SEP]].concat()) {
                Ok(Some(_)) => names.push(name),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        };
        if let Some(spellings) = self.spellings() {
            let starts = starts.iter().map(|&start| question.compared_at[start]);
            spellings.names(&question.compared, starts, &mut |tokens, subject| {
                if self.keeps_alias(&question.compared[tokens.clone()], subject) {
                    found(tokens, subject);
                }
            })?;
        }
        if !self.names_beside().is_empty() {
            for &start in &starts {
                for end in start + 1..=question.letters.len() {
                    if question.boundaries.allow_end(question.letters[end - 1].folded.end) {
                        let to = question.compared_at.get(end).copied();
                        let tokens = question.compared_at[start]..to.unwrap_or(question.compared.len());
                        let compared = &question.compared[tokens.clone()];
                        let from = (compared.to_vec(), Vec::new());
                        let names = self.names_beside().range(from..);
                        for (_, subject) in names.take_while(|(name, _)| name == compared) {
                            found(tokens.clone(), subject);
                        }
                    }
                }
            }
        }
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    /// Finds names that are one slip away.
    fn mistyped(&self, question: &Question<'_>, names: &mut Vec<Name>) -> Result<(), KgError> {
        for start in question.starts_of_names() {
            Walk::new(self.index(), self.vocabulary(), question).with_a_slip(start, &mut |end, subject| {
                let bytes = question.bytes_of(&(start..end));
                let text = &question.text[bytes.clone()];
                let is_known = is_word_of_grammar(text);
                // A slip is no blank before a name, or behind it.
                let is_trimmed = text.trim_matches(|character: char| !character.is_alphanumeric()).len() == text.len();
                let may_stand = question.are_whole(&(start..end)) && question.boundaries.allow(bytes.clone());
                if is_trimmed && may_stand && !is_known {
                    names.push(Name {
                        bytes,
                        subject: subject.to_vec(),
                        recognition: Recognition::Typo,
                    });
                }
            })?;
        }
        Ok(())
    }
}

/// A place in an index on a way along the letters of a question.
struct Step {
    at: Handle,
    /// The letters that lead to it.
    letters: Range<usize>,
    /// The step before it, and the token from there; several bytes where there is none.
    before: usize,
    token: Option<Token>,
}

/// Finds the names that begin at some letters, all of them side by side, letter by letter: while a place is fetched from memory, others are looked at.
fn along<I: PrefixIndex + ?Sized>(
    index: &I,
    question: &Question<'_>,
    starts: &[usize],
    found: &mut dyn FnMut(Range<usize>, &[Token]),
) -> Result<(), Error> {
    let root = |&start: &usize| Step {
        at: index.root(),
        letters: start..start,
        before: usize::MAX,
        token: None,
    };
    let mut steps: Vec<Step> = Vec::with_capacity(8 * starts.len());
    steps.extend(starts.iter().map(root));
    let (mut next, mut path) = (0, Vec::new());
    while next < steps.len() {
        let Step { at, ref letters, .. } = steps[next];
        let (letters, letter) = (letters.clone(), letters.end);
        if !letters.is_empty()
            && question.boundaries.allow_end(question.letters[letter - 1].folded.end)
            && index.step(at, SEP)?.is_some()
        {
            path.clear();
            let mut last = &steps[next];
            while !last.letters.is_empty() {
                match last.token {
                    Some(token) => path.push(token),
                    None => path.extend(question.bytes_in_name(last.letters.end - 1).iter().rev()),
                }
                last = &steps[last.before];
            }
            path.reverse();
            found(letters.clone(), &path);
        }
        if letter < question.letters.len() {
            let mut push = |token, at| {
                steps.push(Step {
                    at,
                    letters: letters.start..letter + 1,
                    before: next,
                    token,
                });
            };
            for &token in question.tokens_in_name(letter) {
                if let Some(at) = index.step(at, token)? {
                    push(Some(token), at);
                }
            }
            if let Some(at) = over_bytes(index, at, question.bytes_in_name(letter))? {
                push(None, at);
            }
        }
        next += 1;
    }
    Ok(())
}

/// Steps over the bytes of a letter; `None` where there are none.
fn over_bytes<I: PrefixIndex + ?Sized>(index: &I, at: Handle, bytes: &[Token]) -> Result<Option<Handle>, Error> {
    let mut next = (!bytes.is_empty()).then_some(at);
    for &byte in bytes {
        let Some(at) = next else { break };
        next = index.step(at, byte)?;
    }
    Ok(next)
}

/// Walks an index along the letters of a question with one slip.
struct Walk<'w, 'q, I: PrefixIndex + ?Sized> {
    index: &'w I,
    vocabulary: &'w Vocabulary,
    question: &'w Question<'q>,
    path: Vec<Token>,
    start: usize,
}

/// Is given the letter behind a name, and the name's tokens.
type Found<'f> = dyn FnMut(usize, &[Token]) + 'f;

/// The shortest name that is looked for behind a slip, in tokens.
const SHORTEST_MISTYPED: usize = 5;

impl<'w, 'q, I: PrefixIndex + ?Sized> Walk<'w, 'q, I> {
    fn new(index: &'w I, vocabulary: &'w Vocabulary, question: &'w Question<'q>) -> Self {
        Self {
            index,
            vocabulary,
            question,
            path: Vec::new(),
            start: 0,
        }
    }

    /// Steps over a letter, in all its forms.
    fn take(
        &mut self,
        at: Handle,
        letter: usize,
        then: &mut dyn FnMut(&mut Self, Handle) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (depth, question) = (self.path.len(), self.question);
        for &token in question.tokens_in_name(letter) {
            if let Some(next) = self.index.step(at, token)? {
                self.path.push(token);
                then(self, next)?;
                self.path.truncate(depth);
            }
        }
        let bytes = question.bytes_in_name(letter);
        if let Some(next) = over_bytes(self.index, at, bytes)? {
            self.path.extend_from_slice(bytes);
            then(self, next)?;
            self.path.truncate(depth);
        }
        Ok(())
    }

    /// Finds the names that begin at a letter with one slip.
    fn with_a_slip(mut self, start: usize, found: &mut Found<'_>) -> Result<(), Error> {
        self.start = start;
        self.slip(self.index.root(), start, false, found)
    }

    fn slip(&mut self, at: Handle, letter: usize, slipped: bool, found: &mut Found<'_>) -> Result<(), Error> {
        let question = self.question;
        if slipped
            && letter > self.start + 2
            && self.path.len() >= SHORTEST_MISTYPED
            && question.boundaries.allow_end(question.letters[letter - 1].folded.end)
            && self.index.step(at, SEP)?.is_some()
        {
            found(letter, &self.path);
        }
        let is_left = letter < question.letters.len();
        if is_left {
            self.take(at, letter, &mut |walk, next| {
                walk.slip(next, letter + 1, slipped, found)
            })?;
        }
        if slipped {
            return Ok(());
        }
        if is_left {
            // One too many.
            if self.may_be_too_many(letter) {
                self.slip(at, letter + 1, true, found)?;
            }
            // Two that have changed places.
            if letter + 1 < question.letters.len() {
                self.take(at, letter + 1, &mut |walk, next| {
                    walk.take(next, letter, &mut |walk, next| walk.slip(next, letter + 2, true, found))
                })?;
            }
        }
        // The children of the root are all the letters there are: where they are thousands, the first is taken to be right.
        let mut allowed = Allowed::default();
        self.index.allowed(at, &mut allowed)?;
        if self.path.is_empty() && allowed.tokens.len() > MOST_FIRST_LETTERS {
            return Ok(());
        }
        let depth = self.path.len();
        for token in allowed.tokens {
            if token == SEP || is_byte(token) {
                continue;
            }
            let Some(next) = self.index.step(at, token)? else {
                continue;
            };
            self.path.push(token);
            // One that is wrong, and one that is missing.
            if is_left && self.may_be_meant(letter, token) {
                self.slip(next, letter + 1, true, found)?;
            }
            self.slip(next, letter, true, found)?;
            self.path.truncate(depth);
        }
        Ok(())
    }
}

/// Which letters people mistake for others. A name that differs in any other way is another name, of which the graph knows nothing: chloride is no
/// slip for chlorine, nor Prussia for Russia.
impl<I: PrefixIndex + ?Sized> Walk<'_, '_, I> {
    /// Whether a letter may have been typed too many: it is that before it or behind it, or lies beside one of them on a keyboard. The n of "Russian
    /// capital" is no slip either, but what is meant is Russia.
    fn may_be_too_many(&self, letter: usize) -> bool {
        let letters = &self.question.letters;
        let at = |letter: usize| letters.get(letter).map(|letter| letter.folded.character);
        let Some(typed) = at(letter) else { return false };
        let before = letter
            .checked_sub(1)
            .filter(|&before| before >= self.start)
            .and_then(at);
        let neighbours = [before, at(letter + 1)];
        if neighbours
            .iter()
            .flatten()
            .any(|&other| other == typed || are_neighbours(typed, other))
        {
            return true;
        }
        let rest = &self.question.text[letters[letter].folded.end..];
        let is_last = !rest.starts_with(char::is_alphanumeric);
        typed == 'n' && before == Some('a') && is_last && !rest.trim_start().starts_with(char::is_uppercase)
    }

    /// Whether a letter may stand for a token of a name.
    fn may_be_meant(&self, letter: usize, token: Token) -> bool {
        let typed = self.question.letters[letter].folded.character;
        let meant = self.vocabulary.character(token).and_then(fold_alone);
        meant.is_none_or(|meant| {
            !(typed.is_ascii_alphabetic() && meant.is_ascii_alphabetic()) || are_mistaken(typed, meant)
        })
    }
}

/// Whether letters lie side by side on a keyboard, or sound alike.
fn are_mistaken(one: char, other: char) -> bool {
    let sound_alike = |letters: &&str| letters.contains(one) && letters.contains(other);
    are_neighbours(one, other) || SOUND_ALIKE.iter().any(sound_alike)
}

/// Letters that sound alike in some words.
const SOUND_ALIKE: [&str; 14] = [
    "aeiouy", "ckq", "csxz", "ct", "dt", "bp", "fv", "vw", "gj", "mn", "lr", "gh", "jy", "ks",
];

/// Whether letters lie side by side on a keyboard.
fn are_neighbours(one: char, other: char) -> bool {
    let place = |letter: char| {
        let rows = KEYBOARD.iter().enumerate();
        rows.filter_map(|(row, keys)| Some((row, keys.find(letter)?))).next()
    };
    let (Some(one), Some(other)) = (place(one), place(other)) else {
        return false;
    };
    let ((upper, at), (lower, below)) = (one.min(other), one.max(other));
    // A key lies below two others.
    match lower - upper {
        0 => at.abs_diff(below) == 1,
        1 => at == below || at == below + 1,
        _ => false,
    }
}

const KEYBOARD: [&str; 3] = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];

/// The first letters that are all tried for a slip.
const MOST_FIRST_LETTERS: usize = 300;

/// Drops the names that do not count beside others.
fn settle(text: &str, mut names: Vec<Name>) -> Vec<Name> {
    // Of the same words the surest reading.
    let order = |name: &Name| (name.bytes.start, std::cmp::Reverse(name.bytes.end), name.recognition);
    names.sort_by(|one, other| {
        order(one)
            .cmp(&order(other))
            .then_with(|| one.subject.cmp(&other.subject))
    });
    names.dedup_by(|later, first| {
        later.bytes == first.bytes && (later.recognition > first.recognition || later.subject == first.subject)
    });
    // Who writes one name with its capitals writes all so.
    let has_capital = |name: &Name| text[name.bytes.clone()].contains(char::is_uppercase);
    if (names.iter()).any(|name| name.recognition == Recognition::Exact && has_capital(name)) {
        let is_word = |name: &Name| {
            text[name.bytes.clone()]
                .chars()
                .all(|character| character.is_ascii_lowercase())
        };
        names.retain(|name| name.recognition != Recognition::Spelling || !is_word(name));
    }
    let whole = names.clone();
    names.retain(|name| !is_half_of_compound(text, name, &whole));
    // The longest shadow those inside them.
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

/// Whether a word is one of grammar, in any case.
pub(crate) fn is_word_of_grammar(word: &str) -> bool {
    WORDS_OF_GRAMMAR.iter().any(|other| word.eq_ignore_ascii_case(other))
}

/// English words of grammar, which are names of some things too: of elements by their symbols, of countries by their codes, of films.
const WORDS_OF_GRAMMAR: [&str; 96] = [
    "a", "about", "after", "all", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can",
    "could", "did", "do", "does", "for", "from", "get", "go", "had", "has", "have", "he", "her", "him", "his", "how",
    "i", "if", "in", "into", "is", "it", "its", "just", "many", "may", "me", "might", "most", "much", "must", "my",
    "no", "not", "of", "off", "on", "once", "one", "or", "other", "our", "out", "over", "same", "she", "should", "so",
    "some", "such", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "to",
    "too", "up", "us", "was", "we", "were", "what", "when", "where", "which", "while", "who", "whom", "why", "will",
    "with", "would", "you",
];
