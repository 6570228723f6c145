//! The grammar of a printed score: `93.9`, `93,9`, `1,234.5`, `93.4%`, `93.9/91.8`, `93.4 ± 0.2`, `-`.
//!
//! A comma with three digits behind it (`1,234`) may be a decimal comma or a thousands separator. The reader of a column
//! decides from the column's other cells ([`Evidence`]) or from a flag, and otherwise refuses.

/// The sign between the whole part and the decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DecimalMark {
    /// `93.4`, and `1,234.5` with thousands.
    Point,
    /// `93,4`, and `1.234,5` with thousands.
    Comma,
}

/// What to do with a number in parentheses behind a score, which may be a deviation, a rank or a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parentheses {
    /// Refuse the cell.
    #[default]
    Refuse,
    /// Drop it.
    Drop,
    /// Read it as the error of the score, like `±`.
    Error,
}

/// One number as printed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// Its value; a percent sign leaves the value as it stands.
    pub value: f64,
    /// Digits behind the decimal mark.
    pub decimals: u8,
    /// Whether a percent sign followed.
    pub percent: bool,
    /// The `± error` that followed.
    pub error: Option<f64>,
}

/// One cell as printed.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Empty, `-`, `n/a` and the like.
    Missing,
    /// The metrics of the cell in order; a metric of a pair may be missing: `93.9/-`.
    Metrics(Vec<Option<Number>>),
    /// Not a score; says why.
    Unreadable(&'static str),
    /// A number that can be read in two ways; says which.
    Ambiguous(&'static str),
}

/// What the certain cells of a column say about its decimal mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Cells whose point is certainly a decimal mark by being one with other than three digits behind it.
    pub decimal_points: usize,
    /// Cells whose comma is certainly a decimal mark.
    pub decimal_commas: usize,
    /// Cells with certain thousands separators that are commas.
    pub thousands_commas: usize,
    /// Cells with certain thousands separators that are points.
    pub thousands_points: usize,
    /// Cells with a comma and three digits behind it.
    pub unclear_commas: usize,
    /// Cells with a point and three digits behind it.
    pub three_decimals: usize,
    /// Cells with a percent sign.
    pub percents: usize,
    /// Footnote marks that were taken off.
    pub footnotes: usize,
}

impl Evidence {
    /// The mark of the unclear cells, or why it cannot be told.
    pub fn mark(&self) -> Result<DecimalMark, &'static str> {
        let comma = self.decimal_commas > 0 || self.thousands_points > 0;
        let point = self.decimal_points > 0 || self.thousands_commas > 0;
        match (comma, point) {
            (true, false) if self.three_decimals > 0 => {
                Err("the column has decimal commas, so a point with three digits behind it may separate thousands")
            }
            (true, false) => Ok(DecimalMark::Comma),
            // Certain cells only: each says itself what it is.
            (true, true) if self.unclear_commas == 0 && self.three_decimals == 0 => Ok(DecimalMark::Point),
            (true, true) => Err("the column has decimal commas and decimal points"),
            (false, _) if self.unclear_commas == 0 => Ok(DecimalMark::Point),
            (false, _) if self.thousands_commas > 0 && self.decimal_points == 0 => Ok(DecimalMark::Point),
            (false, _) => Err("a comma with three digits behind it may separate thousands or decimals"),
        }
    }
}

/// Reads the form that almost every cell has: `-?digits[.digits]`, to be tried before [`parse`].
#[inline]
pub fn parse_plain(text: &str) -> Option<(f64, u8)> {
    let bytes = text.as_bytes();
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    // Up to 15 significant digits a quotient of two exact doubles is the nearest double.
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let mut mantissa: u64 = 0;
    let mut count = 0u8;
    let mut decimals: Option<u8> = None;
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + u64::from(byte - b'0');
                count += 1;
                if let Some(decimals) = &mut decimals {
                    *decimals += 1;
                }
            }
            b'.' if decimals.is_none() => decimals = Some(0),
            _ => return None,
        }
    }
    if count == 0 || count > 15 {
        return None;
    }
    // `007` is a name, not a number.
    if digits[0] == b'0' && digits.get(1).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let decimals = decimals.unwrap_or(0);
    const POWERS: [f64; 16] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
    ];
    let value = mantissa as f64 / POWERS[usize::from(decimals)];
    Some((if digits.len() == bytes.len() { value } else { -value }, decimals))
}

