//! How questions are phrased: for each relation, and for unanswerable questions, how probable the sequence of a question's words is.
//!
//! Counts of single words cannot tell "who discovered radium" from "when was radium discovered" if both words are common. Bigram models can, since
//! no question for the year has "who discovered". Words are those of [`kexue_text::words`]; the name of the subject is one word, [`SUBJECT`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A word by its number in [`Phrasing::vocabulary`]; [`UNKNOWN`] if it is not there.
type Word = u32;

/// What stands for the subject's name.
pub(crate) const SUBJECT: &str = "{S}";
/// The words that every vocabulary begins with: the start and the end of a question, and the subject.
const SPECIAL: [&str; 3] = ["^", "$", SUBJECT];
const START: Word = 0;
const END: Word = 1;
const UNKNOWN: Word = Word::MAX;

/// The absolute discount: what is subtracted from each count, and given to words that were not seen there (Ney, Essen and Kneser 1994).
const DISCOUNT: f64 = 0.7;
/// The probability of all words that were never counted, and of each.
const NEW: f64 = 0.1;
const NEW_WORD: f64 = NEW / 30_000.0;
/// The lowest count of a pair of words that is kept.
const LEAST_PAIRS: u32 = 2;

/// A bigram model with absolute discounting.
///
/// Its counts lie side by side, ascending: `kexue ask` reads tens of thousands of them for one question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bigrams {
    questions: u32,
    /// How often each word occurs.
    words: Vec<(Word, u32)>,
    /// The sum of `words`.
    total: u32,
    /// How often a word is followed by another one.
    pairs: Vec<((Word, Word), u32)>,
    /// The words that others follow.
    next: Vec<Next>,
}

/// What follows a word.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Next {
    first: Word,
    /// The place of its pairs.
    pairs: Range<usize>,
    /// The sum of their counts.
    sum: u32,
}

/// Counts in the order of what they count, of which the last count of each holds.
fn ascending<K: Copy + Ord>(counts: Vec<(K, u32)>) -> Vec<(K, u32)> {
    match counts.is_sorted_by(|a, b| a.0 < b.0) {
        true => counts,
        false => BTreeMap::from_iter(counts).into_iter().collect(),
    }
}

fn count_of<K: Ord>(counts: &[(K, u32)], counted: &K) -> u32 {
    let place = counts.binary_search_by(|(other, _)| other.cmp(counted));
    place.map_or(0, |place| counts[place].1)
}

impl Bigrams {
    fn new(questions: u32, words: Vec<(Word, u32)>, pairs: Vec<((Word, Word), u32)>) -> Self {
        let (words, pairs) = (ascending(words), ascending(pairs));
        let mut next: Vec<Next> = Vec::new();
        for group in pairs.chunk_by(|a, b| a.0.0 == b.0.0) {
            let start = next.last().map_or(0, |next| next.pairs.end);
            next.push(Next {
                first: group[0].0.0,
                pairs: start..start + group.len(),
                sum: group.iter().map(|(_, count)| count).sum(),
            });
        }
        Self {
            questions,
            total: words.iter().map(|(_, count)| count).sum(),
            words,
            pairs,
            next,
        }
    }

    fn count(&self, word: Word) -> f64 {
        f64::from(count_of(&self.words, &word))
    }

    fn next(&self, first: Word) -> Option<&Next> {
        let place = self.next.binary_search_by_key(&first, |next| next.first);
        place.ok().map(|place| &self.next[place])
    }

    /// The natural logarithm of the probability of a question, given by its words from start to end and the probability of each word where
    /// nothing is known.
    fn log_probability(&self, words: &[Word], base: &[f64]) -> f64 {
        let mut sum = 0.0;
        for (pair, base) in words.windows(2).zip(&base[1..]) {
            let mut probability = *base;
            if self.total > 0 {
                let unseen = DISCOUNT * self.words.len() as f64 * probability;
                probability = ((self.count(pair[1]) - DISCOUNT).max(0.0) + unseen) / f64::from(self.total);
            }
            let before = match pair[0] {
                START => f64::from(self.questions),
                word => self.count(word),
            };
            if before > 0.0 {
                let (count, kept, kinds) = self.next(pair[0]).map_or((0, 0, 0), |next| {
                    let count = count_of(&self.pairs[next.pairs.clone()], &(pair[0], pair[1]));
                    (count, next.sum, next.pairs.len() as u32)
                });
                let unseen = before - f64::from(kept) + DISCOUNT * f64::from(kinds);
                probability = ((f64::from(count) - DISCOUNT).max(0.0) + unseen * probability) / before;
            }
            sum += probability.ln();
        }
        sum
    }

    /// The counts as text: the number of questions, the words with their counts, and for each first word of a pair the second ones.
    fn to_text(&self) -> String {
        let words = self.words.iter().map(|(word, count)| format!("{word}:{count}"));
        let next = self.next.iter().map(|next| {
            let pairs = self.pairs[next.pairs.clone()].iter();
            let second: Vec<String> = pairs.map(|((_, second), count)| format!("{second}:{count}")).collect();
            format!("{}>{}", next.first, second.join("|"))
        });
        let [words, next] = [words.collect::<Vec<String>>(), next.collect()].map(|parts| parts.join(" "));
        format!("{}\t{words}\t{next}", self.questions)
    }

