//! The source of the kernels for one model, whose sizes and options are constants.

use crate::machine::Number;
use crate::{CudaError, Precision};
use kexue_nn::{Activation, Layout, NormKind, NormPlacement, Positions, TransformerConfig};

const SOURCES: [&str; 6] = [
    include_str!("kernels/common.cu"),
    include_str!("kernels/rows.cu"),
    include_str!("kernels/dropout.cu"),
    include_str!("kernels/loss.cu"),
    include_str!("kernels/nodes.cu"),
    include_str!("kernels/optimizer.cu"),
];
const ATTENTION: &str = include_str!("kernels/attention.cu");
const TENSOR_ATTENTION: &str = include_str!("kernels/attention_tensor.cu");

/// Launch parameters of the attention kernels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionLaunch {
    pub threads: usize,
    /// Bytes of shared memory of the forward pass, and of each half of the backward pass.
    pub forward: usize,
    pub backward: usize,
}

/// Rows per tile of the attention.
pub(crate) const TILE: usize = 64;

/// Rows for which a block of `attention_nodes` computes a head.
pub(crate) const NODE_ROWS: usize = 4;

/// Maximum width of a residual stream whose rows fit the registers of a warp.
const WIDEST: usize = 4096;

/// Maximum width of a head whose tiles fit the shared memory.
const WIDEST_HEAD: usize = 192;

/// The kernels of a model.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub source: String,
    pub operand: Number,
    /// Distance between rows of logits, in numbers.
    pub logits: usize,
    pub attention: AttentionLaunch,
}

impl Program {
    /// Generates the source for a model.
    ///
    /// # Errors
    /// If the kernels do not support an option. The error names it.
    pub fn new(config: &TransformerConfig, layout: &Layout, precision: Precision) -> Result<Self, CudaError> {
        let refuse = |field, problem: String| Err(CudaError::unsupported(field, problem));
        if !config.d_model.is_multiple_of(4) || config.d_model > WIDEST {
            return refuse(
                "d_model",
                format!(
                    "{} is not a multiple of 4 and at most {WIDEST}, which a GPU requires",
                    config.d_model
                ),
            );
        }
        if !config.d_ffn.is_multiple_of(4) {
            return refuse(
                "d_ffn",
                format!("{} is not a multiple of 4, which a GPU requires", config.d_ffn),
            );
        }
        if config.head_dim() > WIDEST_HEAD {
            return refuse(
                "heads",
                format!(
                    "heads of width {} are wider than {WIDEST_HEAD}, the maximum on a GPU",
                    config.head_dim()
                ),
            );
        }
        // Indices of the flat vector have 32 bits.
        if layout.len() >= 1 << 32 {
            return refuse(
                "vocab_size",
                format!("{} parameters are too many for a GPU", layout.len()),
            );
        }
        let operand = precision.operand();
        let logits = config.vocab_size.next_multiple_of(8);
        let placement = config.norm_placement;
        let is_aligned = layout.slots().iter().all(|slot| slot.range.start.is_multiple_of(4));
        let activation = match config.activation {
            Activation::Gelu => 0,
            Activation::GeluTanh => 1,
            Activation::Relu => 2,
        };
        let flag = usize::from;
        let head_dim = config.head_dim();
        // Products of 16 × 16 × 8 (bf16) or 16 × 8 × 8 (tf32), for heads whose rows start at multiples of 16 bytes.
        let fits = head_dim.is_multiple_of(16) && head_dim <= 128;
        let tensor_cores = match precision {
            Precision::Bf16 if fits => 1,
            Precision::Tf32 if fits => 2,
            _ => 0,
        };
        let attention = if tensor_cores > 0 {
            // Rows are padded by 16 bytes, so that they start in different banks.
            let bytes = 2 * TILE * (head_dim * operand.size() + 16);
            AttentionLaunch {
                threads: 128,
                forward: bytes,
                backward: bytes,
            }
        } else {
            let width = head_dim.next_multiple_of(4) + 4;
            let bytes = |tiles: usize| 4 * TILE * (tiles * width + TILE + 4);
            AttentionLaunch {
                threads: 256,
                forward: bytes(3),
                backward: bytes(4),
            }
        };
        let defines = [
            ("D_MODEL", config.d_model),
            ("HEADS", config.heads),
            ("HEAD_DIM", config.head_dim()),
            ("D_FFN", config.d_ffn),
            ("VOCAB", config.vocab_size),
            ("LOGITS", logits),
            ("CENTRED", flag(config.norm == NormKind::LayerNorm)),
            ("PRE", flag(placement.before())),
            ("POST", flag(placement.after())),
            ("SANDWICH", flag(placement == NormPlacement::Sandwich)),
            ("GATED", flag(config.gate.is_some())),
            ("ROTARY", flag(config.positions == Positions::Rotary)),
            ("ACTIVATION", activation),
            ("ALIGNED", flag(is_aligned)),
            ("TILE", TILE),
            ("NODES", NODE_ROWS),
            ("TENSOR_CORES", tensor_cores),
        ];
        let mut source = String::new();
        for (name, value) in defines {
            source += &format!("#define {name} {value}\n");
        }
        source += &format!("#define EPSILON {:e}f\n", config.norm_epsilon);
        source += match operand {
            Number::F32 => "#define OPERAND float\n",
            Number::Bf16 => "#define OPERAND bf16\n",
        };
        for part in SOURCES {
            source += part;
        }
        source += if tensor_cores > 0 { TENSOR_ATTENTION } else { ATTENTION };
        Ok(Self {
            source,
            operand,
            logits,
            attention,
        })
    }
}
