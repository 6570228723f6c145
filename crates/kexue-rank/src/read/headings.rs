//! The meaning of a column heading: rank, average, score, or none of them; and whether higher or lower is better.

use super::raw::RawColumn;
use crate::markup::clean_name;
use crate::table::{Direction, normalise};

/// Headings of the column that names the systems, best first.
pub(super) const SYSTEMS: [&str; 20] = [
    "model",
    "models",
    "modelname",
    "modeladapter",
    "system",
    "systems",
    "method",
    "methods",
    "approach",
    "algorithm",
    "name",
    "run",
    "submission",
    "llm",
    "模型",
    "模型名称",
    "系统",
    "方法",
    "名称",
    "モデル",
];
/// Headings of the team, a column that some files have before the name.
pub(super) const TEAMS: [&str; 6] = ["name", "team", "teamname", "author", "submitter", "organization"];
const RANKS: [&str; 8] = ["rank", "", "no", "position", "place", "pos", "排名", "名次"];
/// Headings of numbers that are not scores.
const NOT_SCORES: [&str; 38] = [
    "id",
    "date",
    "releasedate",
    "released",
    "year",
    "url",
    "link",
    "arxiv",
    "paper",
    "code",
    "submissiondate",
    "epoch",
    "epochs",
    "step",
    "steps",
    "seed",
    "layers",
    "votes",
    "license",
    "likes",
    "downloads",
    "stars",
    "version",
    "filter",
    "nshot",
    "shots",
    "fewshot",
    "numfewshot",
    "rtf",
    "rtfx",
    "throughput",
    "flops",
    "gflops",
    "macs",
    "fps",
    "contextlength",
    "stderr",
    "模型大小",
];
/// Words anywhere in a heading that mark numbers that are not scores.
const NOT_SCORE_WORDS: [&str; 5] = ["params", "param", "parameters", "stderr", "参数量"];
/// Units after a size.
const UNITS: [&str; 10] = ["b", "m", "k", "g", "gb", "mb", "kb", "billion", "billions", "millions"];

/// Whole headings of averages.
const AVERAGES: [&str; 33] = [
    "score",
    "total",
    "am",
    "gm",
    "hm",
    "totalscore",
    "avgscore",
    "averagescore",
    "meanscore",
    "overallscore",
    "finalscore",
    "avgacc",
    "macro",
    "micro",
    "aggregate",
    "decascore",
    "sum",
    "平均",
    "平均分",
    "平均值",
    "平均得分",
    "总平均",
    "均分",
    "总分",
    "总得分",
    "总体",
    "综合得分",
    "平均スコア",
    "総合",
    "평균",
    "durchschnitt",
    "moyenne",
    "promedio",
];
const AVERAGE_WORDS: [&str; 9] = [
    "avg", "average", "averages", "averaged", "ave", "mean", "overall", "ortalama", "平均",
];
/// Words that may accompany these without restricting the average to some columns.
const NEUTRAL_WORDS: [&str; 33] = [
    "score",
    "scores",
    "accuracy",
    "acc",
    "performance",
    "result",
    "results",
    "total",
    "sum",
    "all",
    "task",
    "tasks",
    "dataset",
    "datasets",
    "benchmark",
    "benchmarks",
    "points",
    "over",
    "of",
    "the",
    "across",
    "macro",
    "micro",
    "weighted",
    "unweighted",
    "arithmetic",
    "geometric",
    "harmonic",
    "rank",
    "normalized",
    "normalised",
    "meta",
    "final",
];
/// Words that make a mean the name of a metric: average precision, mean reciprocal rank.
const METRIC_WORDS: [&str; 14] = [
    "precision",
    "recall",
    "reciprocal",
    "iou",
    "opinion",
    "squared",
    "absolute",
    "error",
    "time",
    "latency",
    "length",
    "tokens",
    "seconds",
    "cost",
];
/// Words that suggest that lower is better.
const LOWER_WORDS: [&str; 60] = [
    "loss",
    "nll",
    "ppl",
    "perplexity",
    "wer",
    "cer",
    "ter",
    "mer",
    "per",
    "der",
    "eer",
    "fid",
    "fvd",
    "kid",
    "rmse",
    "nrmse",
    "rmsle",
    "mse",
    "mae",
    "mape",
    "smape",
    "mpjpe",
    "epe",
    "ade",
    "fde",
    "error",
    "err",
    "errors",
    "latency",
    "time",
    "runtime",
    "seconds",
    "bpc",
    "bpb",
    "bpd",
    "crps",
    "lpips",
    "toxicity",
    "ece",
    "brier",
    "hallucination",
    "hallucinations",
    "hallucinated",
    "failure",
    "failures",
    "violation",
    "violations",
    "refusal",
    "fpr",
    "fnr",
    "mcd",
    "distance",
    "deviation",
    "regret",
    "forgetting",
    "cost",
    "price",
    "energy",
    "错误率",
    "幻觉率",
];

/// The meaning of a heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Rank,
    /// Numbers that are not scores: a size, a date, a speed.
    NotAScore,
    /// The average of the table: `Avg`, `Overall score`, 总分.
    Average,
    /// An average of something narrower: `coraal_avg`. It may be of columns of the table, or of none.
    PartAverage,
    Score,
}

