//! Reading questions.
//!
//! A file has one of three formats, which its first line tells:
//! - tab-separated `question ⇥ S ⇥ P [⇥ O …]`,
//! - KgCLUE's JSON Lines, `{"question": …, "answer": "S ||| P ||| O"}`,
//! - MetaQA's `question with [entity] ⇥ answer|answer`; the relation is inferred.
//!
//! Files whose names end in `.gz` or `.zst` are decompressed.

use crate::kgclue;
use crate::prompt::MAX_QUESTION_TOKENS;
use crate::question::{Gold, Question};
use crate::{Error, Result};
use kexue_kg::KnowledgeGraph;
use kexue_text::Vocabulary;
use std::io::BufRead;
use std::path::Path;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Facts,
    JsonLines,
    Answers,
    Plain,
}

/// Reads the questions of a file that are to be asked of a graph. See [`read_questions`] for `plain`.
///
/// # Errors
/// As [`read_questions`]; also if a question is too long, with its line.
pub fn questions_for(graph: &KnowledgeGraph, path: &Path, plain: bool) -> Result<Vec<Question>> {
    let questions = read_questions(path, plain)?;
    check_lengths(path, &questions, graph.vocabulary())?;
    Ok(questions)
}

/// Reads a file of questions. With `plain`, the file may also have one question a line and nothing else.
///
/// # Errors
/// If the file cannot be read, has no questions, or a line is invalid; the message names the line, what was expected and what was found.
pub fn read_questions(path: &Path, plain: bool) -> Result<Vec<Question>> {
    let reader = kexue_kg::open_text(path)?;
    let mut form = None;
    let mut questions = Vec::new();
    for (index, line) in reader.lines().enumerate() {
        let problem = |problem: String| Error::Line {
            path: path.to_path_buf(),
            line: index + 1,
            problem,
        };
        let line = line.map_err(|error| problem(kexue_kg::unreadable(&error)))?;
        let line = line.trim_end_matches(['\r', '\n']);
        if line.trim().is_empty() {
            continue;
        }
        let form = *form.get_or_insert_with(|| form_of(line));
        if form == Form::Plain && !plain {
            return Err(problem(
                "expected `question<tab>S<tab>P[<tab>O]`, `question with [entity]<tab>answer|answer` or a JSON object"
                    .to_owned(),
            ));
        }
        let mut question = parse(line, form).map_err(problem)?;
        if question.text.trim().is_empty() {
            return Err(problem("the question is empty".to_owned()));
        }
        question.line = index + 1;
        if question.id == u64::MAX {
            question.id = index as u64;
        }
        questions.push(question);
    }
    if questions.is_empty() {
        let problem = "holds no questions".to_owned();
        return Err(Error::File {
            path: path.to_path_buf(),
            problem,
        });
    }
    Ok(questions)
}

/// Reads questions that a graph cannot answer, one a line. A tab and the question's kind may follow. Returns the questions and their kinds.
///
/// # Errors
/// If the file cannot be read, has no questions, or a question is too long for the graph's vocabulary.
pub fn read_unanswerable(graph: &KnowledgeGraph, path: &Path) -> Result<(Vec<Question>, Vec<String>)> {
    let (mut questions, mut kinds) = (Vec::new(), Vec::new());
    for (index, line) in kexue_kg::open_text(path)?.lines().enumerate() {
        let line = line.map_err(|error| Error::Line {
            path: path.to_path_buf(),
            line: index + 1,
            problem: kexue_kg::unreadable(&error),
        })?;
        let (text, kind) = line.split_once('\t').unwrap_or((&line, ""));
        if text.trim().is_empty() {
            continue;
        }
        questions.push(Question {
            line: index + 1,
            id: index as u64,
            text: text.trim().to_owned(),
            gold: Gold::Unknown,
        });
        kinds.push(kind.trim().to_owned());
    }
    if questions.is_empty() {
        return Err(Error::File {
            path: path.to_path_buf(),
            problem: "holds no questions".to_owned(),
        });
    }
    check_lengths(path, &questions, graph.vocabulary())?;
    Ok((questions, kinds))
}

/// Checks that no question of a file is too long; the error names the line of the first that is.
fn check_lengths(path: &Path, questions: &[Question], vocabulary: &Vocabulary) -> Result<()> {
    for question in questions {
        let tokens = vocabulary.encode(question.text.trim()).len();
        if tokens > MAX_QUESTION_TOKENS {
            return Err(Error::Line {
                path: path.to_path_buf(),
                line: question.line,
                problem: format!(
                    "the question has {tokens} tokens; the limit is {MAX_QUESTION_TOKENS}: shorten it or remove it"
                ),
            });
        }
    }
    Ok(())
}

fn form_of(line: &str) -> Form {
    if line.starts_with('{') {
        return Form::JsonLines;
    }
    match line.matches('\t').count() {
        0 => Form::Plain,
        1 => Form::Answers,
        _ => Form::Facts,
    }
}

