//! Names similar to words of a question, and names that begin with a text, for "did you mean" and for completion.

use crate::error::KgError;
use crate::graph::KnowledgeGraph;
use crate::mentions::is_word_of_grammar;
use kexue_text::{Boundaries, SEP, Token, fold};
use kexue_trie::Key;
use std::ops::ControlFlow;

/// Maximum number of facts to examine for one beginning, so that suggestions are fast in a large graph.
const MOST_FACTS: usize = 20_000;

/// Maximum number of words (or Chinese characters) of a name.
const MOST_WORDS: usize = 5;

impl KnowledgeGraph {
    /// The first subjects whose names begin with a text, as written, in the order of the index.
    ///
    /// ```
    /// use kexue_kg::{BuildOptions, KnowledgeGraph};
    ///
    /// let triples = [("Paris", "country", "France"), ("Parma", "country", "Italy"), ("Rome", "country", "Italy")];
    /// let graph = KnowledgeGraph::from_triples(triples, &BuildOptions::default())?;
    /// let mut names = graph.names_beginning("Par", 10)?;
    /// names.sort();
    /// assert_eq!(names, ["Paris", "Parma"]);
    /// assert_eq!(graph.similar_names("Where is Rmoe?", 3)?, [""; 0]); // the first two letters must be right
    /// assert_eq!(graph.similar_names("Where is Parsi?", 3)?, ["Paris"]);
    /// # Ok::<(), kexue_kg::KgError>(())
    /// ```
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn names_beginning(&self, start: &str, most: usize) -> Result<Vec<String>, KgError> {
        let names = self.subjects_beginning(start, most)?;
        names.into_iter().map(|(_, key)| Ok(self.fact(key)?.subject)).collect()
    }

