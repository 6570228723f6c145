//! Formatting of numbers in texts.

use crate::mean::Mean;

/// A number with a reasonable number of digits.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !size.is_finite() => format!("{value}"),
        size if size < 1e-3 => format!("{value:.2e}"),
        // A number that rounds to 1 has the digits of 1.
        size if size < 0.999_95 => format!("{value:.4}"),
        size if size < 100.0 => format!("{value:.3}"),
        size if size < 1e5 => format!("{value:.0}"),
        _ => format!("{value:.2e}"),
    }
}

/// A mean with its standard error, if it has one.
pub(crate) fn with_error(value: Mean) -> String {
    match value.mean.is_nan() {
        true => "not measurable".to_owned(),
        false => kexue_output::with_error(value.mean, value.shown_error(), short),
    }
}
