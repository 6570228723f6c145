//! The packed weights of a model's blocks.

use crate::int8_linear::Int8Linear;
use crate::kernels::{Linear, Work};
use crate::packed_linear::PackedLinear;
use crate::{Layout, Pair};

/// The precision of the linear layers of inference. It changes no parameter: training and stored models remain as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InferencePrecision {
    /// Numbers of 32 bits.
    #[default]
    Single,
    /// Weights in numbers of 16 bits, three significant digits; inputs, products and sums in 32 bits. The packed weights take half the memory.
    Half,
    /// Integers of eight bits: weights in 255 steps for each output, inputs in 256 steps for each row, exact sums. The packed weights take a quarter of
    /// the memory. It is the same on every processor, and fast with AVX-512 VNNI or AVX-VNNI.
    Int8,
}

/// A linear layer as inference reads it. One that cannot be rounded to the precision asked for keeps 32 bits.
#[derive(Debug)]
pub(crate) enum InferenceLinear {
    Float(PackedLinear),
    Int8(Int8Linear),
}

impl InferenceLinear {
    pub fn new(layer: Linear<'_>, precision: InferencePrecision) -> Self {
        let packed = match precision {
            InferencePrecision::Single => None,
            InferencePrecision::Half => PackedLinear::half(layer).map(Self::Float),
            InferencePrecision::Int8 => Int8Linear::new(layer).map(Self::Int8),
        };
        packed.unwrap_or_else(|| Self::Float(PackedLinear::new(layer)))
    }

    /// `y[rows, outputs] = x[rows, inputs]·weightᵀ + bias`.
    ///
    /// It is the same, bit for bit, for any number of threads and whatever the other rows are.
    ///
    /// # Panics
    /// If a matrix reaches beyond its slice.
    pub fn multiply(&self, work: Work, y: &mut [f32], x: &[f32], rows: usize) {
        match self {
            Self::Float(layer) => layer.multiply(work, y, x, rows),
            Self::Int8(layer) => layer.multiply(work, y, x, rows),
        }
    }
}

/// The linear layers of every block, for the passes of inference. About as large as the model without its embeddings.
#[derive(Debug)]
pub(crate) struct PackedWeights {
    /// One for each layer.
    pub blocks: Vec<PackedBlock>,
}

/// The linear layers of a block; see [`BlockRanges`](crate::BlockRanges).
#[derive(Debug)]
pub(crate) struct PackedBlock {
    pub query_key_value: InferenceLinear,
    pub attention_output: InferenceLinear,
    pub up: InferenceLinear,
    pub down: InferenceLinear,
}

impl PackedWeights {
    /// Packs each layer of the blocks with `pack`.
    pub fn new<E>(layout: &Layout, mut pack: impl FnMut(&Pair) -> Result<InferenceLinear, E>) -> Result<Self, E> {
        let blocks = layout.blocks.iter().map(|at| {
            Ok(PackedBlock {
                query_key_value: pack(&at.query_key_value)?,
                attention_output: pack(&at.attention_output)?,
                up: pack(&at.up)?,
                down: pack(&at.down)?,
            })
        });
        Ok(Self {
            blocks: blocks.collect::<Result<_, _>>()?,
        })
    }
}