    /// Names of subjects similar to words of a question, the most similar first. They begin with the same letters and differ in one letter, in two
    /// from six letters on, and in three from nine letters on; or they continue with another word after the words of the question.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn similar_names(&self, question: &str, most: usize) -> Result<Vec<String>, KgError> {
        let boundaries = Boundaries::new(question);
        let starts: Vec<usize> = (question.char_indices())
            .filter(|(at, character)| character.is_alphanumeric() && boundaries.allow_start(*at))
            .map(|(at, _)| at)
            .collect();
        let mut found: Vec<(usize, Key)> = Vec::new();
        for &start in &starts {
            let ends = (question[start..].char_indices())
                .map(|(at, character)| start + at + character.len_utf8())
                .filter(|&end| boundaries.allow_end(end) && question[..end].ends_with(char::is_alphanumeric));
            let phrases: Vec<String> = ends
                .take(MOST_WORDS)
                .map(|end| &question[start..end])
                .filter(|phrase| !is_word_of_grammar(phrase))
                .map(compared)
                .filter(|phrase| allowed_slips(phrase) > 0)
                .collect();
            if phrases.is_empty() {
                continue;
            }
            for beginning in beginnings(&question[start..]) {
                for (name, key) in self.subjects_beginning(&beginning, MOST_FACTS)? {
                    let name = compared(&name);
                    let slips = phrases.iter().filter_map(|phrase| slips_between(phrase, &name)).min();
                    found.extend(slips.map(|slips| (slips, key)));
                }
            }
        }
        found.sort_unstable();
        let mut names: Vec<String> = Vec::new();
        for (_, key) in found {
            let name = self.fact(key)?.subject;
            if names.len() < most && !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// The first subjects that begin with a text, in the letters of the vocabulary, and the key of a fact of each.
    fn subjects_beginning(&self, start: &str, most: usize) -> Result<Vec<(String, Key)>, KgError> {
        let beginning = self.vocabulary().encode(start);
        let mut subjects: Vec<(Vec<Token>, Key)> = Vec::new();
        let mut facts = 0;
        if let Some(at) = self.index().find(&beginning)? {
            self.index().completions(at, &mut |rest, key| {
                let rest = rest.split(|&token| token == SEP).next().unwrap_or_default();
                if subjects.last().is_none_or(|(last, _)| last != rest) {
                    subjects.push((rest.to_vec(), key));
                }
                facts += 1;
                match subjects.len() < most && facts < MOST_FACTS {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })?;
        }
        let name = |rest: Vec<Token>| self.vocabulary().decode(&[&beginning[..], &rest].concat());
        Ok(subjects.into_iter().map(|(rest, key)| (name(rest), key)).collect())
    }
}

/// A normalised name: case, width, diacritics and the set of Chinese characters make no difference.
fn compared(name: &str) -> String {
    fold(name).iter().map(|folded| folded.character).collect()
}

/// Possible beginnings of a name that is written like this: its first letters, also with different case.
fn beginnings(text: &str) -> Vec<String> {
    let first: Vec<char> = text.chars().take(2).collect();
    let letters = match first.first() {
        // A Chinese character is more informative than a letter.
        Some(character) if !is_alphabetic_script(*character) => 1,
        _ => 2,
    };
    let typed: String = first.iter().take(letters).collect();
    let capital: String = (typed.chars().take(1).flat_map(char::to_uppercase))
        .chain(typed.chars().skip(1).flat_map(char::to_lowercase))
        .collect();
    let mut all = vec![typed.to_lowercase(), typed, capital];
    all.sort();
    all.dedup();
    all
}

fn is_alphabetic_script(character: char) -> bool {
    character < '\u{2e80}'
}

/// The number of letters that may be wrong; none in short texts, which are similar to too many others.
fn allowed_slips(text: &str) -> usize {
    let letters = text.chars().count();
    match text.chars().all(is_alphabetic_script) {
        true => match letters {
            0..=3 => 0,
            4..=5 => 1,
            6..=8 => 2,
            _ => 3,
        },
        false => usize::from(letters >= 3),
    }
}

/// The number of typing errors between words of a question and a name; `None` if there are too many.
fn slips_between(phrase: &str, name: &str) -> Option<usize> {
    if name.strip_prefix(phrase).is_some_and(|rest| rest.starts_with(' ')) {
        return Some(1);
    }
    let allowed = allowed_slips(phrase);
    if name.chars().count().abs_diff(phrase.chars().count()) > allowed {
        return None;
    }
    Some(strsim::osa_distance(phrase, name)).filter(|slips| *slips <= allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BuildOptions;

    fn graph(fold_case: bool) -> KnowledgeGraph {
        let options = BuildOptions {
            fold_case,
            ..BuildOptions::default()
        };
        let subjects = [
            "Kyrgyzstan",
            "Kazakhstan",
            "Czech Republic",
            "澳大利亚",
            "奥地利",
            "Iron",
            "iris",
        ];
        KnowledgeGraph::from_triples(subjects.map(|subject| (subject, "p", "o")), &options).unwrap()
    }

    #[test]
    fn names_with_slips_are_found() {
        for fold_case in [false, true] {
            let graph = graph(fold_case);
            for (question, names) in [
                ("capital of kyrgistan", &["Kyrgyzstan"][..]),
                ("Where is Kazachstan?", &["Kazakhstan"]),
                ("What do they speak in czech", &["Czech Republic"]),
                ("澳大利压的首都", &["澳大利亚"]),
                ("Who is it?", &[]),
                ("capital of Wakanda", &[]),
                ("", &[]),
            ] {
                assert_eq!(graph.similar_names(question, 3).unwrap(), names, "{question}");
            }
        }
    }

    #[test]
    fn no_more_names_are_given_than_asked_for() {
        let graph = graph(true);
        assert_eq!(graph.names_beginning("i", 10).unwrap(), ["iris", "Iron"]);
        assert_eq!(graph.names_beginning("I", 1).unwrap().len(), 1);
        assert_eq!(graph.names_beginning("zz", 10).unwrap(), [""; 0]);
        assert!(graph.similar_names("irons", 1).unwrap().len() <= 1);
    }
}