    fn from_text(text: &str) -> Option<Self> {
        let mut text = Text(text.as_bytes());
        let questions = text.number()?;
        text.take(b'\t')?;
        let (mut words, mut pairs) = (Vec::new(), Vec::new());
        while text.skip_spaces().take(b'\t').is_none() {
            words.push(text.counted()?);
        }
        while !text.skip_spaces().0.is_empty() {
            let first = text.number()?;
            text.take(b'>')?;
            loop {
                let (second, count) = text.counted()?;
                pairs.push(((first, second), count));
                if text.take(b'|').is_none() {
                    break;
                }
            }
        }
        Some(Self::new(questions, words, pairs))
    }
}

/// The rest of a text of numbers.
struct Text<'t>(&'t [u8]);

impl Text<'_> {
    fn number(&mut self) -> Option<u32> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        let digit = |number: u32, byte: &u8| number.checked_mul(10)?.checked_add(u32::from(byte - b'0'));
        number.split_first()?;
        number.iter().try_fold(0, digit)
    }

    /// A word and its count.
    fn counted(&mut self) -> Option<(Word, u32)> {
        let word = self.number()?;
        self.take(b':')?;
        Some((word, self.number()?))
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?;
        Some(())
    }

    fn skip_spaces(&mut self) -> &mut Self {
        while self.take(b' ').is_some() {}
        self
    }
}

/// Bigram models of the questions for each relation, and of unanswerable questions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Phrasing {
    vocabulary: BTreeMap<String, Word>,
    relations: BTreeMap<String, Bigrams>,
    unanswerable: Bigrams,
    /// The probability of each word in any question.
    base: Vec<f64>,
}

/// How well relations explain the phrasing of a question.
#[derive(Clone, Debug, Default)]
pub(crate) struct Explained<'p> {
    /// For each relation, how much more probable the question is by it than by the unanswerable questions, as a difference of natural logarithms.
    relations: BTreeMap<&'p str, f64>,
    best: f64,
    words: f64,
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

impl Phrasing {
    /// Counts the words of questions: those for each relation, and those that are unanswerable.
    pub(crate) fn count(asked: &[(String, Vec<String>)], unanswerable: &[Vec<String>]) -> Self {
        let mut numbers: BTreeMap<String, Word> = BTreeMap::new();
        for (number, word) in SPECIAL.iter().enumerate() {
            numbers.insert((*word).to_owned(), number as Word);
        }
        let distinct: BTreeSet<&String> = asked
            .iter()
            .map(|(_, words)| words)
            .chain(unanswerable)
            .flatten()
            .collect();
        for word in distinct {
            let next = numbers.len() as Word;
            numbers.entry(word.clone()).or_insert(next);
        }
        let mut groups: BTreeMap<&str, Vec<&Vec<String>>> = BTreeMap::new();
        for (relation, words) in asked {
            groups.entry(relation).or_default().push(words);
        }
        let of = |questions: &[&Vec<String>]| {
            let (mut words, mut pairs) = (BTreeMap::<Word, u32>::new(), BTreeMap::<(Word, Word), u32>::new());
            for question in questions {
                let numbered: Vec<Word> = sequence(question.iter().map(|word| numbers[word]));
                for pair in numbered.windows(2) {
                    *words.entry(pair[1]).or_default() += 1;
                    *pairs.entry((pair[0], pair[1])).or_default() += 1;
                }
            }
            let pairs = pairs.into_iter().filter(|(_, count)| *count >= LEAST_PAIRS);
            Bigrams::new(questions.len() as u32, words.into_iter().collect(), pairs.collect())
        };
        let relations = groups
            .iter()
            .map(|(name, group)| ((*name).to_owned(), of(group)))
            .collect();
        let unanswerable = of(&unanswerable.iter().collect::<Vec<_>>());
        Self::new(numbers, relations, unanswerable)
    }

    fn new(vocabulary: BTreeMap<String, Word>, relations: BTreeMap<String, Bigrams>, unanswerable: Bigrams) -> Self {
        let mut all = vec![0.0; vocabulary.len()];
        for &(word, count) in relations.values().flat_map(|bigrams| &bigrams.words) {
            all[word as usize] += f64::from(count);
        }
        let total = all.iter().sum::<f64>().max(1.0);
        let others = f64::from(unanswerable.total.max(1));
        let share = |(word, count): (usize, f64)| {
            let of_both = (count / total + unanswerable.count(word as Word) / others) / 2.0;
            (1.0 - NEW) * of_both + NEW_WORD
        };
        let base = all.into_iter().enumerate().map(share).collect();
        Self {
            vocabulary,
            relations,
            unanswerable,
            base,
        }
    }

    /// Whether no unanswerable questions were counted. Then the phrasing of a question says nothing.
    pub fn is_empty(&self) -> bool {
        self.unanswerable.questions == 0
    }

