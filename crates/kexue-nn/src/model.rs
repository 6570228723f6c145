//! A Transformer: its configuration and its parameters.

use crate::inference_device::InferenceDevice;
use crate::packed_weights::{InferenceLinear, InferencePrecision, PackedWeights};
use crate::{AttentionScale, ConfigError, Layout, Pair, TransformerConfig};
use kexue_optim::Role;
use kexue_text::Token;
use rand::Rng;
use std::convert::Infallible;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A Transformer on the CPU.
///
/// A model that was loaded *for inference* ([`Pretrained::load_for_inference`](crate::Pretrained::load_for_inference)) has the linear layers of its blocks
/// only as inference reads them, packed and in the precision asked for. It can be neither changed, nor trained, nor saved; methods that would, panic, and
/// its layout and values are without those layers.
#[derive(Clone, Debug)]
pub struct Model {
    config: TransformerConfig,
    layout: Layout,
    values: Vec<f32>,
    inference_precision: InferencePrecision,
    /// Made by the first pass of inference, and removed when the parameters may change.
    packed: OnceLock<Arc<PackedWeights>>,
    /// Whether the linear layers of the blocks are only in `packed`.
    is_for_inference: bool,
    /// A copy of the parameters on another device; forgotten when the parameters may change.
    device: Option<Arc<dyn InferenceDevice>>,
}

impl Model {
    /// A model of a valid configuration.
    fn of(config: TransformerConfig, layout: Layout, values: Vec<f32>) -> Self {
        Self {
            config,
            layout,
            values,
            inference_precision: InferencePrecision::default(),
            packed: OnceLock::new(),
            is_for_inference: false,
            device: None,
        }
    }

    /// A model for inference; `layout` and `values` are without the linear layers of the blocks.
    pub(crate) fn for_inference(
        config: TransformerConfig,
        layout: Layout,
        values: Vec<f32>,
        inference_precision: InferencePrecision,
        packed: PackedWeights,
    ) -> Self {
        Self {
            inference_precision,
            packed: OnceLock::from(Arc::new(packed)),
            is_for_inference: true,
            ..Self::of(config, layout, values)
        }
    }

    /// Whether the model was loaded for inference.
    pub fn is_for_inference(&self) -> bool {
        self.is_for_inference
    }

    /// # Panics
    /// If the model was loaded for inference.
    pub(crate) fn expect_all_parameters(&self) {
        assert!(
            !self.is_for_inference,
            "the model was loaded for inference: load it with all parameters"
        );
    }

    /// Removes the packed weights and the copy on a device, because the parameters or the precision may change.
    fn unpack(&mut self) {
        self.expect_all_parameters();
        self.packed.take();
        self.device = None;
    }

    /// Creates a model with random parameters.
    ///
    /// # Errors
    /// If the configuration is invalid.
    pub fn new(config: TransformerConfig, generator: &mut impl Rng) -> Result<Self, ConfigError> {
        config.validate()?;
        let layout = Layout::new(&config);
        let values = layout.initialise(&config, generator);
        Ok(Self::of(config, layout, values))
    }

    /// Creates a model with these parameters, in the order of its layout. `None` if their number is wrong.
    ///
    /// # Errors
    /// If the configuration is invalid.
    pub fn with_values(config: TransformerConfig, values: Vec<f32>) -> Result<Option<Self>, ConfigError> {
        config.validate()?;
        let layout = Layout::new(&config);
        Ok((values.len() == layout.len()).then(|| Self::of(config, layout, values)))
    }

    /// The configuration.
    pub fn config(&self) -> &TransformerConfig {
        &self.config
    }

    /// The names, roles, shapes and ranges of the parameters.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All parameters, in the order of the layout.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All parameters, mutable.
    ///
    /// # Panics
    /// If the model was loaded for inference.
    pub fn values_mut(&mut self) -> &mut [f32] {
        self.unpack();
        &mut self.values
    }

    /// Copies the parameters of `other` that have the same name and shape here. Returns how many of this model's values were copied, and how many
    /// were not.
    ///
    /// # Panics
    /// If one of them was loaded for inference.
    pub fn copy_matching(&mut self, other: &Self) -> (usize, usize) {
        other.expect_all_parameters();
        self.unpack();
        let mut taken = 0;
        for slot in self.layout.slots() {
            let theirs = other.layout.slots().iter().find(|theirs| theirs.name == slot.name);
            if let Some(theirs) = theirs.filter(|theirs| theirs.shape == slot.shape) {
                self.values[slot.range.clone()].copy_from_slice(&other.values[theirs.range.clone()]);
                taken += slot.range.len();
            }
        }
        (taken, self.values.len() - taken)
    }

