//! The grammar of a printed number: `93.9`, `93,9`, `1,234.5`, `12 345`, `93.4%`.
//!
//! A comma before three digits (`1,234`) may be a decimal comma or a thousands separator. The reader of a column decides from the column's
//! other cells ([`Evidence`]) or from a setting; otherwise it refuses the cell.

use crate::doubt::Doubt;
use crate::markup::clean;
use crate::missing::is_missing;

/// The sign between the whole part and the decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DecimalMark {
    /// `93.4`, and `1,234.5` with thousands.
    Point,
    /// `93,4`, and `1.234,5` with thousands.
    Comma,
}

/// One number as printed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    /// Its value. A percent sign does not change it.
    pub value: f64,
    /// Number of decimals.
    pub decimals: u8,
    /// Whether a percent sign followed.
    pub percent: bool,
    /// The `± error` that followed.
    pub error: Option<f64>,
}

/// Evidence from the unambiguous cells of a column about its decimal mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Cells whose point is certainly a decimal mark, since it does not precede three digits.
    pub decimal_points: usize,
    /// Cells whose comma is certainly a decimal mark.
    pub decimal_commas: usize,
    /// Cells with certain thousands separators that are commas.
    pub thousands_commas: usize,
    /// Cells with certain thousands separators that are points.
    pub thousands_points: usize,
    /// Cells with a comma before three digits.
    pub unclear_commas: usize,
    /// Cells with a point before three digits.
    pub three_decimals: usize,
    /// Cells with a percent sign.
    pub percents: usize,
    /// Number of footnote marks that were removed.
    pub footnotes: usize,
}

impl Evidence {
    /// The decimal mark of the ambiguous cells, or why it is unclear.
    pub fn mark(&self) -> Result<DecimalMark, Doubt> {
        let comma = self.decimal_commas > 0 || self.thousands_points > 0;
        let point = self.decimal_points > 0 || self.thousands_commas > 0;
        match (comma, point) {
            (true, false) if self.three_decimals > 0 => Err(Doubt::PointAmongCommas),
            (true, false) => Ok(DecimalMark::Comma),
            // All cells are unambiguous.
            (true, true) if self.unclear_commas == 0 && self.three_decimals == 0 => Ok(DecimalMark::Point),
            (true, true) => Err(Doubt::BothMarks),
            (false, _) if self.unclear_commas == 0 => Ok(DecimalMark::Point),
            (false, _) if self.thousands_commas > 0 && self.decimal_points == 0 => Ok(DecimalMark::Point),
            (false, _) => Err(Doubt::Comma),
        }
    }
}

/// Reads the form that almost every cell has, `-?digits[.digits]`. Try it before [`parse`].
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

/// Collects the evidence of a cell.
pub fn observe(text: &str, evidence: &mut Evidence) {
    let cleaned = clean(text);
    if cleaned.footnotes > 0 {
        evidence.footnotes += 1;
    }
    if is_missing(&cleaned.text) {
        return;
    }
    for part in cleaned.text.split(['/', '±', '(', ')', '[', ']']) {
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

/// Reads a number. `mark` says how to read an ambiguous comma; `None` refuses it. With `strict`, a different mark is refused.
pub fn parse_number(text: &str, mark: Option<DecimalMark>, strict: bool) -> Result<Number, Doubt> {
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

    // Programs write exponents, so the mark is a point.
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
            _ => Err(Doubt::NotANumber),
        };
    }

    let body = join_groups(body)?;
    if body.is_empty() || body.len() > 40 || !body.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',')) {
        return Err(Doubt::NotANumber);
    }
    let (found, decimals) = match shape(&body) {
        Shape::Broken => return Err(Doubt::NotANumber),
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
                return Err(Doubt::Comma);
            }
        },
    };
    if strict && found.is_some() && found != mark {
        return Err(Doubt::OtherMark);
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
        _ => Err(Doubt::NotANumber),
    }
}

/// Joins groups of three digits that spaces or apostrophes separate: `12 345.5`.
fn join_groups(text: &str) -> Result<String, Doubt> {
    let separators = [' ', '\u{a0}', '\u{2009}', '\u{202f}', '\''];
    if !text.contains(separators) {
        return Ok(text.to_owned());
    }
    let mut groups = text.split(separators);
    let first = groups.next().unwrap_or_default();
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let rest: Vec<&str> = groups.collect();
    let grouped = (1..=3).contains(&first.len())
        && is_digits(first)
        && rest.iter().enumerate().all(|(index, group)| {
            let whole = match group.split_once(['.', ',']) {
                Some((whole, decimals)) if index + 1 == rest.len() && is_digits(decimals) => whole,
                Some(_) => return false,
                None => group,
            };
            whole.len() == 3 && is_digits(whole)
        });
    if grouped {
        return Ok(text.replace(separators, ""));
    }
    let is_number = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'-' | b'%'))
    };
    Err(if text.split(separators).all(is_number) {
        Doubt::Unseparated
    } else {
        Doubt::NotANumber
    })
}

/// The separators of a number.
enum Shape {
    /// Digits only.
    Plain,
    /// One separator that is certainly the decimal mark; a point always is.
    Decimal {
        mark: DecimalMark,
        decimals: u8,
    },
    /// Groups of three, and decimals after the other mark.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> f64 {
        parse_number(&clean(text).text, None, false).unwrap().value
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
        assert_eq!(value("1'234'567"), 1_234_567.0);
        assert_eq!(value("100."), 100.0);
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
