//! How often keys occur in numbered groups, as text of which only what is asked for is read.
//!
//! `kexue ask` looks up some tens of ten thousand keys for one question. To read all of them would cost it more than to answer.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Lines `key ⇥ group:count group:count …`, in ascending order of their keys. Groups without a count are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Postings(Cow<'static, str>);

/// Counts by key and group. Keys have neither tabs nor line feeds.
pub(crate) type Counted = BTreeMap<String, BTreeMap<usize, u32>>;

impl Postings {
    pub fn new(counted: &Counted) -> Self {
        let mut text = String::new();
        for (key, counts) in counted {
            let counts: Vec<String> = counts.iter().map(|(group, count)| format!("{group}:{count}")).collect();
            text += &format!("{key}\t{}\n", counts.join(" "));
        }
        Self(text.into())
    }

    /// The postings whose [`Postings::text`] this is.
    pub fn from_text(text: impl Into<Cow<'static, str>>) -> Self {
        Self(text.into())
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    /// How often a key occurs in each of the groups.
    pub fn row(&self, key: &str, groups: usize) -> Vec<u32> {
        let mut row = vec![0; groups];
        for posting in self.find(key).into_iter().flat_map(|counts| counts.split(' ')) {
            if let Some((group, count)) = posting.split_once(':')
                && let (Ok(group), Ok(count)) = (group.parse::<usize>(), count.parse())
                && let Some(place) = row.get_mut(group)
            {
                *place = count;
            }
        }
        row
    }

    /// The counts of a key, by bisection.
    fn find(&self, key: &str) -> Option<&str> {
        let mut text = &*self.0;
        while !text.is_empty() {
            // A line feed or a tab is never a part of another character.
            let half = &text.as_bytes()[..text.len() / 2];
            let start = half.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let (before, rest) = text.split_at(start);
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            let (found, counts) = line.split_once('\t').unwrap_or((line, ""));
            match found.cmp(key) {
                Ordering::Equal => return Some(counts),
                Ordering::Less => text = after,
                Ordering::Greater => text = before,
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn each_key_has_its_counts(
            counted in proptest::collection::btree_map("[a-c铁é ]{0,3}", proptest::collection::btree_map(0usize..5, 1u32..1000, 0..4), 0..30),
            other in "[a-c铁é ]{0,3}",
        ) {
            let postings = Postings::from_text(Postings::new(&counted).text().to_owned());
            for key in counted.keys().chain([&other]) {
                let of = |group| counted.get(key).and_then(|counts| counts.get(&group)).copied().unwrap_or(0);
                prop_assert_eq!(postings.row(key, 5), (0..5).map(of).collect::<Vec<u32>>());
            }
        }

        // Damaged files are found by their checksum; this must end all the same.
        #[test]
        fn any_text_can_be_searched(text in "[ab:1\t\n铁 ]{0,40}", key in "[ab铁]{0,2}") {
            prop_assert_eq!(Postings::from_text(text).row(&key, 3).len(), 3);
        }
    }
}
