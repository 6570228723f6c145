//! Norms without running statistics.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use kexue_grad::Dual;
use serde::{Deserialize, Serialize};

/// A norm of hidden layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// No norm.
    None,
    /// Over the batch and all pixels, for each channel (arXiv 1502.03167).
    Batch,
    /// Over all channels and pixels, for each sample.
    Layer,
}

/// A norm of `[batch, channels, …]` with a scale and a shift for each channel.
///
/// Batch norm always uses the statistics of the current batch, also for sampling. There are no running statistics, so the network is a function of
/// its parameters and its batch only, and checkpoints contain its whole state.
#[derive(Module, Debug)]
pub struct ChannelNorm {
    gamma: Param<Tensor<1>>,
    beta: Param<Tensor<1>>,
    #[module(skip)]
    kind: NormKind,
}

const EPSILON: f64 = 1e-5;

impl ChannelNorm {
    /// Creates a norm for this number of channels; `None` for [`NormKind::None`].
    pub fn new(kind: NormKind, channels: usize, device: &Device) -> Option<Self> {
        (kind != NormKind::None).then(|| Self {
            gamma: Param::from_tensor(Tensor::ones([channels], device)),
            beta: Param::from_tensor(Tensor::zeros([channels], device)),
            kind,
        })
    }

    /// Normalises a tensor.
    pub fn forward_dual<const D: usize>(&self, tangent: Option<&Self>, input: Dual<D>) -> Dual<D> {
        let mut per_channel = [1; D];
        per_channel[1] = input.dims()[1];
        let gamma = Dual::with(self.gamma.val(), tangent.map(|tangent| tangent.gamma.val()));
        let beta = Dual::with(self.beta.val(), tangent.map(|tangent| tangent.beta.val()));
        let normalised = match self.kind {
            NormKind::None => input,
            NormKind::Layer => input.group_norm(1, None, None, EPSILON),
            NormKind::Batch => {
                let mean = |x: Dual<D>| (0..D).filter(|axis| *axis != 1).fold(x, Dual::mean_dim);
                let centred = input.clone() - mean(input);
                let variance = mean(centred.clone().square());
                centred / (variance + EPSILON).sqrt()
            }
        };
        normalised * gamma.reshape(per_channel) + beta.reshape(per_channel)
    }
}

/// Applies the norm, if there is one.
pub(super) fn normalised<const D: usize>(
    norm: &Option<ChannelNorm>,
    tangent: Option<&Option<ChannelNorm>>,
    input: Dual<D>,
) -> Dual<D> {
    match norm {
        Some(norm) => norm.forward_dual(tangent.and_then(Option::as_ref), input),
        None => input,
    }
}
