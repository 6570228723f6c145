//! Normalisation of critics, which bounds their slope: one trait and eight implementations.
//!
//! | setting | D̂ | slope |
//! | --- | --- | --- |
//! | `none` | D | not bounded |
//! | `clip` | D, weights within ±c | bounded by the architecture |
//! | `gradient_penalty` | D, plus a penalty of `‖∇ₓD‖` between real and generated samples | about 1 there |
//! | `spectral` | D of weights W/σ(W) | at most 1 for 1-Lipschitz activations, up to the error of σ |
//! | `gradient` (GN) | `D/(‖g‖ + \|D\|)`, `g = ∇ₓD` | at most 1 off the kinks |
//! | `gran` | `D·‖g‖/(‖g‖² + ε)` | at most 1 off the kinks |
//! | `scaled` | `D/(‖g‖ + ε)` | at most 1 off the kinks |
//! | `direction` | `⟨g/‖g‖, x⟩` | 1 off the kinks |
//!
//! For the last four (article 8757), the bound does not hold *at* the kinks, where `‖g‖` and therefore D̂ jump.

mod clipping;
mod gradient;
mod method;
mod penalty;
mod settings;
mod spectral;

pub use clipping::WeightClipping;
pub use gradient::{GradientNormalizer, GradientRatio};
pub use method::{Normalizer, Unnormalized};
pub use penalty::GradientPenalty;
pub use settings::NormalizerSettings;
pub use spectral::SpectralNorm;
