//! Changes to a built graph: what readers see, and what survives when the writer is killed.

use kexue_kg::{
    BuildOptions, Change, Fact, FactOrder, GraphBuilder, GraphWriter, KgError, KnowledgeGraph, check_output,
    inverse_relation, log_path,
};
use kexue_text::{SEP, Token, Vocabulary};
use kexue_trie::{Allowed, PrefixIndex};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// No waiting for another writer: the tests hold the lock themselves.
const AT_ONCE: Duration = Duration::ZERO;

type Triple = (String, String, String);

fn build(path: &Path, triples: &[Triple], order: FactOrder) {
    let mut builder = GraphBuilder::new(BuildOptions {
        order,
        // The vocabulary stays when facts change: what is compared must have the same.
        vocabulary: Some(Vocabulary::new("甲乙子丙丁庚辛".chars(), false)),
        ..BuildOptions::default()
    });
    for (subject, relation, object) in triples {
        builder.add(subject, relation, object).unwrap();
    }
    builder.finish(path).unwrap();
}

fn facts(graph: &KnowledgeGraph) -> Vec<Fact> {
    (0..graph.index().len()).map(|key| graph.fact(key).unwrap()).collect()
}

/// Everything that a walk from the root sees: at each prefix what is allowed, and how many keys there are.
fn walk(index: &dyn PrefixIndex) -> BTreeMap<Vec<Token>, (Allowed, u64)> {
    let mut seen = BTreeMap::new();
    let mut pending = vec![(Vec::new(), index.root())];
    while let Some((prefix, at)) = pending.pop() {
        let mut allowed = Allowed::default();
        index.allowed(at, &mut allowed).unwrap();
        assert!(!allowed.is_empty() || index.is_empty(), "a dead end after {prefix:?}");
        for token in 0..300 {
            let next = index.step(at, token).unwrap();
            assert_eq!(next.is_some(), allowed.tokens.contains(&token));
            if let Some(next) = next {
                let mut longer: Vec<Token> = prefix.clone();
                longer.push(token);
                assert_eq!(index.find(&longer).unwrap(), Some(next));
                pending.push((longer, next));
            }
        }
        let mut below = Vec::new();
        index
            .completions(at, &mut |tokens, key| {
                below.push((tokens.to_vec(), key));
                ControlFlow::Continue(())
            })
            .unwrap();
        let count = index.count(at).unwrap();
        assert_eq!(below.len() as u64, count);
        assert!(
            below
                .windows(2)
                .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 + 1 == pair[1].1)
        );
        seen.insert(prefix, (allowed, count));
    }
    seen
}

fn triples(at_least: usize) -> impl Strategy<Value = Vec<Triple>> {
    let name = prop_oneof!["[甲乙]{1,3}", "[甲乙]{1,2}（[子丙]）"];
    proptest::collection::vec((name, "[丙丁]{1,2}", "[庚辛]{1,2}"), at_least..12)
}

#[derive(Clone, Debug)]
enum Edit {
    Add(Triple),
    Replace(Triple),
    RemoveObject(Triple),
    RemoveFact(Triple),
    RemoveSubject(Triple),
}

impl Edit {
    fn change(&self) -> Change {
        match self.clone() {
            Self::Add((subject, relation, object)) => Change::Add {
                subject,
                relation,
                object,
            },
            Self::Replace((subject, relation, object)) => Change::Replace {
                subject,
                relation,
                objects: vec![object, "庚".into()],
            },
            Self::RemoveObject((subject, relation, object)) => Change::Remove {
                subject,
                relation: Some(relation),
                object: Some(object),
            },
            Self::RemoveFact((subject, relation, _)) => Change::Remove {
                subject,
                relation: Some(relation),
                object: None,
            },
            Self::RemoveSubject((subject, ..)) => Change::Remove {
                subject,
                relation: None,
                object: None,
            },
        }
    }

