//! Damaged and cut off index files: an error or a right answer, never a panic or a loop.

use kexue_kg::{BuildOptions, GraphBuilder, KnowledgeGraph};
use kexue_trie::Allowed;
use proptest::prelude::*;
use std::ops::ControlFlow;

fn index_file() -> Vec<u8> {
    let mut builder = GraphBuilder::new(BuildOptions {
        inverse: true,
        ..BuildOptions::default()
    });
    for number in 0..150 {
        let sense = match number % 3 {
            0 => String::new(),
            other => format!("（义{}{}）", other, number % 11),
        };
        builder
            .add(
                &format!("主题{}{sense}", number % 17),
                &format!("关系{}", number % 7),
                &format!("对象{number}"),
            )
            .unwrap();
    }
    builder.finish_bytes().unwrap().1
}

/// Asks everything there is to ask, a bounded number of times.
fn ask_everything(graph: &KnowledgeGraph) {
    let index = graph.index();
    let mut visited = 0;
    let _ = index.completions(index.root(), &mut |_, _| {
        visited += 1;
        if visited < 10_000 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    let mut allowed = Allowed::default();
    let mut places = vec![index.root()];
    for _ in 0..500 {
        let Some(at) = places.pop() else { break };
        let _ = index.count(at);
        if index.allowed(at, &mut allowed).is_ok() {
            for &token in allowed.tokens.iter().take(8) {
                if let Ok(Some(next)) = index.step(at, token) {
                    places.push(next);
                }
            }
        }
    }
    for key in (0..index.len().min(1000)).step_by(37).chain([u64::MAX]) {
        let _ = graph.fact(key);
    }
    let question = graph.vocabulary().encode("主题1主题12对象3义1");
    let _ = graph.mentions(&question, &mut |_, _| ());
    let mut subjects = 0;
    let _ = graph.subjects(&mut |_, _| {
        subjects += 1;
        if subjects < 10_000 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    let _ = graph.report();
}

#[test]
fn every_truncation_is_refused() {
    let bytes = index_file();
    for length in 0..bytes.len() {
        assert!(
            KnowledgeGraph::from_bytes(bytes[..length].to_vec()).is_err(),
            "{length} bytes"
        );
    }
}

#[test]
fn every_flipped_byte_is_noticed_by_verify_and_survived_by_the_rest() {
    let bytes = index_file();
    let sound = KnowledgeGraph::from_bytes(bytes.clone()).unwrap();
    sound.verify(&|_| ()).unwrap();
    let mut start = 64;
    let mut inside = vec![false; bytes.len()];
    for (_, length) in sound.container().sections() {
        start = usize::next_multiple_of(start, 64);
        inside[start..start + length as usize].fill(true);
        start += length as usize;
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        if let Ok(graph) = KnowledgeGraph::from_bytes(damaged) {
            ask_everything(&graph);
            assert!(!inside[at] || graph.verify(&|_| ()).is_err(), "byte {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn many_flipped_bytes_are_survived(flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..40)) {
        let mut bytes = index_file();
        let length = bytes.len();
        for (at, byte) in flips {
            // The header and the table are guarded by checksums: damage goes where nothing guards at open.
            bytes[64 + at % (length - 64)] = byte;
        }
        if let Ok(graph) = KnowledgeGraph::from_bytes(bytes) {
            ask_everything(&graph);
        }
    }
}
