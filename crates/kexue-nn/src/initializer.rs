//! The distributions of initial weights.

use crate::config_error::ConfigError;
use crate::norm_placement::NormPlacement;
use rand::Rng;
use serde::{Deserialize, Serialize};

/// The standard deviation of a standard normal truncated at ±2 (article 8747): `√(1 − 4·φ(2)/(2·Φ(2) − 1))`.
pub const TRUNCATED_STD: f64 = 0.879_625_661_034_239_8;

/// Whether the standard deviation of a truncated normal is given before or after truncation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StdConvention {
    /// After truncation: the standard deviation of the weights themselves.
    #[default]
    Effective,
    /// Before truncation at two standard deviations. BERT's 0.02 gives weights with a standard deviation of 0.017593.
    Nominal,
}

/// A distribution with mean 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Distribution {
    /// Normal, truncated at two nominal standard deviations.
    TruncatedNormal {
        /// Standard deviation.
        std: f32,
        /// Whether `std` is given before or after truncation.
        #[serde(default)]
        means: StdConvention,
    },
    /// Normal, without truncation.
    Normal {
        /// Standard deviation.
        std: f32,
    },
    /// Normal of variance `2/(fan_in + fan_out)` (Glorot & Bengio 2010).
    Xavier,
    /// Normal of variance `1/fan_in` (LeCun et al. 1998).
    LeCun,
    /// Normal of variance `2/fan_in` (He et al. 2015).
    Kaiming,
}

impl Distribution {
    /// The standard deviation of the drawn weights of a matrix `[fan_out, fan_in]`.
    pub fn effective_std(self, fan_in: usize, fan_out: usize) -> f64 {
        let (fan_in, fan_out) = (fan_in as f64, fan_out as f64);
        match self {
            Self::TruncatedNormal { std, means } => match means {
                StdConvention::Effective => f64::from(std),
                StdConvention::Nominal => f64::from(std) * TRUNCATED_STD,
            },
            Self::Normal { std } => f64::from(std),
            Self::Xavier => (2.0 / (fan_in + fan_out)).sqrt(),
            Self::LeCun => fan_in.recip().sqrt(),
            Self::Kaiming => (2.0 / fan_in).sqrt(),
        }
    }

    /// The standard deviation before truncation; `None` for distributions without truncation.
    pub fn nominal_std(self) -> Option<f64> {
        match self {
            Self::TruncatedNormal { std, means } => Some(match means {
                StdConvention::Effective => f64::from(std) / TRUNCATED_STD,
                StdConvention::Nominal => f64::from(std),
            }),
            _ => None,
        }
    }

    /// Draws a number with effective standard deviation 1.
    pub fn draw(self, generator: &mut impl Rng) -> f32 {
        loop {
            // The Box–Muller transform.
            let radius = (-2.0 * (1.0 - generator.random::<f64>()).ln()).sqrt();
            let draw = radius * (std::f64::consts::TAU * generator.random::<f64>()).cos();
            match self {
                Self::TruncatedNormal { .. } if draw.abs() > 2.0 => {}
                Self::TruncatedNormal { .. } => return (draw / TRUNCATED_STD) as f32,
                _ => return draw as f32,
            }
        }
    }

    fn problem(self) -> Option<String> {
        match self {
            Self::TruncatedNormal { std, .. } | Self::Normal { std } if !(std > 0.0 && std.is_finite()) => {
                Some(format!("{std} is not a positive number"))
            }
            _ => None,
        }
    }
}

/// The scaling of the weights inside branches that keeps the sum of many branches bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BranchScaling {
    /// No scaling.
    #[default]
    None,
    /// The last matrix of each branch is divided by `√(2·layers)` (GPT-2).
    Gpt2,
    /// Value, output and feed-forward matrices are multiplied by DeepNorm's β (arXiv 2203.00555). Requires a DeepNorm placement.
    DeepNorm,
    /// The last matrix of each branch is 0, and those before it are divided by `√(2·layers)` (Fixup, arXiv 1901.09321, with two matrices per branch).
    Fixup,
}

/// The distributions of initial weights. Biases start at 0, norms at 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Initializer {
    /// The matrices of attention, feed-forward layers and head.
    pub weights: Distribution,
    /// The embeddings of tokens, positions and segments.
    pub embeddings: Distribution,
    /// The scaling inside branches.
    pub branches: BranchScaling,
    /// Whether query matrices are divided by the square root of the head width, as an attention scale fixed to 1 requires (T5).
    pub scaled_queries: bool,
}

impl Default for Initializer {
    fn default() -> Self {
        Self::truncated_normal(0.02, StdConvention::Effective)
    }
}

/// Initialisations of known models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitializerPreset {
    /// Truncated normal with nominal standard deviation 0.02.
    Bert,
    /// Normal with standard deviation 0.02, the last matrix of each branch divided by `√(2·layers)`.
    Gpt2,
    /// Xavier with β inside the branches, for a DeepNorm placement.
    DeepNet,
    /// LeCun, embeddings with standard deviation 1, scaled queries: for an attention scale fixed to 1 and logits divided by `√d_model`.
    T5,
}

impl Initializer {
    /// The same truncated normal for all weights and embeddings.
    pub fn truncated_normal(std: f32, means: StdConvention) -> Self {
        let distribution = Distribution::TruncatedNormal { std, means };
        Self {
            weights: distribution,
            embeddings: distribution,
            branches: BranchScaling::None,
            scaled_queries: false,
        }
    }

    /// Keeps the scaling of branches and queries, and uses one truncated normal for all weights and embeddings.
    pub fn with_std(self, std: f32, means: StdConvention) -> Self {
        Self {
            branches: self.branches,
            scaled_queries: self.scaled_queries,
            ..Self::truncated_normal(std, means)
        }
    }

    /// The initialisation of a known model.
    pub fn preset(preset: InitializerPreset) -> Self {
        let bert = Self::truncated_normal(0.02, StdConvention::Nominal);
        match preset {
            InitializerPreset::Bert => bert,
            InitializerPreset::Gpt2 => Self {
                weights: Distribution::Normal { std: 0.02 },
                embeddings: Distribution::Normal { std: 0.02 },
                branches: BranchScaling::Gpt2,
                scaled_queries: false,
            },
            InitializerPreset::DeepNet => Self {
                weights: Distribution::Xavier,
                branches: BranchScaling::DeepNorm,
                ..bert
            },
            InitializerPreset::T5 => Self {
                weights: Distribution::LeCun,
                embeddings: Distribution::Normal { std: 1.0 },
                branches: BranchScaling::None,
                scaled_queries: true,
            },
        }
    }

    /// Checks the settings against each other and the placement of the norms.
    pub(crate) fn validate(&self, placement: NormPlacement) -> Result<(), ConfigError> {
        for (field, distribution) in [
            ("initializer.weights", self.weights),
            ("initializer.embeddings", self.embeddings),
        ] {
            if let Some(problem) = distribution.problem() {
                return Err(ConfigError { field, problem });
            }
        }
        let unscaled = matches!(
            self.embeddings,
            Distribution::Xavier | Distribution::LeCun | Distribution::Kaiming
        );
        if unscaled {
            return Err(ConfigError {
                field: "initializer.embeddings",
                problem: "embeddings have no fan-in or fan-out; use normal or truncated_normal with a std".to_owned(),
            });
        }
        if self.branches == BranchScaling::DeepNorm && !placement.is_deep_norm() {
            return Err(ConfigError {
                field: "initializer.branches",
                problem: "deep_norm requires a deep_norm norm_placement, whose constants it uses".to_owned(),
            });
        }
        Ok(())
    }
}
