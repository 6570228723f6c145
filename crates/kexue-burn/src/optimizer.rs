//! A chain of gradient transformations as a Burn optimiser.

use crate::layout::{Layout, LayoutError};
use burn::module::Module;
use burn::optim::GradientsParams;
use kexue_optim::{Chain, NamedVectors, Parameters, Place, Role, Transformation, WeightsError};
use std::collections::HashMap;

/// Updates a Burn module with a [`Chain`]. Replaces Burn's [`ModuleOptimizer`](burn::optim::ModuleOptimizer) in a training loop by changing one
/// line.
///
/// The chain sees all parameters as one flat vector, so a global norm is that of the whole gradient, whereas Burn clips each tensor separately. The
/// learning rate that the loop passes to `step` multiplies the output of the chain; pass 1 if the chain has its own learning rate. A missing
/// gradient counts as 0.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::optim::GradientsParams;
/// use burn::tensor::{Device, Distribution, Tensor};
/// use kexue_burn::ChainOptimizer;
/// use kexue_optim::{Adam, AdamConfig, Chain, ClipGlobalNorm};
///
/// let device = Device::flex().autodiff();
/// let mut model = LinearConfig::new(4, 1).init(&device);
/// // Was: let mut optimizer = AdamConfig::new().init();
/// let mut optimizer = ChainOptimizer::new(
///     Chain::new().then(ClipGlobalNorm { max_norm: 1.0 }).then(Adam::new(AdamConfig::default(), 5)),
///     &model,
/// )?;
///
/// let x = Tensor::<2>::random([32, 4], Distribution::Default, &device);
/// let y = x.clone().sum_dim(1);
/// let mut losses = Vec::new();
/// for _ in 0..200 {
///     let loss = (model.forward(x.clone()) - y.clone()).square().mean();
///     losses.push(loss.clone().into_scalar::<f32>());
///     let gradients = GradientsParams::from_grads(loss.backward(), &model);
///     model = optimizer.step(0.02, model, gradients);
/// }
/// assert!(losses[199] < losses[0] / 100.0);
/// # Ok::<(), kexue_burn::LayoutError>(())
/// ```
pub struct ChainOptimizer {
    chain: Chain,
    layout: Layout,
    step: u64,
}

impl ChainOptimizer {
    /// Creates an optimiser for this module and its updated versions.
    ///
    /// # Errors
    /// If no parameter of the module requires a gradient.
    pub fn new<M: Module>(chain: Chain, module: &M) -> Result<Self, LayoutError> {
        let layout = Layout::of(module)?;
        Ok(Self { chain, layout, step: 0 })
    }

    /// One step, in the form of Burn's own optimisers.
    ///
    /// # Panics
    /// If the module has other parameters than the one for which the optimiser was made.
    pub fn step<M: Module>(&mut self, learning_rate: f64, module: M, gradients: GradientsParams) -> M {
        let mut update: Vec<f32> = self.layout.gradients(&module, &gradients);
        let mut values: Vec<f32> = self.layout.read_parameters(&module);
        self.chain.apply(&mut update, &values, self.step);
        self.step += 1;
        for (value, update) in values.iter_mut().zip(&update) {
            *value -= learning_rate as f32 * update;
        }
        self.layout.write_parameters(module, &values)
    }

    /// Number of steps taken.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// The optimiser's state, as a safetensors file.
    ///
    /// # Errors
    /// If it cannot be written as a file.
    pub fn save(&mut self) -> Result<Vec<u8>, WeightsError> {
        self.state().save(HashMap::new())
    }

    /// Loads a state that [`save`](Self::save) wrote, of a chain with the same transformations. Unchanged if it fails.
    ///
    /// # Errors
    /// If the file is damaged, or of a different chain.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), WeightsError> {
        let mut state = self.state();
        state.load(bytes)?;
        let (steps, mut rest) = state.values.split_at(2);
        let half = |at: usize| u64::from(steps[at].to_bits());
        self.step = half(0) << 32 | half(1);
        for (_, vector) in self.chain.state() {
            let (values, after) = rest.split_at(vector.len());
            vector.copy_from_slice(values);
            rest = after;
        }
        Ok(())
    }

    /// The steps taken, as two halves of bits, and the chain's vectors.
    fn state(&mut self) -> NamedVectors {
        let mut state = NamedVectors::default();
        state.slots.add("steps", Role::Weight, Place::Unspecified, &[2]);
        let halves = [(self.step >> 32) as u32, self.step as u32];
        state.values.extend(halves.map(f32::from_bits));
        for (name, vector) in self.chain.state() {
            state.slots.add(name, Role::Weight, Place::Unspecified, &[vector.len()]);
            state.values.extend_from_slice(vector);
        }
        state
    }
}
