//! Graphs in memory against what went into them.

use kexue_kg::{BuildOptions, FactOrder, GraphBuilder, KnowledgeGraph, split_sense};
use kexue_text::{SEP, Token, Vocabulary};
use kexue_trie::{Allowed, Handle, Key, PrefixIndex};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

type Triple = (String, String, String);

/// The keys of a graph as tokens, with their objects: what an index must be equal to.
fn model(triples: &[Triple], vocabulary: &Vocabulary, order: FactOrder) -> BTreeMap<Vec<Token>, Vec<String>> {
    let mut model: BTreeMap<Vec<Token>, Vec<String>> = BTreeMap::new();
    for (name, relation, object) in triples {
        let (subject, sense) = split_sense(name);
        let (relation, sense) = (
            vocabulary.encode(relation),
            vocabulary.encode(sense.unwrap_or_default()),
        );
        let (second, third) = match order {
            FactOrder::SubjectRelationSense => (relation, sense),
            FactOrder::SubjectSenseRelation => (sense, relation),
        };
        let mut key = vocabulary.encode(subject);
        for part in [second, third] {
            key.push(SEP);
            key.extend(part);
        }
        key.push(SEP);
        let objects = model.entry(key).or_default();
        if !objects.contains(object) {
            objects.push(object.clone());
        }
    }
    model
}

/// Holds every operation of an index against its keys in order.
fn check_index(index: &dyn PrefixIndex, keys: &[Vec<Token>]) {
    assert_eq!(index.len(), keys.len() as u64);
    let mut prefixes: BTreeSet<Vec<Token>> = BTreeSet::new();
    for key in keys {
        for length in 0..=key.len() {
            prefixes.insert(key[..length].to_vec());
        }
    }
    let mut allowed = Allowed::default();
    for prefix in &prefixes {
        let at = index.find(prefix).unwrap().expect("a prefix of a key is found");
        let below: Vec<(usize, &Vec<Token>)> = keys
            .iter()
            .enumerate()
            .filter(|(_, key)| key.starts_with(prefix))
            .collect();
        let tokens: BTreeSet<Token> = below
            .iter()
            .filter_map(|(_, key)| key.get(prefix.len()).copied())
            .collect();
        let terminal = below
            .iter()
            .find(|(_, key)| key.len() == prefix.len())
            .map(|&(number, _)| number as Key);
        index.allowed(at, &mut allowed).unwrap();
        assert_eq!(allowed.tokens, tokens.iter().copied().collect::<Vec<_>>(), "{prefix:?}");
        assert_eq!(allowed.terminal, terminal);
        assert_eq!(index.count(at).unwrap(), below.len() as u64);
        let mut mask = [0u64; 8];
        assert_eq!(index.allowed_mask(at, &mut mask).unwrap(), terminal);
        for token in 0..512 {
            assert_eq!(
                mask[token / 64] >> (token % 64) & 1 == 1,
                tokens.contains(&(token as Token))
            );
        }
        let mut completions = Vec::new();
        index
            .completions(at, &mut |rest, key| {
                completions.push((key as usize, [prefix.as_slice(), rest].concat()));
                ControlFlow::Continue(())
            })
            .unwrap();
        let expected: Vec<(usize, Vec<Token>)> = below.iter().map(|&(number, key)| (number, key.clone())).collect();
        assert_eq!(completions, expected);
        for token in (0..300).filter(|token| !tokens.contains(token)) {
            assert_eq!(index.step(at, token).unwrap(), None);
        }
    }
}

fn check(triples: &[Triple], options: &BuildOptions) {
    let graph = KnowledgeGraph::from_triples(
        triples.iter().map(|(s, p, o)| (s.as_str(), p.as_str(), o.as_str())),
        options,
    )
    .unwrap();
    let model = model(triples, graph.vocabulary(), options.order);
    let keys: Vec<Vec<Token>> = model.keys().cloned().collect();
    check_index(graph.index(), &keys);
    for (number, (key, objects)) in model.iter().enumerate() {
        assert_eq!(graph.index().get(key).unwrap(), Some(number as Key));
        let fact = graph.fact(number as Key).unwrap();
        assert_eq!(&fact.objects, objects);
        if !options.fold_case {
            let name = match &fact.sense {
                Some(sense) => format!("{}（{sense}）", fact.subject),
                None => fact.subject.clone(),
            };
            assert!(triples.iter().any(|(s, p, _)| *s == name && *p == fact.relation));
        }
    }
    assert!(graph.fact(model.len() as Key).is_err());
    let mut subjects = Vec::new();
    graph
        .subjects(&mut |tokens, handle| {
            subjects.push((tokens.to_vec(), handle));
            ControlFlow::Continue(())
        })
        .unwrap();
    let expected: BTreeSet<Vec<Token>> = keys
        .iter()
        .map(|key| key[..key.iter().position(|&token| token == SEP).unwrap()].to_vec())
        .collect();
    assert_eq!(
        subjects.iter().map(|(tokens, _)| tokens.clone()).collect::<Vec<_>>(),
        expected.iter().cloned().collect::<Vec<_>>()
    );
    for (tokens, handle) in &subjects {
        assert_eq!(
            graph.index().find(&[tokens.as_slice(), &[SEP]].concat()).unwrap(),
            Some(*handle)
        );
    }
    let question: Vec<Token> = subjects
        .iter()
        .take(5)
        .flat_map(|(tokens, _)| tokens.iter().copied())
        .collect();
    let mut found: Vec<(std::ops::Range<usize>, Handle)> = Vec::new();
    graph
        .occurrences(&question, &mut |range, handle| found.push((range, handle)))
        .unwrap();
    let mut naive = Vec::new();
    for start in 0..question.len() {
        for end in start + 1..=question.len() {
            if let Some((_, handle)) = subjects.iter().find(|(tokens, _)| tokens == &question[start..end]) {
                naive.push((start..end, *handle));
            }
        }
    }
    assert_eq!(found, naive);
}

