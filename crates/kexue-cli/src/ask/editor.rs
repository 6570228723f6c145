//! The line that people type on a terminal: editing, history, and completion of names.

use kexue_kg::KnowledgeGraph;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Editor, Helper};
use std::cmp::Reverse;
use std::io::ErrorKind;
use std::path::PathBuf;

/// Maximum number of completions.
const MOST_NAMES: usize = 50;

/// A line editor.
pub struct LineEditor<'g> {
    editor: Editor<Names<'g>, FileHistory>,
    history: Option<PathBuf>,
}

impl<'g> LineEditor<'g> {
    /// An editor that completes the names of a graph, if the terminal can be used.
    pub fn new(graph: &'g KnowledgeGraph) -> rustyline::Result<Self> {
        let config = Config::builder().auto_add_history(true).build();
        let mut editor = Editor::with_history(config.clone(), FileHistory::with_config(&config))?;
        editor.set_helper(Some(Names(graph)));
        let history = history_file();
        if let Some(path) = &history {
            // The first time there is none.
            let _ = editor.load_history(path);
        }
        Ok(Self { editor, history })
    }

    /// What is typed next.
    pub fn read(&mut self) -> std::io::Result<Typed> {
        match self.editor.readline("> ") {
            Ok(line) => Ok(Typed::Line(line)),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(ReadlineError::Interrupted) => Ok(Typed::Interrupt),
            Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => Ok(Typed::Garbage),
            Err(ReadlineError::Io(error)) => Err(error),
            Err(error) => Err(std::io::Error::other(error)),
        }
    }
}

/// What people type.
pub enum Typed {
    /// A line.
    Line(String),
    /// Bytes that are no text.
    Garbage,
    /// Ctrl-D, or the end of the terminal.
    End,
    /// Ctrl-C.
    Interrupt,
}

impl Drop for LineEditor<'_> {
    fn drop(&mut self) {
        // A history that cannot be kept is no reason to fail.
        if let Some(path) = &self.history {
            let _ = path.parent().map(std::fs::create_dir_all);
            let _ = self.editor.save_history(path);
        }
    }
}

/// The file of the history: `$XDG_STATE_HOME/kexue/ask-history`, or the same below `~/.local/state`.
fn history_file() -> Option<PathBuf> {
    let folder = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("kexue").join("ask-history"))
}

/// Completes the names of a graph.
struct Names<'g>(&'g KnowledgeGraph);

impl Completer for Names<'_> {
    type Candidate = String;

    /// Completes the longest end of the line that is the beginning of a name. Names may contain spaces.
    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let before = &line[..cursor];
        let mut earlier = ' ';
        for (start, character) in before.char_indices() {
            // A name begins at a word, or anywhere in Chinese.
            let may_start = character.is_alphanumeric() && (!earlier.is_alphanumeric() || character >= '\u{2e80}');
            earlier = character;
            if !may_start {
                continue;
            }
            let beginnings = cases(&before[start..]);
            for beginning in &beginnings {
                let mut names = self
                    .0
                    .names_beginning(beginning, MOST_NAMES)
                    .map_err(std::io::Error::other)?;
                if !names.is_empty() {
                    // As it was typed or capitalised, and short names first: France before Francium, and both before the code FRA.
                    names.sort_by_key(|name| {
                        let as_typed = beginnings.iter().any(|beginning| name.starts_with(beginning));
                        (Reverse(as_typed), name.chars().count())
                    });
                    return Ok((start, names));
                }
            }
        }
        Ok((cursor, Vec::new()))
    }
}

/// A prefix as typed, and capitalised.
fn cases(typed: &str) -> [String; 2] {
    let mut letters = typed.chars();
    let capital = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .collect();
    [typed.to_owned(), capital]
}

impl Hinter for Names<'_> {
    type Hint = String;
}

impl Highlighter for Names<'_> {}
impl Validator for Names<'_> {}
impl Helper for Names<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_at_the_end_of_the_line() {
        let (graph, _) = kexue_qa::embedded().unwrap();
        let history = FileHistory::new();
        let complete = |line: &str| {
            Names(&graph)
                .complete(line, line.len(), &Context::new(&history))
                .unwrap()
        };
        let (start, names) = complete("capital of new z");
        assert_eq!(
            (start, names.contains(&"New Zealand".to_owned())),
            (11, true),
            "{names:?}"
        );
        let (start, names) = complete("首都 澳大");
        assert_eq!((start, names.contains(&"澳大利亚".to_owned())), (7, true), "{names:?}");
        for (typed, name) in [
            ("Fra", "France"),
            ("fra", "France"),
            ("Germ", "Germany"),
            ("FR", "FR"),
            ("ita", "Italy"),
        ] {
            assert_eq!(complete(&format!("capital of {typed}")).1[0], name);
        }
        assert_eq!(complete("xqzzy").1, [""; 0]);
        assert_eq!(complete("").1, [""; 0]);
    }
}
