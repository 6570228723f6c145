//! The marks of missing scores.

/// Whether a cell marks a missing score.
pub(crate) fn is_missing(text: &str) -> bool {
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