/// Whether a cell says that there is no score.
pub fn is_missing(text: &str) -> bool {
    let text = text.trim();
    if text.is_empty() {
        return true;
    }
    if text.len() > 8 {
        return false;
    }
    if text
        .chars()
        .all(|c| matches!(c, '-' | '–' | '—' | '−' | '?' | '.' | '…' | '/'))
    {
        return true;
    }
    ["n/a", "n.a.", "na", "nan", "none", "null", "tbd", "tba", "missing"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

/// Collects what a cell says about its column, see [`Evidence`].
pub fn observe(text: &str, evidence: &mut Evidence) {
    let cleaned = clean(text);
    if cleaned.footnotes > 0 {
        evidence.footnotes += 1;
    }
    if is_missing(&cleaned.text) {
        return;
    }
    for part in cleaned.text.split(['/', '±', '(', ')']) {
        let body = part.trim();
        if body.ends_with('%') {
            evidence.percents += 1;
        }
        let body: String = body
            .trim_end_matches('%')
            .trim_start_matches(['-', '+'])
            .chars()
            .filter(|c| !c.is_whitespace())
            .collect();
        if body.is_empty() || !body.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',')) {
            continue;
        }
        match shape(&body) {
            Shape::Plain => {}
            Shape::Decimal {
                mark: DecimalMark::Point,
                decimals: 3,
            } => evidence.three_decimals += 1,
            Shape::Decimal {
                mark: DecimalMark::Point,
                ..
            } => evidence.decimal_points += 1,
            Shape::Decimal {
                mark: DecimalMark::Comma,
                ..
            } => evidence.decimal_commas += 1,
            Shape::Grouped {
                mark: DecimalMark::Point,
                ..
            } => evidence.thousands_commas += 1,
            Shape::Grouped {
                mark: DecimalMark::Comma,
                ..
            } => evidence.thousands_points += 1,
            Shape::UnclearComma => evidence.unclear_commas += 1,
            Shape::Broken => {}
        }
    }
}

/// Reads a cell. `mark` is what the unclear commas of its column are; `None` refuses them.
/// With `strict`, `mark` was given by the user, and a number that contradicts it is refused.
pub fn parse(text: &str, mark: Option<DecimalMark>, strict: bool, parentheses: Parentheses) -> Cell {
    if is_missing(text) {
        return Cell::Missing;
    }
    let cleaned = clean(text);
    let mut text = cleaned.text.trim();
    if is_missing(text) {
        return Cell::Missing;
    }

    // A trailing parenthesis: `93.4 (0.2)`, `93.4 (±0.2)`, `93.4 (2)`.
    let mut error_text: Option<&str> = None;
    let mut was_parenthesis = false;
    if let Some(open) = text.find('(') {
        let Some(inner) = text[open..]
            .strip_prefix('(')
            .and_then(|rest| rest.trim_end().strip_suffix(')'))
        else {
            return Cell::Unreadable("a parenthesis that is not at the end or not closed");
        };
        was_parenthesis = !inner.trim_start().starts_with('±');
        error_text = Some(inner.trim_start().trim_start_matches('±'));
        text = text[..open].trim_end();
        if text.is_empty() {
            return Cell::Ambiguous("a number in parentheses alone");
        }
    }
    if was_parenthesis {
        match parentheses {
            Parentheses::Refuse => {
                return Cell::Ambiguous("a number in parentheses, which may be an error, a rank or a difference");
            }
            Parentheses::Drop => error_text = None,
            Parentheses::Error => {}
        }
    }

    let parts: Vec<&str> = text.split('/').collect();
    let mut metrics = Vec::with_capacity(parts.len());
    for part in &parts {
        let part = part.trim();
        if is_missing(part) {
            metrics.push(None);
            continue;
        }
        let (body, mut error) = match part.split_once('±') {
            Some((body, error)) => (body.trim(), Some(error)),
            None => (part, None),
        };
        if error.is_none() && parts.len() == 1 {
            error = error_text;
        }
        let mut number = match parse_number(body, mark, strict) {
            Ok(number) => number,
            Err(cell) => return cell,
        };
        if let Some(error) = error {
            match parse_number(error.trim(), mark, strict) {
                Ok(error) => number.error = Some(error.value.abs()),
                Err(cell) => return cell,
            }
        }
        metrics.push(Some(number));
    }
    if error_text.is_some() && parts.len() > 1 {
        return Cell::Ambiguous("an error behind several metrics");
    }
    if metrics.iter().all(Option::is_none) {
        return Cell::Missing;
    }
    Cell::Metrics(metrics)
}

