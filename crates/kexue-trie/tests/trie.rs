//! The trie of any sequences against a sorted set of them.

use kexue_trie::{Allowed, Container, ContainerWriter, Key, PrefixIndex, Token, Trie, TrieBuilder};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::io::Cursor;
use std::ops::ControlFlow;

fn built(keys: &BTreeSet<Vec<Token>>, share_tails: bool) -> Vec<u8> {
    let mut builder = TrieBuilder::new().share_tails(share_tails);
    keys.iter().for_each(|key| builder.push(key).unwrap());
    let mut out = ContainerWriter::new(Cursor::new(Vec::new())).unwrap();
    builder.write("titles.", &mut out).unwrap();
    out.finish().unwrap().into_inner()
}

fn open(bytes: Vec<u8>) -> kexue_trie::Result<Trie> {
    Trie::read(&Container::open(bytes.into())?, "titles.")
}

fn keys() -> impl Strategy<Value = BTreeSet<Vec<Token>>> {
    let token = prop_oneof![4 => 0u32..4, 1 => Just(70_000u32), 1 => 200u32..1000];
    proptest::collection::btree_set(proptest::collection::vec(token, 0..8), 0..60)
}

proptest! {
    #[test]
    fn is_equal_to_the_set(keys in keys(), share_tails: bool) {
        let trie = open(built(&keys, share_tails)).unwrap();
        let list: Vec<&Vec<Token>> = keys.iter().collect();
        prop_assert_eq!(trie.len(), list.len() as u64);
        let mut prefixes: BTreeSet<Vec<Token>> = [Vec::new()].into();
        for key in &list {
            prefixes.extend((0..=key.len()).map(|length| key[..length].to_vec()));
        }
        let mut allowed = Allowed::default();
        for prefix in prefixes {
            let at = trie.find(&prefix).unwrap().unwrap();
            let below: Vec<(Vec<Token>, Key)> = list
                .iter()
                .zip(0..)
                .filter(|(key, _)| key.starts_with(&prefix))
                .map(|(key, number)| (key[prefix.len()..].to_vec(), number))
                .collect();
            let tokens: BTreeSet<Token> = below.iter().filter_map(|(rest, _)| rest.first().copied()).collect();
            trie.allowed(at, &mut allowed).unwrap();
            prop_assert_eq!(&allowed.tokens, &tokens.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(allowed.terminal, below.iter().find(|(rest, _)| rest.is_empty()).map(|&(_, key)| key));
            prop_assert_eq!(trie.count(at).unwrap(), below.len() as u64);
            let mut completions = Vec::new();
            trie.completions(at, &mut |rest, key| {
                completions.push((rest.to_vec(), key));
                ControlFlow::Continue(())
            }).unwrap();
            prop_assert_eq!(completions, below);
            for token in [0, 1, 2, 3, 5, 70_000, 70_001] {
                prop_assert_eq!(trie.step(at, token).unwrap().is_some(), tokens.contains(&token));
            }
        }
    }

    #[test]
    fn damage_is_survived(keys in keys(), share_tails: bool, flips in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..30)) {
        let mut bytes = built(&keys, share_tails);
        // The header and the table behind the sections are guarded by checksums.
        let table = u64::from_le_bytes(bytes[16..24].try_into().unwrap()) as usize;
        for (at, byte) in flips {
            bytes[64 + at % (table - 64)] = byte;
        }
        if let Ok(trie) = open(bytes) {
            let mut left = 2000;
            let _ = trie.completions(trie.root(), &mut |_, _| {
                left -= 1;
                if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            let _ = trie.count(trie.root());
            for key in &keys {
                let _ = trie.get(key);
            }
        }
    }
}
