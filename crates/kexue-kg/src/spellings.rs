//! The sections of an index for finding names in other spellings and by aliases.
//!
//! ```text
//! spellings.letters = for each character of the vocabulary that is normalised to another one: that other << 32 | its token, u64 each, ascending
//! spellings.…       = a trie of normalised name · [SEP] · tokens of the subject, for aliases, and for names that are not compared letter by letter:
//!                     with apostrophes, full stops, combining marks
//! ```
//!
//! All other names are found in the index of facts, by trying letters that are normalised to the same one.

use kexue_text::{BYTES, FIRST_CHARACTER, SEP, Token, Vocabulary, fold, fold_alone};
use kexue_trie::{Bytes, Container, ContainerWriter, Error, Handle, PrefixIndex, Trie, TrieBuilder};
use std::io::{Seek, Write};
use std::ops::{ControlFlow, Range};

const LETTERS: &str = "spellings.letters";
const NAMES: &str = "spellings.";

/// The tokens of a normalised name.
pub(crate) fn compared(vocabulary: &Vocabulary, name: &str) -> Vec<Token> {
    let folded: String = fold(name).iter().map(|folded| folded.character).collect();
    vocabulary.encode(&folded)
}

/// Collects these sections for the names of an index.
pub(crate) struct SpellingsBuilder<'v> {
    vocabulary: &'v Vocabulary,
    /// For each token, whether it is a space; `None` if it is not compared by itself.
    tokens: Vec<Option<bool>>,
    names: Vec<Vec<Token>>,
}

impl<'v> SpellingsBuilder<'v> {
    pub fn new(vocabulary: &'v Vocabulary) -> Self {
        let of = |token| Some(fold_alone(vocabulary.character(token)?)? == ' ');
        Self {
            vocabulary,
            tokens: (0..vocabulary.len() as Token).map(of).collect(),
            names: Vec::new(),
        }
    }

    /// Adds a subject.
    pub fn subject(&mut self, subject: &[Token]) {
        let blank = |token: Token| self.tokens.get(token as usize).copied().flatten();
        let mut after_blank = true;
        let mut letter_by_letter = true;
        for &token in subject {
            let blank = blank(token);
            letter_by_letter &= blank.is_some() && !(after_blank && blank == Some(true));
            after_blank = blank == Some(true);
        }
        if !letter_by_letter || after_blank {
            let compared = compared(self.vocabulary, &self.vocabulary.decode(subject));
            if compared != subject {
                self.push(compared, subject);
            }
        }
    }

    /// Adds an alias of a subject.
    pub fn alias(&mut self, subject: &str, alias: &str) {
        self.push(compared(self.vocabulary, alias), &self.vocabulary.encode(subject));
    }

    fn push(&mut self, mut compared: Vec<Token>, subject: &[Token]) {
        if !compared.is_empty() {
            compared.push(SEP);
            compared.extend_from_slice(subject);
            self.names.push(compared);
        }
    }

    /// Writes the sections.
    pub fn write<W: Write + Seek>(mut self, out: &mut ContainerWriter<W>) -> std::io::Result<()> {
        let letters = letters(self.vocabulary);
        out.section(LETTERS, &letters)?;
        self.names.sort_unstable();
        self.names.dedup();
        if self.names.is_empty() {
            return Ok(());
        }
        let mut trie = TrieBuilder::new();
        for name in self.names {
            trie.push(&name)?;
        }
        trie.write(NAMES, out)
    }
}

/// The section of letters.
fn letters(vocabulary: &Vocabulary) -> Vec<u8> {
    let mut letters: Vec<u64> = (FIRST_CHARACTER..vocabulary.len() as Token)
        .filter_map(|token| {
            let character = vocabulary.character(token)?;
            let compared = fold_alone(character).filter(|&compared| compared != character)?;
            Some(u64::from(u32::from(compared)) << 32 | u64::from(token))
        })
        .collect();
    letters.sort_unstable();
    letters.into_iter().flat_map(u64::to_le_bytes).collect()
}

/// Is given a normalised name and the tokens of its subject.
type VisitName<'v> = dyn FnMut(&[Token], &[Token]) -> ControlFlow<()> + 'v;

/// The sections of an open index.
#[derive(Debug)]
pub(crate) struct Spellings {
    letters: Bytes,
    names: Option<Trie>,
}

