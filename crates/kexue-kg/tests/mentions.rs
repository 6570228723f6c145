//! What counts as a mention of a subject.

use kexue_kg::{BuildOptions, KnowledgeGraph};

/// A graph of these subjects.
fn graph(subjects: &[&str], fold_case: bool) -> KnowledgeGraph {
    let options = BuildOptions {
        fold_case,
        ..BuildOptions::default()
    };
    KnowledgeGraph::from_triples(subjects.iter().map(|&subject| (subject, "r", "o")), &options).unwrap()
}

/// The subjects that a question mentions.
fn mentioned(graph: &KnowledgeGraph, question: &str) -> Vec<String> {
    let mentions = graph.mentions(question).unwrap();
    (mentions.iter())
        .map(|mention| graph.vocabulary().decode(&mention.subject))
        .collect()
}

#[test]
fn a_name_inside_a_word_is_no_mention() {
    let graph = graph(
        &[
            "USA", "India", "Erbium", "Iron", "Oman", "No", "Ireland", "France", "Terbium",
        ],
        true,
    );
    for (question, expected) in [
        ("What is the population of Jerusalem?", &[][..]),
        ("What is the population of Indiana?", &[]),
        ("What is the density of environment?", &[]),
        ("What currency did the Romans use?", &[]),
        ("What is the population of Northern Ireland?", &[]),
        ("who directed the movie Nosuchfilm", &[]),
        ("What is the electronegativity of Terbium?", &["terbium"]),
        ("the population of the USA?", &["usa"]),
        ("France's iron", &["france", "iron"]),
    ] {
        assert_eq!(mentioned(&graph, question), expected, "{question}");
    }
}

#[test]
fn a_longer_mention_shadows_those_inside_it() {
    let graph = graph(
        &[
            "Guinea",
            "Guinea-Bissau",
            "Papua New Guinea",
            "大学",
            "北京大学",
            "北京",
            "金",
        ],
        false,
    );
    for (question, expected) in [
        ("capital of Guinea-Bissau", &["Guinea-Bissau"][..]),
        ("capital of Papua New Guinea", &["Papua New Guinea"]),
        ("is Guinea-Bissau in Guinea?", &["Guinea-Bissau", "Guinea"]),
        ("北京大学在哪里", &["北京大学"]),
        ("北京大学在北京吗", &["北京大学", "北京"]),
        ("金属的熔点是多少？", &[]),
        ("金的熔点是多少？", &["金"]),
    ] {
        assert_eq!(mentioned(&graph, question), expected, "{question}");
    }
}

#[test]
fn half_a_compound_is_no_mention() {
    let graph = graph(&["Guinea", "France", "Germany", "Uranium"], false);
    for (question, expected) in [
        ("capital of Guinea-Bissau", &[][..]),
        ("the France-Germany border", &["France", "Germany"]),
        ("a Germany-based firm", &["Germany"]),
        ("Uranium-235", &["Uranium"]),
        ("France - Bissau", &["France"]),
    ] {
        assert_eq!(mentioned(&graph, question), expected, "{question}");
    }
}
