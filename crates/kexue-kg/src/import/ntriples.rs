//! W3C N-Triples 1.1: `<subject> <relation> <object> .`, one triple a line.
//!
//! An IRI is named by its text without the angle brackets, a blank node by `_:label`, and a literal by its value without language tag or datatype.
//! Relative IRIs are names like any other, since nothing is resolved. The additions of RDF 1.2 are refused by name.
//!
//! Source: [RDF 1.1 N-Triples](https://www.w3.org/TR/n-triples/), W3C Recommendation of 25 February 2014.

use super::lines::lines;
use crate::batch::Batch;

pub(super) fn parse(block: &[u8], first: u64, batch: &mut Batch) {
    for (number, line) in lines(block, first) {
        match line {
            // A carriage return alone also ends a line; in a literal it is escaped.
            Ok(line) => {
                for line in line.split('\r') {
                    match (Reader { line, at: 0 }).triple() {
                        Ok(Some([subject, relation, object])) => batch.add(number, [&subject, &relation, &object]),
                        Ok(None) => {}
                        Err(problem) => batch.problem(number, problem),
                    }
                }
            }
            Err(problem) => batch.problem(number, problem),
        }
    }
}

/// Beginnings of lines that are not N-Triples 1.1, and advice on how to convert them.
const OTHERS: [(&str, &str); 4] = [
    ("<<", "this is a triple term of RDF 1.2"),
    ("VERSION", "this is a directive of N-Triples 1.2"),
    ("@prefix", "this is Turtle"),
    ("@base", "this is Turtle"),
];

