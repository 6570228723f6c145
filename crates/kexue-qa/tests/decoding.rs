//! The search against a reference that knows nothing of beams, caches, forced tokens or bit masks.

use kexue_kg::{BuildOptions, Change, FactOrder, GraphBuilder, GraphWriter, KnowledgeGraph};
use kexue_nn::{
    AttentionScale, Initializer, Mask, Model, NormPlacement, PackedBatch, StdConvention, Tape, TransformerConfig,
};
use kexue_qa::{
    CountedWords, EVIDENCE, LookAhead, MentionUse, Phrasing, Reranker, SearchOptions, SearchResult, Step, Steps,
    WordCounter, WordCounts, lcs_of_texts, search,
};
use kexue_text::{CLS, SEP, Vocabulary};
use kexue_trie::{Key, Token};
use proptest::prelude::*;
use rand::SeedableRng;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// Triples over few characters, so that names are prefixes of each other, have homonyms and share relations. The characters of subjects are in no
/// dictionary, so that they may stand anywhere.
fn triples() -> impl Strategy<Value = Vec<(String, String, String)>> {
    let subject = "[㐀㐁]{1,3}(（[xy]{1,2}）)?";
    let triple = (subject, "[cd]{1,2}", "[0-9]").prop_map(|(s, p, o)| (s, p, o));
    proptest::collection::vec(triple, 1..14)
}

fn graph(triples: &[(String, String, String)], order: FactOrder) -> KnowledgeGraph {
    graph_with(triples, order, None)
}

fn graph_with(
    triples: &[(String, String, String)],
    order: FactOrder,
    vocabulary: Option<Vocabulary>,
) -> KnowledgeGraph {
    let triples = triples.iter().map(|(s, p, o)| (s.as_str(), p.as_str(), o.as_str()));
    KnowledgeGraph::from_triples(
        triples,
        &BuildOptions {
            order,
            vocabulary,
            ..BuildOptions::default()
        },
    )
    .unwrap()
}

fn model(graph: &KnowledgeGraph, seed: u64) -> Model {
    let config = TransformerConfig {
        d_model: 16,
        layers: 2,
        heads: 2,
        d_ffn: 16,
        norm_placement: if seed.is_multiple_of(2) {
            NormPlacement::Pre
        } else {
            NormPlacement::Post
        },
        attention_scale: AttentionScale::EntropyInvariant { base: 512.0 },
        initializer: Initializer::truncated_normal(0.4, StdConvention::Effective),
        ..TransformerConfig::new(graph.vocabulary().len())
    };
    Model::new(config, &mut rand_chacha::ChaCha8Rng::seed_from_u64(seed)).unwrap()
}

fn keys(graph: &KnowledgeGraph) -> Vec<(Vec<Token>, Key)> {
    let (index, mut keys) = (graph.index(), Vec::new());
    index
        .completions(index.root(), &mut |tokens, key| {
            keys.push((tokens.to_vec(), key));
            ControlFlow::Continue(())
        })
        .unwrap();
    keys
}

fn lcs(a: &[Token], b: &[Token]) -> usize {
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate() {
            table[i + 1][j + 1] = if x == y {
                table[i][j] + 1
            } else {
                table[i][j + 1].max(table[i + 1][j])
            };
        }
    }
    table[a.len()][b.len()]
}

/// The subjects in a question, and where: those inside longer ones do not count.
fn mentioned(graph: &KnowledgeGraph, question: &str) -> Vec<(usize, Vec<Token>)> {
    let question = graph.vocabulary().encode(question);
    let subjects: BTreeSet<Vec<Token>> = keys(graph)
        .iter()
        .map(|(key, _)| key.split(|&token| token == SEP).next().unwrap().to_vec())
        .collect();
    let mut found = Vec::new();
    for subject in &subjects {
        for (at, window) in question.windows(subject.len()).enumerate() {
            if window == subject {
                found.push((at, subject.clone()));
            }
        }
    }
    found.sort();
    let inside = |(at, subject): &(usize, Vec<Token>), (start, other): &(usize, Vec<Token>)| {
        start <= at && at + subject.len() <= start + other.len() && subject.len() < other.len()
    };
    let longest = |one: &&(usize, Vec<Token>)| !found.iter().any(|other| inside(one, other));
    found.iter().filter(longest).cloned().collect()
}

