//! Questions that one fact cannot answer: several names or relations at once, chains, comparisons, superlatives, counts.
//!
//! If names, or relations of one subject, are joined by "and" or a similar word, each is asked alone. A chain, which asks for a relation of
//! another relation's object, is not answered, nor is a question for what is not so. Negations, comparisons, superlatives and counts are recognised by
//! word lists; answers to the last three are marked, not withheld.

use kexue_text::{Token, Vocabulary};
use serde::Serialize;
use std::ops::Range;

/// Why one fact cannot answer a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Composite {
    /// It asks the same of several subjects.
    SeveralSubjects,
    /// It asks for several relations of one subject.
    SeveralRelations,
    /// It asks for a relation of another relation's object.
    Chain,
    /// It asks for what is not so.
    Negation,
    /// It compares.
    Comparison,
    /// It asks for the most or the least of something.
    Superlative,
    /// It asks for a number of things.
    Count,
}

impl Composite {
    /// The reason as the end of a sentence that begins with "the question".
    pub fn reason(self) -> &'static str {
        match self {
            Self::SeveralSubjects => "names several subjects",
            Self::SeveralRelations => "asks for several things",
            Self::Chain => "asks for something of something else",
            Self::Negation => "asks for what is not so",
            Self::Comparison => "compares",
            Self::Superlative => "asks for the most or the least of something",
            Self::Count => "asks how many there are",
        }
    }

    /// Classifies the words of a question without its names.
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
        if negates(&words, &rest) {
            Some(Self::Negation)
        } else if compares {
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

/// Whether words ask for what is not so. "I don't know the capital" and "isn't it?" do not.
fn negates(words: &[&str], text: &str) -> bool {
    let of_the_asker = [
        "it",
        "know",
        "remember",
        "sure",
        "recall",
        "understand",
        "certain",
        "there",
    ];
    let denies = |pair: &[&str]| match *pair {
        [verb, "not"] => ["is", "are", "was", "were", "does"].contains(&verb),
        [verb, _] => ["isn't", "aren't", "wasn't", "doesn't"].contains(&verb),
        _ => false,
    };
    let ends_so = |at: usize| words.get(at).is_none_or(|word| of_the_asker.contains(word));
    let denied = words.windows(2).enumerate().any(|(at, pair)| {
        let next = if pair[1] == "not" { at + 2 } else { at + 1 };
        denies(pair) && !ends_so(next)
    });
    let without = [
        "是不是",
        "不是吗",
        "不是很",
        "不是有",
        "不用谢",
        "不用说",
        "用不用",
        "在不在",
    ]
    .iter()
    .fold(text.to_owned(), |text, word| text.replace(word, ""));
    denied
        || words.contains(&"except")
        || words.contains(&"excluding")
        || text.contains("other than")
        || ["不是", "除了", "不属于", "不使用", "不用", "不在"]
            .iter()
            .any(|word| without.contains(word))
}

/// Words that join names or relations.
const JOINING: [&str; 18] = [
    "和", "与", "及", "以及", "跟", "同", "、", "，", "还有", "或", "and", "&", ",", "and of", "and the", "or",
    "and also", ", and",
];

/// Words that lead from a relation to the thing it is asked of.
const LEADING: [&str; 6] = ["of", "of the", "for the", "in the", "的", "'s"];

/// Joined parts of a question: the range from the first to the last, and each part.
#[derive(Debug, PartialEq)]
pub(crate) struct Joined {
    pub whole: Range<usize>,
    pub each: Vec<Range<usize>>,
}

/// The first parts of a question (names or relations) that are joined by a word such as "and". Of overlapping parts the longer one counts.
pub(crate) fn joined(vocabulary: &Vocabulary, question: &[Token], parts: &[Range<usize>]) -> Option<Joined> {
    linked(vocabulary, question, parts, &JOINING)
}

/// Words that join what they do not stand between: "the capital of Spain, and what is its population".
const JOINING_APART: [&str; 8] = ["and", "&", "和", "与", "及", "以及", "还有", "并"];

/// Relations of one name that stand apart, with such a word between them.
pub(crate) fn joined_apart(
    vocabulary: &Vocabulary,
    question: &[Token],
    names: &[Range<usize>],
    relations: &[Range<usize>],
) -> Option<Vec<Range<usize>>> {
    let apart = longest(relations);
    let joins = |pair: &[Range<usize>]| {
        let between = pair[0].end..pair[1].start;
        let letters = between.filter(|at| !names.iter().any(|name| name.contains(at)));
        let text = vocabulary.decode(&letters.map(|at| question[at]).collect::<Vec<_>>());
        let words = || text.split(|character: char| character.is_whitespace() || character == ',');
        JOINING_APART.iter().any(|join| match join.is_ascii() {
            true => words().any(|word| word.eq_ignore_ascii_case(join)),
            false => text.contains(join),
        })
    };
    apart.windows(2).any(joins).then_some(apart)
}

/// Two relations that share their end, of which the first leaves it out: "melting and boiling point".
pub(crate) fn sharing_their_end(
    vocabulary: &Vocabulary,
    question: &[Token],
    found: &[Range<usize>],
    relations: &[Vec<Token>],
) -> Option<[String; 2]> {
    longest(found).into_iter().find_map(|range| {
        let whole = vocabulary.decode(&question[range.clone()]);
        let (_, end) = whole.split_once(' ')?;
        let before = vocabulary.decode(&question[..range.start]);
        let before = before.strip_suffix(" and ").or_else(|| before.strip_suffix(" & "))?;
        let word = before.rsplit(' ').next()?;
        let other = format!("{word} {end}");
        relations.contains(&vocabulary.encode(&other)).then_some([other, whole])
    })
}

/// Whether a name stands in another: "Georgia in the USA". Which of them is meant is not for the graph to say.
pub(crate) fn is_within(vocabulary: &Vocabulary, question: &[Token], names: &[Range<usize>]) -> bool {
    linked(vocabulary, question, names, &["in", "in the", ", in", ", in the"]).is_some()
}

/// Whether a question asks for a relation of another relation's object.
pub(crate) fn is_chain(vocabulary: &Vocabulary, question: &[Token], relations: &[Range<usize>]) -> bool {
    linked(vocabulary, question, relations, &LEADING).is_some()
}

/// Parts that do not overlap, by rising start: of overlapping ones the longest.
pub(crate) fn longest(parts: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut by_length: Vec<&Range<usize>> = parts.iter().collect();
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
    apart
}

fn linked(vocabulary: &Vocabulary, question: &[Token], parts: &[Range<usize>], links: &[&str]) -> Option<Joined> {
    let apart = longest(parts);
    let links = |a: &Range<usize>, b: &Range<usize>| {
        let between = vocabulary.decode(&question[a.end..b.start]);
        links.contains(&between.trim().to_lowercase().as_str())
    };
    let group = apart.chunk_by(links).find(|group| group.len() > 1)?;
    Some(Joined {
        whole: group[0].start..group[group.len() - 1].end,
        each: group.to_vec(),
    })
}

/// The places of relations in a question, as whole words outside names. Relations of one letter are ignored: they occur by chance.
pub(crate) fn relations_in(
    vocabulary: &Vocabulary,
    question: &[Token],
    names: &[Range<usize>],
    relations: &[Vec<Token>],
) -> Vec<Range<usize>> {
    // A letter of a script that separates words.
    let is_letter = |at: usize| {
        let text = question
            .get(at)
            .map(|&token| vocabulary.decode(&[token]))
            .unwrap_or_default();
        text.chars().any(|c| c.is_alphanumeric() && (c as u32) < 0x2e80)
    };
    let stands = |range: &Range<usize>| {
        let whole = range.start == 0 || !(is_letter(range.start - 1) && is_letter(range.start));
        let whole = whole && !(is_letter(range.end - 1) && is_letter(range.end));
        whole
            && names
                .iter()
                .all(|name| range.end <= name.start || name.end <= range.start)
    };
    let of = |relation: &Vec<Token>| -> Vec<Range<usize>> {
        let windows = question.windows(relation.len().max(1)).enumerate();
        let found = windows.filter(|(_, window)| *window == &relation[..]);
        found.map(|(at, _)| at..at + relation.len()).filter(stands).collect()
    };
    relations
        .iter()
        .filter(|relation| relation.len() > 1)
        .flat_map(of)
        .collect()
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
            "What is not the capital of ?",
            "which countries do not speak but isn't in ",
            "哪个国家的首都不是？",
            "除了还有哪些国家用",
            "countries other than using ",
        ] {
            assert_eq!(of(rest), Some(Composite::Negation), "{rest}");
        }
        for rest in [
            "i do not know the capital of",
            "is the capital of, isn't it?",
            "是不是的首都",
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
                    .each
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

    #[test]
    fn relations_stand_as_words_outside_of_names() {
        let vocabulary = Vocabulary::new("法国的首都人口和 &acdefginoprstluy".chars(), true);
        let encode = |texts: &[&str]| -> Vec<Vec<Token>> { texts.iter().map(|text| vocabulary.encode(text)).collect() };
        let of = |text: &str, name: Range<usize>, relations: &[&str]| {
            let tokens = vocabulary.encode(text);
            let found = relations_in(&vocabulary, &tokens, &[name], &encode(relations));
            (
                is_chain(&vocabulary, &tokens, &found),
                joined(&vocabulary, &tokens, &found).is_some(),
                found.len(),
            )
        };
        let english = ["capital", "population", "area"];
        assert_eq!(
            of("population of the capital of france", 29..35, &english),
            (true, false, 2)
        );
        assert_eq!(
            of("capital and population of france", 26..32, &english),
            (false, true, 2)
        );
        assert_eq!(of("capitals of france", 12..18, &english), (false, false, 0), "no word");
        for (text, join) in [
            ("capital of france and its area", true),
            ("capital of france & its area", true),
            ("capital of france or its area", false),
        ] {
            let (tokens, name) = (vocabulary.encode(text), 11..17);
            let found = relations_in(&vocabulary, &tokens, std::slice::from_ref(&name), &encode(&english));
            let apart = joined_apart(&vocabulary, &tokens, &[name], &found);
            assert_eq!(apart.map(|apart| apart.len()), join.then_some(2), "{text}");
        }
        assert_eq!(of("area capital", 0..4, &english), (false, false, 1), "a name");
        let chinese = ["首都", "人口", "国"];
        assert_eq!(of("法国的首都的人口", 0..2, &chinese), (true, false, 2));
        assert_eq!(of("法国的首都和人口", 0..2, &chinese), (false, true, 2));
        assert_eq!(of("法国的首都人口", 0..2, &chinese), (false, false, 2));
    }
}
