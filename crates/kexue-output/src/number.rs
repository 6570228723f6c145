//! Means with their errors.

/// The standard error of the mean of independent values: their sample standard deviation over `√n`. None for fewer than two values.
pub fn standard_error(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt())
}

/// `mean ± error`, each number formatted by `format`; the mean alone if the error is unknown or not finite.
///
/// ```
/// use kexue_output::with_error;
///
/// let percent = |value: f64| format!("{value:.2}");
/// assert_eq!(with_error(57.123, Some(0.4), percent), "57.12 ± 0.40");
/// assert_eq!(with_error(57.123, None, percent), "57.12");
/// ```
pub fn with_error(mean: f64, error: Option<f64>, format: impl Fn(f64) -> String) -> String {
    match error.filter(|error| error.is_finite()) {
        Some(error) => format!("{} ± {}", format(mean), format(error)),
        None => format(mean),
    }
}

/// The mean of independent values with its standard error, each number formatted by `format`.
///
/// ```
/// use kexue_output::mean_with_error;
///
/// assert_eq!(mean_with_error(&[1.0, 2.0, 3.0], |value| format!("{value:.2}")), "2.00 ± 0.58");
/// assert_eq!(mean_with_error(&[1.0], |value| format!("{value:.2}")), "1.00");
/// ```
pub fn mean_with_error(values: &[f64], format: impl Fn(f64) -> String) -> String {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    with_error(mean, standard_error(values), format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_mean_is_that_of_statistics() {
        // The deviations are −1, 0, 1: the variance is 1, the error √(1/3).
        assert_eq!(standard_error(&[1.0, 2.0, 3.0]), Some((1.0f64 / 3.0).sqrt()));
        assert_eq!(standard_error(&[4.0, 4.0]), Some(0.0));
        assert_eq!(standard_error(&[4.0]), None);
        assert_eq!(standard_error(&[]), None);
    }

    #[test]
    fn an_error_that_is_no_number_is_not_shown() {
        for error in [None, Some(f64::NAN), Some(f64::INFINITY)] {
            assert_eq!(with_error(1.5, error, |value| value.to_string()), "1.5");
        }
    }
}
