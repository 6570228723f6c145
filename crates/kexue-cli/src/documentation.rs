//! Checks that every command in the documentation is a valid command line.

use crate::Cli;
use clap::CommandFactory;
use clap::error::ErrorKind;
use std::path::{Path, PathBuf};

/// The pages of the repository. The published package has none.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages: Vec<PathBuf> = ["README.md", "README.zh.md"].map(|name| root.join(name)).to_vec();
    for folder in ["docs", "docs/zh"] {
        let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten();
        pages.extend(entries.map(|entry| entry.unwrap().path()));
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md") && page.exists());
    pages
}

/// The command lines of a page. A line that ends with a backslash is joined with the next. Output in console blocks is left out.
fn command_lines(text: &str) -> Vec<String> {
    let (mut lines, mut block, mut begun) = (Vec::new(), None, String::new());
    for line in text.lines() {
        let line = match (line.strip_prefix("```"), block) {
            (Some(kind), _) => {
                block = if block.is_none() { Some(kind) } else { None };
                continue;
            }
            (None, Some("sh")) => line,
            (None, Some("console")) => match line.strip_prefix("$ ") {
                Some(line) => line,
                None => continue,
            },
            _ => continue,
        };
        match line.strip_suffix('\\') {
            Some(part) => begun += part,
            None => lines.push(std::mem::take(&mut begun) + line),
        }
    }
    lines
}

/// The words of a command line as a shell splits them, up to a comment, a pipe or a redirection.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in line.chars() {
        match (character, quote) {
            (character, Some(open)) if character == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            ('|' | '<' | '>' | ';' | '&', None) => break,
            // Optional parts.
            ('[' | ']', None) => {}
            (character, None) if character.is_whitespace() => words.extend(word.take()),
            (character, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[test]
fn every_command_of_the_documentation_is_understood() {
    let (mut found, mut wrong) = (0, String::new());
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for line in command_lines(&text)
            .iter()
            .filter(|line| line.starts_with("kexue ") && !line.contains('…'))
        {
            found += 1;
            match Cli::command().try_get_matches_from(words(line)) {
                Err(error) if !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
                    wrong += &format!("{}: {line}\n{error}\n", page.display());
                }
                _ => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(found > 50 || pages().is_empty(), "{found}");
}

#[test]
fn lines_are_split_as_shells_do() {
    let line = "kexue ask 'a b' \"c\" --top 3 [--json] # | no\n";
    assert_eq!(words(line), ["kexue", "ask", "a b", "c", "--top", "3", "--json"]);
    assert_eq!(
        words("kexue vae density --out x > y"),
        ["kexue", "vae", "density", "--out", "x"]
    );
    assert_eq!(command_lines("```sh\na \\\n  b\n```\nc\n```text\nd\n```\n"), ["a   b"]);
    assert_eq!(command_lines("```console\n$ a\nb\n```\n"), ["a"]);
}
