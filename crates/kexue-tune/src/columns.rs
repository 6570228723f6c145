//! The columns of a file that hold texts and labels, set by hand or by the preset of a known task.

use crate::metrics::Measure;
use serde::{Deserialize, Serialize};

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Fields separated by tabs. Quotation marks have no special meaning, as in GLUE's files.
    Tsv,
    /// Comma-separated values, quoted as in RFC 4180.
    Csv,
    /// One JSON object per line.
    JsonLines,
}

impl Format {
    /// The format by the extension of a file name, ignoring that of a compressed file.
    pub fn of(name: &str) -> Option<Self> {
        let name = name.trim_end_matches(".zst").trim_end_matches(".gz");
        match name.rsplit('.').next() {
            Some("tsv" | "txt") => Some(Self::Tsv),
            Some("csv") => Some(Self::Csv),
            Some("json" | "jsonl") => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// The columns of a file's examples.
///
/// A column is named by its header, by its number from 1 if there is no header, or by its path in a JSON object: `target.span1_text`. A text may also be
/// composed of several columns: `{target.span2_text} = {target.span1_text}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// The format of the file; determined by its name if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Whether the first line names the columns of a TSV or CSV file.
    pub header: bool,
    /// The column of the text, or of the first text of a pair.
    pub text: String,
    /// The column of the second text of a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
    /// The column of the class or number to predict.
    pub label: String,
    /// A label that marks unlabelled examples, which are skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlabelled: Option<String>,
}

/// A known task: its columns and its measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// The columns of its files.
    pub columns: Columns,
    /// Its measures. The first one selects the best step.
    pub measures: Vec<Measure>,
}

/// The names of all presets: GLUE's tasks, FewCLUE's, and ChnSentiCorp.
pub const PRESETS: [&str; 14] = [
    "rte",
    "cola",
    "mrpc",
    "sst2",
    "sts-b",
    "bustm",
    "chnsenticorp",
    "cluewsc",
    "csl",
    "csldcp",
    "eprstmt",
    "iflytek",
    "ocnli",
    "tnews",
];

impl Preset {
    /// A task by its name.
    pub fn named(name: &str) -> Option<Self> {
        use Measure::{Accuracy, F1, Matthews, Pearson, Spearman};
        let table = |format: Format, text: &str, second: Option<&str>, label: &str| Columns {
            format: Some(format),
            header: true,
            text: text.to_owned(),
            second: second.map(str::to_owned),
            label: label.to_owned(),
            unlabelled: None,
        };
        let json = |text: &str, second: Option<&str>| table(Format::JsonLines, text, second, "label");
        let pair = Some("sentence2");
        let (columns, measures) = match name {
            "rte" => (table(Format::Tsv, "sentence1", pair, "label"), vec![Accuracy]),
            "cola" => {
                let columns = Columns {
                    header: false,
                    ..table(Format::Tsv, "4", None, "2")
                };
                (columns, vec![Matthews, Accuracy])
            }
            "mrpc" => {
                let columns = table(Format::Tsv, "#1 String", Some("#2 String"), "Quality");
                (columns, vec![F1, Accuracy])
            }
            "sst2" => (table(Format::Tsv, "sentence", None, "label"), vec![Accuracy]),
            "sts-b" => (table(Format::Tsv, "sentence1", pair, "score"), vec![Pearson, Spearman]),
            "chnsenticorp" => (table(Format::Csv, "review", None, "label"), vec![Accuracy]),
            "bustm" => (json("sentence1", pair), vec![Accuracy]),
            "ocnli" => {
                let columns = Columns {
                    unlabelled: Some("-".to_owned()),
                    ..json("sentence1", pair)
                };
                (columns, vec![Accuracy])
            }
            "cluewsc" => {
                let question = "{target.span2_text}指{target.span1_text}";
                (json("text", Some(question)), vec![Accuracy])
            }
            "csl" => (json("abst", Some("keyword")), vec![Accuracy]),
            "csldcp" => (json("content", None), vec![Accuracy]),
            "eprstmt" | "iflytek" | "tnews" => (json("sentence", None), vec![Accuracy]),
            _ => return None,
        };
        Some(Self { columns, measures })
    }
}

/// A part of a composed text: a literal or a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(String),
    Column(String),
}

/// The parts of a column's setting: one column, or a template with columns in braces.
pub(crate) fn parts(setting: &str) -> Vec<Part> {
    if !setting.contains('{') {
        return vec![Part::Column(setting.to_owned())];
    }
    let mut parts = Vec::new();
    let mut rest = setting;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            break;
        };
        if !before.is_empty() {
            parts.push(Part::Literal(before.to_owned()));
        }
        parts.push(Part::Column(name.to_owned()));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_there_and_templates_are_taken_apart() {
        for name in PRESETS {
            let preset = Preset::named(name).unwrap();
            assert!(!preset.measures.is_empty() && preset.columns.format.is_some(), "{name}");
        }
        assert_eq!(Preset::named("cifar"), None);
        let column = |name: &str| Part::Column(name.to_owned());
        let literal = |text: &str| Part::Literal(text.to_owned());
        assert_eq!(parts("#1 String"), [column("#1 String")]);
        assert_eq!(
            parts("{a.b}指{c}。"),
            [column("a.b"), literal("指"), column("c"), literal("。")]
        );
        assert_eq!(parts("x{a"), [literal("x{a")]);
    }

    #[test]
    fn formats_go_by_the_name_of_the_file() {
        assert_eq!(Format::of("a/train.tsv.zst"), Some(Format::Tsv));
        assert_eq!(Format::of("dev.csv"), Some(Format::Csv));
        assert_eq!(Format::of("train_0.json.gz"), Some(Format::JsonLines));
        assert_eq!(Format::of("train"), None);
    }
}
