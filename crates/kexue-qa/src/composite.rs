//! Questions that one fact cannot answer: several names at once, comparisons, superlatives, counts.
//!
//! Names that are joined by "and" or the like are asked one by one. Comparisons, superlatives and counts are recognised by closed lists of words;
//! an answer to such a question is marked, not withheld.

use kexue_text::{Token, Vocabulary};
use serde::Serialize;
use std::ops::Range;

/// Why one fact cannot answer a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Composite {
    /// It asks the same of several subjects.
    SeveralSubjects,
    /// It compares.
    Comparison,
    /// It asks for the most or the least of something.
    Superlative,
    /// It asks for a number of things.
    Count,
}

impl Composite {
    /// What the question does, to be read after "the question".
    pub fn reason(self) -> &'static str {
        match self {
            Self::SeveralSubjects => "names several subjects",
            Self::Comparison => "compares",
            Self::Superlative => "asks for the most or the least of something",
            Self::Count => "asks how many there are",
        }
    }

    /// What the words of a question without its names say.
    pub(crate) fn of_words(rest: &str) -> Option<Self> {
        let rest = rest.to_lowercase();
        let words: Vec<&str> = rest
            .split(|c: char| !c.is_alphanumeric() && c != '\'')
            .filter(|word| !word.is_empty())
            .collect();
        let has = |list: &[&str]| words.iter().any(|word| list.contains(word));
        let contains = |list: &[&str]| list.iter().any(|part| rest.contains(part));
        // 比 is a syllable of other words.
        let other = ["比重", "比索", "比热", "比例", "比值", "比较"];
        let without = other.iter().fold(rest.clone(), |text, word| text.replace(word, ""));
        let compares = has(&[
            "than", "versus", "vs", "compare", "compared", "bigger", "larger", "smaller", "heavier", "lighter",
            "denser", "older", "higher",
        ]) || contains(&[
            "difference between",
            "比较",
            "谁更",
            "哪个更",
            "哪个大",
            "哪个重",
            "哪个高",
            "谁大",
            "谁重",
            "谁高",
            "更大",
            "更重",
        ]) || without.contains('比');
        let most = |word: &&str| {
            let ending = word.ends_with("est")
                && word.len() > 5
                && ![
                    "forest", "interest", "request", "harvest", "contest", "protest", "latest", "suggest", "honest",
                    "modest", "invest",
                ]
                .contains(word);
            ending || *word == "most" || *word == "least"
        };
        // "How many people" asks for a fact, the population; these ask to count facts.
        let counts = contains(&[
            "how many different",
            "how many languages",
            "how many official languages",
            "how many currencies",
            "how many countries",
            "how many cities",
            "how many elements",
            "几种",
            "几个",
            "多少种",
            "多少个",
            "多少座",
            "多少所",
            "多少条",
        ]);
        if compares {
            Some(Self::Comparison)
        } else if words.iter().any(most) || rest.contains('最') {
            Some(Self::Superlative)
        } else if counts {
            Some(Self::Count)
        } else {
            None
        }
    }
}

/// What joins names of which the same is asked.
const JOINING: [&str; 18] = [
    "和", "与", "及", "以及", "跟", "同", "、", "，", "还有", "或", "and", "&", ",", "and of", "and the", "or",
    "and also", ", and",
];

/// The names of a question that are joined: from the first to the last, and each.
#[derive(Debug, PartialEq)]
pub(crate) struct Joined {
    pub whole: Range<usize>,
    pub names: Vec<Range<usize>>,
}

/// The first names of a question that are joined by a word such as "and"; of names inside or across each other the longer counts.
pub(crate) fn joined(vocabulary: &Vocabulary, question: &[Token], mentions: &[Range<usize>]) -> Option<Joined> {
    let mut by_length: Vec<&Range<usize>> = mentions.iter().collect();
    by_length.sort_by_key(|range| (std::cmp::Reverse(range.len()), range.start));
    let mut apart: Vec<Range<usize>> = Vec::new();
    for range in by_length {
        if apart
            .iter()
            .all(|other| range.end <= other.start || other.end <= range.start)
        {
            apart.push(range.clone());
        }
    }
    apart.sort_by_key(|range| range.start);
    let joins = |a: &Range<usize>, b: &Range<usize>| {
        let between = vocabulary.decode(&question[a.end..b.start]);
        JOINING.contains(&between.trim().to_lowercase().as_str())
    };
    let group = apart.chunk_by(joins).find(|group| group.len() > 1)?;
    Some(Joined {
        whole: group[0].start..group[group.len() - 1].end,
        names: group.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_tell_what_one_fact_does_not() {
        let of = Composite::of_words;
        for rest in ["Is denser than ?", "比大吗", "和哪个重", "which is bigger, or ?"] {
            assert_eq!(of(rest), Some(Composite::Comparison), "{rest}");
        }
        for rest in ["What's the tallest mountain in ?", "最大的城市"] {
            assert_eq!(of(rest), Some(Composite::Superlative), "{rest}");
        }
        for rest in ["有几种官方语言？", "how many languages are spoken in"] {
            assert_eq!(of(rest), Some(Composite::Count), "{rest}");
        }
        for rest in [
            "the capital of",
            "的比重是多少",
            "用比索吗",
            "forest of",
            "how many people live in",
            "atomic number of",
        ] {
            assert_eq!(of(rest), None, "{rest}");
        }
    }

    #[test]
    fn joined_names_are_found() {
        let vocabulary = Vocabulary::new("法国和德的首都 andfrceigmytp,".chars(), true);
        let of = |text: &str, names: &[&str]| {
            let tokens = vocabulary.encode(text);
            let find = |name: &str| {
                let name = vocabulary.encode(name);
                let at = tokens.windows(name.len()).position(|window| window == name).unwrap();
                at..at + name.len()
            };
            let mentions: Vec<Range<usize>> = names.iter().map(|name| find(name)).collect();
            let joined = joined(&vocabulary, &tokens, &mentions)?;
            Some(
                joined
                    .names
                    .into_iter()
                    .map(|range| vocabulary.decode(&tokens[range]))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(of("法国和德国的首都", &["法国", "德国"]).unwrap(), ["法国", "德国"]);
        assert_eq!(
            of("capital of france, and germany", &["france", "germany"])
                .unwrap()
                .len(),
            2
        );
        // Not joined, or one inside the other.
        assert_eq!(of("capital of france in germany", &["france", "germany"]), None);
        assert_eq!(of("德国的首都", &["德国", "德"]), None);
    }
}
