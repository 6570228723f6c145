//! Reading examples from TSV, CSV and JSON Lines. Errors name the place of the problem.

use crate::columns::{Columns, Format, Part, parts};
use kexue_train::TrainError;
use serde_json::Value;
use std::io::{BufRead, BufReader};

/// A text or a pair of texts, and its label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The line of the file on which it starts, from 1.
    pub line: usize,
    /// The text, or the first of a pair.
    pub text: String,
    /// The second text of a pair.
    pub second: Option<String>,
    /// The label; `None` if the file has none.
    pub label: Option<String>,
}

/// The examples of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examples {
    /// The file, for messages.
    pub file: String,
    /// The column of the labels, for messages.
    pub label: String,
    /// The examples, in the order of the file.
    pub examples: Vec<Example>,
}

impl Examples {
    /// A problem with the label of an example.
    pub(crate) fn label_problem(&self, example: &Example, problem: impl std::fmt::Display) -> TrainError {
        let place = format!("{}:{}", self.file, example.line);
        TrainError::file(place, format!("column `{}`: {problem}", self.label))
    }
}

/// Reads the examples of a file; `file` is its name. If `labelled` is true, every example must have a label.
///
/// # Errors
/// If the file cannot be read, is empty, or lacks a column. The error names the line and the column.
pub fn read_examples(
    reader: impl BufRead,
    file: &str,
    columns: &Columns,
    labelled: bool,
) -> Result<Examples, TrainError> {
    let Some(format) = columns.format.or_else(|| Format::of(file)) else {
        let problem = "the name does not tell the format; name the file .tsv, .csv or .jsonl, or set `format`";
        return Err(TrainError::file(file, problem));
    };
    let mut reading = Reading {
        file,
        columns,
        labelled,
        text: parts(&columns.text),
        second: columns.second.as_deref().map(parts),
        header: None,
        examples: Vec::new(),
    };
    match format {
        Format::Tsv => reading.tsv(reader)?,
        Format::Csv => reading.csv(reader)?,
        Format::JsonLines => reading.json_lines(reader)?,
    }
    if reading.examples.is_empty() {
        return Err(TrainError::file(file, "holds no examples"));
    }
    Ok(Examples {
        file: file.to_owned(),
        label: columns.label.clone(),
        examples: reading.examples,
    })
}

struct Reading<'a> {
    file: &'a str,
    columns: &'a Columns,
    labelled: bool,
    text: Vec<Part>,
    second: Option<Vec<Part>>,
    header: Option<Vec<String>>,
    examples: Vec<Example>,
}

/// The content of a column, or why it is missing.
type Found = Result<String, String>;

impl Reading<'_> {
    fn at(&self, line: usize, problem: impl ToString) -> TrainError {
        TrainError::file(format!("{}:{line}", self.file), problem)
    }

    fn tsv(&mut self, reader: impl BufRead) -> Result<(), TrainError> {
        for (line, text) in (1..).zip(reader.lines()) {
            let text =
                text.map_err(|error| self.at(line, format!("cannot be read: {error}; the text must be UTF-8")))?;
            let text = text.strip_suffix('\r').unwrap_or(&text);
            if !text.is_empty() {
                self.row(line, text.split('\t').map(str::to_owned).collect())?;
            }
        }
        Ok(())
    }

    fn csv(&mut self, reader: impl BufRead) -> Result<(), TrainError> {
        let mut rows = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(BufReader::new(reader));
        let mut row = csv::StringRecord::new();
        loop {
            let line = rows.position().line() as usize;
            match rows.read_record(&mut row) {
                Ok(false) => return Ok(()),
                Ok(true) => {
                    let line = row.position().map_or(line, |position| position.line() as usize);
                    self.row(line, row.iter().map(str::to_owned).collect())?;
                }
                Err(error) => return Err(self.at(line, format!("cannot be read: {error}"))),
            }
        }
    }

    /// A row of a table: the header, or an example.
    fn row(&mut self, line: usize, fields: Vec<String>) -> Result<(), TrainError> {
        if self.columns.header && self.header.is_none() {
            self.header = Some(fields);
            return Ok(());
        }
        let header = self.header.take();
        let find = |name: &str| -> Found {
            let index = match &header {
                Some(header) => header.iter().position(|other| other == name).ok_or_else(|| {
                    let names: Vec<String> = header.iter().map(|name| format!("`{name}`")).collect();
                    format!("there is no column `{name}`; there are {}", names.join(", "))
                })?,
                None => {
                    let number = name.parse::<usize>().ok().filter(|number| *number > 0);
                    number.ok_or_else(|| {
                        format!("column `{name}` is not a number from 1; a file without a header needs column numbers")
                    })? - 1
                }
            };
            fields.get(index).cloned().ok_or_else(|| {
                let count = fields.len();
                format!(
                    "column `{name}` is missing: the line has {count} fields, and this would be number {}",
                    index + 1
                )
            })
        };
        let added = self.add(line, find);
        self.header = header;
        added
    }

    fn json_lines(&mut self, reader: impl BufRead) -> Result<(), TrainError> {
        for (line, text) in (1..).zip(reader.lines()) {
            let text =
                text.map_err(|error| self.at(line, format!("cannot be read: {error}; the text must be UTF-8")))?;
            if text.trim().is_empty() {
                continue;
            }
            let object: Value =
                serde_json::from_str(&text).map_err(|error| self.at(line, format!("not JSON: {error}")))?;
            let find = |name: &str| -> Found {
                let value = name.split('.').try_fold(&object, |value, key| value.get(key));
                value
                    .ok_or_else(|| format!("there is no field `{name}`"))
                    .and_then(|value| {
                        words(value).ok_or_else(|| format!("field `{name}` is not a text, a number or a list of texts"))
                    })
            };
            self.add(line, find)?;
        }
        Ok(())
    }

    fn add(&mut self, line: usize, find: impl Fn(&str) -> Found) -> Result<(), TrainError> {
        let text = |parts: &[Part]| -> Found {
            let part = |part: &Part| match part {
                Part::Literal(text) => Ok(text.clone()),
                Part::Column(name) => find(name),
            };
            parts.iter().map(part).collect()
        };
        let problem = |problem: String| self.at(line, problem);
        let (first, second) = (text(&self.text), self.second.as_deref().map(text).transpose());
        let label = match find(&self.columns.label) {
            Err(error) if self.labelled => return Err(problem(error)),
            found => found.ok(),
        };
        if label.is_some() && label == self.columns.unlabelled {
            return Ok(());
        }
        let example = Example {
            line,
            text: first.map_err(problem)?,
            second: second.map_err(problem)?,
            label,
        };
        self.examples.push(example);
        Ok(())
    }
}