    fn apply(&self, triples: &mut Vec<Triple>) {
        match self {
            Self::Add(triple) => triples.push(triple.clone()),
            Self::Replace((subject, relation, object)) => {
                triples.retain(|(s, p, _)| (s, p) != (subject, relation));
                triples.push((subject.clone(), relation.clone(), object.clone()));
                triples.push((subject.clone(), relation.clone(), "庚".into()));
            }
            Self::RemoveObject(triple) => triples.retain(|other| other != triple),
            Self::RemoveFact((subject, relation, _)) => triples.retain(|(s, p, _)| (s, p) != (subject, relation)),
            Self::RemoveSubject((subject, ..)) => triples.retain(|(s, ..)| s != subject),
        }
    }
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (triples(1), 0usize..5).prop_map(|(triples, kind)| {
        let triple = triples[0].clone();
        [
            Edit::Add,
            Edit::Replace,
            Edit::RemoveObject,
            Edit::RemoveFact,
            Edit::RemoveSubject,
        ][kind](triple)
    });
    proptest::collection::vec(edit, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_changed_graph_is_equal_to_one_built_so(mut triples in triples(3), edits in edits(), smp: bool) {
        let folder = tempfile::tempdir().unwrap();
        let order = if smp { FactOrder::SubjectSenseRelation } else { FactOrder::SubjectRelationSense };
        let path = folder.path().join("graph.idx");
        // A fact that no edit reaches: a graph without any cannot be built.
        triples.push(("丁".into(), "丁".into(), "丁".into()));
        build(&path, &triples, order);
        let mut reader = KnowledgeGraph::open(&path).unwrap();
        let mut writer = GraphWriter::open(&path).unwrap();
        for edit in &edits {
            edit.apply(&mut triples);
            writer.apply(&edit.change()).unwrap();
        }
        reader.refresh().unwrap();
        let rebuilt = folder.path().join("rebuilt.idx");
        build(&rebuilt, &triples, order);
        let expected = KnowledgeGraph::open(&rebuilt).unwrap();
        prop_assert_eq!(facts(&reader), facts(&expected));
        prop_assert_eq!(walk(reader.index()), walk(expected.index()));

        let question: Vec<Token> = reader.vocabulary().encode("甲乙甲甲乙乙丁甲乙");
        let mentioned = |graph: &KnowledgeGraph| {
            let mut mentioned = Vec::new();
            graph.occurrences(&question, &mut |range, at| mentioned.push((range, graph.index().count(at).unwrap()))).unwrap();
            mentioned
        };
        prop_assert_eq!(mentioned(&reader), mentioned(&expected));
        let subjects = |graph: &KnowledgeGraph| {
            let mut subjects = Vec::new();
            graph.subjects(&mut |tokens, at| {
                subjects.push((tokens.to_vec(), graph.index().count(at).unwrap()));
                ControlFlow::Continue(())
            }).unwrap();
            subjects
        };
        prop_assert_eq!(subjects(&reader), subjects(&expected));

        writer.compact(None).unwrap();
        prop_assert!(!log_path(&path).exists());
        let compacted = KnowledgeGraph::open(&path).unwrap();
        compacted.verify(&|_| ()).unwrap();
        prop_assert_eq!(facts(&compacted), facts(&expected));
    }
}

fn small(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("graph.idx");
    build(
        &path,
        &[
            ("甲（子）".into(), "丙".into(), "庚".into()),
            ("乙".into(), "丙".into(), "辛".into()),
        ],
        FactOrder::default(),
    );
    path
}

fn add(number: usize) -> Change {
    Change::Add {
        subject: format!("新{number}"),
        relation: "丙".into(),
        object: format!("对象{number}"),
    }
}

fn added(graph: &KnowledgeGraph) -> BTreeSet<usize> {
    facts(graph)
        .iter()
        .filter_map(|fact| fact.subject.strip_prefix('新')?.parse().ok())
        .collect()
}

#[test]
fn a_log_cut_off_anywhere_keeps_every_whole_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    let mut ends = vec![];
    {
        let mut writer = GraphWriter::open(&path).unwrap();
        for number in 0..5 {
            ends.push(std::fs::metadata(log_path(&path)).unwrap().len());
            assert!(writer.apply(&add(number)).unwrap());
        }
    }
    let whole = std::fs::read(log_path(&path)).unwrap();
    for length in 0..=whole.len() {
        std::fs::write(log_path(&path), &whole[..length]).unwrap();
        let acknowledged =
            ends.iter().skip(1).filter(|&&end| end <= length as u64).count() + usize::from(length == whole.len());
        let expected: BTreeSet<usize> = (0..acknowledged).collect();
        assert_eq!(added(&KnowledgeGraph::open(&path).unwrap()), expected, "{length} bytes");
        // The next writer goes on behind the last whole change.
        let mut writer = GraphWriter::open(&path).unwrap();
        assert!(writer.apply(&add(9)).unwrap());
        let mut expected = expected;
        expected.insert(9);
        assert_eq!(
            added(&KnowledgeGraph::open(&path).unwrap()),
            expected,
            "{length} bytes, written on"
        );
    }
    // Damage before the last change is an error, whether to its head or to what it says, and does not look like the end.
    for at in 16..ends[4] as usize {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            std::fs::write(log_path(&path), &damaged).unwrap();
            let error = KnowledgeGraph::open(&path).unwrap_err().to_string();
            assert!(error.contains("is damaged; restore the file"), "byte {at}: {error}");
            GraphWriter::open(&path).unwrap_err();
            assert_eq!(std::fs::read(log_path(&path)).unwrap(), damaged);
        }
    }
}

