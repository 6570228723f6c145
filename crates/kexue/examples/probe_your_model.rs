//! Measures what a Transformer's initialisation and norms will do to its training, before it is trained.
//!
//! `cargo run --release -p kexue --example probe_your_model`

use kexue::nn::NormPlacement;
use kexue::probe::{Data, Preset, ProbeSettings, Source, probe};
use kexue::text::SpecialTokens;
use std::sync::atomic::AtomicBool;

/// Runs the example.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    for placement in [NormPlacement::Post, NormPlacement::Pre] {
        // BERT made small enough for a moment; with your own numbers it is your model.
        let mut architecture = Preset::Bert.architecture(100);
        architecture.model.d_model = 32;
        architecture.model.heads = 2;
        architecture.model.d_ffn = 64;
        architecture.model = architecture.model.with_placement(placement);
        let special = SpecialTokens {
            cls: 0,
            sep: 1,
            mask: 2,
            ordinary: 3..100,
        };
        // Random tokens tell how signals flow; `Source::Text` tells how it learns too.
        let data = Data::new(Source::Random { special: &special }, architecture.objective, 4, 16)?;
        let measured = probe(
            &architecture,
            None,
            &data,
            &ProbeSettings::default(),
            &AtomicBool::new(false),
        )?;
        println!("{placement:?}:");
        for sentence in &measured.verdict.sentences {
            println!("  {sentence}");
        }
    }
    Ok(())
}
