//! The templates: their check, and the test questions made from the held-out ones.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::{Result, ensure};
use rand::Rng;
use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::graph::{Fact, Graph, name};

/// Where a template takes its subject.
const SUBJECT: &str = "{S}";
/// Training templates that every relation must have, at the least.
const TRAINING: usize = 25;
/// Held-out templates that every relation must have, at the least.
const HELD_OUT: usize = 8;
/// Questions made from every held-out template.
const DRAWS: usize = 2;
/// The seed of the test questions.
const SEED: u64 = 2021;

/// Asserts that every relation has enough templates, and that no held-out template is a training template apart from
/// case, spaces and punctuation; prints how near the nearest ones are.
pub fn check(graph: &Graph, training: &[Vec<String>], held_out: &[Vec<String>]) -> Result<()> {
    for rows in [training, held_out] {
        let mut seen = HashSet::new();
        for row in rows {
            ensure!(
                row[1].matches(SUBJECT).count() == 1,
                "not one {SUBJECT} in the template {:?}",
                row[1]
            );
            ensure!(
                seen.insert((&row[0], normal(&row[1]))),
                "{}: the template {:?} is there twice",
                row[0],
                row[1]
            );
            let known = graph.relations().iter().any(|(relation, _)| *relation == row[0]);
            ensure!(
                known,
                "the template {:?} asks for {:?}, which no fact has",
                row[1],
                row[0]
            );
        }
    }
    // Relations that lead back from a code have a test of their own: `newcomers.tsv`.
    for (relation, _) in graph.relations().into_iter().filter(|(relation, _)| !crate::inverses::is_inverse(relation)) {
        let count = |rows: &[Vec<String>]| rows.iter().filter(|row| row[0] == relation).count();
        ensure!(
            count(training) >= TRAINING,
            "{relation}: {} training templates",
            count(training)
        );
        ensure!(
            count(held_out) >= HELD_OUT,
            "{relation}: {} held-out templates",
            count(held_out)
        );
    }

    let normal_training: Vec<Vec<char>> = training.iter().map(|row| normal(&row[1]).chars().collect()).collect();
    let mut distances = Vec::new();
    for row in held_out {
        let held_out: Vec<char> = normal(&row[1]).chars().collect();
        let nearest = (normal_training.iter().enumerate())
            .map(|(index, template)| (edit_distance(&held_out, template), index))
            .min();
        let Some((distance, index)) = nearest else { continue };
        ensure!(distance > 0, "held out, but in training: {:?}", row[1]);
        distances.push((distance, held_out.len(), &row[1], &training[index][1]));
    }
    distances.sort();
    for (label, ascii) in [("Chinese", false), ("English", true)] {
        let of_language: Vec<_> = distances.iter().filter(|entry| entry.2.is_ascii() == ascii).collect();
        let (Some(first), count) = (of_language.first(), of_language.len()) else {
            continue;
        };
        let total: usize = of_language.iter().map(|entry| entry.0).sum();
        let relative: f64 = of_language.iter().map(|entry| entry.0 as f64 / entry.1 as f64).sum();
        println!(
            "{label}: {count} held-out templates; edits to the nearest training template: at least {} \
             ({:?} / {:?}), on average {:.1} ({:.0} % of the template)",
            first.0,
            first.2,
            first.3,
            total as f64 / count as f64,
            100.0 * relative / count as f64
        );
        for entry in of_language.iter().take(6) {
            println!("  {} {:?} / {:?}", entry.0, entry.2, entry.3);
        }
    }
    Ok(())
}

/// The test questions: question, subject, relation, and all objects with `|` between them.
pub fn generate(graph: &Graph, held_out: &[Vec<String>]) -> String {
    let mut objects: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    let mut senses: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for Fact {
        subject,
        relation,
        object,
    } in graph.facts()
    {
        objects.entry((relation, subject)).or_default().push(object);
        senses.entry((relation, name(subject))).or_default().insert(subject);
    }
    // A question by name alone has one answer only where the name has one subject with this relation.
    objects.retain(|(relation, subject), _| senses[&(*relation, name(subject))].len() == 1);
    let elements: HashSet<&str> = subjects_with(graph, "symbol");

    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut text = String::new();
    let mut asked = HashSet::new();
    for row in held_out {
        let (relation, template) = (row[0].as_str(), row[1].as_str());
        let entries: Vec<_> = objects
            .range((relation, "")..)
            .take_while(|((other, _), _)| *other == relation)
            .collect();
        let mut made = 0;
        while made < DRAWS {
            let Some(((_, subject), objects)) = entries.choose(&mut random) else {
                break;
            };
            let question = ask(template, subject, elements.contains(subject), &mut random);
            if asked.insert(question.clone()) {
                text.push_str(&format!("{question}\t{subject}\t{relation}\t{}\n", objects.join("|")));
                made += 1;
            }
        }
    }
    text
}

/// Puts the subject's name into the template. English names of elements are mostly written small within a sentence,
/// and one question in six is written small throughout.
fn ask(template: &str, subject: &str, element: bool, random: &mut ChaCha8Rng) -> String {
    let mut name = name(subject).to_owned();
    if element && !template.starts_with(SUBJECT) && random.random_bool(0.7) {
        name = name.to_lowercase();
    }
    let question = template.replace(SUBJECT, &name);
    let english = question.chars().all(|character| character < '\u{2E80}');
    if english && random.random_bool(1.0 / 6.0) {
        question.to_lowercase()
    } else {
        question
    }
}

fn subjects_with<'a>(graph: &'a Graph, relation: &str) -> HashSet<&'a str> {
    let facts = graph.facts().iter().filter(|fact| fact.relation == relation);
    facts.map(|fact| fact.subject.as_str()).collect()
}

/// A template in small letters, without spaces and punctuation (the subject's place is kept).
fn normal(template: &str) -> String {
    let template = template.replace(SUBJECT, "\u{FFFC}").to_lowercase();
    template
        .chars()
        .filter(|character| character.is_alphanumeric() || *character == '\u{FFFC}')
        .collect()
}

/// The least number of insertions, deletions and substitutions that make one of the other (Levenshtein 1966).
fn edit_distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distance_counts_edits() {
        let distance = |a: &str, b: &str| edit_distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "首都"), 2);
        assert_eq!(distance("首都", "首都"), 0);
    }

    #[test]
    fn case_and_punctuation_do_not_make_a_template_new() {
        assert_eq!(
            normal("What's the capital of {S}?"),
            normal("whats the  Capital of {S}")
        );
        assert_ne!(normal("Capital of {S}"), normal("{S} capital of"));
    }

    #[test]
    fn a_name_is_its_subject_without_the_sense() {
        assert_eq!(name("新加坡（城市）"), "新加坡");
        assert_eq!(name("新加坡"), "新加坡");
        assert_eq!(name("（一）"), "（一）");
    }
}