/// The meaning of a heading.
pub(super) fn meaning(name: &str) -> Meaning {
    let bare = normalise(name);
    if RANKS.contains(&bare.as_str()) && (!bare.is_empty() || name.trim() == "#") {
        return Meaning::Rank;
    }
    let words: Vec<String> = words(name).collect();
    let is_in = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    if NOT_SCORES.contains(&bare.as_str()) || is_in(&NOT_SCORE_WORDS) || is_size(&words) {
        return Meaning::NotAScore;
    }
    if AVERAGES.contains(&bare.as_str()) {
        return Meaning::Average;
    }
    let is_average_word = |word: &String| AVERAGE_WORDS.contains(&word.as_str());
    if !(words.iter().any(is_average_word) || name.contains("平均")) || is_in(&METRIC_WORDS) {
        return Meaning::Score;
    }
    let is_neutral = |word: &String| {
        is_average_word(word) || NEUTRAL_WORDS.contains(&word.as_str()) || word.chars().all(|c| c.is_ascii_digit())
    };
    if words.iter().all(is_neutral) {
        Meaning::Average
    } else {
        Meaning::PartAverage
    }
}

/// `Size`, `Model size (B)`
fn is_size(words: &[String]) -> bool {
    let mut words = words.iter().rev().skip_while(|word| UNITS.contains(&word.as_str()));
    words.next().is_some_and(|word| word == "size")
}

/// The word in a heading that suggests that lower is better.
pub(super) fn lower_word(name: &str) -> Option<String> {
    words(name).find(|word| LOWER_WORDS.contains(&word.as_str()))
}

fn words(name: &str) -> impl Iterator<Item = String> + '_ {
    name.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

const UP: [char; 6] = ['↑', '⇑', '⬆', '▲', '△', '🔼'];
const DOWN: [char; 6] = ['↓', '⇓', '⬇', '▼', '▽', '🔽'];

/// A heading without its arrow, and the direction that the arrow or words indicate.
pub(super) fn direction(column: &RawColumn) -> (String, Option<Direction>) {
    let mut name = column.name.clone();
    let mut say = [name.contains(UP), name.contains(DOWN)];
    for (phrase, slot) in [("higher is better", 0), ("lower is better", 1)] {
        if let Some(start) = name.to_ascii_lowercase().find(phrase) {
            say[slot] = true;
            name.replace_range(start..start + phrase.len(), "");
        }
    }
    let direction = match say {
        [true, false] => Some(Direction::Higher),
        [false, true] => Some(Direction::Lower),
        _ => None,
    };
    if say != [false, false] {
        // `\u{fe0f}` asks for the coloured form of the arrow before it.
        name.retain(|c| !UP.contains(&c) && !DOWN.contains(&c) && c != '\u{fe0f}');
        for empty in ["()", "( )", "[]", "[ ]"] {
            name = name.replace(empty, "");
        }
        name = name.trim_end_matches([',', ';', ' ']).to_owned();
    }
    (clean_name(name.trim()), column.direction.or(direction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_say_what_a_column_is() {
        for (meaning_of, names) in [
            (Meaning::Rank, &["#", "Rank", "排名"][..]),
            (
                Meaning::NotAScore,
                &[
                    "Model size (B)",
                    "#Params (M)",
                    "Size",
                    "RTFx",
                    "Version",
                    "Stderr",
                    "acc_stderr",
                    "n-shot",
                ],
            ),
            (
                Meaning::Average,
                &[
                    "Avg",
                    "Avg.",
                    "Average",
                    "Score",
                    "Overall",
                    "Overall Score",
                    "Mean-Rank",
                    "Meta-Ave",
                    "Avg (8 tasks)",
                    "Macro avg",
                    "Total",
                    "平均",
                    "平均分",
                    "总分",
                    "AM",
                    "Average accuracy (%)",
                ],
            ),
            (
                Meaning::PartAverage,
                &["coraal_avg", "sub_avg", "Average WER", "NLI avg.", "文科平均"],
            ),
            (
                Meaning::Score,
                &[
                    "Average Precision",
                    "Mean Reciprocal Rank",
                    "Mean IoU",
                    "RTE",
                    "F1",
                    "Meaning",
                    "Hallucination Rate",
                    "Resize",
                ],
            ),
        ] {
            for name in names {
                assert_eq!(meaning(name), meaning_of, "{name}");
            }
        }
    }

    #[test]
    fn arrows_and_words_say_which_way_is_better() {
        for (heading, name, expected) in [
            ("BLEU ↑", "BLEU", Some(Direction::Higher)),
            ("Time (⇓)", "Time", Some(Direction::Lower)),
            ("PPL ⬇️", "PPL", Some(Direction::Lower)),
            ("WER (lower is better)", "WER", Some(Direction::Lower)),
            ("A (B)", "A (B)", None),
            ("A ↑↓", "A", None),
        ] {
            assert_eq!(direction(&RawColumn::named(heading)), (name.to_owned(), expected));
        }
    }
}
