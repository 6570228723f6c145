//! Damaged and cut off index files: an error or an answer, never a panic or a loop.

mod common;

use common::{SEEDS, ask_everything, index_file, sections};
use kexue_kg::KnowledgeGraph;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

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
        let sections = sections(&bytes);
        for (at, byte) in flips {
            bytes[sections.start + at % sections.len()] = byte;
        }
        if let Ok(graph) = KnowledgeGraph::from_bytes(bytes) {
            ask_everything(&graph);
        }
    }
}

/// A short run of what `fuzz/` does at length, without its guidance.
#[test]
fn mutated_inputs_are_survived() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for (target, seeds) in SEEDS {
        for seed in *seeds {
            target(seed);
        }
        for _ in 0..200 {
            let mut input = seeds[random.random_range(0..seeds.len())].to_vec();
            for _ in 0..random.random_range(1..8) {
                let at = random.random_range(1..=input.len());
                match random.random_range(0..5) {
                    0 => input.truncate(at),
                    1 => input.insert(at, random.random()),
                    2 => {
                        let other = seeds[random.random_range(0..seeds.len())];
                        input.extend_from_slice(&other[random.random_range(0..other.len())..]);
                    }
                    3 => {
                        let from = random.random_range(0..at);
                        input.extend_from_within(from..at);
                    }
                    _ => input[at - 1] ^= 1 << random.random_range(0..8),
                }
            }
            target(&input);
        }
    }
}
