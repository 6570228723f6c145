//! Facts the other way round.

use std::borrow::Cow;

/// The relation that leads back: `~relation` from `relation`, and `relation` from `~relation`. The inverse of an inverse is the relation itself,
/// whatever its name: one that begins with two tildes gets a third.
///
/// ```
/// assert_eq!(kexue_kg::inverse_relation("导演"), "~导演");
/// assert_eq!(kexue_kg::inverse_relation("~导演"), "导演");
/// ```
pub fn inverse_relation(relation: &str) -> Cow<'_, str> {
    let rest = relation.trim_start_matches('~');
    let tildes = relation.len() - rest.len();
    // Of a name of nothing but tildes the first is the name.
    let marks = if rest.is_empty() {
        tildes.saturating_sub(1)
    } else {
        tildes
    };
    match relation.strip_prefix('~') {
        Some(forward) if marks % 2 == 1 => Cow::Borrowed(forward),
        _ => Cow::Owned(format!("~{relation}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_inverse_of_the_inverse_is_the_relation(relation in "[~a甲]{1,6}") {
            let inverse = inverse_relation(&relation);
            prop_assert!(!inverse.is_empty());
            prop_assert_ne!(inverse.as_ref(), relation.as_str());
            prop_assert_eq!(inverse_relation(&inverse), relation.as_str());
        }
    }
}