    /// How well each relation explains a question, given by its words. The relations in `without` are left out.
    pub(crate) fn explain(&self, question: &[String], without: impl Fn(&str) -> bool) -> Explained<'_> {
        if self.is_empty() {
            return Explained::default();
        }
        let number = |word: &String| self.vocabulary.get(word).copied().unwrap_or(UNKNOWN);
        let words = sequence(question.iter().map(number));
        let base: Vec<f64> = words
            .iter()
            .map(|&word| self.base.get(word as usize).copied().unwrap_or(NEW_WORD))
            .collect();
        let other = self.unanswerable.log_probability(&words, &base);
        let ratio = |bigrams: &Bigrams| bigrams.log_probability(&words, &base) - other;
        let counted = self.relations.iter().filter(|(name, _)| !without(name));
        let relations: BTreeMap<&str, f64> = counted.map(|(name, bigrams)| (name.as_str(), ratio(bigrams))).collect();
        Explained {
            best: relations.values().copied().fold(f64::NEG_INFINITY, f64::max),
            relations,
            words: words.len() as f64,
        }
    }

    /// The counts as lines without apostrophes: the vocabulary, then the unanswerable questions and those for each relation.
    pub(crate) fn to_text(&self) -> String {
        let mut words: Vec<&str> = vec![""; self.vocabulary.len()];
        for (word, &number) in &self.vocabulary {
            words[number as usize] = word;
        }
        let mut text = format!("{}\n{}\n", words.join(" "), self.unanswerable.to_text());
        for (relation, bigrams) in &self.relations {
            let name = serde_json::Value::from(relation.as_str()).to_string();
            text += &format!("{}\t{}\n", name.replace('\'', "\\u0027"), bigrams.to_text());
        }
        text
    }

    /// Reads the text of [`Phrasing::to_text`].
    ///
    /// # Errors
    /// If a line is malformed; the message quotes its beginning.
    pub(crate) fn from_text(text: &str) -> Result<Self, String> {
        let mut lines = text.lines();
        let Some(words) = lines.next().filter(|words| !words.is_empty()) else {
            return Ok(Self::default());
        };
        let vocabulary: BTreeMap<String, Word> = words
            .split(' ')
            .zip(0..)
            .map(|(word, number)| (word.to_owned(), number))
            .collect();
        let bad = |line: &str| {
            let begin: String = line.chars().take(40).collect();
            format!(
                "`{begin}` in `phrases` is not a number of questions with words and pairs of words, such as `7\\t3:2 4:1\\t3>4:1`"
            )
        };
        let read = |line: &str, counts: &str| {
            let bigrams = Bigrams::from_text(counts).ok_or_else(|| bad(line))?;
            let known = |word: &Word| (*word as usize) < vocabulary.len();
            match bigrams.words.iter().all(|(word, _)| known(word)) {
                true => Ok(bigrams),
                false => Err(bad(line)),
            }
        };
        let line = lines.next().unwrap_or_default();
        let unanswerable = read(line, line)?;
        let mut relations = BTreeMap::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, counts) = line.split_once('\t').ok_or_else(|| bad(line))?;
            let name: String = serde_json::from_str(name).map_err(|_| bad(line))?;
            relations.insert(name, read(line, counts)?);
        }
        Ok(Self::new(vocabulary, relations, unanswerable))
    }
}

/// The words of a question, between its start and its end.
fn sequence(words: impl Iterator<Item = Word>) -> Vec<Word> {
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
        // Without unanswerable questions to compare with, it says nothing.
        assert_eq!(
            Phrasing::default().explain(&phrase("a", None), |_| false).by("year"),
            [0.0; 3]
        );
    }

    #[test]
    fn probabilities_add_up_to_one() {
        let phrasing = counted();
        let size = phrasing.vocabulary.len() as Word;
        for bigrams in phrasing.relations.values().chain([&phrasing.unanswerable]) {
            for before in [START, 2, 3, 5, size - 1] {
                let of = |word: Word| {
                    let base = phrasing.base[word as usize];
                    bigrams.log_probability(&[before, word], &[0.0, base]).exp()
                };
                let sum: f64 = (0..size).map(of).sum();
                // What is left is the share of new words.
                assert!(sum > 0.85 && sum <= 1.0 + 1e-9, "{before}: {sum}");
            }
        }
    }

    #[test]
    fn counts_survive_their_text() {
        let phrasing = counted();
        let text = phrasing.to_text();
        assert_eq!(Phrasing::from_text(&text), Ok(phrasing));
        assert_eq!(
            Phrasing::from_text(&Phrasing::default().to_text()),
            Ok(Phrasing::default())
        );
        assert!(
            Phrasing::from_text(&text.replacen('>', "<", 1))
                .unwrap_err()
                .contains("in `phrases`")
        );
        let far = text.replacen("year\"\t10\t", "year\"\t10\t999:1 ", 1);
        assert!(Phrasing::from_text(&far).is_err());
    }
}
