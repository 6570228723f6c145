//! How questions are phrased: for each relation, and for unanswerable questions, how probable the sequence of a question's words is.
//!
//! Counts of single words cannot tell "who discovered radium" from "when was radium discovered" if both words are common. Bigram models can, since
//! no question for the year has "who discovered". Words are those of [`kexue_text::words`]; the name of the subject is one word, [`SUBJECT`].

use crate::ngram_weights::Features;
use crate::postings::{Counted, Postings};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What stands for the subject's name.
pub(crate) const SUBJECT: &str = "{S}";
/// The start and the end of a question.
const START: &str = "^";
const END: &str = "$";
/// After a word, what stands for all words that follow it: the sum of the counts of these pairs, and their number.
const FOLLOWED: &str = "+";
const FOLLOWERS: &str = "#";

/// The absolute discount: what is subtracted from each count, and given to words that were not seen there (Ney, Essen and Kneser 1994).
const DISCOUNT: f64 = 0.7;
/// The probability of all words that were never counted, and of each.
const NEW: f64 = 0.1;
const NEW_WORD: f64 = NEW / 30_000.0;
/// Weights are stored as whole numbers of these.
const HUNDREDTHS: f64 = 100.0;
/// The lowest count of a pair of words that is kept.
const LEAST_PAIRS: u32 = 3;

/// The questions that a bigram model was counted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Phrased {
    questions: u32,
    /// Number of words, and of different ones.
    words: u32,
    distinct: u32,
}

/// The questions of the bigram models.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Phrases {
    unanswerable: Phrased,
    relations: BTreeMap<String, Phrased>,
}

/// Bigram models, with absolute discounting, of the questions for each relation and of unanswerable questions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phrasing {
    pub(crate) phrases: Phrases,
    /// How often words and pairs of words occur in the unanswerable questions, the first group, and in those for the relations in order. Two more groups
    /// are a hundred times the weights of words, pairs and triples for unanswerable questions, and against.
    pub(crate) counts: Postings,
}

/// How well relations explain the phrasing of a question.
#[derive(Clone, Debug, Default)]
pub(crate) struct Explained<'p> {
    /// For each relation, how much more probable the question is by it than by the unanswerable questions, as a difference of natural logarithms.
    relations: BTreeMap<&'p str, f64>,
    best: f64,
    words: f64,
    /// The logarithm of the odds that the question is unanswerable, by the weights of its words, pairs and triples of words.
    pub unanswerable: f64,
}

impl Explained<'_> {
    /// For a relation: the logarithm of the ratio of the probabilities by it and by the unanswerable questions, the same for each word, and by
    /// how much, for each word, the relation that explains the question best is better.
    pub fn by(&self, relation: &str) -> [f64; 3] {
        let Some(ratio) = self.relations.get(relation) else {
            return [0.0; 3];
        };
        // Long questions say no more than others.
        [
            ratio / self.words.sqrt(),
            ratio / self.words,
            (self.best - ratio) / self.words,
        ]
    }
}

/// A pair of words: the counts that the probability of the second one after the first comes from, by group.
struct Pair {
    first: Vec<u32>,
    second: Vec<u32>,
    both: Vec<u32>,
    followed: Vec<u32>,
    followers: Vec<u32>,
    /// The probability of the second word in any question.
    base: f64,
}

impl Pair {
    fn probability(&self, group: usize, of: &Phrased) -> f64 {
        let of_group = |row: &[u32]| f64::from(row[group]);
        let mut probability = self.base;
        if of.words > 0 {
            let unseen = DISCOUNT * f64::from(of.distinct) * probability;
            probability = ((of_group(&self.second) - DISCOUNT).max(0.0) + unseen) / f64::from(of.words);
        }
        let before = of_group(&self.first);
        if before > 0.0 {
            let unseen = before - of_group(&self.followed) + DISCOUNT * of_group(&self.followers);
            probability = ((of_group(&self.both) - DISCOUNT).max(0.0) + unseen * probability) / before;
        }
        probability
    }
}

