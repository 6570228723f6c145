//! Flags of every command that makes a model.

use crate::output::Usage;
use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use kexue_nn::{
    AttentionScale, BranchScaling, Head, Initializer, InitializerPreset, Model, NormKind, NormPlacement,
    Parametrization, StdMeans, TransformerConfig,
};
use kexue_text::Vocabulary;
use kexue_train::{Run, RunConfig, TrainError, generator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A parser of values that are written in configurations by these names.
pub fn named<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| serde_json::from_value(name.replace('-', "_").into()))
}

const PLACEMENTS: &[&str] = &[
    "pre",
    "post",
    "deep-norm",
    "deep-norm-sgd",
    "deep-norm-adam",
    "deep-norm-lamb",
    "sandwich",
    "none",
];

#[derive(Args)]
#[command(next_help_heading = "Model")]
pub struct ModelFlags {
    /// Width of the residual stream.
    #[arg(long, default_value_t = 256)]
    d_model: usize,
    /// Blocks.
    #[arg(long, default_value_t = 4)]
    layers: usize,
    /// Attention heads.
    #[arg(long, default_value_t = 4)]
    heads: usize,
    /// Width of the feed-forward layers; four times d_model by default.
    #[arg(long)]
    d_ffn: Option<usize>,
    /// Where the norms stand: before each branch, after the sum, there with DeepNorm's constants (published, or re-derived by optimiser),
    /// before and after the branch, nowhere.
    #[arg(long, value_parser = named::<NormPlacement>(PLACEMENTS), default_value = "pre")]
    norm: NormPlacement,
    /// What the norms divide by.
    #[arg(long, value_parser = named::<NormKind>(&["layer-norm", "rms-norm"]), default_value = "layer-norm")]
    norm_kind: NormKind,
    /// The attention scale: 1/√d, or log_base(n)/√d for n visible keys.
    #[arg(long, value_parser = ["ordinary", "entropy-invariant"], default_value = "ordinary")]
    attention_scale: String,
    /// The n at which the entropy-invariant scale is the ordinary one.
    #[arg(long, default_value_t = 512.0)]
    attention_base: f64,
    /// Probability of dropping an element.
    #[arg(long, default_value_t = 0.1)]
    dropout: f32,
    /// How fresh weights are drawn: a truncated normal (see --initial-std), or as BERT, GPT-2, DeepNet (with --norm deep-norm), T5, ReZero,
    /// SkipInit and Fixup (all three with --norm none) or in the NTK parametrisation.
    #[arg(
        long,
        value_parser = ["truncated-normal", "bert", "gpt2", "deepnet", "t5", "rezero", "skipinit", "fixup", "ntk"],
        default_value = "truncated-normal"
    )]
    init: String,
    /// Effective standard deviation of the truncated normal.
    #[arg(long, default_value_t = 0.02)]
    initial_std: f32,
}

impl ModelFlags {
    /// The configuration of a model over so many tokens.
    pub fn config(&self, vocab_size: usize, head: Head) -> TransformerConfig {
        let mut config = TransformerConfig {
            d_model: self.d_model,
            layers: self.layers,
            heads: self.heads,
            d_ffn: self.d_ffn.unwrap_or(4 * self.d_model),
            norm_placement: self.norm,
            norm: self.norm_kind,
            attention_scale: match self.attention_scale.as_str() {
                "entropy-invariant" => AttentionScale::EntropyInvariant {
                    base: self.attention_base,
                },
                _ => AttentionScale::Ordinary,
            },
            head,
            dropout: self.dropout,
            initializer: Initializer::truncated_normal(self.initial_std, StdMeans::Effective),
            ..TransformerConfig::new(vocab_size)
        };
        initialise(&mut config, &self.init);
        config
    }
}

/// A model to be trained: fresh, or with the weights that another run has under the same names.
pub fn fresh_model(
    config: &TransformerConfig,
    seed: u64,
    start: Option<&Path>,
    vocabulary: &Vocabulary,
) -> Result<Model> {
    let mut model = Model::new(config.clone(), &mut generator(seed, 0, 0)).map_err(|error| Usage(error.to_string()))?;
    eprintln!("a model of {} parameters", model.values().len());
    if let Some(folder) = start {
        let run = Run::<AnyConfig>::open(folder)?;
        let problem = |problem: &str| TrainError::file(folder, problem);
        if !run.vocabulary.same_tokens(vocabulary) {
            return Err(problem("has another vocabulary; train both with the same vocab.txt").into());
        }
        let (taken, left) = model.copy_matching(&run.model);
        if taken == 0 {
            return Err(problem("has no weights of this shape; give the same --d-model, --layers and --heads").into());
        }
        eprintln!("{taken} of them from {}, {left} fresh", folder.display());
    }
    Ok(model)
}

/// What any run's configuration says of its model.
#[derive(Serialize, Deserialize)]
struct AnyConfig {
    model: TransformerConfig,
}

impl RunConfig for AnyConfig {
    fn model(&self) -> &TransformerConfig {
        &self.model
    }
}

/// Sets what an initialisation by name needs in a configuration.
fn initialise(config: &mut TransformerConfig, name: &str) {
    match name {
        "bert" => config.initializer = Initializer::preset(InitializerPreset::Bert),
        "gpt2" => config.initializer = Initializer::preset(InitializerPreset::Gpt2),
        "deepnet" => config.initializer = Initializer::preset(InitializerPreset::DeepNet),
        "t5" => {
            config.initializer = Initializer::preset(InitializerPreset::T5);
            config.attention_scale = AttentionScale::Fixed { factor: 1.0 };
            config.logit_scale = kexue_nn::LogitScale::InverseRootWidth;
        }
        "rezero" | "skipinit" => config.gate = Some(0.0),
        "fixup" => {
            config.gate = Some(1.0);
            config.initializer.branches = BranchScaling::Fixup;
        }
        "ntk" => config.parametrization = Parametrization::Ntk,
        _ => {}
    }
}
