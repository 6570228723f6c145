//! Loads or creates a model, saves it as a Hugging Face folder, and runs it. `benches/peers/nn/huggingface.py` compares it with `transformers`.
//!
//! `--from FOLDER`, or `--fresh bert|roformer` with random weights and `--without-head`; `--save FOLDER`; `--run INPUTS.json`, a list of
//! pairs of token ids and segments. One JSON object on standard output: the hidden states and logits of all tokens.
use kexue_nn::{
    Distribution, Head, HeadTape, Initializer, Mask, Model, NormPlacement, PackedBatch, Positions, Precision,
    Pretrained, Tape, Token, TransformerConfig,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).map(String::as_str)
    };
    let pretrained = match (value("--from"), value("--fresh")) {
        (Some(folder), _) => Pretrained::load(folder)?,
        (None, Some(model_type)) => {
            let without_head = arguments.iter().any(|argument| argument == "--without-head");
            Pretrained::new(fresh(model_type == "bert", without_head)?)
        }
        (None, None) => return Err("pass --from FOLDER or --fresh bert|roformer".into()),
    };
    if let Some(folder) = value("--save") {
        pretrained.save(folder, Precision::Single)?;
    }
    let (mut hidden, mut logits) = (Vec::new(), Vec::new());
    if let Some(path) = value("--run") {
        let inputs: Vec<(Vec<Token>, Vec<u8>)> = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        let (mut batch, mut tape) = (PackedBatch::default(), Tape::default());
        for (tokens, types) in &inputs {
            let first = types.iter().take_while(|&&segment| segment == 0).count();
            batch.push_pair(&tokens[..first], &tokens[first..], Mask::BIDIRECTIONAL);
        }
        pretrained.model.forward(&batch, &mut tape, None);
        hidden = tape.hidden().to_vec();
        if pretrained.model.config().head != Head::None {
            let rows: Vec<usize> = (0..batch.len()).collect();
            logits = pretrained.model.token_logits(&hidden, &rows, &mut HeadTape::default());
        }
    }
    let report = serde_json::json!({
        "hidden": hidden, "logits": logits, "absent": pretrained.absent(), "unused": pretrained.unused,
    });
    println!("{report}");
    Ok(())
}

/// A model whose biases and norms are random too.
fn fresh(bert: bool, without_head: bool) -> Result<Model, Box<dyn Error>> {
    let drawn = Distribution::Normal { std: 0.1 };
    let config = TransformerConfig {
        norm_placement: NormPlacement::Post,
        norm_epsilon: 1e-12,
        head: if without_head { Head::None } else { Head::DenseNorm },
        positions: if bert { Positions::Learned } else { Positions::Rotary },
        max_positions: if bert { 160 } else { 0 },
        token_types: 2,
        initializer: Initializer {
            weights: drawn,
            embeddings: drawn,
            ..Initializer::default()
        },
        ..TransformerConfig::new(1000)
    };
    let mut generator = ChaCha8Rng::seed_from_u64(0);
    let mut model = Model::new(config, &mut generator)?;
    let vectors: Vec<_> = model
        .layout()
        .slots()
        .iter()
        .filter(|slot| slot.shape.len() == 1)
        .cloned()
        .collect();
    for slot in vectors {
        for value in &mut model.values_mut()[slot.range] {
            *value += generator.random_range(-0.3..0.3);
        }
    }
    Ok(model)
}
