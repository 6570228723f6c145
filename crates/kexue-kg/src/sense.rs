//! The sense in a subject's name.

/// Splits a name into the subject and the sense in full-width brackets at its end, if there is one.
///
/// The sense is the text between the closing bracket at the end and its matching opening bracket: `A（B）（C）` is `A（B）` with sense `C`, and
/// `A（B（C））` is `A` with sense `B（C）`. A name is not split if the subject or the sense would be empty.
///
/// ```
/// assert_eq!(kexue_kg::split_sense("牛郎织女（2015年的图书）"), ("牛郎织女", Some("2015年的图书")));
/// assert_eq!(kexue_kg::split_sense("（无题）"), ("（无题）", None));
/// ```
pub fn split_sense(name: &str) -> (&str, Option<&str>) {
    const OPEN: char = '（';
    const CLOSE: char = '）';
    let Some(inside) = name.strip_suffix(CLOSE) else {
        return (name, None);
    };
    let mut depth = 1;
    for (at, character) in inside.char_indices().rev() {
        match character {
            CLOSE => depth += 1,
            OPEN => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            let (subject, sense) = (&inside[..at], &inside[at + OPEN.len_utf8()..]);
            if subject.is_empty() || sense.is_empty() {
                return (name, None);
            }
            return (subject, Some(sense));
        }
    }
    (name, None)
}

/// Joins a subject and its sense, if it has one, as names are written in triples and in changes: the inverse of [`split_sense`].
///
/// ```
/// assert_eq!(kexue_kg::join_sense("牛郎织女", Some("2015年的图书")), "牛郎织女（2015年的图书）");
/// assert_eq!(kexue_kg::join_sense("水", None), "水");
/// ```
pub fn join_sense(subject: &str, sense: Option<&str>) -> String {
    match sense {
        Some(sense) => format!("{subject}（{sense}）"),
        None => subject.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splits_at_the_matching_bracket() {
        for (name, subject, sense) in [
            ("甲", "甲", None),
            ("甲（乙）", "甲", Some("乙")),
            ("甲（乙）（丙）", "甲（乙）", Some("丙")),
            ("甲（乙（丙））", "甲", Some("乙（丙）")),
            ("甲（乙）丙", "甲（乙）丙", None),
            ("甲乙）", "甲乙）", None),
            ("（甲）", "（甲）", None),
            ("甲（）", "甲（）", None),
            ("甲(乙)", "甲(乙)", None),
            ("", "", None),
        ] {
            assert_eq!(split_sense(name), (subject, sense), "{name}");
        }
    }

    proptest! {
        #[test]
        fn joins_to_the_same_name(name in "[甲乙（）a]{0,12}") {
            let (subject, sense) = split_sense(&name);
            prop_assert_eq!(join_sense(subject, sense), name);
        }
    }
}