struct Reader<'a> {
    line: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// The triple of the line; `None` if there is only white space or a comment.
    fn triple(&mut self) -> Result<Option<[String; 3]>, String> {
        self.skip_space();
        let subject = match self.peek() {
            None | Some('#') => return Ok(None),
            Some('<') if !self.begins_with("<<") => self.iri()?,
            Some('_') => self.blank()?,
            _ => return Err(self.expected("the subject: `<` or `_:`")),
        };
        self.skip_space();
        let relation = match self.peek() {
            Some('<') if !self.begins_with("<<") => self.iri()?,
            _ => return Err(self.expected("the relation: `<`")),
        };
        self.skip_space();
        let object = match self.peek() {
            Some('<') if !self.begins_with("<<") => self.iri()?,
            Some('_') => self.blank()?,
            Some('"') => self.literal()?,
            _ => return Err(self.expected("the object: `<`, `_:` or `\"`")),
        };
        self.skip_space();
        match self.peek() {
            Some('.') => self.at += 1,
            Some('<' | '_') => {
                return Err(
                    self.expected("` .` at the end of the triple (lines of N-Quads, which name a graph, are not read)")
                );
            }
            _ => return Err(self.expected("` .` at the end of the triple")),
        }
        self.skip_space();
        match self.peek() {
            None | Some('#') => Ok(Some([subject, relation, object])),
            _ => Err(self.expected("nothing more after ` .`")),
        }
    }

    fn peek(&self) -> Option<char> {
        self.line.get(self.at..)?.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn begins_with(&self, text: &str) -> bool {
        self.line.get(self.at..).is_some_and(|rest| rest.starts_with(text))
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> String {
        if let Some((_, other)) = OTHERS.iter().find(|(start, _)| self.begins_with(start)) {
            return format!("column {}: {other}; expected N-Triples 1.1", self.column());
        }
        let column = self.column();
        match self.peek() {
            Some(found) => format!("column {column}: expected {what}, found `{found}`"),
            None => format!("column {column}: expected {what}, found the end of the line"),
        }
    }

    fn column(&self) -> usize {
        self.line.get(..self.at).map_or(0, |before| before.chars().count()) + 1
    }

    fn iri(&mut self) -> Result<String, String> {
        self.next();
        let mut text = String::new();
        loop {
            match self.peek() {
                Some('>') => {
                    self.next();
                    return Ok(text);
                }
                Some('\\') => text.push(self.escape(false)?),
                None | Some('\0'..=' ' | '<' | '"' | '{' | '}' | '|' | '^' | '`') => {
                    return Err(self.expected("`>` at the end of an IRI"));
                }
                Some(character) => {
                    text.push(character);
                    self.next();
                }
            }
        }
    }

    fn blank(&mut self) -> Result<String, String> {
        let start = self.at;
        self.next();
        if self.next() != Some(':') {
            return Err(self.expected("`_:` and a label"));
        }
        if !self
            .peek()
            .is_some_and(|first| first.is_ascii_digit() || begins_label(first))
        {
            return Err(self.expected("a label after `_:`"));
        }
        while self
            .peek()
            .is_some_and(|character| character == '.' || in_label(character))
        {
            self.next();
        }
        // A label does not end with a full stop; that ends the triple.
        let label = self.line.get(start..self.at).unwrap_or_default();
        let text = label.trim_end_matches('.');
        self.at -= label.len() - text.len();
        Ok(text.to_owned())
    }

    fn literal(&mut self) -> Result<String, String> {
        self.next();
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err(self.expected("`\"` at the end of a literal")),
                Some('"') => {
                    self.next();
                    break;
                }
                Some('\\') => text.push(self.escape(true)?),
                Some(character) => {
                    text.push(character);
                    self.next();
                }
            }
        }
        self.skip_space();
        match self.peek() {
            Some('@') => self.language()?,
            Some('^') => {
                self.next();
                if self.next() != Some('^') {
                    return Err(self.expected("a datatype `^^<…>`"));
                }
                self.skip_space();
                match self.peek() {
                    Some('<') => self.iri()?,
                    _ => return Err(self.expected("a datatype `^^<…>`")),
                };
            }
            _ => {}
        }
        Ok(text)
    }

    /// Skips a language tag: letters, then groups of letters and digits after hyphens.
    fn language(&mut self) -> Result<(), String> {
        self.next();
        let mut first = true;
        loop {
            let start = self.at;
            while self
                .peek()
                .is_some_and(|character| character.is_ascii_alphabetic() || !first && character.is_ascii_digit())
            {
                self.next();
            }
            if start == self.at {
                return Err(match !first && self.begins_with("-") {
                    true => format!(
                        "column {}: this is a base direction of RDF 1.2; expected N-Triples 1.1",
                        self.column()
                    ),
                    false => self.expected("a language tag, as `@en` or `@en-GB`"),
                });
            }
            if self.peek() != Some('-') {
                return Ok(());
            }
            self.next();
            first = false;
        }
    }

    fn escape(&mut self, in_literal: bool) -> Result<char, String> {
        self.next();
        let digits = match self.peek() {
            Some('u') => 4,
            Some('U') => 8,
            Some(character) if in_literal => {
                let meant = match character {
                    't' => '\t',
                    'b' => '\u{8}',
                    'n' => '\n',
                    'r' => '\r',
                    'f' => '\u{c}',
                    '"' | '\'' | '\\' => character,
                    _ => return Err(self.expected("an escape: one of `t b n r f \" ' \\ u U`")),
                };
                self.next();
                return Ok(meant);
            }
            _ => return Err(self.expected("an escape `\\u` or `\\U`")),
        };
        self.next();
        let code = self
            .line
            .get(self.at..self.at + digits)
            .filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|code| u32::from_str_radix(code, 16).ok())
            .and_then(char::from_u32)
            .ok_or_else(|| self.expected(&format!("{digits} hexadecimal digits of a character")))?;
        self.at += digits;
        Ok(code)
    }
}

/// `PN_CHARS_U` of the grammar: the characters that a label may begin with, except digits.
fn begins_label(character: char) -> bool {
    matches!(
        character,
        'A'..='Z' | 'a'..='z' | '_' | ':' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
            | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
            | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}'
    )
}

/// `PN_CHARS` of the grammar: the characters inside a label, except full stops.
fn in_label(character: char) -> bool {
    begins_label(character)
        || matches!(character, '-' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}
