//! Inference on another device than the CPU.

use crate::decoding::Node;
use crate::{Mask, PackedBatch};
use kexue_text::Token;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

/// Why a device could not compute.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DeviceError(Box<dyn std::error::Error + Send + Sync>);

impl DeviceError {
    /// Wraps the device's own error.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

/// A copy of a model on another device than the CPU, for inference. [`Model::set_device`](crate::Model::set_device) makes
/// [`Encoder`](crate::Encoder) and [`Decoder`](crate::Decoder) use it.
pub trait InferenceDevice: Debug + Send + Sync {
    /// The last hidden states of a batch, `[tokens, d_model]`; unspecified for rows that are no [outputs](PackedBatch::set_outputs).
    ///
    /// # Errors
    /// If the batch does not fit the model, or the device fails.
    fn hidden(&self, batch: &PackedBatch) -> Result<Vec<f32>, DeviceError>;

    /// An empty cache for a decoder.
    fn cache(self: Arc<Self>) -> Box<dyn NodeCache>;
}

/// The keys, values and last hidden states of a [`Decoder`](crate::Decoder)'s nodes, numbered from 0 in the order in which they were computed.
pub trait NodeCache: Debug + Send {
    /// Removes all nodes.
    fn clear(&mut self);

    /// Computes nodes and keeps them.
    ///
    /// # Errors
    /// If a node does not fit the model, or the device fails.
    fn compute(&mut self, new: &NewNodes) -> Result<(), DeviceError>;

    /// The last hidden state of a node, `[d_model]`.
    ///
    /// # Errors
    /// If the device fails.
    fn hidden(&mut self, node: Node) -> Result<Vec<f32>, DeviceError>;

    /// The logit of each token as the next after its node.
    ///
    /// # Errors
    /// If the device fails.
    fn logits(&mut self, pairs: &[(Node, Token)]) -> Result<Vec<f32>, DeviceError>;

    /// The logits of the whole vocabulary after each node, `[nodes, vocab_size]`.
    ///
    /// # Errors
    /// If the device fails.
    fn vocabulary_logits(&mut self, nodes: &[Node]) -> Result<Vec<f32>, DeviceError>;
}

/// Nodes that a decoder is to compute: tokens of prompts, which see all of their prompt, and of continuations, which see the prompt and the path from
/// it to themselves.
#[derive(Clone, Debug, Default)]
pub struct NewNodes {
    pub(crate) first: usize,
    pub(crate) tokens: Vec<Token>,
    pub(crate) positions: Vec<u32>,
    pub(crate) prompts: Vec<Range<u32>>,
    pub(crate) paths: Vec<u32>,
    pub(crate) path_ends: Vec<u32>,
}

impl NewNodes {
    /// Starts over, after `first` nodes.
    pub(crate) fn start(&mut self, first: usize) {
        self.first = first;
        self.tokens.clear();
        self.positions.clear();
        self.prompts.clear();
        self.paths.clear();
        self.path_ends.clear();
    }

    /// Adds a node. Its path has been added to `paths` already.
    pub(crate) fn push(&mut self, token: Token, position: u32, prompt: Range<u32>) {
        self.tokens.push(token);
        self.positions.push(position);
        self.prompts.push(prompt);
        self.path_ends.push(self.paths.len() as u32);
    }

    /// The number of nodes in the cache before these.
    pub fn first(&self) -> usize {
        self.first
    }

    /// Their tokens.
    pub fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Their positions in their sequences, from 0.
    pub fn positions(&self) -> &[u32] {
        &self.positions
    }

    /// The nodes of their prompts.
    pub fn prompts(&self) -> &[Range<u32>] {
        &self.prompts
    }

    /// The nodes of the continuation that each node sees, itself among them, and none for a token of a prompt; for each node in turn.
    pub fn paths(&self) -> &[u32] {
        &self.paths
    }

    /// Where in [`paths`](Self::paths) those of each node end.
    pub fn path_ends(&self) -> &[u32] {
        &self.path_ends
    }

    /// The number of nodes that each node sees.
    pub fn seen(&self) -> impl Iterator<Item = usize> {
        let each = self.prompts.iter().zip(&self.positions);
        each.map(|(prompt, &position)| Mask::unilm(prompt.len()).visible(position as usize, usize::MAX).len())
    }
}
