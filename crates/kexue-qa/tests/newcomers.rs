//! Questions as newcomers type them, asked of the embedded graph.

use kexue_qa::{AskOptions, Composite, ask, embedded};

/// At least this share of the questions of `newcomers.tsv` that the graph answers is answered, rightly.
const RIGHT: f64 = 0.96;
/// At most this share of the answers to them is wrong.
const WRONG: f64 = 0.02;
/// At most this share of the questions that the graph does not answer is answered.
const ANSWERED: f64 = 0.1;

#[test]
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

#[test]
fn bare_questions_codes_and_short_names_are_answered() {
    let (graph, trained) = embedded().unwrap();
    let options = AskOptions::new(trained.config.search.clone());
    for (question, object) in [
        ("德国的首都", "柏林"),
        ("美国的首都", "华盛顿"),
        ("capital of Guinea-Bissau", "Bissau"),
        ("UK currency", "British Pound"),
        ("population of the USA", "333,287,557 (2022)"),
        ("黄金的熔点", "1064 °C (1337 K)"),
        ("which element has the symbol Fe", "Iron"),
        ("what country is +39", "Italy"),
        ("哪个国家的域名是.jp", "日本"),
        ("哪些国家用欧元", "安道尔"),
        ("germany capital pls", "Berlin"),
    ] {
        let answer = ask(&graph, &trained.model, &options, &[question]).unwrap().remove(0);
        assert!(
            answer.known && answer.candidates[0].objects[0] == object,
            "{question}: {answer:?}"
        );
    }
}

#[test]
fn what_the_graph_lacks_is_not_answered() {
    let (graph, trained) = embedded().unwrap();
    let options = AskOptions::new(trained.config.search.clone());
    for question in [
        "What is the capital of Hong Kong?",
        "What colour is gold?",
        "Is iron toxic?",
        "who discovered radium",
        "谁发现了镭",
        "台湾的首都",
        "population of the capital of France",
        "日本的首都的人口",
    ] {
        let answer = ask(&graph, &trained.model, &options, &[question]).unwrap().remove(0);
        assert!(!answer.is_answered(), "{question}: {answer:?}");
    }
}

#[test]
fn joined_relations_are_asked_one_by_one_and_chains_not_at_all() {
    let (graph, trained) = embedded().unwrap();
    let options = AskOptions::new(trained.config.search.clone());
    let questions = ["capital and population of Spain", "population of the capital of France"];
    let answers = ask(&graph, &trained.model, &options, &questions).unwrap();
    assert_eq!(answers[0].composite, Some(Composite::SeveralRelations));
    let given: Vec<&str> = answers[0]
        .parts
        .iter()
        .map(|part| part.candidates[0].objects[0].as_str())
        .collect();
    assert_eq!(given, ["Madrid", "47,778,340 (2022)"]);
    assert_eq!(answers[1].composite, Some(Composite::Chain));
    assert!(!answers[1].known && answers[1].parts.is_empty());
}

#[test]
fn parts_that_stand_apart_are_asked_one_by_one() {
    let (graph, trained) = embedded().unwrap();
    let options = AskOptions::new(trained.config.search.clone());
    for (question, composite, objects) in [
        (
            "What is the capital of Spain and what is its population?",
            Composite::SeveralRelations,
            ["Madrid", "47,778,340 (2022)"],
        ),
        (
            "melting and boiling point of gold",
            Composite::SeveralRelations,
            ["1064 °C (1337 K)", "2836 °C (3109 K)"],
        ),
        (
            "法国的首都是哪里，还有人口是多少？",
            Composite::SeveralRelations,
            ["巴黎", "67,971,311（2022年）"],
        ),
    ] {
        let answer = ask(&graph, &trained.model, &options, &[question]).unwrap().remove(0);
        let given: Vec<&str> = (answer.parts.iter())
            .map(|part| part.candidates[0].objects[0].as_str())
            .collect();
        assert_eq!(
            (answer.composite, &given[..]),
            (Some(composite), &objects[..]),
            "{question}"
        );
    }
    let answer = ask(&graph, &trained.model, &options, &["capital of France and Wakanda"])
        .unwrap()
        .remove(0);
    assert!(
        answer.parts.len() == 2 && answer.parts[0].known && !answer.parts[1].known,
        "{answer:?}"
    );
    let answer = ask(&graph, &trained.model, &options, &["capital of Georgia in the USA"])
        .unwrap()
        .remove(0);
    assert!(
        !answer.is_answered() && answer.composite == Some(Composite::SeveralSubjects),
        "{answer:?}"
    );
    for question in ["What is not the capital of France?", "哪个国家的首都不是东京？"] {
        let answer = ask(&graph, &trained.model, &options, &[question]).unwrap().remove(0);
        assert!(
            !answer.is_answered() && answer.composite == Some(Composite::Negation),
            "{question}"
        );
    }
}

#[test]
fn chains_that_begin_with_a_value_are_no_single_questions() {
    let (graph, trained) = embedded().unwrap();
    let options = AskOptions::new(trained.config.search.clone());
    for question in [
        "population of the country whose capital is Paris",
        "density of the element with atomic number 79",
        "capital of the country with ISO code DE",
        "首都是巴黎的国家的人口",
        "货币是日元的国家的首都",
    ] {
        let answer = ask(&graph, &trained.model, &options, &[question]).unwrap().remove(0);
        assert!(!answer.is_answered(), "{question}: {answer:?}");
    }
}
