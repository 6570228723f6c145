//! The grammar of a cell: metrics separated by `/`, each a number with an optional error (`±`) and optional parentheses after it.
//!
//! `93.4` · `93.9/91.8` · `93.4 ± 0.2` · `60.0 (59.0) / 90.0 (89.0)` · `83.93(f1) 87.5(acc)` · `-`

use crate::doubt::Doubt;
use crate::markup::clean;
use crate::missing::is_missing;
use crate::number::{DecimalMark, Number, parse_number};

/// How to treat a number in parentheses after a score, which may be a deviation, a rank or a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parentheses {
    /// Refuse the cell.
    #[default]
    Refuse,
    /// Ignore it.
    Drop,
    /// Read it as the error of the score, like `±`.
    Error,
}

/// One cell as printed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// Empty, `-`, `n/a` and the like.
    Missing,
    /// The metrics of the cell in order; a metric of a pair may be missing: `93.9/-`.
    Metrics(Vec<Metric>),
    /// Not a score, or an ambiguous one.
    Doubtful(Doubt),
}

/// One metric of a cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metric {
    /// `None` if it is missing.
    pub number: Option<Number>,
    /// Its name in parentheses: `f1` of `83.93(f1)`.
    pub label: Option<String>,
}

/// Reads a cell. `mark` says how to read the ambiguous commas of its column; `None` refuses them.
/// With `strict`, the user has set `mark`, and a number that contradicts it is refused.
pub(crate) fn parse(text: &str, mark: Option<DecimalMark>, strict: bool, parentheses: Parentheses) -> Cell {
    if is_missing(text) {
        return Cell::Missing;
    }
    let cleaned = clean(text).text;
    if is_missing(&cleaned) {
        return Cell::Missing;
    }
    let mut metrics = Vec::new();
    let mut errors = 0;
    for part in split_outside_parentheses(&cleaned) {
        let groups = match groups(part) {
            Ok(groups) => groups,
            Err(doubt) => return Cell::Doubtful(doubt),
        };
        for group in groups {
            match group.metric(mark, strict, parentheses) {
                Ok(metric) => {
                    errors += usize::from(metric.number.is_some_and(|number| number.error.is_some()));
                    metrics.push(metric);
                }
                Err(doubt) => return Cell::Doubtful(doubt),
            }
        }
    }
    let present = metrics.iter().filter(|metric| metric.number.is_some()).count();
    if present == 0 {
        return Cell::Missing;
    }
    if errors > 0 && errors < present {
        return Cell::Doubtful(Doubt::SharedError);
    }
    Cell::Metrics(metrics)
}

/// A number and the parentheses after it.
struct Group<'a> {
    body: &'a str,
    parentheses: Vec<&'a str>,
}

impl Group<'_> {
    fn metric(&self, mark: Option<DecimalMark>, strict: bool, rule: Parentheses) -> Result<Metric, Doubt> {
        let mut label = None;
        let mut error_text = None;
        for inner in &self.parentheses {
            let inner = inner.trim();
            if let Some(error) = inner.strip_prefix('±') {
                error_text = Some(error);
            } else if inner.starts_with(char::is_alphabetic) {
                if rule != Parentheses::Drop {
                    label = Some(inner.to_lowercase());
                }
            } else {
                match rule {
                    Parentheses::Refuse => return Err(Doubt::Parentheses),
                    Parentheses::Drop => {}
                    Parentheses::Error => error_text = Some(inner),
                }
            }
        }
        if is_missing(self.body) {
            if self.body.is_empty() {
                return Err(Doubt::OnlyParentheses);
            }
            return Ok(Metric { number: None, label });
        }
        let body = match self.body.split_once('±') {
            Some((body, error)) if error_text.is_none() => {
                error_text = Some(error);
                body.trim()
            }
            _ => self.body,
        };
        let mut number = parse_number(body, mark, strict)?;
        if let Some(error) = error_text {
            number.error = Some(parse_number(error.trim(), mark, strict)?.value.abs());
        }
        Ok(Metric {
            number: Some(number),
            label,
        })
    }
}

/// The groups of a part between slashes: one, or several that parentheses separate.
fn groups(part: &str) -> Result<Vec<Group<'_>>, Doubt> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut rest = part.trim();
    loop {
        let open = rest.find(['(', '[']).unwrap_or(rest.len());
        let mut body = rest[..open].trim();
        if let Some(last) = groups.last_mut() {
            // Behind a parenthesis: another one, a percent sign of the number, or the next metric.
            body = body.trim_start_matches([',', ';', '|']).trim_start();
            if body.is_empty() && open < rest.len() {
                let close = closing(rest, open)?;
                last.parentheses.push(&rest[open + 1..close]);
                rest = rest[close + 1..].trim_start();
                continue;
            }
            if body.is_empty() {
                return Ok(groups);
            }
        }
        let mut group = Group {
            body,
            parentheses: Vec::new(),
        };
        if open == rest.len() {
            groups.push(group);
            return Ok(groups);
        }
        let close = closing(rest, open)?;
        group.parentheses.push(&rest[open + 1..close]);
        groups.push(group);
        rest = rest[close + 1..].trim_start();
    }
}

