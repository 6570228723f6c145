//! Limits on names.

/// Maximum length of a subject, relation or object, in bytes.
pub(crate) const LONGEST: usize = 1 << 20;

/// The problem with the length of a field, if there is one.
pub(crate) fn misfit(field: &str, text: &str) -> Option<String> {
    match text.len() {
        0 => Some(format!("the {field} is empty")),
        bytes if bytes > LONGEST => Some(format!("the {field} has {bytes} bytes; expected at most {LONGEST}")),
        _ => None,
    }
}

/// The problem with the lengths of a triple's fields, if there is one.
pub(crate) fn misfit_of(triple: [&str; 3]) -> Option<String> {
    (["subject", "relation", "object"].into_iter().zip(triple)).find_map(|(field, text)| misfit(field, text))
}
