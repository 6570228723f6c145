//! Questions as newcomers type them, asked of the embedded graph.

use kexue_qa::{AskOptions, Composite, ask, embedded};

/// At least this share of the questions of `newcomers.tsv` that the graph answers is answered, rightly.
const RIGHT: f64 = 0.85;
/// At most this share of the answers to them is wrong.
const WRONG: f64 = 0.06;
/// At most this share of the questions that the graph does not answer is answered.
const ANSWERED: f64 = 0.12;

#[test]
#[ignore = "needs the retrained embedded model"]
fn newcomers_get_right_answers_or_none() {
    let (graph, trained) = embedded().unwrap();
    let options = AskOptions::new(trained.config.search.clone());
    let text = include_str!("../data/default/newcomers.tsv");
    let lines: Vec<(&str, &str)> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once('\t').unwrap())
        .collect();
    let questions: Vec<&str> = lines.iter().map(|(question, _)| *question).collect();
    let answers = ask(&graph, &trained.model, &options, &questions).unwrap();
    let (mut right, mut wrong, mut answerable, mut answered, mut unanswerable) = (0, 0, 0, 0, 0);
    let mut faults = Vec::new();
    for ((question, gold), answer) in lines.iter().zip(&answers) {
        let given = answer.known.then(|| answer.candidates[0].objects[0].as_str());
        let is_right = given.is_some_and(|given| given == *gold);
        if *gold == "?" {
            unanswerable += 1;
            answered += usize::from(answer.is_answered());
        } else {
            answerable += 1;
            right += usize::from(is_right);
            wrong += usize::from(given.is_some() && !is_right);
        }
        if given.unwrap_or("?") != *gold {
            faults.push(format!("{question}: {} for {gold}", given.unwrap_or("?")));
        }
    }
    println!(
        "{right} right and {wrong} wrong of {answerable}; {answered} of {unanswerable} without an answer answered"
    );
    let share = |part: usize, of: usize| part as f64 / of as f64;
    assert!(
        share(right, answerable) >= RIGHT
            && share(wrong, answerable) <= WRONG
            && share(answered, unanswerable) <= ANSWERED,
        "{faults:#?}"
    );
}

#[test]
fn several_subjects_are_asked_one_by_one() {
    let (graph, trained) = embedded().unwrap();
    let options = AskOptions::new(trained.config.search.clone());
    for (question, objects) in [
        ("法国和德国的首都", ["巴黎", "柏林"]),
        ("capital of France and Germany", ["Paris", "Berlin"]),
    ] {
        let answer = ask(&graph, &trained.model, &options, &[question])
            .unwrap()
            .pop()
            .unwrap();
        assert_eq!(answer.composite, Some(Composite::SeveralSubjects));
        assert!(!answer.known, "{answer:?}");
        let given: Vec<&str> = answer
            .parts
            .iter()
            .map(|part| part.candidates[0].objects[0].as_str())
            .collect();
        assert_eq!(given, objects);
    }
}

#[test]
#[ignore = "needs the retrained embedded model"]
fn several_subjects_are_all_answered() {
    let (graph, trained) = embedded().unwrap();
    let options = AskOptions::new(trained.config.search.clone());
    let questions = ["法国和德国的首都", "capital of France and Germany"];
    for answer in ask(&graph, &trained.model, &options, &questions).unwrap() {
        assert!(answer.is_answered(), "{answer:?}");
    }
}

#[test]
fn comparisons_are_marked() {
    let (graph, trained) = embedded().unwrap();
    let options = AskOptions::new(trained.config.search.clone());
    for question in [
        "Which is bigger, France or Spain?",
        "铁和铜哪个更重？",
        "What's the tallest mountain in Nepal?",
    ] {
        let answer = ask(&graph, &trained.model, &options, &[question])
            .unwrap()
            .pop()
            .unwrap();
        assert!(
            matches!(
                answer.composite,
                Some(Composite::Comparison | Composite::Superlative | Composite::SeveralSubjects)
            ),
            "{answer:?}"
        );
    }
}
