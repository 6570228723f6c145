//! An ordered set of texts with fast lookup: the objects of a changed fact.

use crate::interner::hash;
use hashbrown::HashTable;

/// Distinct texts in insertion order. A removed text leaves its place empty and can be put back there.
#[derive(Clone, Debug, Default)]
pub(crate) struct OrderedSet {
    texts: Vec<Option<String>>,
    /// The places of the texts, by the hash of the text in lower case.
    places: HashTable<usize>,
}

fn folded(text: &str) -> u64 {
    hash(text.to_ascii_lowercase().as_bytes())
}

impl OrderedSet {
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().flatten().map(String::as_str)
    }

    /// The place of a text; with `fold_case`, ignoring the case of ASCII letters.
    pub fn place(&self, text: &str, fold_case: bool) -> Option<usize> {
        let same = |&place: &usize| {
            self.texts[place].as_ref().is_some_and(|other| match fold_case {
                true => other.eq_ignore_ascii_case(text),
                false => other == text,
            })
        };
        self.places.find(folded(text), same).copied()
    }

    /// Adds a text at the end. Returns false if it exists already.
    pub fn push(&mut self, text: &str) -> bool {
        let new = self.place(text, false).is_none();
        if new {
            self.texts.push(None);
            self.put_back(self.texts.len() - 1, text.to_owned());
        }
        new
    }

    /// Removes the text at a place.
    pub fn take(&mut self, place: usize) -> Option<String> {
        let text = self.texts.get_mut(place)?.take()?;
        if let Ok(entry) = self.places.find_entry(folded(&text), |&other| other == place) {
            entry.remove();
        }
        Some(text)
    }

    /// Puts a removed text back at its place.
    pub fn put_back(&mut self, place: usize, text: String) {
        let hash = folded(&text);
        self.texts[place] = Some(text);
        let texts = &self.texts;
        self.places
            .insert_unique(hash, place, |&other| texts[other].as_deref().map_or(0, folded));
    }

    /// Removes the last text and its place.
    pub fn pop(&mut self) {
        if let Some(last) = self.texts.len().checked_sub(1) {
            self.take(last);
            self.texts.pop();
        }
    }
}

impl<'a> FromIterator<&'a str> for OrderedSet {
    fn from_iter<T: IntoIterator<Item = &'a str>>(texts: T) -> Self {
        let mut set = Self::default();
        for text in texts {
            set.push(text);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_a_list_without_repetitions(edits in proptest::collection::vec((0u8..4, "[abAB]{1,2}"), 0..60)) {
            let (mut set, mut list) = (OrderedSet::default(), Vec::<String>::new());
            for (kind, text) in edits {
                let place = list.iter().position(|other| *other == text);
                match kind {
                    0 => {
                        prop_assert_eq!(set.push(&text), place.is_none());
                        if place.is_none() {
                            list.push(text);
                        }
                    }
                    1 => {
                        let there = set.place(&text, false);
                        prop_assert_eq!(there.and_then(|place| set.take(place)), place.map(|place| list.remove(place)));
                    }
                    2 => {
                        let there = set.place(&text, true);
                        prop_assert_eq!(there.is_some(), list.iter().any(|other| other.eq_ignore_ascii_case(&text)));
                        if let Some(place) = there {
                            let taken = set.take(place).unwrap();
                            prop_assert!(taken.eq_ignore_ascii_case(&text) && set.place(&taken, false).is_none());
                            set.put_back(place, taken);
                        }
                    }
                    _ => if set.push(&text) {
                        set.pop();
                    }
                }
                prop_assert_eq!(set.iter().collect::<Vec<_>>(), list.iter().collect::<Vec<_>>());
                prop_assert_eq!(set.is_empty(), list.is_empty());
            }
        }
    }
}