    /// The same parameters with a different attention scale, for inference.
    ///
    /// # Errors
    /// If the scale is invalid.
    pub fn with_attention_scale(mut self, scale: AttentionScale) -> Result<Self, ConfigError> {
        self.config.attention_scale = scale;
        self.device = None;
        self.config.validate()?;
        Ok(self)
    }

    /// The precision in which [`Encoder`](crate::Encoder) and [`Decoder`](crate::Decoder) compute.
    pub fn inference_precision(&self) -> InferencePrecision {
        self.inference_precision
    }

    /// Changes the precision in which [`Encoder`](crate::Encoder) and [`Decoder`](crate::Decoder) compute.
    ///
    /// # Panics
    /// If the model was loaded for inference, in which case it has only the precision that it was loaded with.
    pub fn set_inference_precision(&mut self, precision: InferencePrecision) {
        self.unpack();
        self.inference_precision = precision;
    }

    /// The device on which [`Encoder`](crate::Encoder) and [`Decoder`](crate::Decoder) compute; `None` for the CPU.
    pub fn device(&self) -> Option<&Arc<dyn InferenceDevice>> {
        self.device.as_ref()
    }

    /// Lets [`Encoder`](crate::Encoder) and [`Decoder`](crate::Decoder) compute on a device, which has a copy of this model. They return to the CPU when the
    /// parameters, the attention scale or the precision may change.
    pub fn set_device(&mut self, device: Arc<dyn InferenceDevice>) {
        self.device = Some(device);
    }

    /// Keeps the linear layers of the blocks only as inference reads them, packed and in this precision, as a model has them that was loaded for inference.
    ///
    /// # Panics
    /// If the model was loaded for inference, or has the head of a [`Classifier`](crate::Classifier).
    pub fn keep_for_inference(&mut self, precision: InferencePrecision) {
        self.set_inference_precision(precision);
        self.packed();
        let (all, kept) = (Layout::new(&self.config), Layout::without_linear(&self.config));
        assert_eq!(all.len(), self.layout.len(), "the head of a classifier would be lost");
        // In place: both layouts have the same order.
        let mut rest = all.slots().iter();
        for slot in kept.slots() {
            if let Some(from) = rest.find(|from| from.name == slot.name) {
                self.values.copy_within(from.range.clone(), slot.range.start);
            }
        }
        self.values.truncate(kept.len());
        self.values.shrink_to_fit();
        self.layout = kept;
        self.is_for_inference = true;
    }

    /// A model with these parameters, whose number must fit the configuration, which must be valid.
    pub(crate) fn truncated(config: TransformerConfig, values: Vec<f32>) -> Self {
        let layout = Layout::new(&config);
        debug_assert_eq!(layout.len(), values.len());
        Self::of(config, layout, values)
    }

    /// Adds a parameter at the end of the flat vector, which the Transformer itself does not use.
    pub(crate) fn extend(&mut self, name: &str, role: Role, shape: &[usize], values: &[f32]) -> Range<usize> {
        self.values.extend_from_slice(values);
        self.layout.extend(name, role, shape)
    }

    /// The weights of the blocks as inference reads them. The first call packs them.
    pub(crate) fn packed(&self) -> &PackedWeights {
        let pack = |pair: &Pair| Ok(InferenceLinear::new(self.linear(pair), self.inference_precision));
        self.packed.get_or_init(|| {
            let Ok::<_, Infallible>(packed) = PackedWeights::new(&self.layout, pack);
            Arc::new(packed)
        })
    }

    pub(crate) fn at(&self, range: &Range<usize>) -> &[f32] {
        &self.values[range.clone()]
    }

    /// The embedding of a token, `[d_model]`, which is also its row of the tied softmax.
    pub fn embedding(&self, token: Token) -> &[f32] {
        let start = self.layout.embedding.start + token as usize * self.config.d_model;
        &self.values[start..start + self.config.d_model]
    }

    /// The logit of a token after a hidden state `[d_model]`.
    pub fn logit(&self, hidden: &[f32], token: Token) -> f32 {
        crate::kernels::dot(hidden, self.embedding(token))
    }
}
