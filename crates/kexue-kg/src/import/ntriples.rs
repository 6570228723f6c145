//! W3C N-Triples: `<subject> <relation> <object> .`, one triple a line.
//!
//! An IRI stands by its text without the angle brackets, a blank node as `_:label`, a literal by its value; its language tag or datatype is
//! left out.

use super::lines::lines;
use crate::batch::Batch;

pub(super) fn parse(block: &[u8], first: u64, batch: &mut Batch) {
    for (number, line) in lines(block, first) {
        let parsed = line.and_then(|line| Reader { line, at: 0 }.triple());
        match parsed {
            Ok(Some([subject, relation, object])) => batch.add(number, [&subject, &relation, &object]),
            Ok(None) => {}
            Err(problem) => batch.problem(number, problem),
        }
    }
}

struct Reader<'a> {
    line: &'a str,
    at: usize,
}

impl Reader<'_> {
    /// The triple of the line; none where there is only white space or a comment.
    fn triple(&mut self) -> Result<Option<[String; 3]>, String> {
        self.skip_space();
        if matches!(self.peek(), None | Some('#')) {
            return Ok(None);
        }
        let subject = match self.peek() {
            Some('<') => self.iri()?,
            Some('_') => self.blank()?,
            _ => return Err(self.expected("the subject: `<` or `_:`")),
        };
        self.skip_space();
        let relation = match self.peek() {
            Some('<') => self.iri()?,
            _ => return Err(self.expected("the relation: `<`")),
        };
        self.skip_space();
        let object = match self.peek() {
            Some('<') => self.iri()?,
            Some('_') => self.blank()?,
            Some('"') => self.literal()?,
            _ => return Err(self.expected("the object: `<`, `_:` or `\"`")),
        };
        self.skip_space();
        if self.next() != Some('.') {
            return Err("expected ` .` at the end of the triple".into());
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

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &str) -> String {
        let column = self.line.get(..self.at).unwrap_or_default().chars().count() + 1;
        match self.peek() {
            Some(found) => format!("column {column}: expected {what}, found `{found}`"),
            None => format!("column {column}: expected {what}, found the end of the line"),
        }
    }

    fn iri(&mut self) -> Result<String, String> {
        self.next();
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err(self.expected("`>` at the end of an IRI")),
                Some('>') => {
                    self.next();
                    return Ok(text);
                }
                Some('\\') => text.push(self.escape(false)?),
                Some(' ' | '<' | '"' | '{' | '}' | '|' | '^' | '`') => {
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
        while self.peek().is_some_and(|character| !matches!(character, ' ' | '\t')) {
            self.next();
        }
        let mut text = self.line.get(start..self.at).unwrap_or_default();
        // A label does not end in a full stop: that is the end of the triple.
        while let Some(shorter) = text.strip_suffix('.') {
            text = shorter;
            self.at -= 1;
        }
        if text.len() <= 2 {
            return Err(self.expected("a label after `_:`"));
        }
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
        match self.peek() {
            Some('@') => {
                self.next();
                let start = self.at;
                while self
                    .peek()
                    .is_some_and(|character| character.is_ascii_alphanumeric() || character == '-')
                {
                    self.next();
                }
                if start == self.at {
                    return Err(self.expected("a language after `@`"));
                }
            }
            Some('^') => {
                self.next();
                if self.next() != Some('^') || self.peek() != Some('<') {
                    return Err(self.expected("a datatype `^^<…>`"));
                }
                self.iri()?;
            }
            _ => {}
        }
        Ok(text)
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
