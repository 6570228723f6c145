//! The packed weights of a model's blocks.

use crate::Model;
use crate::packed_linear::PackedLinear;

/// The linear layers of every block, for the passes of inference. About as large as the model without its embeddings.
#[derive(Debug)]
pub(crate) struct PackedWeights {
    /// One for each layer.
    pub blocks: Vec<PackedBlock>,
}

/// The linear layers of a block; see [`BlockRanges`](crate::BlockRanges).
#[derive(Debug)]
pub(crate) struct PackedBlock {
    pub query_key_value: PackedLinear,
    pub attention_output: PackedLinear,
    pub up: PackedLinear,
    pub down: PackedLinear,
}

impl PackedWeights {
    /// Packs the layers of a model.
    pub fn new(model: &Model) -> Self {
        let blocks = model.layout().blocks.iter().map(|at| {
            let pack = |pair| PackedLinear::new(model.linear(pair));
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
