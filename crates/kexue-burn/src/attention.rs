//! Attention whose scale follows the number of keys, as a Burn module.

use burn::config::Config;
use burn::module::Module;
use burn::nn::attention::MhaOutput;
use burn::nn::{Dropout, DropoutConfig, Initializer, Linear, LinearConfig};
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use kexue_nn::AttentionScale;

/// Configuration of [`ScaledAttention`], in the form of Burn's own
/// [`MultiHeadAttentionConfig`](burn::nn::attention::MultiHeadAttentionConfig).
#[derive(Config, Debug)]
pub struct ScaledAttentionConfig {
    /// Width of the input and the output; a multiple of `n_heads`.
    pub d_model: usize,
    /// Number of heads, which divides `d_model`.
    pub n_heads: usize,
    /// Dropout probability of the attention weights.
    #[config(default = 0.1)]
    pub dropout: f64,
    /// The scale λ of `softmax(λ·QKᵀ)V`; entropy-invariant with base 512 by default (article 8823).
    #[config(default = "AttentionScale::EntropyInvariant { base: 512.0 }")]
    pub scale: AttentionScale,
    /// The value of a masked score. It is finite, so that the softmax of a query that sees no key is defined.
    #[config(default = -1.0e4)]
    pub min_float: f64,
    /// Whether the four linear layers have biases.
    #[config(default = true)]
    pub bias: bool,
    /// The initial distribution of the weights of the four linear layers.
    #[config(default = "Initializer::KaimingUniform { gain: 1.0 / 3f64.sqrt(), fan_out_only: false }")]
    pub initializer: Initializer,
}

impl ScaledAttentionConfig {
    /// Creates a module.
    ///
    /// # Panics
    /// If `d_model` is not a multiple of `n_heads`.
    pub fn init(&self, device: &Device) -> ScaledAttention {
        assert!(
            self.n_heads > 0 && self.d_model.is_multiple_of(self.n_heads),
            "d_model {} is not a multiple of n_heads {}",
            self.d_model,
            self.n_heads
        );
        let linear = LinearConfig::new(self.d_model, self.d_model)
            .with_bias(self.bias)
            .with_initializer(self.initializer.clone());
        ScaledAttention {
            query: linear.init(device),
            key: linear.init(device),
            value: linear.init(device),
            output: linear.init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
            n_heads: self.n_heads,
            scale: self.scale,
            min_float: self.min_float,
        }
    }
}

/// Multi-head attention with a configurable scale. By default it is entropy-invariant (article 8823): `softmax(λ·QKᵀ)V` with
/// `λ = log₅₁₂(n)/√d`, where n is the number of keys that the query of a row can see.
///
/// n is counted from the masks, so it differs by row and by sequence. The queries are scaled rather than the scores, which costs nothing.
/// The fields have the names of Burn's [`MultiHeadAttention`](burn::nn::attention::MultiHeadAttention), so either module loads the other's weights.
///
/// ```
/// use burn::tensor::{Device, Distribution, Tensor};
/// use kexue_burn::{AttentionInput, ScaledAttentionConfig};
///
/// let device = Device::flex();
/// let attention = ScaledAttentionConfig::new(32, 4).with_dropout(0.0).init(&device);
/// let hidden = Tensor::<3>::random([2, 10, 32], Distribution::Default, &device);
/// let output = attention.forward(AttentionInput::self_attn(hidden).causal());
/// assert_eq!(output.context.dims(), [2, 10, 32]);
/// assert_eq!(output.weights.dims(), [2, 4, 10, 10]);
/// ```
#[derive(Module, Debug)]
pub struct ScaledAttention {
    /// Linear layer of the queries.
    pub query: Linear,
    /// Linear layer of the keys.
    pub key: Linear,
    /// Linear layer of the values.
    pub value: Linear,
    /// Linear layer of the output.
    pub output: Linear,
    /// Dropout of the attention weights.
    pub dropout: Dropout,
    /// Number of heads, which divides `d_model`.
    pub n_heads: usize,
    /// The factor of the scores, for the number of keys that a query sees.
    #[module(skip)]
    pub scale: AttentionScale,
    /// The value of a masked score.
    pub min_float: f64,
}

