//! Flags of all commands that create a model.

use crate::output::{Usage, note};
use crate::setting_flags::refused;
use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use kexue_nn::{
    AttentionScale, BranchScaling, Difference, Distribution, Initializer, InitializerPreset, Model, NormKind,
    NormPlacement, Parametrization, StdConvention, TransformerConfig, WarmStart, WarmStartError,
};
use kexue_text::Tokenizer;
use kexue_train::{SavedModel, TrainError, generator, least_memory, machine_memory, streams};
use serde::de::DeserializeOwned;

/// Parses a value by its name in configurations, with `-` for `_`.
pub fn named<T>(names: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(names).try_map(|name| serde_json::from_value(name.replace('-', "_").into()))
}

/// Parses a positive number of single precision, which is neither 0 nor infinite there.
pub fn positive(text: &str) -> Result<f32, String> {
    let range = f32::MIN_POSITIVE..=f32::MAX;
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err("must be a number within 1.2e-38 and 3.4e38".to_owned()),
    }
}

/// The norm placements by name.
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
    /// Width of the residual stream [default: by the size of the data]
    #[arg(long)]
    d_model: Option<usize>,
    /// Number of blocks [default: by the size of the data]
    #[arg(long)]
    layers: Option<usize>,
    /// Number of attention heads [default: 4]
    #[arg(long)]
    heads: Option<usize>,
    /// Width of the feed-forward layers [default: four times d_model]
    #[arg(long)]
    d_ffn: Option<usize>,
    /// Where to normalise: before each branch (the default), after the sum, after the sum with DeepNorm's constants (published, or re-derived for
    /// an optimiser), before and after the branch, nowhere.
    #[arg(long, value_parser = named::<NormPlacement>(PLACEMENTS))]
    norm: Option<NormPlacement>,
    /// The kind of norm [default: layer-norm]
    #[arg(long, value_parser = named::<NormKind>(&["layer-norm", "rms-norm"]))]
    norm_kind: Option<NormKind>,
    /// The attention scale: 1/√d (the default), or log_base(n)/√d for n visible keys.
    #[arg(long, value_parser = ["ordinary", "entropy-invariant"])]
    attention_scale: Option<String>,
    /// The n at which the entropy-invariant scale equals the ordinary one [default: 512]
    #[arg(long, requires = "attention_scale")]
    attention_base: Option<f64>,
    /// Dropout probability [default: 0.1]
    #[arg(long)]
    dropout: Option<f32>,
    /// How to draw fresh weights: from a truncated normal (the default, see --initial-std), from the normal of Xavier, LeCun or Kaiming, as in BERT,
    /// GPT-2, DeepNet (with --norm deep-norm), T5, ReZero, SkipInit or Fixup (these three with --norm none), or in the NTK parametrisation.
    #[arg(
        long,
        value_parser = [
            "truncated-normal", "xavier", "lecun", "kaiming", "bert", "gpt2", "deepnet", "t5", "rezero", "skipinit", "fixup", "ntk",
        ]
    )]
    init: Option<String>,
    /// Draw from a truncated normal of this effective standard deviation, before any scaling by --init: that of the weights themselves
    /// [default: 0.02].
    #[arg(long, value_parser = positive)]
    initial_std: Option<f32>,
    /// The same, as the standard deviation before truncation at two deviations: BERT's 0.02 is an effective 0.0176.
    #[arg(long, conflicts_with = "initial_std", value_parser = positive)]
    nominal_std: Option<f32>,
}

impl ModelFlags {
    /// Refuses flags that contradict each other.
    pub fn check(&self) -> Result<()> {
        if self.attention_base.is_some() && self.attention_scale.as_deref() == Some("ordinary") {
            let problem = "--attention-base needs --attention-scale entropy-invariant";
            return Err(Usage(problem.to_owned()).into());
        }
        if self.init.as_deref() == Some("t5") && self.attention_scale.is_some() {
            let problem = "--attention-scale cannot be used with --init t5, which sets a scale of 1";
            return Err(Usage(problem.to_owned()).into());
        }
        if self.init.as_deref() == Some("deepnet") && self.norm.is_some_and(|norm| !norm.is_deep_norm()) {
            let problem =
                "--init deepnet needs --norm deep-norm (or one re-derived for an optimiser), whose constants it uses";
            return Err(Usage(problem.to_owned()).into());
        }
        Ok(())
    }