impl Spellings {
    /// `None` for an index that was built before there were such sections.
    pub fn open(container: &Container) -> Result<Option<Self>, Error> {
        let Some(letters) = container.find(LETTERS) else {
            return Ok(None);
        };
        let names = match container.find(&format!("{NAMES}header")) {
            Some(_) => Some(Trie::read(container, NAMES)?),
            None => None,
        };
        Ok(Some(Self { letters, names }))
    }

    /// Appends the tokens of the other letters that are normalised to a character.
    pub fn letters(&self, compared: char, tokens: &mut Vec<Token>) {
        let letter = |place: usize| {
            let bytes = self.letters.get(8 * place..)?.first_chunk()?;
            Some(u64::from_le_bytes(*bytes))
        };
        let wanted = u64::from(u32::from(compared)) << 32;
        let (mut low, mut high) = (0, self.letters.len() / 8);
        while low < high {
            let middle = low + (high - low) / 2;
            match letter(middle) {
                Some(letter) if letter < wanted => low = middle + 1,
                _ => high = middle,
            }
        }
        while let Some(letter) = letter(low).filter(|letter| letter >> 32 == wanted >> 32) {
            tokens.push(letter as Token);
            low += 1;
        }
    }

    /// Visits the names and aliases that begin at some tokens of a normalised text, with their tokens in it and those of the subject. All are followed
    /// side by side: while a place is fetched from memory, others are looked at.
    pub fn names(
        &self,
        text: &[Token],
        starts: impl Iterator<Item = usize>,
        visit: &mut dyn FnMut(Range<usize>, &[Token]),
    ) -> Result<(), Error> {
        let Some(names) = &self.names else { return Ok(()) };
        let mut open: Vec<(Range<usize>, Handle)> = starts.map(|start| (start..start, names.root())).collect();
        while !open.is_empty() {
            let mut kept = 0;
            for index in 0..open.len() {
                let (Range { start, end }, at) = open[index].clone();
                let Some(&token) = text.get(end) else { continue };
                let Some(at) = names.step(at, token)? else { continue };
                open[kept] = (start..end + 1, at);
                kept += 1;
                if let Some(name) = names.step(at, SEP)? {
                    subjects(names, name, &mut |subject| visit(start..end + 1, subject))?;
                }
            }
            open.truncate(kept);
        }
        Ok(())
    }

    /// Visits the names and aliases that begin with a normalised text, each with the tokens of its subject.
    pub fn beginning(&self, text: &[Token], visit: &mut VisitName<'_>) -> Result<(), Error> {
        let Some(names) = &self.names else { return Ok(()) };
        let Some(at) = names.find(text)? else { return Ok(()) };
        let mut name = text.to_vec();
        names.completions(at, &mut |rest, _| {
            // In the middle of a subject there is no other separator, and so no name that begins with the text.
            let Some(end) = rest.iter().position(|&token| token == SEP) else {
                return ControlFlow::Continue(());
            };
            name.truncate(text.len());
            name.extend_from_slice(&rest[..end]);
            visit(&name, &rest[end + 1..])
        })
    }

    /// Whether a normalised name leads to a subject.
    pub fn has(&self, compared: &[Token], subject: &[Token]) -> Result<bool, Error> {
        match &self.names {
            Some(names) => Ok(names.get(&[compared, &[SEP], subject].concat())?.is_some()),
            None => Ok(false),
        }
    }

    /// Visits all normalised names with their subjects.
    pub fn visit(&self, visit: &mut dyn FnMut(&[Token], &[Token])) -> Result<(), Error> {
        self.beginning(&[], &mut |name, subject| {
            visit(name, subject);
            ControlFlow::Continue(())
        })
    }
}

/// Maximum number of subjects of a name.
const MOST_SUBJECTS: usize = 64;

fn subjects(names: &Trie, at: Handle, visit: &mut dyn FnMut(&[Token])) -> Result<(), Error> {
    let mut left = MOST_SUBJECTS;
    names.completions(at, &mut |subject, _| {
        visit(subject);
        left -= 1;
        match left {
            0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    })
}

/// Whether a token is a byte of a character without its own token.
pub(crate) fn is_byte(token: Token) -> bool {
    (BYTES..FIRST_CHARACTER).contains(&token)
}
