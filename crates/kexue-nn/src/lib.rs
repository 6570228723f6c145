//! Transformers on CPUs: configurable attention scales, norm placements and initialisers, import and export of weights, fast training and decoding.
//!
//! Read `config.rs` first, then `training.rs` and `decoding.rs`; `pretrained/` has the Hugging Face formats.
//!
//! [`TransformerConfig`] describes a [`Model`]; [`Pretrained`] loads BERT and RoFormer from Hugging Face folders. [`Tape`] keeps the values of a training
//! step between the forward and the backward pass. [`Encoder`] computes forward passes only, and [`Decoder`] extends trees of tokens with a cache.
//! [`Classifier`] is a model with a head for classification or regression.
//!
//! ```
//! use kexue_nn::{AttentionScale, Head, HeadTape, Mask, Model, PackedBatch, Prediction, Tape, TransformerConfig};
//! use rand::SeedableRng;
//!
//! // An entropy-invariant RoFormer with the head of a masked language model.
//! let config = TransformerConfig {
//!     attention_scale: AttentionScale::EntropyInvariant { base: 512.0 },
//!     head: Head::DenseNorm,
//!     ..TransformerConfig::new(8000)
//! };
//! let model = Model::new(config, &mut rand_chacha::ChaCha8Rng::seed_from_u64(0))?;
//!
//! let (mut batch, mut tape) = (PackedBatch::default(), Tape::default());
//! batch.push(&[1, 3, 42, 2], Mask::BIDIRECTIONAL);
//! model.forward(&batch, &mut tape, None);
//! let mut gradient = vec![0.0; model.layout().len()];
//! let mut d_hidden = vec![0.0; tape.hidden().len()];
//! // The loss, then the gradient of every parameter.
//! let masked = [Prediction { row: 1, token: 17 }];
//! let (loss, right) = model.prediction_loss(tape.hidden(), &masked, &mut HeadTape::default(), &mut d_hidden, &mut gradient);
//! model.backward(&batch, &mut tape, &mut d_hidden, &mut gradient);
//! assert!(loss > 0.0 && right <= 1);
//! # Ok::<(), kexue_nn::ConfigError>(())
//! ```
#![deny(unsafe_code)]

mod attention;
mod attention_scale;
mod batch;
mod choices;
mod classifier;
mod classifier_weights;
mod config;
mod config_error;
mod decoding;
mod dropout;
mod encoding;
mod head;
mod inference_device;
mod initialisation;
mod initializer;
mod int8_linear;
pub mod kernels;
mod model;
mod norm_placement;
mod packed_linear;
mod packed_weights;
mod parameters;
mod pretrained;
mod processor_cache;
mod shrink;
mod tensors;
mod training;
mod warm_start;
mod weights;
mod weights_error;

pub use attention_scale::AttentionScale;
pub use batch::{Mask, PackedBatch, PaddingError};
pub use choices::Choice;
pub use classifier::{Classifier, ClassifierTape};
pub use config::{Activation, Head, LogitScale, NormKind, Parametrization, Positions, TransformerConfig};
pub use config_error::ConfigError;
pub use decoding::{Decoder, Node, Steps};
pub use dropout::Dropout;
pub use encoding::Encoder;
pub use head::{HeadTape, Prediction};
pub use inference_device::{DeviceError, InferenceDevice, NewNodes, NodeCache};
pub use initializer::{BranchScaling, Distribution, Initializer, InitializerPreset, StdConvention, TRUNCATED_STD};
pub use kernels::Rotary;
pub use kexue_optim::{Role, Slot};
pub use kexue_text::Token;
pub use model::Model;
pub use norm_placement::NormPlacement;
pub use packed_weights::InferencePrecision;
pub use parameters::{BlockRanges, BranchRanges, DenseNormRanges, Layout, Pair};
pub use pretrained::{Family, Pooler, Pretrained, PretrainedError};
pub use shrink::{FewerBits, shrink};
pub use training::{Tape, Trace};
pub use warm_start::{Difference, WarmStart, WarmStartError};
pub use weights::Precision;
pub use weights_error::WeightsError;
