//! Embeddings of sentences by a pretrained BERT: the mean of the last hidden states, normalised, as models of `sentence-transformers` do.
//!
//! `sentence_embeddings FOLDER [--longest N] [--f16 | --int8]`: one sentence per line on standard input, one JSON array per line on standard output.
use kexue_nn::{Encoder, InferencePrecision, Mask, PackedBatch, Pretrained};
use kexue_text::PretrainedTokenizer;
use std::error::Error;
use std::io::BufRead;

/// Sentences per batch.
const BATCH: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let folder = arguments
        .get(1)
        .ok_or("name a folder with config.json, weights and tokenizer")?;
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let precision = match () {
        () if has("--int8") => InferencePrecision::Int8,
        () if has("--f16") => InferencePrecision::Half,
        () => InferencePrecision::Single,
    };
    let model = Pretrained::load_for_inference(folder, precision)?.model;
    let mut tokenizer = PretrainedTokenizer::load(folder)?;
    let config = model.config();
    let longest = match arguments.iter().position(|argument| argument == "--longest") {
        Some(at) => Some(arguments.get(at + 1).ok_or("--longest needs a number")?.parse()?),
        None => config.longest_sequence(),
    };
    if let Some(longest) = longest {
        tokenizer.truncate(longest)?;
    }
    let sentences: Vec<String> = std::io::stdin().lock().lines().collect::<Result<_, _>>()?;
    let (mut batch, mut encoder) = (PackedBatch::default(), Encoder::new(1));
    for sentences in sentences.chunks(BATCH) {
        batch.clear();
        for sentence in sentences {
            batch.push(&tokenizer.encode(sentence)?.ids, Mask::BIDIRECTIONAL);
        }
        let hidden = encoder.run(&model, &batch)?;
        for rows in batch.rows() {
            let mut mean = vec![0.0f32; config.d_model];
            for state in hidden.chunks_exact(config.d_model).take(rows.end).skip(rows.start) {
                mean.iter_mut().zip(state).for_each(|(mean, x)| *mean += x);
            }
            // The normalisation makes dividing by the number of tokens unnecessary.
            let norm = mean.iter().map(|x| x * x).sum::<f32>().sqrt();
            mean.iter_mut().for_each(|x| *x /= norm);
            println!("{}", serde_json::to_string(&mean)?);
        }
    }
    Ok(())
}