/// Input of [`ScaledAttention`], built like Burn's [`MhaInput`](burn::nn::attention::MhaInput).
#[derive(Clone, Debug)]
pub struct AttentionInput {
    query: Tensor<3>,
    key: Tensor<3>,
    value: Tensor<3>,
    mask_pad: Option<Tensor<2, Bool>>,
    mask_attn: Option<Tensor<3, Bool>>,
}

impl AttentionInput {
    /// Queries, keys and values from one tensor `[batch, seq, d_model]`.
    pub fn self_attn(tensor: Tensor<3>) -> Self {
        Self::new(tensor.clone(), tensor.clone(), tensor)
    }

    /// Queries `[batch, queries, d_model]`, keys and values `[batch, keys, d_model]`.
    pub fn new(query: Tensor<3>, key: Tensor<3>, value: Tensor<3>) -> Self {
        Self {
            query,
            key,
            value,
            mask_pad: None,
            mask_attn: None,
        }
    }

    /// Hides padding: `true` in `[batch, keys]` is a key that no query sees.
    pub fn mask_pad(mut self, mask: Tensor<2, Bool>) -> Self {
        self.mask_pad = Some(mask);
        self
    }

    /// Hides keys from single queries: `true` in `[batch, queries, keys]` is a key that the query does not see.
    pub fn mask_attn(mut self, mask: Tensor<3, Bool>) -> Self {
        self.mask_attn = Some(mask);
        self
    }

    /// Hides the keys after each query; the last query sees all keys. Replaces a mask given by [`AttentionInput::mask_attn`].
    pub fn causal(self) -> Self {
        let [batch, queries, _] = self.query.dims();
        let keys = self.key.dims()[1];
        let device = self.query.device();
        let mask = Tensor::<2, Bool>::tril_mask([queries, keys], keys as i64 - queries as i64, &device);
        self.mask_attn(mask.unsqueeze::<3>().repeat_dim(0, batch))
    }

    /// `true` where a query does not see a key: `[batch or 1, queries or 1, keys]`; `None` if every query sees all.
    fn hidden(&self) -> Option<Tensor<3, Bool>> {
        let padding = self.mask_pad.clone().map(|mask| mask.unsqueeze_dim::<3>(1));
        match (padding, self.mask_attn.clone()) {
            (Some(padding), Some(mask)) => {
                let dims = mask.dims();
                Some(mask.bool_or(padding.expand(dims)))
            }
            (padding, mask) => padding.or(mask),
        }
    }
}

impl ScaledAttention {
    /// Attends: the context is `[batch, queries, d_model]`, the weights are `[batch, heads, queries, keys]`.
    ///
    /// # Panics
    /// If the shapes of the inputs do not fit each other or the module.
    pub fn forward(&self, input: AttentionInput) -> MhaOutput {
        let [batch, queries, d_model] = input.query.dims();
        let hidden = input.hidden();
        let query = self.heads(self.query.forward(input.query));
        let key = self.heads(self.key.forward(input.key));
        let value = self.heads(self.value.forward(input.value));

        let query = self.scaled(query, key.dims()[2], hidden.as_ref());
        let mut scores = query.matmul(key.transpose());
        if let Some(hidden) = hidden {
            scores = scores.mask_fill(hidden.unsqueeze_dim::<4>(1), self.min_float);
        }
        let weights = self.dropout.forward(softmax(scores, 3));
        let context = weights.clone().matmul(value).swap_dims(1, 2);
        let context = self.output.forward(context.reshape([batch, queries, d_model]));
        MhaOutput { weights, context }
    }

    /// `[batch, seq, d_model]` → `[batch, heads, seq, head_dim]`.
    fn heads(&self, tensor: Tensor<3>) -> Tensor<4> {
        let [batch, seq, d_model] = tensor.dims();
        tensor
            .reshape([batch, seq, self.n_heads, d_model / self.n_heads])
            .swap_dims(1, 2)
    }

