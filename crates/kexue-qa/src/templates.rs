//! Templates of training questions.
//!
//! A line is `relation ⇥ template`, or `kind ⇥ relation ⇥ template` for questions that the graph cannot answer. A template is a small
//! grammar, so that one line produces many wordings:
//!
//! | in a template | stands for |
//! | --- | --- |
//! | `{S}` | the subject's name |
//! | `(a\|b\|c)` | one of them, with equal probability |
//! | `[a]` | `a` or nothing |
//! | `<name>` | a rule, given by a line `<name> ⇥ template` |
//! | `<name:a>` | the rule with `a` in place of its `{}` |
//!
//! A backslash escapes the next character. Lines that begin with `#` are comments.

use crate::{Error, Result};
use rand::Rng;
use rand::seq::IndexedRandom;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// Stands for the subject while a question is generated.
pub(crate) const SUBJECT: char = '\u{fffc}';
/// The maximum depth of rules inside rules, since a rule that calls itself would never end.
const DEEPEST: usize = 16;
/// The maximum number of brackets in a template, so that nested ones do not exhaust the stack.
const MOST_BRACKETS: usize = 256;

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Argument,
    Choice(Vec<Pattern>),
    Call(String, Option<Pattern>),
}

/// A parsed template.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pattern(Vec<Piece>);

/// A line of a template file.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// The kind of question, if the graph cannot answer it.
    pub kind: Option<String>,
    pub relation: String,
    pub pattern: Pattern,
}

/// The templates of one or more files, which share their rules.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    rules: BTreeMap<String, Pattern>,
    pub(crate) lines: Vec<Template>,
}

impl Templates {
    /// Reads files of templates.
    ///
    /// # Errors
    /// If a line is not a valid template, or calls a rule that no file defines; the message names the line.
    pub fn read<P: AsRef<Path>>(paths: &[P]) -> Result<Self> {
        let mut templates = Self::default();
        let mut places: Vec<(PathBuf, usize)> = Vec::new();
        for path in paths {
            let path = path.as_ref();
            for (index, line) in kexue_kg::open_text(path)?.lines().enumerate() {
                let problem = |problem: String| Error::Line {
                    path: path.to_path_buf(),
                    line: index + 1,
                    problem,
                };
                let line = line.map_err(|error| problem(kexue_kg::unreadable(&error)))?;
                let line = line.trim_end_matches(['\r', '\n']);
                if line.trim().is_empty() || line.starts_with('#') {
                    continue;
                }
                let before = templates.lines.len();
                templates.add(line).map_err(problem)?;
                if templates.lines.len() > before {
                    places.push((path.to_path_buf(), index + 1));
                }
            }
        }
        if templates.lines.is_empty() {
            return Err(Error::File {
                path: paths
                    .first()
                    .map_or_else(PathBuf::new, |path| path.as_ref().to_path_buf()),
                problem: "holds no templates; expected lines `relation<tab>template`, with {S} for the subject"
                    .to_owned(),
            });
        }
        for (template, (path, line)) in templates.lines.iter().zip(places) {
            let problem = |problem| Error::Line {
                path: path.clone(),
                line,
                problem,
            };
            templates.check(&template.pattern, 0).map_err(problem)?;
            if template.kind.is_none() && !templates.names_subject(&template.pattern, false) {
                return Err(problem(
                    "each wording of the template must contain {S}, which stands for the subject".to_owned(),
                ));
            }
        }
        Ok(templates)
    }

    fn add(&mut self, line: &str) -> std::result::Result<(), String> {
        let fields: Vec<&str> = line.split('\t').collect();
        if fields.iter().any(|field| field.trim().is_empty()) {
            return Err(
                "a field is empty; expected `relation<tab>template` or `kind<tab>relation<tab>template`".to_owned(),
            );
        }
        match fields[..] {
            [name, pattern] if name.starts_with('<') => {
                let name = name
                    .strip_prefix('<')
                    .and_then(|name| name.strip_suffix('>'))
                    .ok_or_else(|| format!("`{name}` is not the name of a rule, such as `<what>`"))?;
                if self.rules.insert(name.to_owned(), parse(pattern)?).is_some() {
                    return Err(format!("the rule `<{name}>` is defined twice"));
                }
            }
            [relation, pattern] => {
                self.lines.push(Template {
                    kind: None,
                    relation: relation.to_owned(),
                    pattern: parse(pattern)?,
                });
            }
            [kind, relation, pattern] => self.lines.push(Template {
                kind: Some(kind.to_owned()),
                relation: relation.to_owned(),
                pattern: parse(pattern)?,
            }),
            _ => {
                return Err(format!(
                    "expected `relation<tab>template` or `kind<tab>relation<tab>template`, found {} fields",
                    fields.len()
                ));
            }
        }
        Ok(())
    }

