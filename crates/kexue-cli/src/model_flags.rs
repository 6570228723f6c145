//! Flags of every command that makes a model.

use crate::output::{Usage, note};
use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use kexue_nn::{
    AttentionScale, BranchScaling, Distribution, Head, Initializer, InitializerPreset, Model, NormKind, NormPlacement,
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

/// The names of placements.
pub const PLACEMENTS: &[&str] = &[
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
    /// Width of the residual stream; 256 unless a preset says otherwise.
    #[arg(long)]
    d_model: Option<usize>,
    /// Blocks; 4 unless a preset says otherwise.
    #[arg(long)]
    layers: Option<usize>,
    /// Attention heads; 4 unless a preset says otherwise.
    #[arg(long)]
    heads: Option<usize>,
    /// Width of the feed-forward layers; four times d_model by default.
    #[arg(long)]
    d_ffn: Option<usize>,
    /// Where the norms stand: before each branch (the default), after the sum, there with DeepNorm's constants (published, or re-derived by
    /// optimiser), before and after the branch, nowhere.
    #[arg(long, value_parser = named::<NormPlacement>(PLACEMENTS))]
    norm: Option<NormPlacement>,
    /// What the norms divide by; layer-norm by default.
    #[arg(long, value_parser = named::<NormKind>(&["layer-norm", "rms-norm"]))]
    norm_kind: Option<NormKind>,
    /// The attention scale: 1/√d (the default), or log_base(n)/√d for n visible keys.
    #[arg(long, value_parser = ["ordinary", "entropy-invariant"])]
    attention_scale: Option<String>,
    /// The n at which the entropy-invariant scale is the ordinary one.
    #[arg(long, default_value_t = 512.0)]
    attention_base: f64,
    /// Probability of dropping an element; 0.1 by default.
    #[arg(long)]
    dropout: Option<f32>,
    /// How fresh weights are drawn: a truncated normal (the default, see --initial-std), Xavier, LeCun or Kaiming's normal, or as BERT, GPT-2,
    /// DeepNet (with --norm deep-norm), T5, ReZero, SkipInit and Fixup (all three with --norm none) or in the NTK parametrisation.
    #[arg(
        long,
        value_parser = [
            "truncated-normal", "xavier", "lecun", "kaiming", "bert", "gpt2", "deepnet", "t5", "rezero", "skipinit", "fixup", "ntk",
        ]
    )]
    init: Option<String>,
    /// Effective standard deviation of a truncated normal instead of what --init draws from: that of the weights themselves, before what it scales
    /// them by; 0.02 by default.
    #[arg(long)]
    initial_std: Option<f32>,
    /// The same before truncation at two deviations: BERT's 0.02 is an effective 0.0176.
    #[arg(long, conflicts_with = "initial_std")]
    nominal_std: Option<f32>,
}

impl ModelFlags {
    /// The configuration of a model over so many tokens.
    pub fn config(&self, vocab_size: usize, head: Head) -> TransformerConfig {
        self.over(TransformerConfig {
            head,
            ..TransformerConfig::new(vocab_size)
        })
    }

    /// A configuration with what the flags say instead.
    pub fn over(&self, base: TransformerConfig) -> TransformerConfig {
        let d_model = self.d_model.unwrap_or(base.d_model);
        let mut config = TransformerConfig {
            d_model,
            layers: self.layers.unwrap_or(base.layers),
            heads: self.heads.unwrap_or(base.heads),
            // As many times the width as before.
            d_ffn: self.d_ffn.unwrap_or(base.d_ffn * d_model / base.d_model.max(1)),
            norm: self.norm_kind.unwrap_or(base.norm),
            attention_scale: match self.attention_scale.as_deref() {
                Some("entropy-invariant") => AttentionScale::EntropyInvariant {
                    base: self.attention_base,
                },
                Some(_) => AttentionScale::Ordinary,
                None => base.attention_scale,
            },
            dropout: self.dropout.unwrap_or(base.dropout),
            ..base
        };
        if let Some(init) = &self.init {
            initialise(&mut config, init);
        }
        if let Some(placement) = self.norm {
            config = config.with_placement(placement);
        }
        let effective = self.initial_std.map(|std| (std, StdMeans::Effective));
        if let Some((std, means)) = effective.or(self.nominal_std.map(|std| (std, StdMeans::Nominal))) {
            config.initializer = config.initializer.with_std(std, means);
        }
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
    note!("a model of {} parameters", model.values().len());
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
        // Weights mean what they mean in the model that they were trained in.
        let theirs = run.model.config();
        let same = [
            ("--heads", config.heads == theirs.heads),
            ("--norm", config.norm_placement == theirs.norm_placement),
            ("--norm-kind", config.norm == theirs.norm),
            (
                "--attention-scale (and --attention-base)",
                config.attention_scale == theirs.attention_scale,
            ),
        ];
        if let Some((flag, _)) = same.iter().find(|(_, same)| !same) {
            return Err(problem(&format!("was trained with another {flag}; give the same")).into());
        }
        note!("{taken} of them from {}, {left} fresh", folder.display());
    }
    Ok(model)
}

/// What any run's configuration says of its model.
#[derive(Serialize, Deserialize)]
pub struct AnyConfig {
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
        "truncated-normal" => config.initializer = Initializer::default(),
        "xavier" => config.initializer.weights = Distribution::Xavier,
        "lecun" => config.initializer.weights = Distribution::LeCun,
        "kaiming" => config.initializer.weights = Distribution::Kaiming,
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
