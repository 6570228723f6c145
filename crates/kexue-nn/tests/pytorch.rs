//! Hidden states, logits, gradients and decoding against PyTorch, in double precision there.
//!
//! `benches/peers/nn/goldens.py` writes `pytorch.json`, and checks its own model against Hugging Face's RoFormer. The weights are a hash that both
//! sides compute.

mod common;

use common::{close, uniform};
use kexue_nn::{Decoder, Layout, Mask, Model, PackedBatch, Slot, Tape, Token, TransformerConfig};
use serde::Deserialize;
use std::collections::HashMap;

#[derive(Deserialize)]
struct Goldens {
    /// Tokens and prefix.
    sequences: Vec<(Vec<Token>, usize)>,
    logit_tokens: Vec<Token>,
    models: Vec<Golden>,
}

#[derive(Deserialize)]
struct Golden {
    config: TransformerConfig,
    /// Of all sequences one after another, `[tokens, d_model]`.
    hidden: Vec<f64>,
    /// `[tokens, logit_tokens]`.
    logits: Vec<f64>,
    loss: f64,
    /// Vectors in full; of matrices the norm and the products with three directions.
    gradients: HashMap<String, Vec<f64>>,
}

/// Streams of the hash beside the parameters' own, which are numbered from 0.
const LOSS: usize = 1000;
const DIRECTIONS: usize = 2000;

fn goldens() -> Goldens {
    serde_json::from_str(include_str!("pytorch.json")).unwrap()
}

fn weights(stream: usize, slot: &Slot) -> impl Iterator<Item = f32> {
    let gamma = slot.name.ends_with("layer_norm.weight") || slot.name.ends_with("LayerNorm.weight");
    let width = if slot.shape.len() == 2 { 0.5 } else { 0.25 };
    uniform(stream, slot.range.len()).map(move |u| (f64::from(u8::from(gamma)) + width * u) as f32)
}

fn model(golden: &Golden) -> Model {
    let layout = Layout::new(&golden.config);
    let slots = layout.slots().iter().enumerate();
    let values = slots.flat_map(|(stream, slot)| weights(stream, slot)).collect();
    Model::with_values(golden.config.clone(), values).unwrap().unwrap()
}

#[test]
fn hidden_states_logits_and_gradients_are_pytorchs() {
    let Goldens {
        sequences,
        logit_tokens,
        models,
    } = goldens();
    for golden in &models {
        let model = model(golden);
        let config = format!("{:?} {:?}", golden.config.norm_placement, golden.config.attention_scale);
        let (mut batch, mut tape) = (PackedBatch::default(), Tape::default());
        for (tokens, prefix) in &sequences {
            batch.push(tokens, Mask::unilm(*prefix));
        }
        model.forward(&batch, &mut tape, None);
        close(tape.hidden(), &golden.hidden, 1e-5, &format!("{config}: hidden states"));
        let rows = tape.hidden().chunks_exact(golden.config.d_model);
        let logits: Vec<f32> = rows
            .flat_map(|row| logit_tokens.iter().map(|&token| model.logit(row, token)))
            .collect();
        close(&logits, &golden.logits, 1e-5, &format!("{config}: logits"));

        let mut d_hidden: Vec<f32> = uniform(LOSS, golden.hidden.len()).map(|u| u as f32).collect();
        let terms = tape.hidden().iter().zip(&d_hidden);
        let loss: f64 = terms.map(|(&h, &w)| f64::from(h) * f64::from(w)).sum();
        assert!(
            (loss - golden.loss).abs() < 1e-4,
            "{config}: loss {loss}, expected {}",
            golden.loss
        );

        let mut gradient = vec![0.0; model.layout().len()];
        model.backward(&batch, &mut tape, &mut d_hidden, &mut gradient);
        assert_eq!(golden.gradients.len(), model.layout().slots().len());
        for (stream, slot) in model.layout().slots().iter().enumerate() {
            let expected = golden
                .gradients
                .get(&slot.name)
                .unwrap_or_else(|| panic!("no gradient of {}", slot.name));
            let gradient = &gradient[slot.range.clone()];
            let what = format!("{config}: gradient of {}", slot.name);
            if slot.shape.len() == 1 {
                close(gradient, expected, 1e-5, &what);
                continue;
            }
            let mut found = vec![gradient.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt() as f32];
            for direction in 0..3 {
                let direction = uniform(DIRECTIONS + 3 * stream + direction, gradient.len());
                found.push(
                    gradient
                        .iter()
                        .zip(direction)
                        .map(|(&g, u)| f64::from(g) * u)
                        .sum::<f64>() as f32,
                );
            }
            close(&found, expected, 1e-5, &what);
        }
    }
}

#[test]
fn a_tree_decoded_from_a_cache_is_pytorchs() {
    let Goldens { sequences, models, .. } = goldens();
    for golden in &models {
        let model = model(golden);
        let d = golden.config.d_model;
        let mut decoder = Decoder::new(&model);
        let with_prompt = || sequences.iter().filter(|(_, prefix)| *prefix > 0);
        // Sequences with the same prompt share it and their common continuation, so each prefix is computed once.
        let mut prompts: Vec<&[Token]> = with_prompt().map(|(tokens, prefix)| &tokens[..*prefix]).collect();
        prompts.dedup();
        let ends = decoder.prompts(prompts.iter().copied()).unwrap();
        let mut nodes: HashMap<(&[Token], &[Token]), _> = prompts
            .iter()
            .zip(ends)
            .map(|(&prompt, end)| ((prompt, &[][..]), end))
            .collect();
        for length in 1.. {
            let mut steps = decoder.steps();
            for (tokens, prefix) in with_prompt().filter(|(tokens, prefix)| tokens.len() >= prefix + length) {
                let (prompt, continuation) = tokens[..prefix + length].split_at(*prefix);
                if !nodes.contains_key(&(prompt, continuation)) {
                    let before = nodes[&(prompt, &continuation[..length - 1])];
                    nodes.insert((prompt, continuation), steps.push(before, continuation[length - 1]));
                }
            }
            if steps.is_empty() {
                break;
            }
            decoder.extend(&steps).unwrap();
        }
        assert_eq!(nodes.len(), 3 + 4 + 3 - 1, "three prompts, one shared token");

        let mut start = 0;
        for (tokens, prefix) in &sequences {
            for length in (*prefix).max(1)..=tokens.len() {
                let (prompt, continuation) = tokens[..length].split_at(*prefix);
                if let Some(&node) = nodes.get(&(prompt, continuation)) {
                    let expected = &golden.hidden[(start + length - 1) * d..][..d];
                    close(
                        &decoder.hidden(node).unwrap(),
                        expected,
                        1e-5,
                        &format!("{prompt:?} {continuation:?}"),
                    );
                }
            }
            start += tokens.len();
        }
    }
}