fn parse(line: &str, form: Form) -> std::result::Result<Question, String> {
    match form {
        Form::Plain => Ok(Question {
            line: 0,
            id: u64::MAX,
            text: line.trim().to_owned(),
            gold: Gold::Unknown,
        }),
        Form::Facts => {
            let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
            let [text, subject, relation, rest @ ..] = &fields[..] else {
                return Err(format!(
                    "expected at least 3 fields separated by tabs, found {}",
                    fields.len()
                ));
            };
            for (name, value) in [("question", text), ("subject", subject), ("relation", relation)] {
                if value.is_empty() {
                    return Err(format!("the {name} is empty"));
                }
            }
            let object = rest
                .first()
                .filter(|object| !object.is_empty())
                .map(|&object| object.to_owned());
            let gold = Gold::Fact {
                subject: (*subject).to_owned(),
                relation: (*relation).to_owned(),
                object,
            };
            Ok(Question {
                line: 0,
                id: u64::MAX,
                text: (*text).to_owned(),
                gold,
            })
        }
        Form::JsonLines => {
            let (id, text, gold) = kgclue::parse(line)?;
            Ok(Question {
                line: 0,
                id: id.unwrap_or(u64::MAX),
                text,
                gold,
            })
        }
        Form::Answers => {
            let fields: Vec<&str> = line.split('\t').collect();
            let [text, answers] = fields[..] else {
                return Err(format!("expected 2 fields separated by a tab, found {}", fields.len()));
            };
            let marked = entity_in_brackets(text)
                .map(|(before, entity, after)| (format!("{before}{entity}{after}"), entity.to_owned()));
            let Some((text, entity)) = marked else {
                return Err(
                    "the question must name its entity in square brackets, as in `who directed [Kismet]`".to_owned(),
                );
            };
            let answers: Vec<String> = answers
                .split('|')
                .map(|answer| answer.trim().to_owned())
                .filter(|answer| !answer.is_empty())
                .collect();
            if answers.is_empty() {
                return Err("there is no answer after the tab".to_owned());
            }
            Ok(Question {
                line: 0,
                id: u64::MAX,
                text,
                gold: Gold::Answers { entity, answers },
            })
        }
    }
}

/// Splits a question at the first opening bracket and its matching closing bracket, as titles such as `[REC]` need. If no bracket matches,
/// splits at the last closing one.
fn entity_in_brackets(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('[')?;
    let mut depth = 1;
    let matching = rest.char_indices().find_map(|(at, character)| {
        match character {
            '[' => depth += 1,
            ']' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    });
    let end = matching.or_else(|| rest.rfind(']'))?;
    let (entity, after) = (&rest[..end], &rest[end + 1..]);
    (!entity.is_empty()).then_some((before, entity, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::result::Result<Vec<Question>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.txt");
        std::fs::write(&path, text).unwrap();
        read_questions(&path, false).map_err(|error| {
            let message = error.to_string();
            message
                .split_once("q.txt")
                .map_or(message.clone(), |(_, rest)| rest.to_owned())
        })
    }

    #[test]
    fn the_three_forms() {
        let fact = |object: Option<&str>| Gold::Fact {
            subject: "S（M）".to_owned(),
            relation: "P".to_owned(),
            object: object.map(str::to_owned),
        };
        assert_eq!(read("Q?\tS（M）\tP\n").unwrap()[0].gold, fact(None));
        assert_eq!(read("Q?\tS（M）\tP\tO\tanswer\n").unwrap()[0].gold, fact(Some("O")));
        let json = read("{\"id\": 7, \"question\": \"Q?\", \"answer\": \"S（M） ||| P ||| O\"}\n").unwrap();
        assert_eq!((json[0].id, &json[0].gold), (7, &fact(Some("O"))));
        let answers = read("\nwho directed [Kismet] \tA|B\n").unwrap();
        assert_eq!(answers[0].text, "who directed Kismet ");
        assert_eq!(answers[0].id, 1, "the line's number, from 0");
        let gold = Gold::Answers {
            entity: "Kismet".to_owned(),
            answers: vec!["A".to_owned(), "B".to_owned()],
        };
        assert_eq!(answers[0].gold, gold);
    }

    #[test]
    fn an_entity_may_have_brackets_of_its_own() {
        for (line, text, entity) in [
            ("who directed [[REC]]", "who directed [REC]", "[REC]"),
            (
                "who directed [The [Bracket] Film] now",
                "who directed The [Bracket] Film now",
                "The [Bracket] Film",
            ),
            ("is [Kismet] like [it]", "is Kismet like [it]", "Kismet"),
            ("who wrote [a[b]", "who wrote a[b", "a[b"),
        ] {
            let question = &read(&format!("{line}\tPerson\n")).unwrap()[0];
            let Gold::Answers { entity: found, .. } = &question.gold else {
                panic!("{line}")
            };
            assert_eq!((question.text.as_str(), found.as_str()), (text, entity));
        }
        assert!(read("who directed []\tA\n").unwrap_err().contains("square brackets"));
    }

    #[test]
    fn names_the_line_and_what_is_wrong() {
        assert!(
            read("only a question\n")
                .unwrap_err()
                .starts_with(":1: expected `question<tab>S<tab>P")
        );
        assert_eq!(
            read("Q\tS\tP\nQ\tS\n").unwrap_err(),
            ":2: expected at least 3 fields separated by tabs, found 2"
        );
        assert_eq!(read("Q\t\tP\n").unwrap_err(), ":1: the subject is empty");
        assert!(
            read("{\"question\": \"Q\", \"answer\": \"S | P\"}\n")
                .unwrap_err()
                .contains("field `answer`")
        );
        assert_eq!(
            read("{\"question\": \"Q\", \"answer\": \" ||| P ||| O\"}\n").unwrap_err(),
            ":1: field `answer`: the subject is empty in ` ||| P ||| O`"
        );
        assert_eq!(
            read("who [a] b\tx\nwho [a] b\t \n").unwrap_err(),
            ":2: there is no answer after the tab"
        );
        assert!(
            read("{\"answer\": 1}\n")
                .unwrap_err()
                .starts_with(":1: expected a JSON object")
        );
        assert!(
            read("who directed Kismet\tA\n")
                .unwrap_err()
                .contains("square brackets")
        );
        assert_eq!(read("\n").unwrap_err(), ": holds no questions");
    }
}