impl Phrasing {
    /// Counts the words of questions: those for each relation, and those that are unanswerable.
    pub(crate) fn count(asked: &[(String, Vec<String>)], without_answer: &[Vec<String>]) -> Self {
        let mut relations: BTreeMap<&str, Vec<&Vec<String>>> = BTreeMap::new();
        for (relation, words) in asked {
            relations.entry(relation).or_default().push(words);
        }
        let unanswerable = without_answer.iter().collect();
        let mut counted = Counted::new();
        let mut phrased = Vec::new();
        for (group, questions) in [&unanswerable].into_iter().chain(relations.values()).enumerate() {
            let (mut words, mut pairs) = (BTreeMap::<&str, u32>::new(), BTreeMap::<[&str; 2], u32>::new());
            for question in questions {
                for pair in sequence(question).windows(2) {
                    *words.entry(pair[1]).or_default() += 1;
                    *pairs.entry([pair[0], pair[1]]).or_default() += 1;
                }
            }
            phrased.push(Phrased {
                questions: questions.len() as u32,
                words: words.values().sum(),
                distinct: words.len() as u32,
            });
            let mut add = |key: String, count: u32| *counted.entry(key).or_default().entry(group).or_default() += count;
            for (word, count) in words {
                add(word.to_owned(), count);
            }
            for ([first, second], count) in pairs {
                if count >= LEAST_PAIRS {
                    add(key(first, second), count);
                    add(key(first, FOLLOWED), count);
                    add(key(first, FOLLOWERS), 1);
                }
            }
        }
        let (for_unanswerable, against) = (phrased.len(), phrased.len() + 1);
        let mut numbers = Features::default();
        let answerable: Vec<Vec<u32>> = asked.iter().map(|(_, words)| numbers.of(features(words))).collect();
        let others: Vec<Vec<u32>> = without_answer.iter().map(|words| numbers.of(features(words))).collect();
        for (feature, weight) in numbers.learn(&answerable, &others) {
            let group = if weight > 0.0 { for_unanswerable } else { against };
            match (HUNDREDTHS * weight.abs()).round() as u32 {
                0 => {}
                size => *counted.entry(feature).or_default().entry(group).or_default() = size,
            }
        }
        let unanswerable = phrased.remove(0);
        let names = relations.into_keys().map(str::to_owned);
        Self {
            phrases: Phrases {
                unanswerable,
                relations: names.zip(phrased).collect(),
            },
            counts: Postings::new(&counted),
        }
    }

    /// Whether no unanswerable questions were counted. Then the phrasing of a question says nothing.
    pub fn is_empty(&self) -> bool {
        self.phrases.unanswerable.questions == 0
    }

    /// What was counted, in the order of the groups.
    fn groups(&self) -> impl Iterator<Item = &Phrased> {
        [&self.phrases.unanswerable]
            .into_iter()
            .chain(self.phrases.relations.values())
    }

    fn row(&self, key: &str) -> Vec<u32> {
        self.counts.row(key, 1 + self.phrases.relations.len())
    }

    /// The logarithm of the odds that a question is unanswerable.
    fn unanswerable(&self, question: &[String]) -> f64 {
        let groups = 1 + self.phrases.relations.len();
        let weight = |feature: String| {
            let row = self.counts.row(&feature, groups + 2);
            (f64::from(row[groups]) - f64::from(row[groups + 1])) / HUNDREDTHS
        };
        features(question).into_iter().map(weight).sum()
    }

    /// The probability of a word in any question, half in those for relations and half in unanswerable ones, from its counts.
    fn base(&self, counts: &[u32]) -> f64 {
        // Sums of what a file says need not fit into 32 bits.
        let words: f64 = self.phrases.relations.values().map(|of| f64::from(of.words)).sum();
        let asked: f64 = counts[1..].iter().map(|&count| f64::from(count)).sum();
        let unanswerable = f64::from(counts[0]) / f64::from(self.phrases.unanswerable.words.max(1));
        let of_both = asked / words.max(1.0) + unanswerable;
        (1.0 - NEW) * of_both / 2.0 + NEW_WORD
    }

    /// The counts of each two words of a sequence.
    fn pairs(&self, words: &[&str]) -> Vec<Pair> {
        let mut counts: Vec<Vec<u32>> = words.iter().map(|word| self.row(word)).collect();
        // What begins a question is no word of it.
        counts[0] = self.groups().map(|of| of.questions).collect();
        let pair = |(words, counts): (&[&str], &[Vec<u32>])| Pair {
            first: counts[0].clone(),
            second: counts[1].clone(),
            both: self.row(&key(words[0], words[1])),
            followed: self.row(&key(words[0], FOLLOWED)),
            followers: self.row(&key(words[0], FOLLOWERS)),
            base: self.base(&counts[1]),
        };
        words.windows(2).zip(counts.windows(2)).map(pair).collect()
    }

    /// How well each relation explains a question, given by its words. The relations in `without` are left out.
    pub(crate) fn explain(&self, question: &[String], without: impl Fn(&str) -> bool) -> Explained<'_> {
        if self.is_empty() {
            return Explained::default();
        }
        let words = sequence(question);
        let pairs = self.pairs(&words);
        let log_probability =
            |(group, of): (usize, &Phrased)| -> f64 { pairs.iter().map(|pair| pair.probability(group, of).ln()).sum() };
        let mut by_group = self.groups().enumerate().map(log_probability);
        let other = by_group.next().unwrap_or_default();
        let ratios = self.phrases.relations.keys().zip(by_group);
        let relations: BTreeMap<&str, f64> = ratios
            .filter(|(name, _)| !without(name))
            .map(|(name, of_relation)| (name.as_str(), of_relation - other))
            .collect();
        Explained {
            best: relations.values().copied().fold(f64::NEG_INFINITY, f64::max),
            relations,
            words: words.len() as f64,
            unanswerable: self.unanswerable(question),
        }
    }
}