fn softmax(logits: &mut [f64]) {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|l| (l - largest).exp()).sum();
    logits.iter_mut().for_each(|l| *l = (*l - largest).exp() / sum);
}

/// The probability of every key by the definition: each token renormalised over what may follow, with the look-ahead of article 8802 and the
/// prior of subjects that are mentioned.
fn reference(
    graph: &KnowledgeGraph,
    model: &Model,
    question: &str,
    look_ahead: LookAhead,
    mentions: MentionUse,
) -> BTreeMap<Key, f64> {
    let mut prompt = vec![CLS];
    prompt.extend(graph.vocabulary().encode(question));
    prompt.push(SEP);
    let mut keys = keys(graph);
    let found = mentioned(graph, question);
    let is_mentioned = |key: &[Token]| {
        let subject = key.split(|&token| token == SEP).next().unwrap();
        mentions != MentionUse::Off && found.iter().any(|(_, mention)| mention == subject)
    };
    let mentioned: Vec<_> = keys.iter().filter(|(key, _)| is_mentioned(key)).cloned().collect();
    if mentions == MentionUse::Only && !mentioned.is_empty() {
        keys.clone_from(&mentioned);
    }
    let mut probabilities = BTreeMap::new();
    for (path, key) in &keys {
        let (mut batch, mut tape) = (PackedBatch::default(), Tape::default());
        batch.push(&[&prompt[..], path].concat(), Mask::unilm(prompt.len()));
        model.forward(&batch, &mut tape, None);
        let mut probability = 1.0;
        for at in 0..path.len() {
            let rivals: Vec<&[Token]> = keys
                .iter()
                .map(|(key, _)| &key[..])
                .filter(|key| key.starts_with(&path[..at]))
                .collect();
            let allowed: Vec<Token> = rivals
                .iter()
                .map(|key| key[at])
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect();
            if allowed.len() == 1 {
                continue;
            }
            let row = prompt.len() - 1 + at;
            let hidden = &tape.hidden()[row * 16..][..16];
            let logit = |token: Token| f64::from(model.logit(hidden, token));
            let closed = path[..at].contains(&SEP);
            let mut p: Vec<f64> = if closed && look_ahead == LookAhead::Vocabulary {
                let mut all: Vec<f64> = (0..graph.vocabulary().len() as Token).map(logit).collect();
                softmax(&mut all);
                allowed.iter().map(|&token| all[token as usize]).collect()
            } else {
                let mut some: Vec<f64> = allowed.iter().map(|&token| logit(token)).collect();
                softmax(&mut some);
                some
            };
            // The lengths of the mentioned subjects that begin so and go on with a token.
            let spelt = |token: Token| {
                let through = mentioned
                    .iter()
                    .filter(move |(key, _)| key.starts_with(&path[..at]) && key[at] == token);
                through.map(|(key, _)| key.iter().position(|&token| token == SEP).unwrap())
            };
            let gain = |token: Token| {
                if closed {
                    let through = rivals.iter().filter(|rival| rival[at] == token);
                    let now = lcs(&path[..at], &prompt);
                    let best = through.map(|rival| lcs(&rival[..rival.len() - 1], &prompt)).max();
                    best.unwrap().saturating_sub(now) as f64
                } else {
                    spelt(token).max().unwrap_or(at).saturating_sub(at) as f64
                }
            };
            if let (MentionUse::Prior(weight), false) = (mentions, closed) {
                for (p, &token) in p.iter_mut().zip(&allowed) {
                    if spelt(token).next().is_some() {
                        *p *= f64::from(weight).exp();
                    }
                }
            }
            match look_ahead {
                LookAhead::Off => {}
                LookAhead::Added(weight) => {
                    for (p, &token) in p.iter_mut().zip(&allowed) {
                        *p *= (f64::from(weight) * gain(token)).exp();
                    }
                }
                _ if closed => {
                    for (p, &token) in p.iter_mut().zip(&allowed) {
                        *p = p.powf(1.0 / (gain(token) + 1.0));
                    }
                }
                _ => {}
            }
            let sum: f64 = p.iter().sum();
            p.iter_mut().for_each(|p| *p /= sum);
            probability *= p[allowed.iter().position(|&token| token == path[at]).unwrap()];
        }
        probabilities.insert(*key, probability);
    }
    probabilities
}

