//! The bridge to [Burn](https://burn.dev): its modules as named flat vectors, and our optimisers, attention and initialisers as parts of Burn.
//!
//! | you have | you want | read |
//! | --- | --- | --- |
//! | a Burn module | the training loop, checkpoints and reports of `kexue-train` | [`FlatModule`] |
//! | a Burn module | its tensors in PyTorch's names and layouts | [`Layout`] |
//! | a Burn training loop | an optimiser that is a chain of transformations | [`ChainOptimizer`] |
//! | a Burn model | attention whose scale follows the number of keys (article 8823) | [`ScaledAttention`] |
//! | a Burn model | truncated normal weights, DeepNorm (article 8747) | [`DrawParameters`], [`DeepNormInitializer`] |
//!
//! Everything runs on the CPU by `Device::flex()`. The features `vulkan`, `wgpu` and `cuda` are Burn's and add its other devices.
//!
//! Burn's defaults differ from PyTorch's: its Adam has ε = 1e-5 (PyTorch: 1e-8), its AdamW a decay of 1e-4 (PyTorch: 1e-2), and it clips the
//! gradient of each tensor separately. Its batch norm keeps the biased variance of a batch, PyTorch's the unbiased one. A chain of [`kexue_optim`]
//! has PyTorch's defaults. With `mimalloc` as the global allocator, programs that train on the CPU are about a third faster.
//!
//! Read [`FlatModule`] first: its documentation trains a module in a few lines.
#![forbid(unsafe_code)]

mod attention;
mod convention;
mod flat;
mod initializer;
mod layout;
mod optimizer;

pub use attention::{AttentionInput, ScaledAttention, ScaledAttentionConfig};
pub use convention::transpose;
pub use flat::FlatModule;
pub use initializer::{DeepNormInitializer, DrawParameters};
pub use layout::{Layout, LayoutError};
pub use optimizer::ChainOptimizer;
