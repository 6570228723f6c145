//! The pages for strangers: their commands run as pasted, print what the page shows, and are the same in Chinese.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository, where the crate lies in it; a package has no pages.
fn root() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.join("docs/start.md").exists().then_some(root)
}

/// A block of commands of a page.
#[derive(Debug, Default)]
struct Block {
    commands: String,
    /// What the page says is printed, if it says so.
    output: Option<String>,
    /// The exit code of the last command, if the block is run.
    tested: Option<i32>,
}

/// The blocks of commands of a page. A comment `<!-- tested -->` before a block says that it is run; the text block after it is what it prints.
fn blocks(text: &str) -> Vec<Block> {
    let (mut blocks, mut marked): (Vec<Block>, Option<i32>) = (Vec::new(), None);
    let mut follows = false;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(mark) = line.strip_prefix("<!-- tested") {
            let code = mark.trim_end_matches("-->").trim().trim_start_matches(", exit code ");
            marked = Some(code.parse().unwrap_or(0));
        } else if let Some(kind) = line.strip_prefix("```") {
            let inside: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let inside = inside.join("\n");
            match kind {
                "sh" => blocks.push(Block {
                    commands: inside,
                    output: None,
                    tested: marked.take(),
                }),
                "text" if follows => blocks.last_mut().unwrap().output = Some(inside),
                _ => {}
            }
            follows = kind == "sh";
        } else if !line.is_empty() {
            follows = false;
        }
    }
    blocks
}

/// Whether a text is as a page shows it: `…` stands for anything within a line, and alone in a line for any lines.
fn is_as_shown(shown: &[&str], text: &[&str]) -> bool {
    match shown {
        [] => text.is_empty(),
        ["…", rest @ ..] => (0..=text.len()).any(|skipped| is_as_shown(rest, &text[skipped..])),
        [first, rest @ ..] => text.first().is_some_and(|line| is_line(first, line)) && is_as_shown(rest, &text[1..]),
    }
}

fn is_line(shown: &str, line: &str) -> bool {
    match shown.split_once('…') {
        None => shown == line.trim_end(),
        Some((start, rest)) => line.strip_prefix(start).is_some_and(|line| {
            let mut ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
            ends.any(|at| is_line(rest, &line[at..]))
        }),
    }
}

#[test]
fn the_first_page_runs_as_pasted_and_prints_what_it_shows() {
    let Some(root) = root() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("examples/data")).unwrap();
    for entry in std::fs::read_dir(root.join("examples/data")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(
            entry.path(),
            folder.path().join("examples/data").join(entry.file_name()),
        )
        .unwrap();
    }
    let program = assert_cmd::cargo::cargo_bin("kexue");
    let path = std::env::join_paths(
        [program.parent().unwrap().to_path_buf()]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    let page = std::fs::read_to_string(root.join("docs/start.md")).unwrap();
    let mut run = 0;
    for block in blocks(&page) {
        let Some(code) = block.tested else { continue };
        let output = Command::new("sh")
            .args(["-c", &format!("set -e\n{}", block.commands)])
            .current_dir(folder.path())
            .env("PATH", &path)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        let (text, errors) = (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        );
        assert_eq!(output.status.code(), Some(code), "{}\n{text}\n{errors}", block.commands);
        if let Some(shown) = &block.output {
            let (shown, printed): (Vec<&str>, Vec<&str>) = (shown.lines().collect(), text.lines().collect());
            assert!(is_as_shown(&shown, &printed), "{}\nprints\n{text}", block.commands);
        }
        run += 1;
    }
    assert!(run >= 10, "{run}");
}

/// The lines of commands of a page.
fn command_lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = blocks(&text)
        .into_iter()
        .flat_map(|block| block.commands.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| !line.is_empty()).collect()
}

#[test]
fn chinese_pages_and_the_front_page_have_the_commands_of_the_english_ones() {
    let Some(root) = root() else { return };
    let docs = root.join("docs");
    // What the front page shows is run on the start page.
    let mut known = command_lines(&docs.join("start.md"));
    let readme = command_lines(&root.join("README.md"));
    assert_eq!(
        command_lines(&root.join("README.zh.md")),
        readme,
        "README.zh.md has the commands of README.md"
    );
    assert_eq!(
        command_lines(&docs.join("zh/start.md")),
        known,
        "docs/zh/start.md has the commands of docs/start.md"
    );
    known.extend(readme);
    for entry in std::fs::read_dir(docs.join("zh")).unwrap() {
        let page = entry.unwrap().path();
        let english = command_lines(&docs.join(page.file_name().unwrap()));
        assert!(docs.join(page.file_name().unwrap()).exists(), "{}", page.display());
        for line in command_lines(&page) {
            assert!(
                english.contains(&line) || known.contains(&line),
                "{}: {line}",
                page.display()
            );
        }
    }
}

#[test]
fn links_of_the_book_lead_somewhere() {
    let Some(root) = root() else { return };
    let docs = root.join("docs");
    let mut pages = ["README.md", "README.zh.md"].map(|name| root.join(name)).to_vec();
    pages.extend(["SUMMARY.md", "start.md", "library.md", "operating.md"].map(|name| docs.join(name)));
    pages.extend(
        std::fs::read_dir(docs.join("zh"))
            .unwrap()
            .map(|entry| entry.unwrap().path()),
    );
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains("://") {
                assert!(page.parent().unwrap().join(file).exists(), "{}: {link}", page.display());
            }
        }
    }
}

#[test]
fn blocks_and_their_output_are_read() {
    let found = blocks(
        "<!-- tested, exit code 1 -->\n```sh\na\nb\n```\n\n```text\nx…\n…\n```\nwords\n```sh\nc\n```\nwords\n\n```text\ny\n```\n",
    );
    assert_eq!(found.len(), 2);
    assert_eq!(
        (found[0].commands.as_str(), found[0].output.as_deref(), found[0].tested),
        ("a\nb", Some("x…\n…"), Some(1))
    );
    assert_eq!((found[1].output.as_deref(), found[1].tested), (None, None));
    assert!(is_as_shown(&["x…", "…"], &["xyz", "p", "q"]) && is_as_shown(&["…", "q"], &["p", "q"]));
    assert!(
        !is_as_shown(&["x…"], &["xyz", "p"]) && !is_as_shown(&["a…c"], &["abd"]) && is_as_shown(&["a…c"], &["abc"])
    );
}
