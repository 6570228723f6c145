//! A Burn module together with its flat vector.

use crate::layout::{Layout, LayoutError};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Gradients;
use kexue_nn::Distribution;
use kexue_optim::{NamedVectors, Parameters, Role, Slots, WeightsError};
use rand::Rng;
use std::collections::HashMap;

/// A Burn module whose parameters are one flat vector with named slots in PyTorch's convention, so that `kexue-train` can train it.
///
/// The vector is authoritative: after changing it, call [`changed`](Parameters::changed) so that the module computes with the new values. Saving
/// and loading include the module's buffers, under PyTorch's names.
///
/// Checkpoints of `kexue-train` contain the parameters only. A resumed run of a module whose forward pass changes buffers, such as the running
/// statistics of batch norm, does therefore not continue exactly. No network of Kexue has such buffers.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Tensor};
/// use kexue_burn::FlatModule;
/// use kexue_optim::Parameters;
///
/// let device = Device::flex().autodiff();
/// let mut model = FlatModule::new(LinearConfig::new(3, 2).init(&device))?;
/// assert_eq!(model.slots()[0].name, "weight");
/// assert_eq!(model.slots()[0].shape, [2, 3], "[out, in], as in PyTorch");
///
/// // A step of gradient descent on the flat vector.
/// let loss = |model: &FlatModule<_>| {
///     let module: &burn::nn::Linear = model.module();
///     module.forward(Tensor::<2>::ones([1, 3], &device)).square().sum()
/// };
/// let before = loss(&model);
/// let gradient = model.gradient(before.backward());
/// for (value, gradient) in model.values_mut().iter_mut().zip(&gradient) {
///     *value -= 0.05 * gradient;
/// }
/// model.changed();
/// assert!(loss(&model).into_scalar::<f32>() <= before.into_scalar::<f32>());
/// # Ok::<(), kexue_burn::LayoutError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FlatModule<M> {
    module: M,
    layout: Layout,
    values: Vec<f32>,
}

impl<M: Module> FlatModule<M> {
    /// A module and its flat vector.
    ///
    /// # Errors
    /// If no parameter of the module requires a gradient.
    pub fn new(module: M) -> Result<Self, LayoutError> {
        let layout = Layout::of(&module)?;
        let values = layout.read_parameters(&module);
        Ok(Self { module, layout, values })
    }

    /// The module.
    pub fn module(&self) -> &M {
        &self.module
    }

    /// The module with parameters that are nodes of their own in the graph of derivatives. A thread that differentiates while others do needs one: Burn
    /// joins graphs that share a node, and a thread may lose steps when another joins them.
    pub fn fork(&self) -> M {
        match self.module.devices().first() {
            Some(device) => self.module.clone().fork(device),
            None => self.module.clone(),
        }
    }

    /// Returns the module.
    pub fn into_module(self) -> M {
        self.module
    }

    /// The places of the tensors in the vector.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Initialises all parameters: weights of two or more dimensions from the distribution, biases to 0, the factors of norms to 1. The result depends
    /// only on the generator, unlike Burn's initialisers, which share one generator among all threads.
    pub fn draw(&mut self, weights: Distribution, generator: &mut impl Rng) {
        for slot in self.layout.parameters().iter() {
            let values = &mut self.values[slot.range.clone()];
            match (slot.role, &slot.shape[..]) {
                (Role::Gamma, _) => values.fill(1.0),
                // [out, in, kernel…], as PyTorch counts them.
                (_, [outputs, inputs, kernel @ ..]) => {
                    let places: usize = kernel.iter().product();
                    let std = weights.effective_std(inputs * places, outputs * places) as f32;
                    values.fill_with(|| weights.draw(generator) * std);
                }
                _ => values.fill(0.0),
            }
        }
        self.changed();
    }

    /// The gradient of a loss of this module, in the order of the flat vector.
    pub fn gradient(&self, gradients: Gradients) -> Vec<f32> {
        self.gradient_of(&self.module, gradients)
    }

    /// As [`gradient`](Self::gradient), of a loss of a [`fork`](Self::fork).
    pub fn gradient_of(&self, fork: &M, gradients: Gradients) -> Vec<f32> {
        let gradients = GradientsParams::from_grads(gradients, fork);
        self.layout.gradients(fork, &gradients)
    }

    /// Parameters and buffers as one vector, for a file.
    fn whole(&self) -> NamedVectors {
        let (parameters, buffers) = (self.layout.parameters(), self.layout.buffers());
        let mut slots = Slots::default();
        for slot in parameters.iter().chain(buffers.iter()) {
            slots.add(slot.name.as_str(), slot.role, slot.place, &slot.shape);
        }
        let mut values = self.values.clone();
        values.extend(self.layout.read_buffers::<M, f32>(&self.module));
        NamedVectors { slots, values }
    }
}

impl<M: Module> Parameters for FlatModule<M> {
    fn slots(&self) -> &Slots {
        self.layout.parameters()
    }

    fn values(&self) -> &[f32] {
        &self.values
    }

    fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    fn changed(&mut self) {
        self.module = self.layout.write_parameters(self.module.clone(), &self.values);
    }

    fn save(&self, metadata: HashMap<String, String>) -> Result<Vec<u8>, WeightsError> {
        self.whole().save(metadata)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), WeightsError> {
        let mut whole = self.whole();
        whole.load(bytes)?;
        let (values, buffers) = whole.values.split_at(self.values.len());
        self.values.copy_from_slice(values);
        self.module = self.layout.write_buffers(self.module.clone(), buffers);
        self.changed();
        Ok(())
    }
}