fn key(first: &str, second: &str) -> String {
    format!("{first} {second}")
}

/// The words of a question, and the pairs and triples of words, once each. The start and the end of a question are words.
fn features(words: &[String]) -> Vec<String> {
    let words = sequence(words);
    let runs = (1..=3).flat_map(|length| words.windows(length));
    let mut features: Vec<String> = runs.map(|run| run.join(" ")).collect();
    features.sort_unstable();
    features.dedup();
    features
}

/// The words of a question, between its start and its end.
fn sequence(words: &[String]) -> Vec<&str> {
    let words = words.iter().map(String::as_str);
    std::iter::once(START).chain(words).chain([END]).collect()
}

/// The words of a question, in lower case and without marks such as apostrophes, with [`SUBJECT`] between what is before and after a name.
pub(crate) fn phrase(before: &str, after: Option<&str>) -> Vec<String> {
    let normal = |word: &str| -> String {
        let kept = word.chars().filter(|c| c.is_alphanumeric());
        kept.flat_map(char::to_lowercase).collect()
    };
    let mut words: Vec<String> = kexue_text::words(before).into_iter().map(normal).collect();
    if let Some(after) = after {
        words.push(SUBJECT.to_owned());
        words.extend(kexue_text::words(after).into_iter().map(normal));
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> Phrasing {
        let asked = |relation: &str, before: &str, after: &str| (relation.to_owned(), phrase(before, Some(after)));
        let mut all = Vec::new();
        for _ in 0..5 {
            all.push(asked("year", "When was", "discovered?"));
            all.push(asked("year", "who knows when", "was found"));
            all.push(asked("首都", "", "的首都是哪里"));
        }
        let unanswerable: Vec<Vec<String>> = (0..5)
            .flat_map(|_| [phrase("who invented ", Some("")), phrase("", Some("的国王是谁"))])
            .collect();
        Phrasing::count(&all, &unanswerable)
    }

    #[test]
    fn marks_and_case_are_no_part_of_words() {
        assert_eq!(phrase("What's ", Some("'s area?")), ["whats", "{S}", "s", "area"]);
        assert_eq!(phrase("光速", None), ["光速"]);
    }

    #[test]
    fn pairs_tell_what_words_do_not() {
        let phrasing = counted();
        let ratio = |question: &[String], relation: &str| phrasing.explain(question, |_| false).by(relation);
        let known = ratio(&phrase("when was", Some("found")), "year");
        let strange = ratio(&phrase("who discovered", Some("")), "year");
        assert!(known[0] > 0.0 && strange[0] < 0.0, "{known:?} {strange:?}");
        assert_eq!(known[2], 0.0);
        // Another relation explains it better.
        let wrong = ratio(&phrase("", Some("的首都")), "year");
        assert!(wrong[2] > 0.5, "{wrong:?}");
        let left_out = phrasing.explain(&phrase("", Some("的首都")), |name| name == "首都");
        assert_eq!(left_out.by("year")[2], 0.0);
        assert_eq!(left_out.by("首都"), [0.0; 3]);
        let odds = |question: &[String]| phrasing.explain(question, |_| false).unanswerable;
        assert!(odds(&phrase("who invented", Some(""))) > 0.5);
        assert!(odds(&phrase("who knows when", Some("was found"))) < -0.5);
        // Without unanswerable questions to compare with, it says nothing.
        assert_eq!(
            Phrasing::default().explain(&phrase("a", None), |_| false).by("year"),
            [0.0; 3]
        );
    }

    #[test]
    fn probabilities_add_up_to_one() {
        let phrasing = counted();
        let keys = phrasing
            .counts
            .text()
            .lines()
            .filter_map(|line| line.split('\t').next());
        let words: Vec<&str> = keys.filter(|key| !key.contains(' ') && *key != START).collect();
        assert!(words.len() == 15 && words.contains(&"discovered"), "{words:?}");
        for (group, of) in phrasing.groups().enumerate() {
            for before in ["discovered", "的", SUBJECT, "invented", "never"] {
                let of = |word: &&str| phrasing.pairs(&[START, before, word])[1].probability(group, of);
                let sum: f64 = words.iter().map(of).sum();
                // What is left is the share of new words.
                assert!(sum > 0.85 && sum <= 1.0 + 1e-9, "{before}: {sum}");
            }
            let of = |word: &&str| phrasing.pairs(&[START, word])[0].probability(group, of);
            let sum: f64 = words.iter().map(of).sum();
            assert!(sum > 0.85 && sum <= 1.0 + 1e-9, "{sum}");
        }
    }
}