    /// The queries `[batch, heads, queries, head_dim]`, each multiplied by the λ for the number of keys it sees.
    fn scaled(&self, query: Tensor<4>, keys: usize, hidden: Option<&Tensor<3, Bool>>) -> Tensor<4> {
        let head_dim = query.dims()[3];
        let Some(hidden) = hidden else {
            return query.mul_scalar(self.scale.factor(keys, head_dim));
        };
        // λ of every possible number of keys, so that the formula stays in one place.
        let factors: Vec<f32> = (0..=keys).map(|seen| self.scale.factor(seen, head_dim)).collect();
        let device = query.device();
        let factors = Tensor::<1>::from_data(TensorData::new(factors, [keys + 1]), (&device, query.dtype()));
        let seen: Tensor<3, Int> = hidden.clone().bool_not().int().sum_dim(2);
        let dims = seen.dims();
        let factors = factors.select(0, seen.reshape([-1])).reshape(dims);
        query.mul(factors.unsqueeze_dim::<4>(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::attention::{MhaInput, MultiHeadAttentionConfig};
    use burn::tensor::{Distribution, Tolerance};

    fn attention(scale: AttentionScale, device: &Device) -> ScaledAttention {
        ScaledAttentionConfig::new(24, 3)
            .with_dropout(0.0)
            .with_scale(scale)
            .init(device)
    }

    /// The rows' scales, seen through the weights: `log(p_i/p_j) = λ·(s_i − s_j)` for raw scores s.
    fn scale_of_row(output: &MhaOutput, ordinary: &MhaOutput, row: usize) -> f64 {
        let log_ratio = |output: &MhaOutput| {
            let weights = output.weights.clone().slice([0..1, 0..1, row..row + 1, 0..2]);
            let weights: Vec<f32> = weights.into_data().try_to_vec().unwrap();
            (f64::from(weights[0]) / f64::from(weights[1])).ln()
        };
        log_ratio(output) / log_ratio(ordinary)
    }

    #[test]
    fn ordinary_scale_is_burns_own_attention() {
        let device = Device::flex();
        let ours = attention(AttentionScale::Ordinary, &device);
        let mut theirs = MultiHeadAttentionConfig::new(24, 3).with_dropout(0.0).init(&device);
        theirs.query = ours.query.clone();
        theirs.key = ours.key.clone();
        theirs.value = ours.value.clone();
        theirs.output = ours.output.clone();
        let hidden = Tensor::<3>::random([2, 7, 24], Distribution::Default, &device);
        let padding = Tensor::<2, Bool>::from_data(
            TensorData::new(
                [false; 7]
                    .into_iter()
                    .chain([false, false, false, false, false, true, true])
                    .collect(),
                [2, 7],
            ),
            &device,
        );
        let causal = Tensor::<2, Bool>::tril_mask([7, 7], 0, &device)
            .unsqueeze::<3>()
            .repeat_dim(0, 2);
        let ours = ours.forward(
            AttentionInput::self_attn(hidden.clone())
                .mask_pad(padding.clone())
                .causal(),
        );
        let theirs = theirs.forward(MhaInput::self_attn(hidden).mask_pad(padding).mask_attn(causal));
        let close = Tolerance::<f32>::absolute(1e-5);
        ours.context
            .into_data()
            .assert_approx_eq(&theirs.context.into_data(), close);
        ours.weights
            .into_data()
            .assert_approx_eq(&theirs.weights.into_data(), close);
    }

    #[test]
    fn every_row_is_scaled_by_the_keys_it_sees() {
        let device = Device::flex();
        let invariant = AttentionScale::EntropyInvariant { base: 512.0 };
        let module = attention(invariant, &device);
        let ordinary = ScaledAttention {
            scale: AttentionScale::Ordinary,
            ..module.clone()
        };
        let hidden = Tensor::<3>::random([1, 9, 24], Distribution::Normal(0.0, 3.0), &device);
        let plain = AttentionInput::self_attn(hidden);
        let padded = plain.clone().mask_pad(Tensor::from_data(
            TensorData::new((0..9).map(|key| key >= 6).collect(), [1, 9]),
            &device,
        ));
        for (input, keys_of) in [
            (plain.clone(), (|_| 9) as fn(usize) -> usize),
            (plain.clone().causal(), |row| row + 1),
            (padded.clone(), |_| 6),
            (padded.causal(), |row| (row + 1).min(6)),
        ] {
            let (scaled, unscaled) = (module.forward(input.clone()), ordinary.forward(input));
            for row in 1..9 {
                let expected = (keys_of(row) as f64).ln() / 512f64.ln();
                let measured = scale_of_row(&scaled, &unscaled, row);
                assert!(
                    (measured / expected - 1.0).abs() < 1e-3,
                    "row {row}: {measured}, not {expected}"
                );
            }
        }
    }
}
