//! Strided convolutions (DCGAN, arXiv 1511.06434): each halves the image and has twice as many channels as the previous one.

use super::norm::{ChannelNorm, NormKind, normalised};
use super::settings::ModelSettings;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::Device;
use kexue_grad::{Activation, Dual, ForwardDual, PiecewiseLinear};
use kexue_images::Shape;

/// The sides of the image after the last convolution, and the number of convolutions.
fn stages(shape: Shape) -> ([usize; 2], usize) {
    let (mut size, mut stages) = ([shape.height, shape.width], 0);
    while size.iter().all(|side| side.is_multiple_of(2) && *side >= 8) {
        size = size.map(|side| side / 2);
        stages += 1;
    }
    (size, stages)
}

pub(super) fn check(shape: Shape) -> Result<(), (&'static str, String)> {
    let (size, stages) = stages(shape);
    match stages >= 2 && size.iter().all(|side| *side <= 16) {
        true => Ok(()),
        false => Err((
            "architecture",
            format!(
                "the CNN halves an image until its sides are odd or below 8, at least twice and to at most 16 pixels; images of {}×{} do not fit: \
                 use sides such as 28, 32, 48 or 64, or an MLP",
                shape.height, shape.width
            ),
        )),
    }
}

/// Convolutions of 4×4 pixels with stride 2, then one linear layer.
#[derive(Module, Debug)]
pub struct CnnCritic {
    convolutions: Vec<Conv2d>,
    norms: Vec<Option<ChannelNorm>>,
    score: Linear,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    input: [usize; 3],
}

impl CnnCritic {
    /// A critic of images.
    pub fn new(settings: &ModelSettings, shape: Shape, device: &Device) -> Self {
        let (size, stages) = stages(shape);
        let channels: Vec<usize> = std::iter::once(shape.channels)
            .chain((0..stages).map(|stage| settings.width << stage))
            .collect();
        let convolution = |pair: &[usize]| {
            Conv2dConfig::new([pair[0], pair[1]], [4, 4])
                .with_stride([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device)
        };
        // The first layer has no norm, as in DCGAN.
        let norm = |(stage, channels): (usize, &usize)| {
            let kind = if stage == 0 {
                NormKind::None
            } else {
                settings.critic_norm
            };
            ChannelNorm::new(kind, *channels, device)
        };
        Self {
            convolutions: channels.windows(2).map(convolution).collect(),
            norms: channels[1..].iter().enumerate().map(norm).collect(),
            score: LinearConfig::new(channels[stages] * size[0] * size[1], 1).init(device),
            activation: settings.critic_activation,
            input: [shape.channels, shape.height, shape.width],
        }
    }

    /// The critic as a chain that is linear between kinks, if it is one.
    pub(super) fn piecewise_linear(&self) -> Option<PiecewiseLinear> {
        if self.norms.iter().any(Option::is_some) {
            return None;
        }
        let chain = PiecewiseLinear::new(self.input, self.activation)?;
        let mut convolutions = self.convolutions.iter();
        let chain = convolutions.try_fold(chain, PiecewiseLinear::convolution)?;
        chain.dense(&self.score)
    }
}

impl ForwardDual<2, 2> for CnnCritic {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<2>) -> Dual<2> {
        let [channels, height, width] = self.input;
        let batch = input.dims()[0];
        let mut x = input.reshape([batch, channels, height, width]);
        for (stage, convolution) in self.convolutions.iter().enumerate() {
            x = convolution.forward_dual(tangent.map(|tangent| &tangent.convolutions[stage]), x);
            x = normalised(&self.norms[stage], tangent.map(|tangent| &tangent.norms[stage]), x);
            x = x.activate(self.activation);
        }
        self.score
            .forward_dual(tangent.map(|tangent| &tangent.score), x.flatten(1, 3))
    }
}

/// One linear layer, then transposed convolutions of 4×4 pixels with stride 2, and tanh at the end.
#[derive(Module, Debug)]
pub struct CnnGenerator {
    start: Linear,
    convolutions: Vec<ConvTranspose2d>,
    norms: Vec<Option<ChannelNorm>>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    first: [usize; 3],
}

impl CnnGenerator {
    /// A generator of images.
    pub fn new(settings: &ModelSettings, shape: Shape, device: &Device) -> Self {
        let (size, stages) = stages(shape);
        let channels: Vec<usize> = (0..stages)
            .rev()
            .map(|stage| settings.width << stage)
            .chain(std::iter::once(shape.channels))
            .collect();
        let convolution = |pair: &[usize]| {
            ConvTranspose2dConfig::new([pair[0], pair[1]], [4, 4])
                .with_stride([2, 2])
                .with_padding([1, 1])
                .init(device)
        };
        let norm = |channels: &usize| ChannelNorm::new(settings.generator_norm, *channels, device);
        Self {
            start: LinearConfig::new(settings.latent, channels[0] * size[0] * size[1]).init(device),
            convolutions: channels.windows(2).map(convolution).collect(),
            norms: channels[..stages].iter().map(norm).collect(),
            activation: settings.generator_activation,
            first: [channels[0], size[0], size[1]],
        }
    }
}

impl ForwardDual<2, 2> for CnnGenerator {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<2>) -> Dual<2> {
        let [channels, height, width] = self.first;
        let batch = input.dims()[0];
        let x = self.start.forward_dual(tangent.map(|tangent| &tangent.start), input);
        let mut x = x.reshape([batch, channels, height, width]);
        for (stage, convolution) in self.convolutions.iter().enumerate() {
            x = normalised(&self.norms[stage], tangent.map(|tangent| &tangent.norms[stage]), x);
            x = x.activate(self.activation);
            x = convolution.forward_dual(tangent.map(|tangent| &tangent.convolutions[stage]), x);
        }
        x.tanh().flatten(1, 3)
    }
}