#[test]
fn of_a_last_change_any_part_may_not_have_reached_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    let mut writer = GraphWriter::open(&path).unwrap();
    writer.apply(&add(1)).unwrap();
    let end = std::fs::metadata(log_path(&path)).unwrap().len() as usize;
    let long = Change::Pin {
        question: "甲".repeat(5_000),
        subject: "甲（子）".into(),
        relation: "丙".into(),
    };
    writer.apply(&long).unwrap();
    let whole = std::fs::read(log_path(&path)).unwrap();
    // Pages of which some were written and the others are zeros, the first among them or not.
    for lost in [end..end + 7, end..4096, end..whole.len(), 4096..8192, 8192..whole.len()] {
        let mut torn = whole.clone();
        torn[lost.clone()].fill(0);
        std::fs::write(log_path(&path), &torn).unwrap();
        let graph = KnowledgeGraph::open(&path).unwrap();
        assert_eq!((added(&graph), graph.pins().count()), ([1].into(), 0), "{lost:?} lost");
    }
}

#[test]
fn a_log_of_the_first_format_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    let old = b"kexuelog\0\0\0\0\0\0\0\0";
    std::fs::write(log_path(&path), old).unwrap();
    let error = GraphWriter::open(&path).unwrap_err().to_string();
    assert!(error.contains("was written by an earlier version"), "{error}");
    assert_eq!(std::fs::read(log_path(&path)).unwrap(), old);
}

#[test]
fn killed_between_the_rename_and_the_end_a_compaction_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    let mut writer = GraphWriter::open(&path).unwrap();
    writer.apply(&add(1)).unwrap();
    let pin = Change::Pin {
        question: "谁 是甲？".into(),
        subject: "甲（子）".into(),
        relation: "丙".into(),
    };
    writer.apply(&pin).unwrap();
    let log = std::fs::read(log_path(&path)).unwrap();
    writer.compact(None).unwrap();
    std::fs::write(log_path(&path), &log).unwrap();
    let graph = KnowledgeGraph::open(&path).unwrap();
    assert_eq!(added(&graph), [1].into());
    assert_eq!(graph.pinned("谁 是甲").unwrap().unwrap().1.objects, ["庚"]);
    let mut writer = GraphWriter::open(&path).unwrap();
    writer.apply(&add(2)).unwrap();
    assert_eq!(added(&KnowledgeGraph::open(&path).unwrap()), [1, 2].into());
    drop(writer);

    // Another index under the same name is not given changes that are not its own.
    let other = folder.path().join("other.idx");
    build(&other, &[("丁".into(), "丙".into(), "庚".into())], FactOrder::default());
    std::fs::rename(other, &path).unwrap();
    let error = KnowledgeGraph::open(&path).unwrap_err().to_string();
    assert!(error.contains("this log belongs to another index"), "{error}");
}

#[test]
fn a_new_index_does_not_make_acknowledged_changes_void() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    let rebuild = |path: &Path| {
        let mut builder = GraphBuilder::new(BuildOptions::default());
        builder.add("丁", "丙", "庚").unwrap();
        builder.finish_within(path, AT_ONCE).map_err(|error| error.to_string())
    };
    let mut writer = GraphWriter::open(&path).unwrap();
    let busy = rebuild(&path).unwrap_err();
    assert!(busy.contains("another program is changing this graph"), "{busy}");
    writer.apply(&add(1)).unwrap();
    drop(writer);
    let refused = rebuild(&path)
        .unwrap_err()
        .replace(&folder.path().display().to_string(), "");
    insta::assert_snapshot!(refused, @"/graph.idx.log: this log holds 1 changes to /graph.idx that a new index would lose; write the index to another file, or remove the log to discard them");
    assert_eq!(added(&KnowledgeGraph::open(&path).unwrap()), [1].into());
    // Also where the index itself is gone.
    let aside = folder.path().join("aside.idx");
    std::fs::rename(&path, &aside).unwrap();
    rebuild(&path).unwrap_err();
    std::fs::rename(&aside, &path).unwrap();
    // A log that a compaction left behind has nothing of its own.
    let log = std::fs::read(log_path(&path)).unwrap();
    GraphWriter::open(&path).unwrap().compact(None).unwrap();
    std::fs::write(log_path(&path), log).unwrap();
    rebuild(&path).unwrap();
    assert_eq!(facts(&KnowledgeGraph::open(&path).unwrap()).len(), 1);
}

