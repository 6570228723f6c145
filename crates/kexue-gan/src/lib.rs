//! Generative adversarial networks with normalised critics (S6, article 8757): training, sampling and measurements.
//!
//! Read [`normalizer`] first: how the slope of a critic is bounded. [`play`] has the steps of both players, [`lipschitz`] measures the resulting slope,
//! and [`task`] connects them with the training loop of `kexue-train`.
//!
//! | topic | module |
//! | --- | --- |
//! | settings and presets | [`settings`] |
//! | critics and generators: MLP, CNN, ResNet | [`network`] |
//! | points, images, toy distributions | [`data`], [`toys`] |
//! | a finished run | [`run`], [`evaluate`] |
//! | FID, KID, precision and recall | [`quality`] |
//!
//! The slope of a gradient-normalised critic is at most 1 wherever its gradient exists:
//!
//! ```
//! use kexue_gan::lipschitz::slopes;
//! use kexue_gan::network::Space;
//! use kexue_gan::normalizer::NormalizerSettings;
//! use kexue_gan::players::GanModel;
//! use kexue_gan::settings::Preset;
//! use kexue_train::generator;
//!
//! let normalizer = NormalizerSettings::Gradient {}.build();
//! let model = GanModel::new(&Preset::Mlp.model(), Space::Points(2), &*normalizer, 1);
//! let mut random = generator(1, 0, 0);
//! let real = model.tensor(model.sample(64, &mut random), 2);
//! let fake = model.tensor(model.sample(64, &mut random), 2);
//! let slopes = slopes(&*normalizer, model.critic(), real, fake, &mut random);
//! assert!(slopes.largest_gradient <= 1.0 + 1e-4);
//! ```
//!
//! Your own normaliser implements [`Normalizer`](normalizer::Normalizer). This one bounds the scores, but not their slope:
//!
//! ```
//! use burn::tensor::Tensor;
//! use kexue_gan::{network::Space, normalizer::Normalizer, play::normalized_scores, players::GanModel, settings::Preset};
//!
//! struct Bounded;
//!
//! impl Normalizer for Bounded {
//!     fn normalize(&self, scores: Tensor<1>, _norms: Tensor<1>) -> Tensor<1> {
//!         scores.tanh()
//!     }
//!
//!     fn needs_gradient(&self) -> bool {
//!         true // so that `normalize` is called with the norms
//!     }
//! }
//!
//! let model = GanModel::new(&Preset::Mlp.model(), Space::Points(2), &Bounded, 1);
//! let points = model.tensor(vec![300.0, -200.0, 0.1, 0.2], 2);
//! let (scores, norms) = normalized_scores(&Bounded, model.critic(), points);
//! assert!(scores.abs().max().into_scalar::<f32>() <= 1.0 && norms.is_some());
//! ```
#![forbid(unsafe_code)]

pub mod data;
pub mod evaluate;
pub mod features_file;
pub mod lipschitz;
pub mod loss;
pub mod memory;
pub mod network;
pub mod normalizer;
pub mod picture;
pub mod play;
pub mod players;
pub mod quality;
pub mod run;
pub mod settings;
mod table;
pub mod task;
pub mod toys;