    /// Checks that all rules that a pattern calls exist and end.
    fn check(&self, pattern: &Pattern, depth: usize) -> std::result::Result<(), String> {
        if depth > DEEPEST {
            return Err(format!(
                "its rules call each other more than {DEEPEST} deep; does one call itself?"
            ));
        }
        for piece in &pattern.0 {
            match piece {
                Piece::Text(_) | Piece::Argument => {}
                Piece::Choice(choices) => choices.iter().try_for_each(|choice| self.check(choice, depth))?,
                Piece::Call(name, argument) => {
                    let rule = self.rules.get(name).ok_or_else(|| {
                        format!("there is no rule `<{name}>`; define it by a line `<{name}><tab>template`")
                    })?;
                    self.check(rule, depth + 1)?;
                    argument.iter().try_for_each(|argument| self.check(argument, depth))?;
                }
            }
        }
        Ok(())
    }

    /// Whether all wordings of a pattern contain the subject. `argument` says whether all wordings of the rule's argument do.
    fn names_subject(&self, pattern: &Pattern, argument: bool) -> bool {
        pattern.0.iter().any(|piece| match piece {
            Piece::Text(text) => text.contains(SUBJECT),
            Piece::Argument => argument,
            Piece::Choice(choices) => choices.iter().all(|choice| self.names_subject(choice, argument)),
            Piece::Call(name, inner) => {
                let inner = inner.as_ref().is_some_and(|inner| self.names_subject(inner, argument));
                self.rules.get(name).is_some_and(|rule| self.names_subject(rule, inner))
            }
        })
    }

    /// Draws a wording at random, with [`SUBJECT`] for the subject.
    pub(crate) fn draw(&self, pattern: &Pattern, generator: &mut impl Rng) -> String {
        let mut text = String::new();
        self.write(pattern, "", generator, &mut text);
        // Optional parts leave their spaces behind.
        let text = text.trim().replace("  ", " ");
        [" ?", " ,", " .", " !"]
            .iter()
            .fold(text, |text, mark| text.replace(mark, &mark[1..]))
    }

    fn write(&self, pattern: &Pattern, argument: &str, generator: &mut impl Rng, text: &mut String) {
        for piece in &pattern.0 {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Argument => text.push_str(argument),
                Piece::Choice(choices) => {
                    if let Some(choice) = choices.choose(generator) {
                        self.write(choice, argument, generator, text);
                    }
                }
                Piece::Call(name, inner) => {
                    let mut given = String::new();
                    if let Some(inner) = inner {
                        self.write(inner, argument, generator, &mut given);
                    }
                    if let Some(rule) = self.rules.get(name) {
                        self.write(rule, &given, generator, text);
                    }
                }
            }
        }
    }
}

fn parse(text: &str) -> std::result::Result<Pattern, String> {
    let characters: Vec<char> = text.replace("{S}", &SUBJECT.to_string()).chars().collect();
    let opening = characters
        .iter()
        .filter(|character| matches!(character, '(' | '[' | '<'));
    if opening.count() > MOST_BRACKETS {
        return Err(format!("the template has more than {MOST_BRACKETS} opening brackets"));
    }
    let mut at = 0;
    let pattern = sequence(&characters, &mut at)?;
    match characters.get(at) {
        None => Ok(pattern),
        Some(character) => Err(format!("`{character}` has nothing to close")),
    }
}

/// Reads up to a character that ends a sequence, or to the end.
fn sequence(text: &[char], at: &mut usize) -> std::result::Result<Pattern, String> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    while let Some(&character) = text.get(*at) {
        if matches!(character, '|' | ')' | ']' | '>') {
            break;
        }
        *at += 1;
        let piece = match character {
            '\\' => {
                plain.push(*text.get(*at).ok_or("a backslash ends the template")?);
                *at += 1;
                continue;
            }
            '(' => Piece::Choice(choices(text, at, ')')?),
            '[' => {
                let mut choices = choices(text, at, ']')?;
                choices.push(Pattern::default());
                Piece::Choice(choices)
            }
            '<' => call(text, at)?,
            '{' if text.get(*at) == Some(&'}') => {
                *at += 1;
                Piece::Argument
            }
            _ => {
                plain.push(character);
                continue;
            }
        };
        if !plain.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
        }
        pieces.push(piece);
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(Pattern(pieces))
}

