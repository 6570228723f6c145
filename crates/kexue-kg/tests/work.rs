//! What changes cost, in memory that is asked for.

use kexue_kg::{BuildOptions, Change, GraphBuilder, GraphWriter, KnowledgeGraph};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::ControlFlow;

struct Counting;

thread_local! {
    /// Bytes that this test has asked for.
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is handed on to the system's allocator as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.set(BYTES.get() + layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_change_costs_the_same_after_many_others() {
    const CHANGES: usize = 400;
    let folder = tempfile::tempdir().unwrap();
    for inverse in [false, true] {
        // To many subjects, and to one fact.
        for one in [false, true] {
            let path = folder.path().join(format!("{inverse}-{one}.idx"));
            let mut builder = GraphBuilder::new(BuildOptions {
                inverse,
                ..BuildOptions::default()
            });
            builder.add("甲", "父", "乙").unwrap();
            builder.finish(&path).unwrap();
            let mut writer = GraphWriter::open(&path).unwrap();
            let mut bytes = |numbers: std::ops::Range<usize>| {
                let before = BYTES.get();
                for number in numbers {
                    let change = Change::Add {
                        subject: if one { "甲".into() } else { format!("{number}") },
                        relation: "父".into(),
                        object: format!("{number}子"),
                    };
                    assert!(writer.apply(&change).unwrap());
                }
                BYTES.get() - before
            };
            let (first, last) = (bytes(0..CHANGES), bytes(3 * CHANGES..4 * CHANGES));
            assert!(last < 2 * first, "{first} bytes for the first, {last} for the last");
        }
    }
}

#[test]
fn what_many_facts_share_is_read_once() {
    const FACTS: usize = 2_000;
    let folder = tempfile::tempdir().unwrap();
    let whole = Change::Remove {
        subject: "甲".into(),
        relation: None,
        object: None,
    };
    for inverse in [false, true] {
        let path = folder.path().join(format!("{inverse}.idx"));
        let mut builder = GraphBuilder::new(BuildOptions {
            inverse,
            ..BuildOptions::default()
        });
        for number in 0..FACTS {
            builder
                .add("甲", &format!("关系{number}"), &format!("对象{}", number * 7 % FACTS))
                .unwrap();
        }
        builder.add("乙", "父", "丙").unwrap();
        builder.finish(&path).unwrap();
        // A block of objects is 16 KiB: to unpack one for each fact takes more than this.
        let most = FACTS * (8 << 10);
        let before = BYTES.get();
        assert!(GraphWriter::open(&path).unwrap().apply(&whole).unwrap());
        let removed = BYTES.get() - before;
        assert!(removed < most, "{removed} bytes to remove, inverse {inverse}");
        // The log is read again whenever the graph is opened.
        let before = BYTES.get();
        let graph = KnowledgeGraph::open(&path).unwrap();
        let opened = BYTES.get() - before;
        assert!(opened < most, "{opened} bytes to open, inverse {inverse}");
        assert_eq!(graph.index().len(), 1 + u64::from(inverse));
    }
}

#[test]
fn to_open_a_graph_costs_little_after_the_removal_of_a_subject_that_many_lead_to() {
    const FACTS: usize = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.idx");
    let mut builder = GraphBuilder::new(BuildOptions {
        inverse: true,
        ..BuildOptions::default()
    });
    for number in 0..FACTS {
        builder.add(&format!("人{number}"), "国籍", "甲国").unwrap();
        builder.add(&format!("人{number}"), "性别", "男").unwrap();
    }
    // Some have another nationality.
    for number in (0..FACTS).step_by(10) {
        builder.add(&format!("人{number}"), "国籍", "乙国").unwrap();
    }
    builder.finish(&path).unwrap();
    let open = || {
        let before = BYTES.get();
        let graph = KnowledgeGraph::open(&path).unwrap();
        (graph, BYTES.get() - before)
    };
    let (graph, untouched) = open();
    let keys = graph.index().len();
    let whole = Change::Remove {
        subject: "甲国".into(),
        relation: None,
        object: None,
    };
    assert!(GraphWriter::open(&path).unwrap().apply(&whole).unwrap());
    let (graph, removed) = open();
    // Numbers of keys, read and collected: less than 300 bytes for each fact. To read the facts themselves takes more.
    assert!(removed < untouched + 300 * FACTS, "{removed} bytes, {untouched} before");
    // Of those with another nationality, the fact is left; 甲国 itself had one with all of them.
    let left = FACTS - FACTS / 10;
    assert_eq!(keys - graph.index().len(), left as u64 + 1);
    assert_eq!(graph.pruned(), left as u64 + 1);
    let nationality = |number: usize| {
        let key = graph.key_of(&format!("人{number}"), "国籍").unwrap();
        key.map(|key| graph.fact(key).unwrap().objects)
    };
    assert_eq!(
        (nationality(10), nationality(11)),
        (Some(vec!["乙国".to_owned()]), None)
    );
    assert!(graph.key_of("甲国", "~国籍").unwrap().is_none());
    // What changes later builds on that.
    let back = Change::Add {
        subject: "人11".into(),
        relation: "国籍".into(),
        object: "甲国".into(),
    };
    assert!(GraphWriter::open(&path).unwrap().apply(&back).unwrap());
    let (graph, _) = open();
    let key = graph.key_of("甲国", "~国籍").unwrap().unwrap();
    assert_eq!(graph.fact(key).unwrap().objects, ["人11"]);
    GraphWriter::open(&path).unwrap().compact(None).unwrap();
    let compacted = KnowledgeGraph::open(&path).unwrap();
    assert_eq!(compacted.index().len(), graph.index().len());
    compacted.verify(&|_| ()).unwrap();
}

#[test]
fn a_fact_of_a_changed_subject_is_found_by_its_key() {
    const FACTS: u64 = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.idx");
    let mut builder = GraphBuilder::new(BuildOptions::default());
    for number in 0..FACTS {
        builder.add("甲", &format!("关系{number}"), "乙").unwrap();
    }
    builder.finish(&path).unwrap();
    let change = Change::Add {
        subject: "甲".into(),
        relation: "关系1".into(),
        object: "丙".into(),
    };
    GraphWriter::open(&path).unwrap().apply(&change).unwrap();
    let graph = KnowledgeGraph::open(&path).unwrap();
    // One after the other, and all at once with each block unpacked once.
    let keys: Vec<u64> = (0..FACTS).collect();
    let before = BYTES.get();
    let mut found = Vec::new();
    graph
        .visit_keys(&keys, &mut |key, fact| {
            found.push((key, fact));
            ControlFlow::Continue(())
        })
        .unwrap();
    let bytes = BYTES.get() - before;
    assert!(bytes < FACTS as usize * 2_048, "{bytes} bytes");
    assert_eq!(found.len() as u64, FACTS);
    for (key, fact) in found.iter().step_by(100) {
        assert_eq!(graph.fact(*key).unwrap(), *fact);
    }
    // In any order, and more than once.
    let some = [5, 2_999, 5, 0, 4];
    let mut again = Vec::new();
    graph
        .visit_keys(&some, &mut |key, fact| {
            again.push((key, fact));
            ControlFlow::Continue(())
        })
        .unwrap();
    let expected: Vec<_> = some.iter().map(|&key| found[key as usize].clone()).collect();
    assert_eq!(again, expected);
}