fn run(graph: &KnowledgeGraph, model: &Model, options: &SearchOptions, question: &str) -> SearchResult {
    search(graph, model, options, &[question], false).unwrap().remove(0)
}

fn options(look_ahead: LookAhead, mentions: MentionUse, rescore: bool, beam: usize) -> SearchOptions {
    SearchOptions {
        beam,
        look_ahead,
        mentions,
        rescore,
        ..SearchOptions::default()
    }
}

const LOOK_AHEADS: [LookAhead; 4] = [
    LookAhead::Off,
    LookAhead::Allowed,
    LookAhead::Vocabulary,
    LookAhead::Added(0.7),
];

/// Of three questions one has each word of one or two letters; for the relation c there are four questions, two with one word.
fn short_words() -> WordCounts {
    let letters = ["㐀", "㐁", "c", "d"];
    let pairs = letters
        .iter()
        .flat_map(|a| letters.iter().map(move |b| format!("{a}{b}")));
    let one_each = pairs.chain(letters.map(str::to_owned)).map(|word| (word, 1)).collect();
    let counted = |questions: u32, words: BTreeMap<String, u32>| CountedWords { questions, words };
    let counter = WordCounter {
        all: counted(3, one_each),
        relations: [("c".to_owned(), counted(4, [("㐀".to_owned(), 2)].into()))].into(),
        unanswerable: counted(2, [("㐁".to_owned(), 2)].into()),
    };
    counter.counts()
}

