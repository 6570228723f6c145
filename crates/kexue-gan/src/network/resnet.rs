//! Residual blocks (SNGAN, arXiv 1802.05957, table 4), for images of 32×32 pixels and others whose sides can be halved.

use super::norm::{ChannelNorm, normalised};
use super::settings::ModelSettings;
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::Device;
use burn::tensor::ops::AvgPoolOptions;
use kexue_grad::{Activation, Dual, ForwardDual};
use kexue_images::Shape;

pub(super) fn check(shape: Shape) -> Result<(), (&'static str, String)> {
    match [shape.height, shape.width]
        .iter()
        .all(|side| side.is_multiple_of(8) && *side <= 64)
    {
        true => Ok(()),
        false => Err((
            "architecture",
            format!(
                "the ResNet needs images whose sides are multiples of 8 and at most 64; images of {}×{} do not fit: pad them, or use the CNN",
                shape.height, shape.width
            ),
        )),
    }
}

fn convolution(from: usize, to: usize, size: usize, device: &Device) -> Conv2d {
    let pad = size / 2;
    Conv2dConfig::new([from, to], [size, size])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .init(device)
}

fn halve(x: Dual<4>) -> Dual<4> {
    x.avg_pool2d(AvgPoolOptions::new([2, 2]).with_stride([2, 2]))
}

/// Two convolutions with a shortcut, with or without halving the image.
#[derive(Module, Debug)]
struct Down {
    first: Conv2d,
    second: Conv2d,
    shortcut: Option<Conv2d>,
    first_norm: Option<ChannelNorm>,
    second_norm: Option<ChannelNorm>,
    #[module(skip)]
    halves: bool,
    /// Whether the block starts with an activation, as all but the first block of a network do.
    #[module(skip)]
    activates: bool,
}

impl Down {
    fn forward(&self, tangent: Option<&Self>, input: Dual<4>, activation: Activation) -> Dual<4> {
        let mut x = input.clone();
        if self.activates {
            x = normalised(&self.first_norm, tangent.map(|t| &t.first_norm), x).activate(activation);
        }
        x = self.first.forward_dual(tangent.map(|t| &t.first), x);
        x = normalised(&self.second_norm, tangent.map(|t| &t.second_norm), x).activate(activation);
        x = self.second.forward_dual(tangent.map(|t| &t.second), x);
        let mut beside = input;
        if self.halves {
            (x, beside) = (halve(x), halve(beside));
        }
        if let Some(shortcut) = &self.shortcut {
            beside = shortcut.forward_dual(tangent.and_then(|t| t.shortcut.as_ref()), beside);
        }
        x + beside
    }
}

/// Four blocks, of which the first two halve the image, then the sum over all pixels and one linear layer.
#[derive(Module, Debug)]
pub struct ResNetCritic {
    blocks: Vec<Down>,
    score: Linear,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    input: [usize; 3],
}

impl ResNetCritic {
    /// A critic of images.
    pub fn new(settings: &ModelSettings, shape: Shape, device: &Device) -> Self {
        let width = settings.width;
        let norm = |channels| ChannelNorm::new(settings.critic_norm, channels, device);
        let block = |number: usize| {
            let from = if number == 0 { shape.channels } else { width };
            Down {
                first: convolution(from, width, 3, device),
                second: convolution(width, width, 3, device),
                shortcut: (number < 2).then(|| convolution(from, width, 1, device)),
                first_norm: if number == 0 { None } else { norm(from) },
                second_norm: norm(width),
                halves: number < 2,
                activates: number > 0,
            }
        };
        Self {
            blocks: (0..4).map(block).collect(),
            score: LinearConfig::new(width, 1).init(device),
            activation: settings.critic_activation,
            input: [shape.channels, shape.height, shape.width],
        }
    }
}

impl ForwardDual<2, 2> for ResNetCritic {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<2>) -> Dual<2> {
        let [channels, height, width] = self.input;
        let batch = input.dims()[0];
        let mut x = input.reshape([batch, channels, height, width]);
        for (number, block) in self.blocks.iter().enumerate() {
            x = block.forward(tangent.map(|t| &t.blocks[number]), x, self.activation);
        }
        let x = x.activate(self.activation);
        let channels = x.dims()[1];
        let x = x.sum_dim(3).sum_dim(2).reshape([batch, channels]);
        self.score.forward_dual(tangent.map(|t| &t.score), x)
    }
}

/// Norm, activation and convolution, twice, with doubling and a shortcut.
#[derive(Module, Debug)]
struct Up {
    first: Conv2d,
    second: Conv2d,
    shortcut: Conv2d,
    first_norm: Option<ChannelNorm>,
    second_norm: Option<ChannelNorm>,
}

impl Up {
    fn forward(&self, tangent: Option<&Self>, input: Dual<4>, activation: Activation) -> Dual<4> {
        let mut x = normalised(&self.first_norm, tangent.map(|t| &t.first_norm), input.clone()).activate(activation);
        x = self.first.forward_dual(tangent.map(|t| &t.first), x.upsample(2));
        x = normalised(&self.second_norm, tangent.map(|t| &t.second_norm), x).activate(activation);
        x = self.second.forward_dual(tangent.map(|t| &t.second), x);
        x + self
            .shortcut
            .forward_dual(tangent.map(|t| &t.shortcut), input.upsample(2))
    }
}

/// One linear layer, three blocks that double the image, and a convolution with tanh. It has twice as many channels as the critic.
#[derive(Module, Debug)]
pub struct ResNetGenerator {
    start: Linear,
    blocks: Vec<Up>,
    norm: Option<ChannelNorm>,
    end: Conv2d,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    first: [usize; 3],
}

impl ResNetGenerator {
    /// A generator of images.
    pub fn new(settings: &ModelSettings, shape: Shape, device: &Device) -> Self {
        let width = 2 * settings.width;
        let norm = || ChannelNorm::new(settings.generator_norm, width, device);
        let block = |_| Up {
            first: convolution(width, width, 3, device),
            second: convolution(width, width, 3, device),
            shortcut: convolution(width, width, 1, device),
            first_norm: norm(),
            second_norm: norm(),
        };
        let first = [width, shape.height / 8, shape.width / 8];
        Self {
            start: LinearConfig::new(settings.latent, first.iter().product()).init(device),
            blocks: (0..3).map(block).collect(),
            norm: norm(),
            end: convolution(width, shape.channels, 3, device),
            activation: settings.generator_activation,
            first,
        }
    }
}

impl ForwardDual<2, 2> for ResNetGenerator {
    fn forward_dual(&self, tangent: Option<&Self>, input: Dual<2>) -> Dual<2> {
        let [channels, height, width] = self.first;
        let batch = input.dims()[0];
        let x = self.start.forward_dual(tangent.map(|t| &t.start), input);
        let mut x = x.reshape([batch, channels, height, width]);
        for (number, block) in self.blocks.iter().enumerate() {
            x = block.forward(tangent.map(|t| &t.blocks[number]), x, self.activation);
        }
        x = normalised(&self.norm, tangent.map(|t| &t.norm), x).activate(self.activation);
        x = self.end.forward_dual(tangent.map(|t| &t.end), x);
        x.tanh().flatten(1, 3)
    }
}
