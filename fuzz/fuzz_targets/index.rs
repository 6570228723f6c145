//! Damaged indexes: the input is a list of (place, byte) pairs that are put into a sound file; everything is then asked of it.
#![no_main]

use kexue_kg::{BuildOptions, GraphBuilder, KnowledgeGraph};
use kexue_trie::Allowed;
use libfuzzer_sys::fuzz_target;
use std::ops::ControlFlow;
use std::sync::OnceLock;

fn sound() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let mut builder = GraphBuilder::new(BuildOptions::default());
        for number in 0..120 {
            let sense = if number % 3 > 0 { format!("（义{}）", number % 11) } else { String::new() };
            builder
                .add(&format!("主题{}{sense}", number % 17), &format!("关系{}", number % 7), &format!("对象{number}"))
                .expect("a fact");
        }
        builder.finish_bytes().expect("an index").1
    })
}

fuzz_target!(|edits: &[u8]| {
    let mut bytes = sound().to_vec();
    let body = bytes.len() - 64;
    for edit in edits.chunks_exact(3) {
        // The header is guarded by a checksum; behind it nothing is, at open.
        let place = usize::from(edit[0]) << 8 | usize::from(edit[1]);
        bytes[64 + place % body] = edit[2];
    }
    let Ok(graph) = KnowledgeGraph::from_bytes(bytes) else { return };
    let index = graph.index();
    let mut left = 5_000;
    let _ = index.completions(index.root(), &mut |_, _| {
        left -= 1;
        if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let mut allowed = Allowed::default();
    let mut places = vec![index.root()];
    for _ in 0..200 {
        let Some(at) = places.pop() else { break };
        let _ = index.count(at);
        if index.allowed(at, &mut allowed).is_ok() {
            for &token in allowed.tokens.iter().take(4) {
                if let Ok(Some(next)) = index.step(at, token) {
                    places.push(next);
                }
            }
        }
    }
    for key in (0..index.len().min(200)).step_by(13).chain([u64::MAX]) {
        let _ = graph.fact(key);
    }
    let question = graph.vocabulary().encode("主题1主题12对象3义1");
    let _ = graph.mentions(&question, &mut |_, _| ());
});