#[test]
fn an_index_takes_the_place_of_files_alone_and_of_no_input() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("facts.tsv");
    std::fs::write(&input, "甲\t乙\t丙\n").unwrap();
    let problem = |output: &str, inputs: &[std::path::PathBuf]| {
        let error = check_output(&folder.path().join(output), inputs)
            .unwrap_err()
            .to_string();
        error.replace(&folder.path().display().to_string(), "")
    };
    check_output(&folder.path().join("facts.idx"), std::slice::from_ref(&input)).unwrap();
    check_output(&input, &[]).unwrap();
    let links = folder.path().join("links");
    std::fs::create_dir(&links).unwrap();
    insta::assert_snapshot!(problem("links", &[]), @"/links: this is a folder; name a file to write");
    insta::assert_snapshot!(problem("links/../facts.tsv", std::slice::from_ref(&input)), @"/links/../facts.tsv: this would overwrite an input; name another file");
    insta::assert_snapshot!(problem("nowhere/facts.idx", &[]), @"/nowhere/facts.idx: there is no folder /nowhere; create it first");
    let device = check_output(Path::new("/dev/null"), &[]).unwrap_err().to_string();
    insta::assert_snapshot!(device, @"/dev/null: this is a pipe or a device; name a file to write the index to");
    let mut builder = GraphBuilder::new(BuildOptions::default());
    builder.add("甲", "乙", "丙").unwrap();
    builder.finish(&links).unwrap_err();
    assert!(!log_path(&links).with_extension("lock").exists());
}

#[test]
fn pins_answer_until_their_fact_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    let mut writer = GraphWriter::open(&path).unwrap();
    let pin = Change::Pin {
        question: "Who is 甲?".into(),
        subject: "甲（子）".into(),
        relation: "丙".into(),
    };
    assert!(writer.apply(&pin).unwrap());
    assert!(!writer.apply(&pin).unwrap(), "nothing to change");
    let pinned = |question: &str| {
        let graph = KnowledgeGraph::open(&path).unwrap();
        graph.pinned(question).unwrap().map(|(_, fact)| fact.objects)
    };
    assert_eq!(pinned("  who　IS  甲？？ "), Some(vec!["庚".to_owned()]));
    assert_eq!(pinned("who was 甲"), None);
    let remove = Change::Remove {
        subject: "甲（子）".into(),
        relation: None,
        object: None,
    };
    assert!(writer.apply(&remove).unwrap());
    assert!(!writer.apply(&remove).unwrap());
    assert_eq!(pinned("who is 甲"), None);
    let unpin = Change::Unpin {
        question: "WHO is 甲".into(),
    };
    assert!(writer.apply(&unpin).unwrap());
    assert!(!writer.apply(&unpin).unwrap());
}

#[test]
fn a_handle_from_before_a_refresh_gives_an_answer_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.idx");
    build(
        &path,
        &[("甲甲甲甲".into(), "丙".into(), "庚".into())],
        FactOrder::default(),
    );
    let mut graph = KnowledgeGraph::open(&path).unwrap();
    let add = |subject: &str| {
        let change = Change::Add {
            subject: subject.into(),
            relation: "丙".into(),
            object: "辛".into(),
        };
        GraphWriter::open(&path).unwrap().apply(&change).unwrap();
    };
    add("甲甲甲乙");
    graph.refresh().unwrap();
    let prefix = graph.vocabulary().encode("甲甲甲");
    let stale = graph.index().find(&prefix).unwrap().unwrap();
    std::fs::remove_file(log_path(&path)).unwrap();
    add("甲");
    graph.refresh().unwrap();
    let refused = graph.index().completions(stale, &mut |_, _| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(kexue_trie::Error::ForeignHandle)));
    let _ = graph.index().allowed(stale, &mut Allowed::default());
    let _ = graph.index().count(stale);
    let _ = graph.index().step(stale, prefix[0]);
}

#[test]
fn a_fact_replaced_by_itself_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    let mut writer = GraphWriter::open(&path).unwrap();
    let replace = |objects: &[&str]| Change::Replace {
        subject: "甲（子）".into(),
        relation: "丙".into(),
        objects: objects.iter().map(|&object| object.into()).collect(),
    };
    let log = || std::fs::read(log_path(&path)).unwrap();
    let before = log();
    assert!(!writer.apply(&replace(&["庚"])).unwrap());
    assert!(!writer.apply(&replace(&["庚", "庚"])).unwrap());
    assert_eq!(log(), before);
    assert!(writer.apply(&replace(&["辛", "庚"])).unwrap());
    assert!(!writer.apply(&replace(&["辛", "庚"])).unwrap());
    assert!(writer.apply(&replace(&["庚", "辛"])).unwrap(), "the order has changed");
}