fn triples() -> impl Strategy<Value = Vec<Triple>> {
    let name = prop_oneof![
        3 => "[甲乙a]{1,3}",
        2 => "[甲乙]{1,2}（[子丑]{1,2}）",
        1 => "[甲乙]（[子丑]）（[子丑é]）",
        1 => "甲（[子丑寅卯辰巳午未]）",
        1 => "[aA\u{2a6a5}]{1,2}",
    ];
    proptest::collection::vec((name, "[丙丁b]{1,3}", "[庚辛]{1,2}"), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn is_equal_to_the_model(triples in triples(), smp: bool, fold_case: bool, max_characters in 0usize..8) {
        check(&triples, &BuildOptions {
            order: if smp { FactOrder::SubjectSenseRelation } else { FactOrder::SubjectRelationSense },
            fold_case,
            max_characters,
            ..BuildOptions::default()
        });
    }
}

fn graph(triples: &[(&str, &str, &str)], options: &BuildOptions) -> KnowledgeGraph {
    KnowledgeGraph::from_triples(triples.iter().copied(), options).unwrap()
}

fn facts(graph: &KnowledgeGraph) -> Vec<String> {
    (0..graph.index().len())
        .map(|key| {
            let fact = graph.fact(key).unwrap();
            format!(
                "{}|{}|{}|{}",
                fact.subject,
                fact.relation,
                fact.sense.unwrap_or_default(),
                fact.objects.join(",")
            )
        })
        .collect()
}

#[test]
fn a_name_without_a_sense_beside_its_homonyms() {
    let graph = graph(
        &[
            ("水", "密度", "1"),
            ("水（歌曲）", "密度", "2"),
            ("水（歌曲）", "演唱", "甲"),
        ],
        &BuildOptions::default(),
    );
    let index = graph.index();
    let key = |text: &[&str]| {
        let mut tokens = Vec::new();
        for part in text {
            tokens.extend(graph.vocabulary().encode(part));
            tokens.push(SEP);
        }
        tokens
    };
    let at = index.find(&key(&["水", "密度"])).unwrap().unwrap();
    let mut allowed = Allowed::default();
    index.allowed(at, &mut allowed).unwrap();
    assert_eq!(allowed.tokens[0], SEP, "no sense is a choice");
    assert_eq!(allowed.len(), 2);
    let number = index.get(&key(&["水", "密度", ""])).unwrap().unwrap();
    assert_eq!(graph.fact(number).unwrap().objects, ["1"]);
    let number = index.get(&key(&["水", "密度", "歌曲"])).unwrap().unwrap();
    assert_eq!(graph.fact(number).unwrap().sense.as_deref(), Some("歌曲"));
}

#[test]
fn objects_keep_the_order_of_the_input_and_repeat_no_one() {
    let graph = graph(
        &[
            ("甲", "子", "丙"),
            ("甲", "子", "乙"),
            ("甲", "子", "丙"),
            ("甲", "子", "丁"),
        ],
        &BuildOptions::default(),
    );
    assert_eq!(facts(&graph), ["甲|子||丙,乙,丁"]);
    let report = graph.report().unwrap();
    assert_eq!(
        (report.triples, report.duplicates, report.merged, report.keys),
        (4, 1, 2, 1)
    );
}

#[test]
fn inverse_facts_answer_with_every_subject() {
    let options = BuildOptions {
        inverse: true,
        ..BuildOptions::default()
    };
    let graph = graph(&[("A（x）", "r", "B"), ("C", "r", "B")], &options);
    let mut facts = facts(&graph);
    facts.sort();
    assert_eq!(facts, ["A|r|x|B", "B|~r||A（x）,C", "C|r||B"]);
}

#[test]
fn folded_names_keep_the_spelling_of_their_first_triple() {
    let options = BuildOptions {
        fold_case: true,
        ..BuildOptions::default()
    };
    let graph = graph(
        &[
            ("Rio", "Directed by", "A"),
            ("RIO", "directed BY", "B"),
            ("rio", "year", "2011"),
        ],
        &options,
    );
    assert_eq!(facts(&graph), ["Rio|Directed by||A,B", "rio|year||2011"]);
}

#[test]
fn an_empty_name_is_refused_and_the_fact_before_left_alone() {
    let mut builder = GraphBuilder::new(BuildOptions::default());
    builder.add("甲", "关系", "乙").unwrap();
    for (triple, field) in [
        (["", "关系", "丙"], "subject"),
        (["甲", "", "丙"], "relation"),
        (["甲", "关系", ""], "object"),
    ] {
        let error = builder.add(triple[0], triple[1], triple[2]).unwrap_err().to_string();
        assert_eq!(error, format!("triple: the {field} is empty"));
    }
    let graph = KnowledgeGraph::from_bytes(builder.finish_bytes().unwrap().1).unwrap();
    assert_eq!(
        (graph.index().len(), graph.fact(0).unwrap().objects),
        (1, vec!["乙".to_owned()])
    );
}