fn parse_number(text: &str, mark: Option<DecimalMark>, strict: bool) -> Result<Number, Cell> {
    const NOT_A_NUMBER: Cell = Cell::Unreadable("not a number");
    let (body, percent) = match text.strip_suffix('%') {
        Some(body) => (body.trim_end(), true),
        None => (text, false),
    };
    let (body, negative) = match body.strip_prefix('-') {
        Some(body) => (body, true),
        None => (body.strip_prefix('+').unwrap_or(body), false),
    };
    let sign = if negative { -1.0 } else { 1.0 };
    let finish = |value: f64, decimals: u8| Number {
        value: sign * value,
        decimals,
        percent,
        error: None,
    };

    // An exponent leaves no doubt about the mark: programs wrote it.
    if body.starts_with(|c: char| c.is_ascii_digit() || c == '.') && body.contains(['e', 'E']) {
        let valid = body
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-' | '+'));
        return match body.parse::<f64>() {
            Ok(value) if valid && value.is_finite() => {
                let (mantissa, exponent) = body.split_once(['e', 'E']).unwrap_or((body, "0"));
                let digits = mantissa.split_once('.').map_or(0, |(_, digits)| digits.len() as i64);
                let exponent: i64 = exponent.parse().unwrap_or(0);
                Ok(finish(value, (digits - exponent).clamp(0, 30) as u8))
            }
            _ => Err(NOT_A_NUMBER),
        };
    }

    let body: String = body
        .chars()
        .filter(|c| !matches!(c, ' ' | '\u{a0}' | '\u{2009}' | '\u{202f}' | '\''))
        .collect();
    if body.is_empty() || body.len() > 40 || !body.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',')) {
        return Err(NOT_A_NUMBER);
    }
    let (found, decimals) = match shape(&body) {
        Shape::Broken => return Err(NOT_A_NUMBER),
        Shape::Plain => (None, 0),
        Shape::Decimal { mark: found, decimals } => {
            // `1.234` in a column of decimal commas is a thousand.
            if decimals == 3 && found == DecimalMark::Point && mark == Some(DecimalMark::Comma) {
                (Some(DecimalMark::Comma), 0)
            } else {
                (Some(found), decimals)
            }
        }
        Shape::Grouped { mark: found, decimals } => (Some(found), decimals),
        Shape::UnclearComma => match mark {
            Some(DecimalMark::Comma) => (Some(DecimalMark::Comma), 3),
            Some(DecimalMark::Point) => (Some(DecimalMark::Point), 0),
            None => {
                return Err(Cell::Ambiguous(
                    "a comma with three digits behind it, which may separate thousands or decimals",
                ));
            }
        },
    };
    if strict && found.is_some() && found != mark {
        return Err(Cell::Unreadable(
            "a number with the other decimal mark than the one given by --decimal",
        ));
    }
    let normal: String = match found {
        Some(DecimalMark::Comma) => body
            .chars()
            .filter(|&c| c != '.')
            .map(|c| if c == ',' { '.' } else { c })
            .collect(),
        _ => body.chars().filter(|&c| c != ',').collect(),
    };
    match normal.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(finish(value, decimals)),
        _ => Err(NOT_A_NUMBER),
    }
}

