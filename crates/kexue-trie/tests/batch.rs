//! Batches of beams against the set of sequences that they walk.

use kexue_trie::{
    Batch, BeamState, Bytes, Container, ContainerWriter, DEAD, PrefixIndex, SequenceSorter, Token, Trie, TrieBuilder,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::io::Cursor;

/// Sets with nodes of many children, so that some are dense and some are not.
fn sets() -> impl Strategy<Value = BTreeSet<Vec<Token>>> {
    let token = prop_oneof![4 => 0u32..130, 1 => Just(200u32), 1 => Just(70_000u32)];
    let few = prop_oneof![0u32..3, Just(129u32)];
    prop_oneof![
        proptest::collection::btree_set(proptest::collection::vec(token, 0..4), 0..200),
        proptest::collection::btree_set(proptest::collection::vec(few, 0..8), 0..40),
        proptest::collection::btree_set(proptest::collection::vec(0u32..140, 2), 0..3000),
    ]
}

fn file(set: &BTreeSet<Vec<Token>>) -> Bytes {
    let mut sorter = SequenceSorter::new();
    set.iter().for_each(|sequence| sorter.push(sequence).unwrap());
    sorter.into_bytes().unwrap()
}

/// What may follow a prefix, `None` where no sequence begins so.
fn following(set: &BTreeSet<Vec<Token>>, prefix: Option<&[Token]>, end: Option<Token>) -> BTreeSet<Token> {
    let Some(prefix) = prefix else {
        return end.into_iter().collect();
    };
    let mut tokens = BTreeSet::new();
    for sequence in set.range(prefix.to_vec()..) {
        if !sequence.starts_with(prefix) {
            break;
        }
        tokens.extend(sequence.get(prefix.len()).copied().or(end));
    }
    tokens
}

fn check(trie: &Trie, set: &BTreeSet<Vec<Token>>, end: Option<Token>, picks: &[usize]) -> Result<(), TestCaseError> {
    let batch = Batch::new(trie, end);
    let mut prefixes: Vec<Option<Vec<Token>>> = vec![(!set.is_empty()).then(Vec::new); picks.len()];
    let mut states = vec![batch.root(); picks.len()];
    for depth in 0..5 {
        let expected: Vec<BTreeSet<Token>> = prefixes
            .iter()
            .map(|prefix| following(set, prefix.as_deref(), end))
            .collect();
        for words in [1, 5, 3000] {
            let mut masks = vec![-1; words * states.len()];
            batch.fill_bits(&states, words, &mut masks).unwrap();
            let mut bytes = vec![9; 32 * words * states.len() + 7 * states.len()];
            batch.fill_bytes(&states, 32 * words + 7, &mut bytes).unwrap();
            for ((expected, mask), bytes) in expected
                .iter()
                .zip(masks.chunks(words))
                .zip(bytes.chunks(32 * words + 7))
            {
                let found: Vec<u32> = (0..32 * words as u32)
                    .filter(|&t| mask[t as usize / 32] >> (t % 32) & 1 == 1)
                    .collect();
                prop_assert_eq!(found, expected.range(..32 * words as u32).copied().collect::<Vec<_>>());
                let found: Vec<u32> = (0..bytes.len() as u32).filter(|&t| bytes[t as usize] == 1).collect();
                prop_assert_eq!(found, expected.range(..bytes.len() as u32).copied().collect::<Vec<_>>());
                prop_assert!(bytes.iter().all(|&byte| byte <= 1));
            }
        }
        let mut tokens = vec![0; batch.listed(&states).unwrap()];
        let mut offsets = vec![0; states.len() + 1];
        batch.lists(&states, &mut offsets, &mut tokens).unwrap();
        for (expected, range) in expected.iter().zip(offsets.windows(2)) {
            let found = &tokens[range[0] as usize..range[1] as usize];
            prop_assert_eq!(
                found,
                expected.iter().map(|&token| i64::from(token)).collect::<Vec<_>>()
            );
        }
        let (mut keys, mut counts) = (vec![0; states.len()], vec![0; states.len()]);
        batch.keys(&states, &mut keys).unwrap();
        batch.counts(&states, &mut counts).unwrap();
        for ((prefix, key), count) in prefixes.iter().zip(keys).zip(counts) {
            let prefix = prefix.as_deref();
            let place = prefix.and_then(|prefix| set.iter().position(|sequence| sequence == prefix));
            prop_assert_eq!(key, place.map_or(-1, |place| place as i64));
            let below = prefix.map_or(0, |prefix| {
                set.iter().filter(|sequence| sequence.starts_with(prefix)).count()
            });
            prop_assert_eq!(count, below as i64);
        }
        // Mostly an allowed token, else any.
        let chosen: Vec<i64> = picks
            .iter()
            .zip(&expected)
            .map(|(&pick, allowed)| {
                let pick = pick.rotate_left(7 * depth);
                match pick % 8 {
                    0 => pick as i64 % 150 - 2,
                    _ => allowed
                        .iter()
                        .nth(pick / 8 % allowed.len().max(1))
                        .map_or(-1, |&token| i64::from(token)),
                }
            })
            .collect();
        batch.step(&mut states, &chosen).unwrap();
        for (prefix, &token) in prefixes.iter_mut().zip(&chosen) {
            *prefix = prefix.take().and_then(|mut prefix| {
                prefix.push(u32::try_from(token).ok()?);
                set.range(prefix.clone()..)
                    .next()
                    .is_some_and(|next| next.starts_with(&prefix))
                    .then_some(prefix)
            });
        }
        for (prefix, &state) in prefixes.iter().zip(&states) {
            prop_assert_eq!(prefix.is_none(), state == DEAD);
            if let Some(prefix) = prefix {
                let tokens: Vec<i64> = prefix.iter().map(|&token| i64::from(token)).collect();
                prop_assert_eq!(batch.walk(&tokens).unwrap(), state);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn masks_lists_and_steps_are_those_of_the_set(set in sets(), picks in proptest::collection::vec(any::<usize>(), 1..12), end in proptest::option::of(0u32..140)) {
        check(&Trie::from_bytes(file(&set)).unwrap(), &set, end, &picks)?;
    }

    #[test]
    fn without_masks_in_the_file_all_is_the_same(set in sets(), picks in proptest::collection::vec(any::<usize>(), 1..6)) {
        let mut builder = TrieBuilder::new();
        set.iter().for_each(|sequence| builder.push(sequence).unwrap());
        let mut out = ContainerWriter::new(Cursor::new(Vec::new())).unwrap();
        builder.write("trie.", &mut out).unwrap();
        let bytes: Bytes = out.finish().unwrap().into_inner().into();
        prop_assert!(Container::open(bytes.clone()).unwrap().find("trie.masks").is_none());
        check(&Trie::from_bytes(bytes).unwrap(), &set, Some(3), &picks)?;
    }

    #[test]
    fn flat_arrays_hold_the_set(set in sets()) {
        let flat = Trie::from_bytes(file(&set)).unwrap().flatten().unwrap();
        let mut found = BTreeSet::new();
        let mut pending = vec![(0usize, Vec::new())];
        while let Some((node, mut path)) = pending.pop() {
            let tail = &flat.tail_tokens[flat.tails[node] as usize..flat.tails[node + 1] as usize];
            path.extend(tail.iter().map(|&token| token as Token));
            if flat.ends[node] {
                prop_assert!(found.insert(path.clone()));
            }
            for child in flat.children[node]..flat.children[node + 1] {
                let mut path = path.clone();
                path.push(flat.labels[child as usize] as Token);
                pending.push((child as usize, path));
            }
        }
        prop_assert_eq!(found, set);
    }

    #[test]
    fn masks_of_one_handle_are_the_allowed_tokens(set in sets()) {
        let trie = Trie::from_bytes(file(&set)).unwrap();
        for at in set.iter().take(20).flat_map(|sequence| (0..=sequence.len()).map(|length| trie.find(&sequence[..length]).unwrap().unwrap())) {
            let mut allowed = kexue_trie::Allowed::default();
            trie.allowed(at, &mut allowed).unwrap();
            let mut mask = [0; 3];
            prop_assert_eq!(trie.allowed_mask(at, &mut mask).unwrap(), allowed.terminal);
            let found: Vec<u32> = (0..192).filter(|&t| mask[t as usize / 64] >> (t % 64) & 1 == 1).collect();
            prop_assert_eq!(found, allowed.tokens.into_iter().filter(|&token| token < 192).collect::<Vec<_>>());
        }
    }

    #[test]
    fn damage_and_foreign_states_are_survived(
        set in sets(),
        flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..30),
        mut states in proptest::collection::vec([any::<i64>(), any::<i64>(), any::<i64>()], 4),
    ) {
        let mut bytes = file(&set).to_vec();
        let table = u64::from_le_bytes(bytes[16..24].try_into().unwrap()) as usize;
        for (at, byte) in flips {
            bytes[64 + at % (table - 64)] = byte;
        }
        if let Ok(trie) = Trie::from_bytes(bytes.into()) {
            let batch = Batch::new(&trie, Some(1));
            for state in &mut states {
                state[0] %= 1 << 12;
            }
            let mut states: Vec<BeamState> = states.into_iter().chain([batch.root(); 4]).collect();
            for _ in 0..4 {
                let _ = batch.fill_bits(&states, 7, &mut vec![0; 7 * states.len()]);
                let _ = batch.fill_bytes(&states, 150, &mut vec![0; 150 * states.len()]);
                let _ = batch.keys(&states, &mut vec![0; states.len()]);
                let _ = batch.counts(&states, &mut vec![0; states.len()]);
                let _ = trie.flatten();
                for (at, state) in states.iter_mut().enumerate() {
                    let _ = batch.step(std::slice::from_mut(state), &[at as i64]);
                }
            }
        }
    }
}

#[test]
fn a_dense_node_has_its_mask_in_the_file() {
    let set: BTreeSet<Vec<Token>> = (0..200).flat_map(|first| [vec![first, 1], vec![first, 2]]).collect();
    let container = Container::open(file(&set)).unwrap();
    // The root alone: two children of 201 tokens are fewer than the mask has bits.
    let length = 16 + 8 + 4 * 8 + 4;
    assert_eq!(container.find("trie.masks").map(|masks| masks.len()), Some(length));
    container.verify().unwrap();
}

#[test]
fn what_does_not_fit_together_is_named() {
    let trie = Trie::from_sequences([[1]]).unwrap();
    let batch = Batch::new(&trie, None);
    let problem = batch.step(&mut [batch.root()], &[]).unwrap_err().to_string();
    assert_eq!(problem, "0 tokens were given for 1 states");
}