/// A graph of facts in both directions, and what it must be after each edit: the triples by hand.
#[derive(Default)]
struct Both(BTreeMap<(String, String), Vec<String>>);

impl Both {
    fn add(&mut self, (subject, relation, object): &Triple) {
        for (subject, relation, object) in [
            (subject, relation.clone(), object),
            (object, inverse_relation(relation).into_owned(), subject),
        ] {
            let objects = self.0.entry((subject.clone(), relation)).or_default();
            if !objects.contains(object) {
                objects.push(object.clone());
            }
        }
    }

    fn remove(&mut self, (subject, relation, object): &Triple) {
        for (subject, relation, object) in [
            (subject, relation.clone(), object),
            (object, inverse_relation(relation).into_owned(), subject),
        ] {
            let key = (subject.clone(), relation);
            if let Some(objects) = self.0.get_mut(&key) {
                objects.retain(|other| other != object);
                if objects.is_empty() {
                    self.0.remove(&key);
                }
            }
        }
    }

    fn remove_all(&mut self, chosen: impl Fn(&str, &str, &str) -> bool) {
        for ((subject, relation), objects) in self.0.clone() {
            for object in objects {
                if chosen(&subject, &relation, &object) {
                    self.remove(&(subject.clone(), relation.clone(), object));
                }
            }
        }
    }

    fn apply(&mut self, edit: &Edit) {
        match edit {
            Edit::Add(triple) => self.add(triple),
            Edit::Replace((subject, relation, object)) => {
                let after = [object.as_str(), "庚"];
                self.remove_all(|s, p, o| s == subject && p == relation && !after.contains(&o));
                for object in after {
                    self.add(&(subject.clone(), relation.clone(), object.into()));
                }
                // The objects stand in the order that was asked for.
                let objects = self.0.get_mut(&(subject.clone(), relation.clone())).unwrap();
                objects.sort_by_key(|other| after.iter().position(|object| object == other));
            }
            Edit::RemoveObject(triple) => self.remove(triple),
            Edit::RemoveFact((subject, relation, _)) => self.remove_all(|s, p, _| s == subject && p == relation),
            Edit::RemoveSubject((subject, ..)) => self.remove_all(|s, _, _| s == subject),
        }
    }
}

fn by_names(graph: &KnowledgeGraph) -> BTreeMap<(String, String), Vec<String>> {
    let mut found = BTreeMap::new();
    graph
        .visit_facts(&mut |key, fact| {
            assert_eq!(graph.fact(key).unwrap(), fact);
            let subject = match &fact.sense {
                Some(sense) => format!("{}（{sense}）", fact.subject),
                None => fact.subject,
            };
            assert_eq!(found.insert((subject, fact.relation), fact.objects), None);
            ControlFlow::Continue(())
        })
        .unwrap();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn where_facts_stand_in_both_directions_both_are_changed(
        triples in proptest::collection::vec(("[甲乙]{1,2}(（[子丙]）)?", "~?[丙丁]", "[甲乙庚]{1,2}(（[子丙]）)?"), 1..12),
        edits in proptest::collection::vec((("[甲乙庚]{1,2}(（[子丙]）)?", "~{0,2}[丙丁]", "[甲乙庚]{1,2}(（[子丙]）)?"), 0usize..5), 1..12),
        smp: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.idx");
        let mut builder = GraphBuilder::new(BuildOptions {
            order: if smp { FactOrder::SubjectSenseRelation } else { FactOrder::SubjectRelationSense },
            inverse: true,
            ..BuildOptions::default()
        });
        let mut expected = Both::default();
        for (subject, relation, object) in &triples {
            builder.add(subject, relation, object).unwrap();
            expected.add(&(subject.clone(), relation.clone(), object.clone()));
        }
        builder.add("丁", "丁", "丁").unwrap();
        expected.add(&("丁".into(), "丁".into(), "丁".into()));
        builder.finish(&path).unwrap();
        let mut writer = GraphWriter::open(&path).unwrap();
        let mut records = 0;
        for (triple, kind) in edits {
            let edit = [Edit::Add, Edit::Replace, Edit::RemoveObject, Edit::RemoveFact, Edit::RemoveSubject][kind](triple);
            let before = expected.0.clone();
            expected.apply(&edit);
            let changed = writer.apply(&edit.change()).unwrap();
            prop_assert_eq!(changed, before != expected.0);
            records += u64::from(changed);
            let graph = KnowledgeGraph::open(&path).unwrap();
            prop_assert_eq!(&by_names(&graph), &expected.0);
            // Both directions are one change: there is nothing between them to be killed at.
            prop_assert_eq!(graph.changes().0, records);
        }
        writer.compact(Some(1 << 20)).unwrap();
        let graph = KnowledgeGraph::open(&path).unwrap();
        graph.verify(&|_| ()).unwrap();
        prop_assert!(graph.has_inverse());
        prop_assert_eq!(by_names(&graph), expected.0);
    }
}