/// How the separators of a number are set.
enum Shape {
    /// Digits only.
    Plain,
    /// One separator that is certainly the decimal mark; a point always is.
    Decimal {
        mark: DecimalMark,
        decimals: u8,
    },
    /// Groups of three, and decimals behind the other mark.
    Grouped {
        mark: DecimalMark,
        decimals: u8,
    },
    /// `1,234`
    UnclearComma,
    Broken,
}

/// `body` has only digits, points and commas.
fn shape(body: &str) -> Shape {
    let points = body.matches('.').count();
    let commas = body.matches(',').count();
    if !body.contains(|c: char| c.is_ascii_digit()) {
        return Shape::Broken;
    }
    // `1,234,567`: the first group has one to three digits, the others have three.
    let grouped = |text: &str, separator: char| {
        let mut groups = text.split(separator);
        let first = groups.next().unwrap_or("");
        (1..=3).contains(&first.len()) && !first.starts_with('0') && groups.all(|group| group.len() == 3)
    };
    let decimals = |text: &str| u8::try_from(text.len()).unwrap_or(u8::MAX);
    match (points, commas) {
        (0, 0) => Shape::Plain,
        (1, 0) => {
            let (_, behind) = body.split_once('.').unwrap_or((body, ""));
            Shape::Decimal {
                mark: DecimalMark::Point,
                decimals: decimals(behind),
            }
        }
        (0, 1) => {
            let (before, behind) = body.split_once(',').unwrap_or((body, ""));
            if behind.len() == 3 && grouped(body, ',') {
                Shape::UnclearComma
            } else if behind.is_empty() || before.is_empty() {
                Shape::Broken
            } else {
                Shape::Decimal {
                    mark: DecimalMark::Comma,
                    decimals: decimals(behind),
                }
            }
        }
        (_, 0) if grouped(body, '.') => Shape::Grouped {
            mark: DecimalMark::Comma,
            decimals: 0,
        },
        (0, _) if grouped(body, ',') => Shape::Grouped {
            mark: DecimalMark::Point,
            decimals: 0,
        },
        (1, _) if body.rfind('.') > body.rfind(',') => match body.split_once('.') {
            Some((whole, behind)) if grouped(whole, ',') && !behind.contains(',') => Shape::Grouped {
                mark: DecimalMark::Point,
                decimals: decimals(behind),
            },
            _ => Shape::Broken,
        },
        (_, 1) => match body.split_once(',') {
            Some((whole, behind)) if grouped(whole, '.') && !behind.contains('.') => Shape::Grouped {
                mark: DecimalMark::Comma,
                decimals: decimals(behind),
            },
            _ => Shape::Broken,
        },
        _ => Shape::Broken,
    }
}

struct Cleaned {
    text: String,
    footnotes: usize,
}

