//! What counts as a mention of a subject.

use kexue_kg::{BuildOptions, Change, GraphBuilder, GraphWriter, KnowledgeGraph, Recognition};
use proptest::prelude::*;

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

/// The subjects that a question mentions, and how they were recognised.
fn recognised(graph: &KnowledgeGraph, question: &str) -> Vec<(String, Recognition)> {
    let mentions = graph.mentions(question).unwrap();
    (mentions.iter())
        .map(|mention| (graph.vocabulary().decode(&mention.subject), mention.recognition))
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
fn a_full_stop_behind_a_script_without_spaces_begins_a_name() {
    let graph = graph(&["JP", ".jp", "USA"], true);
    for question in ["哪个国家的域名是.jp", "域名是 .jp", ".jp是哪个国家的域名"] {
        assert_eq!(mentioned(&graph, question), [".jp"], "{question}");
    }
    assert_eq!(mentioned(&graph, "U.S.A.的首都"), ["usa"]);
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

#[test]
fn names_are_found_as_people_spell_them() {
    let subjects = [
        "Côte d'Ivoire",
        "France",
        "德国",
        "日本",
        "USA",
        "U.S.A. Today",
        "Guinea-Bissau",
        "列奥纳多·达·芬奇",
        "São Tomé",
        "紅樓夢",
        "Curaçao",
        "Dr. No",
        "Réunion",
        "x  y",
    ];
    for fold_case in [false, true] {
        let graph = graph(&subjects, fold_case);
        for (question, expected) in [
            ("capital of Côte d’Ivoire", "Côte d'Ivoire"),
            ("capital of Cote d'Ivoire", "Côte d'Ivoire"),
            ("capital of COTE DIVOIRE", "Côte d'Ivoire"),
            ("capital of Co\u{302}te d'Ivoire?", "Côte d'Ivoire"),
            ("ｆｒａｎｃｅ ｃａｐｉｔａｌ", "France"),
            ("FRANCE’S capital", "France"),
            ("the capital of france", "France"),
            ("德國的首都", "德国"),
            ("日本的貨幣", "日本"),
            ("population of the U.S.A.", "USA"),
            ("u.s.a. population", "USA"),
            ("who owns USA Today", "U.S.A. Today"),
            ("capital of guinea bissau", "Guinea-Bissau"),
            ("列奥纳多达芬奇是谁", "列奥纳多·达·芬奇"),
            ("capital of Sao Tome", "São Tomé"),
            ("红楼梦的作者", "紅樓夢"),
            ("《红楼梦》的作者", "紅樓夢"),
            ("where is curacao", "Curaçao"),
            ("who directed dr no?", "Dr. No"),
            ("La Reunion", "Réunion"),
            ("x y", "x  y"),
        ] {
            let found = recognised(&graph, question);
            let expected = if fold_case {
                expected.to_ascii_lowercase()
            } else {
                expected.to_owned()
            };
            assert_eq!(found.len(), 1, "{question}: {found:?}");
            assert_eq!(found[0].0, expected, "{question}");
            assert!(found[0].1 <= Recognition::Spelling, "{question}: {found:?}");
        }
    }
}

#[test]
fn a_part_of_a_character_is_no_mention() {
    // Compared as 株式会社, ..., viii, 1⁄2 and fi.
    let subjects = ["式", "会社", ".", "i", "ii", "⁄", "1", "f", "株式会社", "ﬁlm"];
    let graph = graph(&subjects, true);
    for (question, expected) in [
        ("㍿", &["株式会社"][..]),
        ("what is ㍿", &["株式会社"]),
        ("…", &[]),
        ("Ⅷ", &[]),
        ("½", &[]),
        ("the ﬁlm", &["ﬁlm"]),
        ("式", &["式"]),
    ] {
        assert_eq!(mentioned(&graph, question), expected, "{question}");
    }
}

#[test]
fn exact_forms_win() {
    let graph = graph(
        &[
            "Turkey", "turkey", "德國", "德国", "resume", "résumé", "Her", "It", "No",
        ],
        false,
    );
    let exact = |name: &str| vec![(name.to_owned(), Recognition::Exact)];
    for name in ["Turkey", "turkey", "德國", "德国", "resume", "résumé"] {
        assert_eq!(recognised(&graph, &format!("a {name}?")), exact(name));
    }
    assert_eq!(recognised(&graph, "a TURKEY?").len(), 2, "either");
    assert_eq!(recognised(&graph, "who directed Her?"), exact("Her"));
    for question in ["who saw her in it?", "It is no film", "there is no such thing"] {
        assert_eq!(recognised(&graph, question), [], "{question}");
    }
}

#[test]
fn a_slip_is_forgiven_where_nothing_else_is_mentioned() {
    let graph = graph(&["France", "Germany", "Mali", "哈萨克斯坦", "Côte d'Ivoire"], false);
    let typo = |name: &str| vec![(name.to_owned(), Recognition::Typo)];
    for question in [
        "capital of Frnace",
        "capital of Frnce",
        "capital of Frannce",
        "capital of Framce",
        "capital of rFance",
        "of Grance",
    ] {
        assert_eq!(recognised(&graph, question), typo("France"), "{question}");
    }
    assert_eq!(recognised(&graph, "哈萨克斯但的首都"), typo("哈萨克斯坦"));
    assert_eq!(
        recognised(&graph, "Frnace and Germany"),
        [("Germany".to_owned(), Recognition::Exact)]
    );
    for question in [
        "capital of Frnaec",
        "capital of Mile",
        "capital of Fran",
        "capital of Frapce",
    ] {
        assert_eq!(recognised(&graph, question), [], "{question}");
    }
}

#[test]
fn another_name_is_no_slip() {
    let graph = graph(&["America", "Australia", "Chlorine", "Russia", "Silicon"], false);
    for question in [
        "capital of American Samoa",
        "capital of Austrasia",
        "melting point of chloride",
        "capital of Prussia",
        "melting point of silicone",
    ] {
        assert_eq!(recognised(&graph, question), [], "{question}");
    }
    for (question, name) in [
        ("what is the Russian capital?", "Russia"),
        ("Australian capital", "Australia"),
        ("chlorin boiling point", "Chlorine"),
        ("density of sillicon", "Silicon"),
        ("capital of Ausrtalia", "Australia"),
        ("capital of Rusia", "Russia"),
    ] {
        assert_eq!(
            recognised(&graph, question),
            [(name.to_owned(), Recognition::Typo)],
            "{question}"
        );
    }
}

fn alias(subject: &str, alias: &str) -> Change {
    Change::Alias {
        subject: subject.into(),
        alias: alias.into(),
    }
}

#[test]
fn aliases_live_like_facts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.idx");
    let mut builder = GraphBuilder::new(BuildOptions::default());
    for subject in ["United States", "Germany", "金"] {
        builder.add(subject, "r", "o").unwrap();
    }
    builder.alias("United States", "U.S.").unwrap();
    builder.alias("金", "黄金").unwrap();
    builder.finish(&path).unwrap();
    let found = |question: &str| recognised(&KnowledgeGraph::open(&path).unwrap(), question);
    let is = |name: &str| vec![(name.to_owned(), Recognition::Alias)];
    let change = |change: &Change| GraphWriter::open(&path).unwrap().apply(change).unwrap();
    let before = || {
        assert_eq!(found("capital of the US"), is("United States"));
        assert_eq!(found("黃金的熔点"), is("金"));
    };
    before();
    assert!(change(&alias("Germany", "Deutschland")));
    assert!(!change(&alias("Germany", "DEUTSCHLAND")), "it is there");
    assert!(!change(&alias("Germany", "germany")), "it is the name");
    let refused = GraphWriter::open(&path)
        .unwrap()
        .apply(&alias("Gremany", "BRD"))
        .unwrap_err();
    assert!(
        refused.to_string().contains("the graph has no subject `Gremany`"),
        "{refused}"
    );
    // A new subject with a name that is not compared letter by letter.
    assert!(change(&Change::Add {
        subject: "St. John's".into(),
        relation: "r".into(),
        object: "o".into()
    }));
    let after = || {
        assert_eq!(found("capital of deutschland"), is("Germany"));
        assert_eq!(
            found("where is st johns"),
            [("St. John's".to_owned(), Recognition::Spelling)]
        );
        assert_eq!(
            found("where is St. John's"),
            [("St. John's".to_owned(), Recognition::Exact)]
        );
    };
    before();
    after();
    GraphWriter::open(&path).unwrap().compact(None).unwrap();
    before();
    after();
    for (subject, name) in [("United States", "us"), ("Germany", "Deutschland")] {
        let unalias = Change::Unalias {
            subject: subject.into(),
            alias: name.into(),
        };
        assert!(change(&unalias));
        assert!(!change(&unalias));
    }
    for _ in 0..2 {
        assert_eq!(found("capital of the US"), []);
        assert_eq!(found("capital of deutschland"), []);
        GraphWriter::open(&path).unwrap().compact(None).unwrap();
    }
    // Who is gone is not mentioned.
    assert!(change(&Change::Remove {
        subject: "金".into(),
        relation: None,
        object: None
    }));
    assert_eq!(found("黄金的熔点"), []);
}

/// The variants in which people write a name.
fn variants(name: &str) -> Vec<String> {
    let wide = |character: char| match character {
        '!'..='~' => char::from_u32(character as u32 + 0xfee0).unwrap(),
        other => other,
    };
    vec![
        name.to_lowercase(),
        name.to_uppercase(),
        name.replace('\'', "’"),
        name.replace('.', ""),
        name.replace('-', " "),
        name.chars().map(wide).collect(),
        name.replace('é', "e").replace('ü', "u").replace('ç', "c"),
        name.replace('é', "e\u{301}")
            .replace('ü', "u\u{308}")
            .replace('ç', "c\u{327}"),
        name.replace('国', "國").replace('红', "紅").replace('币', "幣"),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_name_is_found_in_every_spelling(
        names in proptest::collection::btree_set("[A-Z][a-zéüç]{3,7}( [A-Z]\\.|-[A-Z][a-z]{3,5}| d'[A-Z][a-zé]{2,4})?|[国红币甲乙]{2,4}", 1..6),
        fold_case: bool,
        memory in proptest::option::of(Just(1u64 << 20)),
    ) {
        let mut builder = GraphBuilder::new(BuildOptions { fold_case, memory, ..BuildOptions::default() });
        for name in &names {
            builder.add(name, "r", "o").unwrap();
        }
        let graph = KnowledgeGraph::from_bytes(builder.finish_bytes().unwrap().1).unwrap();
        for name in &names {
            let subject = graph.vocabulary().encode(name);
            let exact = graph.mentions(name).unwrap();
            prop_assert!(exact.iter().any(|mention| mention.subject == subject && mention.recognition == Recognition::Exact), "{}", name);
            for variant in variants(name) {
                let found = graph.mentions(&variant).unwrap();
                // Another name may be written so exactly.
                let exact = found.iter().any(|mention| mention.recognition == Recognition::Exact);
                prop_assert!(exact || found.iter().any(|mention| mention.subject == subject), "{} as {}: {:?}", name, variant, found);
            }
        }
    }

    #[test]
    fn no_mention_begins_or_ends_inside_a_word(
        names in proptest::collection::btree_set("[abc]{1,5}( [abc]{1,3})?", 1..12),
        question in "([abc]{1,5}['., -]{1,2}){1,6}",
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let graph = graph(&names, false);
        for mention in graph.mentions(&question).unwrap() {
            let letter = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
            let (before, after) = (&question[..mention.bytes.start], &question[mention.bytes.end..]);
            let words = &question[mention.bytes.clone()];
            prop_assert!(!letter(before.chars().next_back()) || !letter(words.chars().next()), "{} in {}", words, question);
            prop_assert!(!letter(after.chars().next()) || !letter(words.chars().next_back()), "{} in {}", words, question);
        }
    }
}

/// Letters that are compared as several, or as none, beside those that are compared as themselves.
fn odd() -> impl Strategy<Value = String> {
    let letters = "㍿…Ⅷ½ﬁé\u{301}\u{200b}ß式会社株.i1f2⁄ \u{fdfa}㎞km한ㄱＡ’'-🇫🇷";
    let letters: Vec<char> = letters.chars().collect();
    prop::collection::vec(prop::sample::select(letters), 0..12).prop_map(|letters| letters.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_is_asked_mentions_are_parts_of_the_question(
        subjects in prop::collection::vec(odd(), 1..6),
        question in odd(),
    ) {
        let subjects: Vec<&str> = subjects.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
        prop_assume!(!subjects.is_empty());
        let options = BuildOptions { fold_case: true, ..BuildOptions::default() };
        let Ok(graph) = KnowledgeGraph::from_triples(subjects.iter().map(|&subject| (subject, "r", "o")), &options) else {
            return Err(TestCaseError::reject("names that no graph takes"));
        };
        for mention in graph.mentions(&question).unwrap() {
            prop_assert!(question.get(mention.bytes.clone()).is_some_and(|text| !text.is_empty()), "{mention:?}");
        }
    }
}