    /// Overrides settings of `base` with the flags that were given.
    pub fn over(&self, base: TransformerConfig) -> TransformerConfig {
        let d_model = self.d_model.unwrap_or(base.d_model);
        let mut config = TransformerConfig {
            d_model,
            layers: self.layers.unwrap_or(base.layers),
            heads: self.heads.unwrap_or(base.heads),
            // Keeps the ratio to the width.
            d_ffn: self.d_ffn.unwrap_or(base.d_ffn * d_model / base.d_model.max(1)),
            norm: self.norm_kind.unwrap_or(base.norm),
            attention_scale: match self.attention_scale.as_deref() {
                Some("entropy-invariant") => AttentionScale::EntropyInvariant {
                    base: self.attention_base.unwrap_or(512.0),
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
        let effective = self.initial_std.map(|std| (std, StdConvention::Effective));
        if let Some((std, means)) = effective.or(self.nominal_std.map(|std| (std, StdConvention::Nominal))) {
            config.initializer = config.initializer.with_std(std, means);
        }
        config
    }
}

/// Refuses work that needs more memory than the machine has; `flags` are the flags that reduce it.
pub fn check_memory(bytes: f64, flags: &str) -> Result<()> {
    match machine_memory().filter(|total| bytes > *total) {
        Some(total) => {
            let [bytes, total] = [bytes, total].map(|bytes| bytes / 1e9);
            let problem = format!(
                "this takes at least {bytes:.0} GB of memory, and the machine has {total:.0} GB: reduce {flags}"
            );
            Err(Usage(problem).into())
        }
        None => Ok(()),
    }
}

/// Refuses an invalid model, and one that is too large to train in the machine's memory.
pub fn check_model(config: &TransformerConfig) -> Result<()> {
    config
        .validate()
        .map_err(|error| refused(error.field, &error.problem))?;
    check_memory(
        least_memory(config, 0, 0),
        "--d-model, --layers, --d-ffn or the vocabulary",
    )
}

/// The flags that determine the memory of a batch.
pub const BATCH_SIZES: &str = "--batch-size, --length, --layers, --heads or --d-model";

/// Creates a fresh model.
pub fn fresh_model(config: &TransformerConfig, seed: u64) -> Result<Model> {
    check_model(config)?;
    let model = Model::new(config.clone(), &mut generator(seed, streams::WEIGHTS, 0))
        .map_err(|error| refused(error.field, &error.problem))?;
    note!("the model has {} parameters", model.values().len());
    Ok(model)
}

/// A configuration with the shape of another: width, depth and heads.
pub fn shaped_like(other: &TransformerConfig, config: TransformerConfig) -> TransformerConfig {
    TransformerConfig {
        d_model: other.d_model,
        layers: other.layers,
        heads: other.heads,
        d_ffn: other.d_ffn,
        ..config
    }
}

/// Copies the weights of a saved model with the same tokens into a fresh one, as far as they fit.
pub fn start_from(model: &mut Model, start: &SavedModel, tokens: &Tokenizer) -> Result<()> {
    let problem = |problem: &str| TrainError::file(start.folder(), problem);
    if !start.tokenizer()?.same_tokens(tokens) {
        return Err(problem("has a different vocabulary; train both models with the same vocab.txt").into());
    }
    match model.warm_start(&start.model) {
        Ok(WarmStart { copied, fresh }) => {
            note!(
                "{copied} of them are from {}, {fresh} are fresh",
                start.folder().display()
            );
            Ok(())
        }
        Err(WarmStartError::NothingInCommon) => {
            Err(problem("has no weights of this shape; use its --d-model, --layers and --heads").into())
        }
        Err(WarmStartError::Differs(difference)) => {
            let what = flag_of(difference);
            Err(problem(&format!("was trained with a different {what}; use the same")).into())
        }
    }
}

/// The flag that sets the property that differs.
fn flag_of(difference: Difference) -> &'static str {
    match difference {
        Difference::Heads => "--heads",
        Difference::NormPlacement => "--norm",
        Difference::NormKind => "--norm-kind",
        Difference::Parametrization => "--init (only ntk's layers divide by the root of their inputs)",
        Difference::Gates => "--init (only rezero's, skipinit's and fixup's branches have gates)",
        Difference::FixedScales => {
            "--init (only t5's logits are divided by the root of the width, and its attention scale is 1)"
        }
        Difference::AttentionScale => "--attention-scale (and --attention-base)",
        // No flag sets these, but a configuration file may.
        Difference::Positions => "kind of positions",
        Difference::Activation => "activation",
    }
}

/// Applies a named initialisation to a configuration.
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

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        model: ModelFlags,
    }

    /// The configuration of a command line.
    fn config(flags: &str) -> TransformerConfig {
        let words = std::iter::once("").chain(flags.split_whitespace());
        Flags::parse_from(words).model.over(TransformerConfig::new(300))
    }

    #[test]
    fn a_difference_in_meaning_is_named_by_its_flag() {
        for (ours, theirs, expected) in [
            ("", "", None),
            ("--init bert", "--init xavier --initial-std 0.05", None),
            // Gates are learned, so their initial values do not matter.
            ("--norm none --init rezero", "--norm none --init fixup", None),
            ("--heads 2", "", Some("--heads")),
            ("--norm post", "", Some("--norm")),
            ("--norm-kind rms-norm", "", Some("--norm-kind")),
            ("--init ntk", "--init lecun", Some("--init (only ntk's")),
            (
                "--norm none --init skipinit",
                "--norm none",
                Some("--init (only rezero's"),
            ),
            ("--init t5", "", Some("--init (only t5's")),
            ("", "--init t5", Some("--init (only t5's")),
            ("--attention-scale entropy-invariant", "", Some("--attention-scale")),
            (
                "--attention-scale entropy-invariant --attention-base 64",
                "--attention-scale entropy-invariant",
                Some("--attention-scale"),
            ),
        ] {
            let found = config(ours).difference(&config(theirs)).map(flag_of);
            let right = match expected {
                Some(start) => found.is_some_and(|found| found.starts_with(start)),
                None => found.is_none(),
            };
            assert!(right, "{ours:?} from {theirs:?}: {found:?}");
        }
    }
}