#[test]
fn the_way_back_is_found_whatever_the_case() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.idx");
    let mut builder = GraphBuilder::new(BuildOptions {
        inverse: true,
        fold_case: true,
        ..BuildOptions::default()
    });
    builder.add("Abc", "By", "Def").unwrap();
    builder.add("x", "y", "z").unwrap();
    builder.finish(&path).unwrap();
    let mut writer = GraphWriter::open(&path).unwrap();
    let change = |object: Option<&str>| Change::Remove {
        subject: "abc".into(),
        relation: Some("by".into()),
        object: object.map(str::to_owned),
    };
    assert!(writer.apply(&change(Some("Def"))).unwrap());
    let graph = KnowledgeGraph::open(&path).unwrap();
    assert!(graph.key_of("def", "~by").unwrap().is_none());
    assert_eq!(graph.index().len(), 2);
    let add = Change::Add {
        subject: "ABC".into(),
        relation: "By".into(),
        object: "Ghi".into(),
    };
    assert!(writer.apply(&add).unwrap());
    let graph = KnowledgeGraph::open(&path).unwrap();
    let fact = graph.fact(graph.key_of("ghi", "~by").unwrap().unwrap()).unwrap();
    assert_eq!((fact.subject.as_str(), fact.relation.as_str()), ("Ghi", "~By"));
    assert_eq!(fact.objects, ["ABC"]);
    assert!(writer.apply(&change(None)).unwrap());
    assert_eq!(KnowledgeGraph::open(&path).unwrap().index().len(), 2);
}

#[test]
fn an_index_that_does_not_say_that_it_has_both_directions_is_changed_in_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.idx");
    let triple = |subject: &str, relation: &str, object: &str| (subject.into(), relation.into(), object.into());
    build(
        &path,
        &[triple("甲", "丙", "庚"), triple("庚", "~丙", "甲")],
        FactOrder::default(),
    );
    let remove = Change::Remove {
        subject: "甲".into(),
        relation: Some("丙".into()),
        object: None,
    };
    assert!(GraphWriter::open(&path).unwrap().apply(&remove).unwrap());
    let graph = KnowledgeGraph::open(&path).unwrap();
    assert!(!graph.has_inverse() && graph.key_of("庚", "~丙").unwrap().is_some());
}

#[test]
fn another_spelling_of_an_object_keeps_the_way_back() {
    let folder = tempfile::tempdir().unwrap();
    let remove = |object: &str| Change::Remove {
        subject: "Abc".into(),
        relation: Some("r".into()),
        object: Some(object.into()),
    };
    let built = |objects: &[&str]| {
        let path = folder.path().join(format!("{}.idx", objects.len()));
        let mut builder = GraphBuilder::new(BuildOptions {
            inverse: true,
            fold_case: true,
            ..BuildOptions::default()
        });
        for object in objects {
            builder.add("Abc", "r", object).unwrap();
        }
        builder.add("y", "r", "z").unwrap();
        builder.finish(&path).unwrap();
        path
    };
    let objects = |path: &Path, subject: &str, relation: &str| {
        let graph = KnowledgeGraph::open(path).unwrap();
        let key = graph.key_of(subject, relation).unwrap();
        key.map_or(Vec::new(), |key| graph.fact(key).unwrap().objects)
    };
    let path = built(&["X", "x"]);
    let mut writer = GraphWriter::open(&path).unwrap();
    assert!(writer.apply(&remove("X")).unwrap());
    assert_eq!(
        (objects(&path, "abc", "r"), objects(&path, "x", "~r")),
        (vec!["x".into()], vec!["Abc".into()])
    );
    assert!(writer.apply(&remove("x")).unwrap());
    assert!(objects(&path, "abc", "r").is_empty() && objects(&path, "x", "~r").is_empty());

    // An object in another case is not that object.
    let path = built(&["X"]);
    let mut writer = GraphWriter::open(&path).unwrap();
    assert!(!writer.apply(&remove("x")).unwrap());
    assert_eq!(
        (objects(&path, "abc", "r"), objects(&path, "x", "~r")),
        (vec!["X".into()], vec!["Abc".into()])
    );
}

