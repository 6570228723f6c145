//! The packed weights of a model's blocks.

use crate::Model;
use crate::int8_linear::Int8Linear;
use crate::kernels::{Linear, Work};
use crate::packed_linear::PackedLinear;

/// The precision of the linear layers of inference. It changes no parameter: training and stored models remain as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InferencePrecision {
    /// Numbers of 32 bits.
    #[default]
    Single,
    /// Integers of eight bits: weights in 255 steps for each output, inputs in 256 steps for each row, exact sums. The packed weights take a quarter of
    /// the memory. It is the same on every processor, and fast with AVX-512 VNNI or AVX-VNNI.
    Int8,
}

/// A linear layer as inference reads it.
#[derive(Debug)]
pub(crate) enum InferenceLinear {
    Single(PackedLinear),
    Int8(Int8Linear),
}

impl InferenceLinear {
    pub fn new(layer: Linear<'_>, precision: InferencePrecision) -> Self {
        let int8 = (precision == InferencePrecision::Int8).then(|| Int8Linear::new(layer));
        match int8.flatten() {
            Some(int8) => Self::Int8(int8),
            None => Self::Single(PackedLinear::new(layer)),
        }
    }

    /// `y[rows, outputs] = x[rows, inputs]·weightᵀ + bias`.
    ///
    /// It is the same, bit for bit, for any number of threads and whatever the other rows are.
    ///
    /// # Panics
    /// If a matrix reaches beyond its slice.
    pub fn multiply(&self, work: Work, y: &mut [f32], x: &[f32], rows: usize) {
        match self {
            Self::Single(layer) => layer.multiply(work, y, x, rows),
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
    /// Packs the layers of a model.
    pub fn new(model: &Model, precision: InferencePrecision) -> Self {
        let blocks = model.layout().blocks.iter().map(|at| {
            let pack = |pair| InferenceLinear::new(model.linear(pair), precision);
            PackedBlock {
                query_key_value: pack(&at.query_key_value),
                attention_output: pack(&at.attention_output),
                up: pack(&at.up),
                down: pack(&at.down),
            }
        });
        Self {
            blocks: blocks.collect(),
        }
    }
}