/// Takes off what only decorates a number: Markdown and HTML emphasis, LaTeX commands, footnote marks.
fn clean(text: &str) -> Cleaned {
    let mut footnotes = 0;
    let mut out = String::with_capacity(text.len());
    let text = strip_tags(text, &mut footnotes);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '−' | '–' | '‒' | '—' => out.push('-'),
            '*' | '†' | '‡' | '§' | '¶' | '⋆' | '★' | '☆' | '↑' | '↓' => {
                footnotes += usize::from(c != '*')
            }
            '`' | '$' | '{' | '}' | '~' => {}
            '_' => {}
            '^' => {
                // A superscript on a number is a footnote: `93.4^{\dagger}`.
                footnotes += 1;
                if chars.peek() == Some(&'{') {
                    skip_group(&mut chars);
                } else {
                    chars.next();
                }
            }
            '\\' => {
                let mut command = String::new();
                while let Some(&next) = chars.peek() {
                    if next.is_ascii_alphabetic() {
                        command.push(next);
                        chars.next();
                    } else {
                        break;
                    }
                }
                match command.as_str() {
                    "pm" => out.push('±'),
                    "dagger" | "ddagger" | "star" | "ast" => footnotes += 1,
                    "" => match chars.next() {
                        Some('%') => out.push('%'),
                        Some(',' | ';' | '!' | ':' | ' ') | None => out.push(' '),
                        Some(other) => out.push(other),
                    },
                    // `\phantom{0}` and colours take an argument that is not part of the number.
                    "phantom" | "hphantom" | "color" | "textcolor" | "cellcolor" | "rowcolor" | "footnotemark" => {
                        skip_argument(&mut chars);
                    }
                    _ => {}
                }
            }
            '+' if chars.clone().take(2).eq(['/', '-']) => {
                chars.next();
                chars.next();
                out.push('±');
            }
            other => out.push(other),
        }
    }
    let text = out.trim().to_owned();
    Cleaned { text, footnotes }
}