#[test]
fn a_damaged_index_is_not_made_a_sound_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    GraphWriter::open(&path).unwrap().apply(&add(1)).unwrap();
    let (sound, log) = (std::fs::read(&path).unwrap(), std::fs::read(log_path(&path)).unwrap());
    let mut start = 64;
    let graph = KnowledgeGraph::open(&path).unwrap();
    let mut refused = 0;
    for (_, length) in graph.container().sections() {
        start = usize::next_multiple_of(start, 64);
        if length > 0 {
            let mut damaged = sound.clone();
            damaged[start + length as usize / 2] ^= 4;
            // In place of the file, not in it: it is mapped.
            let other = folder.path().join("damaged");
            std::fs::write(&other, &damaged).unwrap();
            std::fs::rename(&other, &path).unwrap();
            if let Ok(writer) = GraphWriter::open(&path) {
                let error = writer.compact(None).unwrap_err().to_string();
                assert!(error.contains("the checksum of section `"), "{error}");
                refused += 1;
            }
            assert_eq!(std::fs::read(&path).unwrap(), damaged);
            assert_eq!(std::fs::read(log_path(&path)).unwrap(), log);
        }
        start += length as usize;
    }
    assert!(refused > 3, "only {refused} damaged files could be opened");
}

#[test]
#[cfg(unix)]
fn through_a_link_it_is_the_same_index() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let (near, far) = (folder.path().join("near.idx"), elsewhere.join("far.idx"));
    symlink("graph.idx", &near).unwrap();
    symlink("../near.idx", &far).unwrap();
    for link in [&near, &far] {
        let writer = GraphWriter::open(&path).unwrap();
        assert!(matches!(
            GraphWriter::open_within(link, AT_ONCE),
            Err(KgError::Busy { .. })
        ));
        let mut builder = GraphBuilder::new(BuildOptions::default());
        builder.add("丁", "丙", "庚").unwrap();
        assert!(matches!(
            builder.finish_within(link, AT_ONCE),
            Err(KgError::Busy { .. })
        ));
        drop(writer);
    }
    GraphWriter::open(&far).unwrap().apply(&add(1)).unwrap();
    GraphWriter::open(&path).unwrap().apply(&add(2)).unwrap();
    for name in [&path, &near, &far] {
        assert_eq!(added(&KnowledgeGraph::open(name).unwrap()), [1, 2].into());
        assert_eq!(
            log_path(name).canonicalize().unwrap(),
            log_path(&path).canonicalize().unwrap()
        );
    }
    GraphWriter::open(&far).unwrap().compact(None).unwrap();
    assert!(far.is_symlink() && near.is_symlink() && !path.is_symlink() && !log_path(&path).exists());
    assert_eq!(added(&KnowledgeGraph::open(&path).unwrap()), [1, 2].into());
    // A new index goes where the link leads, also where nothing is yet.
    let new = folder.path().join("new.idx");
    symlink("not-yet.idx", &new).unwrap();
    for link in [&far, &new] {
        let mut builder = GraphBuilder::new(BuildOptions::default());
        builder.add("新3", "丙", "庚").unwrap();
        check_output(link, &[]).unwrap();
        builder.finish(link).unwrap();
        assert!(link.is_symlink());
    }
    for name in [&path, &folder.path().join("not-yet.idx")] {
        assert_eq!(added(&KnowledgeGraph::open(name).unwrap()), [3].into());
    }
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 1);
    // A reader follows a link that leads elsewhere since.
    let mut reader = KnowledgeGraph::open(&new).unwrap();
    GraphWriter::open(&path).unwrap().apply(&add(4)).unwrap();
    std::fs::remove_file(&new).unwrap();
    symlink("graph.idx", &new).unwrap();
    reader.refresh().unwrap();
    assert_eq!(added(&reader), [3, 4].into());
    // Links in a circle are an error.
    let circle = folder.path().join("circle.idx");
    symlink("circle.idx", &circle).unwrap();
    assert!(matches!(KnowledgeGraph::open(&circle), Err(KgError::Io { .. })));
    assert!(matches!(GraphWriter::open(&circle), Err(KgError::Io { .. })));
}

#[test]
fn what_killed_writers_left_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let left = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, "half").unwrap();
        path
    };
    let index = left(".graph.idx.kexue-aB3dE6");
    let log = left(".graph.idx.log.kexue-aB3dE6");
    let others = [
        left(".other.idx.kexue-aB3dE6"),
        left(".graph.idx.kexue-backups"),
        left("graph.idx.kexue-aB3dE6"),
        left(".graph.idx.kexue-aB3dE7"),
    ];
    // Its writer lives.
    let alive = std::fs::File::open(&others[3]).unwrap();
    alive.lock().unwrap();
    let path = small(folder.path());
    assert!(!index.exists() && log.exists());
    GraphWriter::open(&path).unwrap().apply(&add(1)).unwrap();
    assert!(!log.exists());
    assert!(others.iter().all(|path| path.exists()));
    drop(alive);
    let builders: Vec<_> = (0..4)
        .map(|_| {
            let path = folder.path().join("race.idx");
            std::thread::spawn(move || build(&path, &[("甲".into(), "丙".into(), "庚".into())], FactOrder::default()))
        })
        .collect();
    builders.into_iter().for_each(|builder| builder.join().unwrap());
    GraphWriter::open(&path).unwrap().compact(None).unwrap();
    assert!(!others[3].exists());
    let partial = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(".race");
    let mut entries = std::fs::read_dir(folder.path()).unwrap();
    assert!(!entries.any(|entry| partial(&entry.unwrap().file_name())));
}