/// Doubts by the best fact's log-probability, and its squared mention.
fn doubts(weights: [f64; EVIDENCE.len()]) -> Option<Steps> {
    let step = |input: usize, from: f64, added: f64| Step { input, from, added };
    let steps = vec![step(0, -1.0, -0.5), step(0, -0.5, -1.0), step(4, 0.2, weights[3])];
    (weights != Reranker::default().weights).then_some(Steps { constant: 0.7, steps })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_wide_beam_and_exact_rescoring_are_exhaustive(
        triples in triples(),
        question in "[㐀㐁cd？ ]{1,12}",
        seed in 0u64..8,
        sense_first: bool,
    ) {
        prop_assume!(!question.trim().is_empty());
        let order = if sense_first { FactOrder::SubjectSenseRelation } else { FactOrder::SubjectRelationSense };
        let graph = graph(&triples, order);
        let model = model(&graph, seed);
        for look_ahead in LOOK_AHEADS {
            for mentions in [MentionUse::Off, MentionUse::Only, MentionUse::Prior(1.3)] {
                let expected = reference(&graph, &model, question.trim(), look_ahead, mentions);
                prop_assert!((expected.values().sum::<f64>() - 1.0).abs() < 1e-5);
                for rescore in [false, true] {
                    let result = run(&graph, &model, &options(look_ahead, mentions, rescore, 10_000), &question);
                    prop_assert_eq!(result.found.len(), expected.len());
                    for found in &result.found {
                        let exact = expected[&found.key];
                        let p = found.log_probability.exp();
                        prop_assert!((p - exact).abs() < 1e-5, "{:?} {:?}: {} against {}", look_ahead, mentions, p, exact);
                    }
                    prop_assert!(result.found.windows(2).all(|pair| pair[0].log_probability >= pair[1].log_probability));
                }
            }
        }
    }

    #[test]
    fn learned_rescoring_weighs_exact_probabilities(
        triples in triples(),
        question in "[㐀㐁cd]{1,12}",
        seed in 0u64..4,
        weights in proptest::collection::vec(-2.0f64..2.0, EVIDENCE.len()),
    ) {
        let weights: [f64; EVIDENCE.len()] = weights.try_into().unwrap();
        let vocabulary = Vocabulary::new("㐀㐁cdxy".chars(), false);
        let graph = graph_with(&triples, FactOrder::SubjectRelationSense, Some(vocabulary));
        let model = model(&graph, seed);
        let exact = run(&graph, &model, &options(LookAhead::Off, MentionUse::Off, true, 10_000), &question);
        let weighed = |weights: [f64; EVIDENCE.len()]| {
            let options = SearchOptions {
                // The look-ahead's power does not enter.
                reranker: Some(Reranker { weights, lacking: doubts(weights), counts: short_words(), phrasing: Phrasing::default() }.into()),
                ..options(LookAhead::Allowed, MentionUse::Off, true, 10_000)
            };
            search(&graph, &model, &options, &[&question], true).unwrap().remove(0)
        };
        // The model's own weights leave its probabilities as they are.
        let unchanged = weighed(Reranker::default().weights);
        prop_assert_eq!(unchanged.found.len(), exact.found.len());
        for (a, b) in unchanged.found.iter().zip(&exact.found) {
            prop_assert!((a.log_probability - b.log_probability).abs() < 1e-5);
        }
        // Others give the softmax of their logits, and the evidence is that of the fact beside it.
        let result = weighed(weights);
        // Doubts are told beside the probabilities of the facts, and by the evidence of the best.
        prop_assert_eq!(unchanged.lacking, 0.0);
        let best = (&result.evidence[0], &result.found[0]);
        let at_least = |value: f64, bound: f64| f64::from(u8::from(value >= bound));
        let sure = -0.5 * at_least(best.1.log_probability, -1.0) - at_least(best.1.log_probability, -0.5);
        let logit = 0.7 + sure + weights[3] * at_least(best.0[3], 0.2);
        prop_assert!((result.lacking - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-9);
        prop_assert!((result.found.iter().map(|found| found.log_probability.exp()).sum::<f64>() - 1.0).abs() < 1e-9);
        prop_assert!(result.found.windows(2).all(|pair| pair[0].log_probability >= pair[1].log_probability));
        let logits: Vec<f64> = result.evidence.iter().map(|evidence| Reranker { weights, ..Reranker::default() }.logit(evidence)).collect();
        for ((found, evidence), logit) in result.found.iter().zip(&result.evidence).zip(&logits) {
            prop_assert!((found.log_probability - result.found[0].log_probability - (logit - logits[0])).abs() < 1e-9);
            let fact = graph.fact(found.key).unwrap();
            let probability = exact.found.iter().find(|exact| exact.key == found.key).unwrap().log_probability;
            prop_assert!((evidence[0] + evidence[1] - probability).abs() < 1e-5);
            let asked: Vec<char> = question.chars().collect();
            let length = fact.subject.chars().count();
            let subject = graph.vocabulary().encode(&fact.subject);
            let at = mentioned(&graph, &question).iter().find(|(_, mention)| *mention == subject).map(|(at, _)| *at);
            let mention = if at.is_some() { length as f64 } else { 0.0 };
            prop_assert_eq!(evidence[2], mention);
            prop_assert_eq!(evidence[4], at.map_or(0.0, |at| at as f64 / asked.len() as f64));
            prop_assert_eq!(evidence[5], fact.relation.chars().filter(|c| *c != ' ').count() as f64);
            let rest = at.map_or(question.clone(), |at| {
                let (before, after) = (&asked[..at], &asked[at + length..]);
                before.iter().chain(['|'].iter()).chain(after).collect()
            });
            let relation = fact.relation.replace(' ', "");
            prop_assert_eq!(evidence[6], lcs_of_texts(&rest, &relation) as f64);
            let shared = relation.chars().filter(|c| rest.contains(*c)).count();
            prop_assert!((evidence[8] - shared as f64 / relation.chars().count().max(1) as f64).abs() < 1e-12);
            // Of 3 questions 1 has each word of one or two letters, ln(4/2), and none a longer one, ln(4/1).
            // Letters make words, other characters are words.
            let spaced: String = rest.chars().flat_map(|c| if c.is_ascii() { vec![c] } else { vec!['|', c, '|'] }).collect();
            let words: BTreeSet<&str> = spaced.split('|').filter(|word| !word.is_empty()).collect();
            let information = |word: &str| if word.chars().count() <= 2 { 2f64.ln() } else { 4f64.ln() };
            let (told, untold): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| relation.contains(**word));
            prop_assert!((evidence[9] - told.iter().map(|word| information(word)).sum::<f64>()).abs() < 1e-9);
            prop_assert_eq!(evidence[14], untold.iter().filter(|word| word.chars().count() > 2).count() as f64);
            let most = untold.iter().map(|word| information(word)).fold(0.0, f64::max);
            prop_assert!((evidence[15] - most).abs() < 1e-9);
            // Five questions more are like all: of those, (1 + 1/2)/(3 + 1) have a word of one or two letters, 1/2/(3 + 1) a longer one.
            let association = |word: &&str| {
                let share = if word.chars().count() <= 2 { 0.375 } else { 0.125 };
                ((f64::from(u8::from(**word == *"㐀")) * 2.0 + 5.0 * share) / 9.0 / share).ln()
            };
            let associations: Vec<f64> = if relation == "c" { words.iter().map(association).collect() } else { Vec::new() };
            prop_assert!((evidence[16] - associations.iter().sum::<f64>()).abs() < 1e-9);
            prop_assert!((evidence[17] - associations.iter().copied().fold(0.0, f64::min)).abs() < 1e-9);
            let strange = words.iter().filter(|word| **word != "㐀").count();
            prop_assert_eq!(evidence[18], if relation == "c" { strange as f64 } else { 0.0 });
            // Of two questions without an answer both have a word.
            let unanswerable_of = |word: &&str| {
                let share = if word.chars().count() <= 2 { 0.375 } else { 0.125 };
                ((f64::from(u8::from(**word == *"㐁")) * 2.0 + 5.0 * share) / 7.0 / share).ln()
            };
            let unanswerable: Vec<f64> = words.iter().map(unanswerable_of).collect();
            prop_assert!((evidence[23] - unanswerable.iter().sum::<f64>()).abs() < 1e-9);
            prop_assert!((evidence[24] - unanswerable.iter().copied().fold(0.0, f64::max)).abs() < 1e-9);
            prop_assert_eq!(evidence[19], if relation == "c" { 5f64.ln() } else { 0.0 });
            prop_assert_eq!(evidence[11] == 1.0, relation.chars().next_back().is_some_and(|c| rest.contains(c)));
            prop_assert_eq!(evidence[12] == 1.0, fact.sense.is_some());
        }
    }

    #[test]
    fn short_cuts_change_nothing(triples in triples(), question in "[㐀㐁cd]{1,12}", seed in 0u64..8, beam in 1usize..4) {
        let graph = graph(&triples, FactOrder::SubjectRelationSense);
        let model = model(&graph, seed);
        for look_ahead in LOOK_AHEADS {
            for mentions in [MentionUse::Off, MentionUse::Only, MentionUse::Prior(2.0)] {
                for rescore in [false, true] {
                    let plain = SearchOptions {
                        skip_forced: false,
                        allowed_logits_only: false,
                        ..options(look_ahead, mentions, rescore, beam)
                    };
                    let expected = run(&graph, &model, &plain, &question);
                    for (skip_forced, allowed_logits_only) in [(true, false), (false, true), (true, true)] {
                        let fast = SearchOptions { skip_forced, allowed_logits_only, ..plain.clone() };
                        let fast = run(&graph, &model, &fast, &question);
                        prop_assert_eq!(fast.found.len(), expected.found.len());
                        for (a, b) in fast.found.iter().zip(&expected.found) {
                            prop_assert!((a.log_probability - b.log_probability).abs() < 1e-5);
                        }
                        let keys = |result: &SearchResult| result.found.iter().map(|found| found.key).collect::<BTreeSet<_>>();
                        prop_assert_eq!(keys(&fast), keys(&expected));
                    }
                }
            }
        }
    }

    #[test]
    fn no_answer_is_outside_the_graph(
        triples in triples(),
        question in "[㐀㐁cd]{1,12}",
        seed in 0u64..8,
        beam in 1usize..4,
        sense_first: bool,
    ) {
        let order = if sense_first { FactOrder::SubjectSenseRelation } else { FactOrder::SubjectRelationSense };
        let graph = graph(&triples, order);
        let model = model(&graph, seed);
        let given: BTreeSet<_> = triples.iter().cloned().collect();
        for look_ahead in LOOK_AHEADS {
            for mentions in [MentionUse::Off, MentionUse::Only, MentionUse::Prior(2.0)] {
                for (rescore, reranker) in [(false, None), (true, None), (true, Some(Reranker::default().into()))] {
                    let options = SearchOptions { reranker, ..options(look_ahead, mentions, rescore, beam) };
                    let result = run(&graph, &model, &options, &question);
                    prop_assert!(!result.found.is_empty());
                    for found in result.found {
                        let fact = graph.fact(found.key).unwrap();
                        let subject = match fact.sense {
                            Some(sense) => format!("{}（{sense}）", fact.subject),
                            None => fact.subject,
                        };
                        prop_assert!(!fact.objects.is_empty());
                        for object in fact.objects {
                            prop_assert!(given.contains(&(subject.clone(), fact.relation.clone(), object)));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn questions_of_a_batch_do_not_influence_each_other(
        triples in triples(),
        questions in proptest::collection::vec("[㐀㐁cd]{1,20}", 2..6),
        seed in 0u64..4,
    ) {
        let graph = graph(&triples, FactOrder::SubjectRelationSense);
        let model = model(&graph, seed);
        for rescore in [false, true] {
            let options = options(LookAhead::Allowed, MentionUse::Only, rescore, 3);
            let texts: Vec<&str> = questions.iter().map(String::as_str).collect();
            let together = search(&graph, &model, &options, &texts, false).unwrap();
            for (text, together) in texts.iter().zip(together) {
                let alone = run(&graph, &model, &options, text);
                prop_assert_eq!(alone.found.len(), together.found.len());
                for (a, b) in alone.found.iter().zip(&together.found) {
                    prop_assert!((a.log_probability - b.log_probability).abs() < 1e-5);
                }
            }
        }
    }
}

#[test]
fn homonyms_with_and_without_a_sense_are_both_reachable() {
    let triples = [
        ("水", "定义", "液体"),
        ("水（歌曲）", "定义", "歌"),
        ("A（B）（C）", "定义", "x"),
        ("𪚥𪚥", "定义", "y"),
        ("雪", "𪚥", "z"),
    ]
    .map(|(s, p, o)| (s.to_owned(), p.to_owned(), o.to_owned()));
    // 𪚥 is no character of it, nor is 雪: bytes spell them.
    let vocabulary = Vocabulary::new("水歌曲定义是什么的A（）BC雨".chars(), false);
    let graph = graph_with(&triples, FactOrder::SubjectRelationSense, Some(vocabulary));
    assert_eq!(graph.vocabulary().encode("𪚥").len(), 4);
    let model = model(&graph, 0);
    let found = |question: &str| {
        let result = run(
            &graph,
            &model,
            &options(LookAhead::Off, MentionUse::Only, true, 3),
            question,
        );
        let mut facts: Vec<_> = result
            .found
            .iter()
            .map(|found| graph.fact(found.key).unwrap())
            .collect();
        facts.sort_by(|a, b| a.sense.cmp(&b.sense));
        facts
            .into_iter()
            .map(|fact| (fact.subject, fact.sense))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found("水是什么"),
        [("水".to_owned(), None), ("水".to_owned(), Some("歌曲".to_owned()))]
    );
    assert_eq!(found("A（B）的定义"), [("A（B）".to_owned(), Some("C".to_owned()))]);
    assert_eq!(found("𪚥𪚥的定义"), [("𪚥𪚥".to_owned(), None)]);
    assert_eq!(found("雪𪚥"), [("雪".to_owned(), None)]);
}

#[test]
fn a_pinned_fact_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.idx");
    let mut builder = GraphBuilder::new(BuildOptions::default());
    for (relation, object) in [("c", "1"), ("d", "2"), ("cd", "3")] {
        builder.add("a", relation, object).unwrap();
    }
    builder.finish(&path).unwrap();
    let pin = Change::Pin {
        question: "a c?".into(),
        subject: "a".into(),
        relation: "d".into(),
    };
    assert!(GraphWriter::open(&path).unwrap().apply(&pin).unwrap());
    let graph = KnowledgeGraph::open(&path).unwrap();
    let model = model(&graph, 0);
    for rescore in [false, true] {
        let options = options(LookAhead::Off, MentionUse::Only, rescore, 3);
        let result = run(&graph, &model, &options, "A c？");
        assert_eq!((result.pinned, result.found.len()), (true, 3));
        assert_eq!(graph.fact(result.found[0].key).unwrap().objects, ["2"]);
        assert_eq!(result.found[0].log_probability, 0.0);
        assert!(!run(&graph, &model, &options, "a d?").pinned);
    }
}

#[test]
fn a_question_that_cannot_be_asked_is_an_error() {
    let graph = graph(&[("a".into(), "c".into(), "1".into())], FactOrder::SubjectRelationSense);
    let model = model(&graph, 0);
    let message = |question: &str| {
        search(&graph, &model, &SearchOptions::default(), &[question], false)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(message("  "), "the question is empty");
    assert_eq!(
        message(&"a".repeat(600)),
        "the question has 600 tokens; the limit is 512"
    );
}

#[test]
fn long_lists_of_allowed_tokens_are_computed_alike() {
    let names: Vec<String> = (0..1500)
        .map(|i| char::from_u32(0x4e00 + i).unwrap().to_string())
        .collect();
    let triples: Vec<_> = names
        .iter()
        .map(|name| (name.clone(), "c".to_owned(), "1".to_owned()))
        .collect();
    let graph = graph(&triples, FactOrder::SubjectRelationSense);
    let model = model(&graph, 0);
    let result = run(
        &graph,
        &model,
        &options(LookAhead::Off, MentionUse::Off, false, 2000),
        "cc",
    );
    assert_eq!(result.found.len(), 1500);
    let expected = {
        let mut prompt = vec![CLS];
        prompt.extend(graph.vocabulary().encode("cc"));
        prompt.push(SEP);
        let (mut batch, mut tape) = (PackedBatch::default(), Tape::default());
        batch.push(&prompt, Mask::BIDIRECTIONAL);
        model.forward(&batch, &mut tape, None);
        let last = tape.hidden().chunks_exact(16).next_back().unwrap();
        let token = |name: &String| graph.vocabulary().encode(name)[0];
        let mut logits: Vec<f64> = names
            .iter()
            .map(|name| f64::from(model.logit(last, token(name))))
            .collect();
        softmax(&mut logits);
        names.iter().cloned().zip(logits).collect::<BTreeMap<_, _>>()
    };
    for found in &result.found {
        let subject = graph.fact(found.key).unwrap().subject;
        assert!((found.log_probability.exp() - expected[&subject]).abs() < 1e-5);
    }
}