/// The end of the parenthesis that opens at `open`.
fn closing(text: &str, open: usize) -> Result<usize, Doubt> {
    let mut depth = 0usize;
    for (index, byte) in text.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Ok(index);
                }
            }
            _ => {}
        }
    }
    Err(Doubt::OpenParenthesis)
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0usize, 0);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'/' if depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Whether an unreadable cell looks as if it contains scores: a number with decimals, and few words.
pub(crate) fn looks_like_score(text: &str) -> bool {
    let cleaned = clean(text).text;
    let digits = cleaned.trim_start_matches(['+', '-', '(', '[', '<', '>', '≈', '=', ' ']);
    let whole = digits.bytes().take_while(u8::is_ascii_digit).count();
    let behind = &digits[whole..];
    let decimals = behind
        .strip_prefix(['.', ','])
        .map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    if whole == 0 || decimals == 0 {
        return false;
    }
    // `1.5B`, `0.2.1` and `3.5-turbo` are sizes, versions and names.
    !behind[1 + decimals..].starts_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, parentheses: Parentheses) -> Cell {
        parse(text, None, false, parentheses)
    }

    fn values(cell: &Cell) -> Vec<f64> {
        let Cell::Metrics(metrics) = cell else {
            panic!("{cell:?}")
        };
        let value = |metric: &Metric| metric.number.map_or(f64::NAN, |number| number.value);
        metrics.iter().map(value).collect()
    }

    #[test]
    fn several_metrics_are_all_read() {
        for (text, rule, expected) in [
            ("93.9/91.8", Parentheses::Refuse, &[93.9, 91.8][..]),
            ("83.93(f1) 87.5(acc)", Parentheses::Refuse, &[83.93, 87.5]),
            ("83.93 (F1), 87.5 (acc)", Parentheses::Refuse, &[83.93, 87.5]),
            ("78.7(acc)", Parentheses::Refuse, &[78.7]),
            ("60.0 (59.0) / 90.0 (89.0)", Parentheses::Drop, &[60.0, 90.0]),
            ("60.0 (59.0) 90.0 (89.0)", Parentheses::Drop, &[60.0, 90.0]),
            ("60.0 (1/2) / 90.0 [1, 2]", Parentheses::Drop, &[60.0, 90.0]),
            ("60.0 (0.5) / 90.0 (0.4)", Parentheses::Error, &[60.0, 90.0]),
            ("60.0 ± 0.5 / 90.0 ± 0.4", Parentheses::Refuse, &[60.0, 90.0]),
            ("93.4 (0.2) (3)", Parentheses::Drop, &[93.4]),
        ] {
            assert_eq!(values(&read(text, rule)), expected, "{text}");
        }
        let half = read("93.9/-", Parentheses::Refuse);
        assert!(
            matches!(&half, Cell::Metrics(metrics) if metrics.len() == 2 && metrics[1].number.is_none()),
            "{half:?}"
        );
    }

    #[test]
    fn labels_and_errors_stay_with_their_metric() {
        let Cell::Metrics(metrics) = read("83.93(F1) 87.5(acc)", Parentheses::Refuse) else {
            panic!()
        };
        let labels: Vec<_> = metrics.iter().map(|metric| metric.label.as_deref()).collect();
        assert_eq!(labels, [Some("f1"), Some("acc")]);
        for text in [
            "93.4 ± 0.2",
            "93.4\\pm0.2",
            "$93.4_{\\pm 0.2}$",
            "93.4 +/- 0.2",
            "93.4 (±0.2)",
        ] {
            let Cell::Metrics(metrics) = read(text, Parentheses::Refuse) else {
                panic!("{text}")
            };
            let number = metrics[0].number.unwrap();
            assert_eq!((number.value, number.error), (93.4, Some(0.2)), "{text}");
        }
    }

    #[test]
    fn missing_marks() {
        for text in ["", " ", "-", "—", "--", "n/a", "N/A", "NaN", "-/-", "$-$"] {
            assert_eq!(read(text, Parentheses::Refuse), Cell::Missing, "{text}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_told_apart_from_nonsense() {
        for (text, doubt) in [
            ("1,234", Doubt::Comma),
            ("93.4 (2)", Doubt::Parentheses),
            ("93.4_{2}", Doubt::Parentheses),
            ("93.4<sub>2</sub>", Doubt::Parentheses),
            ("60.0 (59.0) / 90.0 (89.0)", Doubt::Parentheses),
            ("(93.4)", Doubt::OnlyParentheses),
            ("93.9/91.8 ± 0.2", Doubt::SharedError),
            ("93.4 (", Doubt::OpenParenthesis),
            ("93.4 2", Doubt::Unseparated),
            ("90 80", Doubt::Unseparated),
            ("90<br>80", Doubt::Unseparated),
            ("ninety", Doubt::NotANumber),
            ("1.2.3", Doubt::NotANumber),
            ("12,34,5", Doubt::NotANumber),
            ("9..3", Doubt::NotANumber),
            ("<0.1", Doubt::NotANumber),
            ("1,", Doubt::NotANumber),
            (",", Doubt::NotANumber),
            ("1.2 \\times 10", Doubt::NotANumber),
        ] {
            let rule = if doubt == Doubt::OnlyParentheses {
                Parentheses::Drop
            } else {
                Parentheses::Refuse
            };
            assert_eq!(read(text, rule), Cell::Doubtful(doubt), "{text}");
        }
    }

    #[test]
    fn words_are_told_apart_from_scores_that_cannot_be_read() {
        for text in ["83.9 f1, 87.5 acc", "60.0 (59.0", "93.4 on dev", "93.4_{0.2}", "<0.1"] {
            assert!(looks_like_score(text), "{text}");
        }
        for text in [
            "1.5B",
            "340M",
            "0.2.1",
            "2023-04-05",
            "v1.2",
            "3.5-turbo",
            "12 layers",
            "https://ex.org/1.5",
            "",
        ] {
            assert!(!looks_like_score(text), "{text}");
        }
    }
}