#[test]
fn what_is_no_index_gets_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "something else").unwrap();
    for path in [&folder.path().join("nope.idx"), &text, &folder.path().to_path_buf()] {
        GraphWriter::open(path).unwrap_err();
        let mut lock = path.clone().into_os_string();
        lock.push(".lock");
        assert!(!Path::new(&lock).exists(), "{path:?}");
    }
}

#[test]
fn bytes_of_an_unfinished_change_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    let unfinished = || KnowledgeGraph::open(&path).unwrap().unfinished();
    assert_eq!(unfinished(), 0);
    GraphWriter::open(&path).unwrap().apply(&add(1)).unwrap();
    assert_eq!(unfinished(), 0);
    let whole = std::fs::read(log_path(&path)).unwrap();
    for length in [whole.len() - 1, 30, 17] {
        std::fs::write(log_path(&path), &whole[..length]).unwrap();
        assert_eq!(unfinished(), length as u64 - 16);
    }
    GraphWriter::open(&path).unwrap().apply(&add(2)).unwrap();
    assert_eq!(unfinished(), 0);
}

#[test]
fn a_second_writer_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = small(folder.path());
    let writer = GraphWriter::open(&path).unwrap();
    let error = GraphWriter::open_within(&path, AT_ONCE).unwrap_err();
    assert!(matches!(error, KgError::Busy { .. }));
    assert!(
        error
            .to_string()
            .ends_with("another program is changing this graph; try again when it is done")
    );
    drop(writer);
    GraphWriter::open(&path).unwrap();
}

#[test]
fn changes_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = GraphWriter::open(&small(folder.path())).unwrap();
    let problem = |writer: &mut GraphWriter, change: &Change| writer.apply(change).unwrap_err().to_string();
    insta::assert_snapshot!(problem(&mut writer, &Change::Unpin { question: String::new() }), @"change: the question is empty");
    let change = Change::Remove {
        subject: "甲".into(),
        relation: None,
        object: Some("庚".into()),
    };
    insta::assert_snapshot!(problem(&mut writer, &change), @"change: an object to remove needs its relation");
    let change = Change::Pin {
        question: "？ ".into(),
        subject: "乙".into(),
        relation: "丙".into(),
    };
    insta::assert_snapshot!(problem(&mut writer, &change), @"change: the question `？ ` has nothing but spaces and punctuation, which make no difference; expected words");
}

/// Not a test by itself: the writer that the next one kills.
#[test]
fn writer_to_be_killed() {
    let Ok(path) = std::env::var("KEXUE_TEST_WRITER") else {
        return;
    };
    let mut writer = GraphWriter::open(Path::new(&path)).unwrap();
    for number in 0.. {
        writer.apply(&add(number)).unwrap();
        println!("acknowledged {number}");
    }
}

#[test]
fn a_killed_writer_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    for after in [0, 1, 3, 7, 12] {
        let _ = std::fs::remove_file(log_path(&folder.path().join("graph.idx")));
        let path = small(folder.path());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer_to_be_killed", "--nocapture"])
            .env("KEXUE_TEST_WRITER", &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = BTreeSet::new();
        while acknowledged.len() <= after {
            let line = lines.next().unwrap().unwrap();
            if let Some((_, number)) = line.split_once("acknowledged ") {
                acknowledged.insert(number.parse::<usize>().unwrap());
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line
                .strip_prefix("acknowledged ")
                .and_then(|number| number.parse().ok())
            {
                acknowledged.insert(number);
            }
        }
        let found = added(&KnowledgeGraph::open(&path).unwrap());
        assert!(found.is_superset(&acknowledged), "{acknowledged:?} of {found:?}");
        assert_eq!(found, (0..found.len()).collect(), "no gaps, at most one more");
        assert!(found.len() <= acknowledged.len() + 1);
        // The lock went with the writer.
        GraphWriter::open(&path).unwrap();
    }
}

#[test]
fn separators_are_never_part_of_a_name() {
    assert!(!Vocabulary::new([], false).encode("[SEP]").contains(&SEP));
}