/// Skips `{…}`, at whose opening brace the text is.
fn skip_group(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    let mut depth = 0;
    for inner in chars {
        match inner {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

fn skip_argument(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    if chars.peek() == Some(&'[') {
        for inner in chars.by_ref() {
            if inner == ']' {
                break;
            }
        }
    }
    if chars.peek() == Some(&'{') {
        skip_group(chars);
    }
}

/// Removes `<b>`, `</b>`, comments, and a `<sup>…</sup>` with its content.
fn strip_tags(text: &str, footnotes: &mut usize) -> String {
    if !text.contains('<') {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        let tail = &rest[start..];
        // A tag starts with a letter, a slash or a mark; `<0.1` does not.
        let is_tag = tail[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        let Some(end) = tail.find('>').filter(|_| is_tag) else {
            out.push('<');
            rest = &tail[1..];
            continue;
        };
        if tail.starts_with("<sup") {
            *footnotes += 1;
            rest = tail.find("</sup>").map_or("", |close| &tail[close + "</sup>".len()..]);
        } else {
            rest = &tail[end + 1..];
        }
    }
    out.push_str(rest);
    out
}

/// The text of a name without emphasis, tags, comments and repeated white space. Control characters, which could speak to a terminal,
/// are replaced.
pub fn clean_name(text: &str) -> String {
    let mut footnotes = 0;
    let text = strip_tags(text, &mut footnotes);
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().map(visible));
    }
    for pair in ["**", "__", "`", "*"] {
        while let Some(inner) = out
            .strip_prefix(pair)
            .and_then(|rest| rest.strip_suffix(pair))
            .filter(|inner| !inner.is_empty())
        {
            out = inner.trim().to_owned();
        }
    }
    out
}

/// A character that does nothing to a terminal but be seen.
pub(crate) fn visible(c: char) -> char {
    if c.is_control() { '\u{fffd}' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> f64 {
        match parse(text, None, false, Parentheses::Refuse) {
            Cell::Metrics(metrics) => metrics[0].map_or(f64::NAN, |number| number.value),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn plain_numbers_agree_with_the_standard_library() {
        for text in [
            "0",
            "-0.4",
            "93.4",
            "100.",
            ".5",
            "0.1234567890123",
            "999999999999999",
            "-12.50",
        ] {
            let (plain, _) = parse_plain(text).unwrap();
            assert_eq!(plain, text.parse::<f64>().unwrap(), "{text}");
        }
        for text in ["", "-", ".", "1e5", "1,5", "1.2.3", " 1", "12345678901234567"] {
            assert_eq!(parse_plain(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_read_as_printed() {
        assert_eq!(value("93,4"), 93.4);
        assert_eq!(value("1,234.5"), 1234.5);
        assert_eq!(value("1.234,5"), 1234.5);
        assert_eq!(value("12,345,678"), 12_345_678.0);
        assert_eq!(value("0,853"), 0.853);
        assert_eq!(value("1234,567"), 1234.567);
        assert_eq!(value("−0.4"), -0.4);
        assert_eq!(value("**93.4**"), 93.4);
        assert_eq!(value("$\\mathbf{93.4}$"), 93.4);
        assert_eq!(value("\\textbf{93.4}\\%"), 93.4);
        assert_eq!(value("93.4†"), 93.4);
        assert_eq!(value("<b>93.4</b><sup>2</sup>"), 93.4);
        assert_eq!(value("1.5e-3"), 0.0015);
        assert_eq!(value("12 345.5"), 12345.5);
        assert_eq!(value("100."), 100.0);
    }

    #[test]
    fn metrics_errors_and_missing_marks() {
        let cell = parse("93.9/91.8", None, false, Parentheses::Refuse);
        let Cell::Metrics(metrics) = cell else {
            panic!("{cell:?}")
        };
        assert_eq!(
            metrics.iter().flatten().map(|n| n.value).collect::<Vec<_>>(),
            [93.9, 91.8]
        );

        for text in [
            "93.4 ± 0.2",
            "93.4\\pm0.2",
            "$93.4_{\\pm 0.2}$",
            "93.4 +/- 0.2",
            "93.4 (±0.2)",
        ] {
            let cell = parse(text, None, false, Parentheses::Refuse);
            let Cell::Metrics(metrics) = cell else {
                panic!("{text}: {cell:?}")
            };
            let number = metrics[0].unwrap();
            assert_eq!((number.value, number.error), (93.4, Some(0.2)), "{text}");
        }
        for text in ["", " ", "-", "—", "--", "n/a", "N/A", "NaN", "-/-", "$-$"] {
            assert_eq!(parse(text, None, false, Parentheses::Refuse), Cell::Missing, "{text}");
        }
        let half = parse("93.9/-", None, false, Parentheses::Refuse);
        assert!(
            matches!(half, Cell::Metrics(ref metrics) if metrics.len() == 2 && metrics[1].is_none()),
            "{half:?}"
        );
    }

    #[test]
    fn ambiguity_is_told_apart_from_nonsense() {
        assert!(matches!(
            parse("1,234", None, false, Parentheses::Refuse),
            Cell::Ambiguous(_)
        ));
        assert!(matches!(
            parse("93.4 (2)", None, false, Parentheses::Refuse),
            Cell::Ambiguous(_)
        ));
        assert!(matches!(
            parse("93.4 (2)", None, false, Parentheses::Drop),
            Cell::Metrics(_)
        ));
        for text in ["ninety", "1.2.3", "12,34,5", "9..3", "93.4 (", "<0.1", "1,", ","] {
            let cell = parse(text, None, false, Parentheses::Refuse);
            assert!(matches!(cell, Cell::Unreadable(_)), "{text}: {cell:?}");
        }
    }

    #[test]
    fn a_column_speaks_for_its_unclear_cells() {
        let mark = |cells: &[&str]| {
            let mut evidence = Evidence::default();
            cells.iter().for_each(|cell| observe(cell, &mut evidence));
            evidence.mark()
        };
        assert_eq!(mark(&["85.3", "91.25"]), Ok(DecimalMark::Point));
        assert_eq!(mark(&["85,3", "91,125"]), Ok(DecimalMark::Comma));
        assert_eq!(mark(&["1,234", "1,234,567"]), Ok(DecimalMark::Point));
        assert_eq!(
            mark(&["85,3", "85.3"]),
            Ok(DecimalMark::Point),
            "each certain by itself"
        );
        assert!(mark(&["1,234", "85.3"]).is_err());
        assert!(mark(&["1,234"]).is_err());
        assert!(mark(&["85,3", "1.234"]).is_err());
    }
}