fn choices(text: &[char], at: &mut usize, close: char) -> std::result::Result<Vec<Pattern>, String> {
    let mut choices = vec![sequence(text, at)?];
    loop {
        let found = text.get(*at).copied();
        *at += 1;
        match found {
            Some('|') => choices.push(sequence(text, at)?),
            Some(found) if found == close => return Ok(choices),
            _ => return Err(format!("a bracket is not closed: `{close}` is missing")),
        }
    }
}

fn call(text: &[char], at: &mut usize) -> std::result::Result<Piece, String> {
    let start = *at;
    while text.get(*at).is_some_and(|character| !matches!(character, ':' | '>')) {
        *at += 1;
    }
    let name: String = text[start..*at].iter().collect();
    let argument = if text.get(*at) == Some(&':') {
        *at += 1;
        Some(sequence(text, at)?)
    } else {
        None
    };
    if text.get(*at) != Some(&'>') || name.is_empty() {
        return Err(format!("`<{name}` is not closed: `>` is missing"));
    }
    *at += 1;
    Ok(Piece::Call(name, argument))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::collections::BTreeSet;

    fn read(text: &str) -> std::result::Result<Templates, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.tsv");
        std::fs::write(&path, text).unwrap();
        Templates::read(&[&path]).map_err(|error| error.to_string().split_once("t.tsv").unwrap().1.to_owned())
    }

    #[test]
    fn a_template_is_a_grammar() {
        let templates = read(
            "# rules\n<q>\t(please, |){}[?]\ncapital\t<q:[the ]capital of {S}>\nanthem\tcapital\t{S} \\(anthem\\)\n",
        )
        .unwrap();
        let mut generator = ChaCha8Rng::seed_from_u64(3);
        let drawn: BTreeSet<String> = (0..200)
            .map(|_| templates.draw(&templates.lines[0].pattern, &mut generator))
            .collect();
        assert_eq!(drawn.len(), 8, "{drawn:?}");
        assert!(drawn.contains(&format!("please, the capital of {SUBJECT}?")));
        assert!(drawn.contains(&format!("capital of {SUBJECT}")));
        assert_eq!(
            templates.draw(&templates.lines[1].pattern, &mut generator),
            format!("{SUBJECT} (anthem)")
        );
        assert_eq!(templates.lines[1].kind.as_deref(), Some("anthem"));
    }

    #[test]
    fn bad_templates_are_refused_by_line() {
        assert_eq!(
            read("a\tno subject\n").unwrap_err(),
            ":1: each wording of the template must contain {S}, which stands for the subject"
        );
        assert!(
            read("a\tb[ of {S}]\n")
                .unwrap_err()
                .starts_with(":1: each wording of the template")
        );
        assert!(read("<of>\t{} of {S}\na\t<of:b>\n").is_ok() && read("<q>\t{}?\na\t<q:{S} b>\n").is_ok());
        assert_eq!(
            read("\na\t{S} (b\n").unwrap_err(),
            ":2: a bracket is not closed: `)` is missing"
        );
        assert_eq!(read("a\t{S} b)\n").unwrap_err(), ":1: `)` has nothing to close");
        assert!(
            read("a\t{S}<b>\n")
                .unwrap_err()
                .starts_with(":1: there is no rule `<b>`")
        );
        assert!(
            read("<b>\tx<b>\na\t{S}<b>\n")
                .unwrap_err()
                .contains("more than 16 deep")
        );
        assert!(read("a\t<b:{S}\n").unwrap_err().contains("`<b` is not closed"));
        assert!(read("a\tb\tc\td\n").unwrap_err().contains("found 4 fields"));
        let deep = format!("a\t{}{{S}}{}\n", "(".repeat(10_000), ")".repeat(10_000));
        assert!(read(&deep).unwrap_err().contains("opening brackets"));
        assert!(read("# nothing\n").unwrap_err().contains("holds no templates"));
    }
}
