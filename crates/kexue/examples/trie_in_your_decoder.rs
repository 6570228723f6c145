//! Keeps any decoder within a set of token sequences: titles, product names, SQL keywords.
//!
//! `cargo run -p kexue --example trie_in_your_decoder`

use kexue::trie::{Allowed, PrefixIndex, Trie};

/// What a language model would give: a logit for each of ten tokens after a prefix. This one likes high numbers.
fn logits(prefix: &[u32]) -> [f32; 10] {
    std::array::from_fn(|token| token as f32 - if prefix.contains(&(token as u32)) { 5.0 } else { 0.0 })
}

/// Runs the example.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The token sequences that may come out. `Trie::build` writes millions of them to a file, which is mapped.
    let trie = Trie::from_sequences([vec![1, 2, 3], vec![1, 2, 9], vec![4, 8], vec![4, 8, 7]])?;
    let (mut path, mut at) = (Vec::new(), trie.root());
    let mut allowed = Allowed::default();
    loop {
        trie.allowed(at, &mut allowed)?;
        // Of the tokens that may follow the one with the largest logit; all others are as if their logit were −∞.
        let logits = logits(&path);
        let best = (allowed.tokens.iter().copied()).max_by(|&a, &b| logits[a as usize].total_cmp(&logits[b as usize]));
        let Some(token) = best else { break };
        println!("after {path:?} may follow {:?}: took {token}", allowed.tokens);
        path.push(token);
        at = trie.step(at, token)?.ok_or("an allowed token can be stepped over")?;
    }
    println!("{path:?} is sequence {:?} of the set", trie.get(&path)?);
    assert_eq!(path, [4, 8, 7]);
    Ok(())
}
