//! The addresses of a step's activations in one block of memory, which is divided anew for each size.

use crate::machine::{Address, Number};
use crate::plan::{Key, Purpose, Words};
use crate::program::Program;
use kexue_nn::{NormPlacement, TransformerConfig};

/// The values of a norm for the backward pass.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NormAt {
    pub normal: Address,
    pub inverse: Address,
}

/// The values around a branch for the backward pass.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BranchAt {
    /// The input of its first layer.
    pub input: Address,
    pub norm: NormAt,
    pub output_norm: NormAt,
    pub ungated: Address,
}

/// The values of a block for the backward pass.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BlockAt {
    pub branches: [BranchAt; 2],
    pub query_key_value: Address,
    pub context: Address,
    pub log_sums: Address,
    pub up: Address,
    pub activated: Address,
}

/// Addresses of a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub words: Address,
    pub stream: Address,
    pub hidden: Address,
    pub branch: Address,
    pub bytes: Address,
    pub outer_norm: NormAt,
    pub blocks: Vec<BlockAt>,
    // For the backward pass.
    pub d_hidden: Address,
    pub d_stream: Address,
    pub d_input: Address,
    /// Gradients of width d_ffn or 3·d_model.
    pub wide: Address,
    pub d_context: Address,
    pub means: Address,
    pub partial: Address,
    pub embedding_partial: Address,
    // For the loss.
    pub states: Address,
    pub dense: Address,
    pub head_norm: NormAt,
    pub outputs: Address,
    pub d_outputs: Address,
    pub d_states: Address,
    pub logits: Address,
    pub d_logits: Address,
    /// Number of places whose logits are in memory at once.
    pub chunk: usize,
    pub losses: Address,
    pub right: Address,
    pub scores: Address,
    pub sums: Address,
    /// What is added to the embeddings; 0 for nothing.
    pub offset: Address,
    /// States of first tokens in single precision, and the derivative with respect to them.
    pub first: Address,
    pub d_first: Address,
    /// Total number of bytes.
    pub end: u64,
}

/// Bytes of logits that are in memory at once.
const LOGITS: usize = 1 << 30;

/// Number of blocks that sum over rows, for each 128 columns.
pub(crate) const COLUMN_PARTS: usize = 32;

/// Number of sums that a boundary computes; see `rows.cu`.
pub(crate) const SUMS: usize = 6;

/// Number of blocks of a boundary.
pub(crate) fn boundary_blocks(rows: usize, multiprocessors: usize) -> usize {
    rows.div_ceil(8).min(2 * multiprocessors)
}

impl Memory {
    /// The addresses of a step, from `base` on.
    pub fn new(
        base: Address,
        key: &Key,
        words: &Words,
        config: &TransformerConfig,
        program: &Program,
        multiprocessors: usize,
    ) -> Self {
        let mut end = base;
        let mut take = |bytes: usize| {
            let start = end;
            end += bytes.next_multiple_of(256) as u64;
            start
        };
        let (rows, d, size) = (key.rows, config.d_model, program.operand.size());
        let (operands, floats) = (rows * d * size, rows * d * 4);
        let mut memory = Self {
            words: take(4 * words.end),
            stream: take(floats),
            hidden: take(floats),
            branch: take(operands),
            ..Self::default()
        };
        if key.is_moved {
            memory.offset = take(floats);
        }
        if key.shards > 0 {
            memory.bytes = take(rows * d * (2 * config.layers + 1));
        }
        let training = key.is_training();
        let mut norm = |is_there: bool, rows: usize| match is_there && training {
            true => NormAt {
                normal: take(rows * d * size),
                inverse: take(4 * rows),
            },
            false => NormAt::default(),
        };
        let placement = config.norm_placement;
        memory.outer_norm = norm(placement != NormPlacement::None, rows);
        if training {
            memory.head_norm = norm(true, key.places);
        }
        let kept = if training { config.layers } else { 1 };
        for _ in 0..kept {
            let mut block = BlockAt::default();
            for branch in &mut block.branches {
                branch.norm = norm(placement != NormPlacement::None, rows);
                branch.output_norm = norm(placement == NormPlacement::Sandwich, rows);
            }
            memory.blocks.push(block);
        }
        for block in &mut memory.blocks {
            for branch in &mut block.branches {
                branch.input = take(operands);
                if config.gate.is_some() && training {
                    branch.ungated = take(operands);
                }
            }
            block.query_key_value = take(3 * operands);
            block.context = take(operands);
            block.log_sums = take(4 * rows * config.heads);
            block.up = take(rows * config.d_ffn * size);
            block.activated = take(rows * config.d_ffn * size);
        }
        // Without a backward pass, all layers share the memory of one. The input of one branch is written while that of the other is read.
        let first = memory.blocks[0];
        memory.blocks.resize(config.layers, first);
        if training {
            let places = key.places;
            memory.d_hidden = take(floats);
            memory.d_stream = take(floats);
            memory.d_input = take(operands);
            memory.wide = take(rows * config.d_ffn.max(3 * d) * size);
            memory.d_context = take(operands);
            memory.means = take(4 * rows * config.heads);
            memory.embedding_partial = take(4 * words.most_parts * d);
            memory.states = take(places * d * size);
            memory.dense = take(places * d * size);
            memory.outputs = take(places * d * size);
            memory.d_outputs = take(places * d * size);
            memory.d_states = take(places * d * size);
            memory.chunk = (LOGITS / 4 / program.logits).max(8).min(places);
            memory.logits = take(4 * memory.chunk * program.logits);
            memory.d_logits = match program.operand {
                Number::F32 => memory.logits,
                Number::Bf16 => take(size * memory.chunk * program.logits),
            };
            memory.losses = take(4 * places);
            memory.right = take(4 * places);
            memory.scores = take(4 * places * key.longest);
            memory.sums = take(16);
            if key.purpose == Purpose::States {
                memory.first = take(4 * places * d);
                memory.d_first = take(4 * places * d);
            }
            let boundaries = boundary_blocks(rows.max(places), multiprocessors) * SUMS * d;
            let columns = COLUMN_PARTS * config.d_ffn.max(3 * d);
            let vocabulary = COLUMN_PARTS * places.div_ceil(memory.chunk) * config.vocab_size;
            memory.partial = take(4 * boundaries.max(columns).max(vocabulary));
        }
        memory.end = end;
        memory
    }
}