/// Converts a JSON value to a text. The texts of a list are joined by commas.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Array(list) => Some(list.iter().map(words).collect::<Option<Vec<_>>>()?.join(",")),
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Preset;

    fn read(preset: &str, text: &str) -> Result<Examples, TrainError> {
        let columns = Preset::named(preset).unwrap().columns;
        read_examples(text.as_bytes(), "a/train", &columns, true)
    }

    fn first(preset: &str, text: &str) -> (String, Option<String>, Option<String>) {
        let example = read(preset, text).unwrap().examples.remove(0);
        (example.text, example.second, example.label)
    }

    #[test]
    fn presets_read_files_as_they_are_published() {
        let some = |text: &str| Some(text.to_owned());
        let rte = "index\tsentence1\tsentence2\tlabel\r\n0\tHe said \"no.\tNo.\tentailment\r\n";
        assert_eq!(
            first("rte", rte),
            ("He said \"no.".to_owned(), some("No."), some("entailment"))
        );
        assert_eq!(
            first("cola", "gj04\t0\t*\tIt run.\n"),
            ("It run.".to_owned(), None, some("0"))
        );
        let reviews = "label,review\n1,\"a \"\"b\"\",\nc\"\n";
        assert_eq!(
            first("chnsenticorp", reviews),
            ("a \"b\",\nc".to_owned(), None, some("1"))
        );
        let wsc = r#"{"target": {"span1_text": "树叶", "span2_text": "他"}, "label": "false", "text": "为什么"}"#;
        assert_eq!(
            first("cluewsc", wsc),
            ("为什么".to_owned(), some("他指树叶"), some("false"))
        );
        let csl = r#"{"abst": "a", "keyword": ["b", "c"], "label": 1}"#;
        assert_eq!(first("csl", csl), ("a".to_owned(), some("b,c"), some("1")));
        let ocnli = "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": \"-\"}\n\n{\"sentence1\": \"c\", \"sentence2\": \"d\", \"label\": \"neutral\"}\n";
        let read = read("ocnli", ocnli).unwrap().examples;
        assert_eq!((read.len(), read[0].line, read[0].text.as_str()), (1, 3, "c"));
    }

    #[test]
    fn problems_have_a_file_a_line_and_a_column() {
        let error = |preset: &str, text: &str| read(preset, text).unwrap_err().to_string();
        assert_eq!(error("rte", ""), "a/train: holds no examples");
        assert_eq!(
            error("rte", "index\tpremise\tlabel\n0\ta\tb\n"),
            "a/train:2: there is no column `sentence1`; there are `index`, `premise`, `label`"
        );
        assert_eq!(
            error("cola", "x\t1\t\tGood.\nx\t1\n"),
            "a/train:2: column `4` is missing: the line has 2 fields, and this would be number 4"
        );
        assert_eq!(
            error("tnews", "{\"sentence\": \"a\"}\n"),
            "a/train:1: there is no field `label`"
        );
        assert!(error("tnews", "{\"sentence\": null, \"label\": 1}").contains("field `sentence` is not a text"));
        assert!(error("tnews", "\n{").starts_with("a/train:2: not JSON: "));
        let columns = Preset::named("tnews").unwrap().columns;
        let unlabelled = read_examples(&b"{\"sentence\": \"a\"}"[..], "x", &columns, false).unwrap();
        assert_eq!(unlabelled.examples[0].label, None);
        let columns = Columns {
            format: None,
            ..columns
        };
        let nameless = read_examples(&b"a"[..], "x", &columns, false).unwrap_err().to_string();
        assert!(nameless.contains("does not tell the format"));
    }
}
