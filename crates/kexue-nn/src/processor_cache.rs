//! The nodes of a decoder on the CPU.
//!
//! What follows the last layer's attention is computed when the hidden state of a node is asked for. For most tokens of a prompt, and for tokens that are
//! the only ones allowed, it never is.

use crate::attention::rotate_and_scale;
use crate::decoding::Node;
use crate::inference_device::{DeviceError, NewNodes, NodeCache};
use crate::kernels::{Rotary, SET, Shape, Work, activate, attend, gather, matmul};
use crate::model::Model;
use crate::packed_weights::{InferenceLinear, PackedBlock};
use crate::parameters::{BlockRanges, BranchRanges};
use crate::training::{BranchTape, NormTape};
use kexue_text::Token;
use std::ops::Range;

/// Keys, values and last hidden states in the memory of the CPU.
#[derive(Debug)]
pub(crate) struct ProcessorCache<'m> {
    model: &'m Model,
    /// For each block, the keys and the values, `[nodes, d_model]` each.
    keys_values: Vec<(Vec<f32>, Vec<f32>)>,
    /// The last hidden state of every node, `[nodes, d_model]`. Until it is asked for, the stream before the last layer.
    hidden: Vec<f32>,
    /// The queries of the last layer, `[nodes, d_model]`.
    queries: Vec<f32>,
    is_finished: Vec<bool>,
    /// The nodes that each node sees, one list after another, and where the list of each is.
    visible: Vec<u32>,
    visible_at: Vec<Range<usize>>,
    rotary: Rotary,
    scratch: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    stream: Vec<f32>,
    /// The values that a training pass would keep around a branch; overwritten by the next branch.
    tape: BranchTape,
    outer_norm: NormTape,
    normed: Vec<f32>,
    query_key_value: Vec<f32>,
    context: Vec<f32>,
    branch: Vec<f32>,
    up: Vec<f32>,
    activated: Vec<f32>,
    scores: Vec<f32>,
}

impl Scratch {
    fn resize(&mut self, rows: usize, d: usize, ffn: usize) {
        self.stream.resize(rows * d, 0.0);
        self.normed.resize(rows * d, 0.0);
        self.query_key_value.resize(rows * 3 * d, 0.0);
        self.context.resize(rows * d, 0.0);
        self.branch.resize(rows * d, 0.0);
        self.up.resize(rows * ffn, 0.0);
        self.activated.resize(rows * ffn, 0.0);
    }

    fn outer_norm(&mut self, model: &Model, when: bool) {
        if let Some(norm) = model.layout().outer_norm.as_ref().filter(|_| when) {
            model.norm(&mut self.normed, &mut self.outer_norm, &self.stream, norm);
            self.stream.copy_from_slice(&self.normed);
        }
    }

    /// Computes the input of the branch.
    fn branch_input(&mut self, model: &Model, at: &BranchRanges) {
        model.branch_input(&self.stream, &mut self.tape, at);
    }

    /// Adds the branch to the stream.
    fn add_branch(&mut self, model: &Model, at: &BranchRanges) {
        let (stream, branch) = (&mut self.stream, &mut self.branch);
        model.add_branch(
            stream,
            branch,
            &mut self.normed,
            &mut self.tape,
            at,
            None::<&mut rand_chacha::ChaCha8Rng>,
        );
    }

    /// Computes what follows the attention of a layer.
    fn finish_layer(&mut self, model: &Model, at: &BlockRanges, packed: &PackedBlock, rows: usize) {
        let config = model.config();
        let multiply = |layer: &InferenceLinear, y: &mut [f32], x: &[f32]| layer.multiply(Work::Pieces, y, x, rows);
        multiply(&packed.attention_output, &mut self.branch, &self.context);
        self.add_branch(model, &at.attention);
        self.branch_input(model, &at.ffn);
        multiply(&packed.up, &mut self.up, &self.tape.input[..rows * config.d_model]);
        activate(config.activation, &mut self.activated, &self.up);
        multiply(&packed.down, &mut self.branch, &self.activated);
        self.add_branch(model, &at.ffn);
    }
}

impl<'m> ProcessorCache<'m> {
    pub fn new(model: &'m Model) -> Self {
        let mut rotary = Rotary::default();
        rotary.for_heads(model.config().head_dim());
        Self {
            model,
            keys_values: vec![Default::default(); model.config().layers],
            hidden: Vec::new(),
            queries: Vec::new(),
            is_finished: Vec::new(),
            visible: Vec::new(),
            visible_at: Vec::new(),
            rotary,
            scratch: Scratch::default(),
        }
    }

    fn hidden_of(&self, node: Node) -> &[f32] {
        let d = self.model.config().d_model;
        &self.hidden[node.index() * d..][..d]
    }

    /// Lists the nodes that each new node sees.
    fn list_visible(&mut self, new: &NewNodes) {
        let mut start = 0;
        for (prompt, &end) in new.prompts.iter().zip(&new.path_ends) {
            let first = self.visible.len();
            self.visible.extend(prompt.clone());
            self.visible.extend_from_slice(&new.paths[start..end as usize]);
            self.visible_at.push(first..self.visible.len());
            start = end as usize;
        }
    }

    /// Computes the last hidden states of some nodes, unless they are there.
    fn finish(&mut self, nodes: impl Iterator<Item = Node>) {
        let mut nodes: Vec<usize> = nodes.map(Node::index).filter(|&node| !self.is_finished[node]).collect();
        if nodes.is_empty() {
            return;
        }
        nodes.sort_unstable();
        nodes.dedup();
        let (config, layout) = (self.model.config(), self.model.layout());
        let (Some(at), Some(packed)) = (layout.blocks.last(), self.model.packed().blocks.last()) else {
            return;
        };
        let Some((keys, values)) = self.keys_values.last() else {
            return;
        };
        let (d, scratch) = (config.d_model, &mut self.scratch);
        scratch.resize(nodes.len(), d, config.d_ffn);
        gather(&mut scratch.stream, &self.hidden, d, nodes.iter().copied());
        for (&node, context) in nodes.iter().zip(scratch.context.chunks_exact_mut(d)) {
            let query = &self.queries[node * d..][..d];
            let visible = &self.visible[self.visible_at[node].clone()];
            attend(context, query, keys, values, visible, config.heads, &mut scratch.scores);
        }
        scratch.finish_layer(self.model, at, packed, nodes.len());
        scratch.outer_norm(self.model, config.norm_placement.before());
        let factor = config.hidden_factor();
        for (node, state) in nodes.into_iter().zip(scratch.stream.chunks_exact(d)) {
            let hidden = &mut self.hidden[node * d..][..d];
            hidden.iter_mut().zip(state).for_each(|(y, h)| *y = h * factor);
            self.is_finished[node] = true;
        }
    }
}

impl NodeCache for ProcessorCache<'_> {
    fn clear(&mut self) {
        self.hidden.clear();
        self.queries.clear();
        self.is_finished.clear();
        self.visible.clear();
        self.visible_at.clear();
        for (keys, values) in &mut self.keys_values {
            keys.clear();
            values.clear();
        }
    }

    fn compute(&mut self, new: &NewNodes) -> Result<(), DeviceError> {
        self.list_visible(new);
        let Self {
            model,
            keys_values,
            rotary,
            scratch,
            ..
        } = self;
        let (config, layout) = (model.config(), model.layout());
        let (d, rows) = (config.d_model, new.tokens.len());
        scratch.resize(rows, d, config.d_ffn);
        rotary.reserve(
            new.positions
                .iter()
                .map(|&position| position as usize + 1)
                .max()
                .unwrap_or(0),
        );

        let placed = new.tokens.iter().zip(&new.positions);
        let placed = placed.map(|(&token, &position)| (token, position as usize, 0));
        model.embed(&mut scratch.stream, placed);
        scratch.outer_norm(model, config.norm_placement.after());
        let blocks = layout.blocks.iter().zip(&model.packed().blocks);
        for (layer, ((at, packed), (keys, values))) in blocks.zip(keys_values).enumerate() {
            scratch.branch_input(model, &at.attention);
            let input = &scratch.tape.input[..rows * d];
            let query_key_value = &mut scratch.query_key_value;
            packed
                .query_key_value
                .multiply(Work::Pieces, query_key_value, input, rows);
            let each = scratch.query_key_value.chunks_exact_mut(3 * d);
            for ((row, &position), seen) in each.zip(&new.positions).zip(new.seen()) {
                rotate_and_scale(config, rotary, row, position as usize, seen, false);
                keys.extend_from_slice(&row[d..2 * d]);
                values.extend_from_slice(&row[2 * d..]);
            }
            let queries = scratch.query_key_value.chunks_exact(3 * d).map(|row| &row[..d]);
            if layer + 1 == config.layers {
                queries.for_each(|query| self.queries.extend_from_slice(query));
                break;
            }
            let visible = self.visible_at[new.first..].iter().map(|at| &self.visible[at.clone()]);
            for ((query, visible), context) in queries.zip(visible).zip(scratch.context.chunks_exact_mut(d)) {
                attend(context, query, keys, values, visible, config.heads, &mut scratch.scores);
            }
            scratch.finish_layer(model, at, packed, rows);
        }
        self.hidden.extend_from_slice(&scratch.stream);
        self.is_finished.resize(new.first + rows, false);
        Ok(())
    }

    fn hidden(&mut self, node: Node) -> Result<Vec<f32>, DeviceError> {
        self.finish(std::iter::once(node));
        Ok(self.hidden_of(node).to_vec())
    }

    fn logits(&mut self, pairs: &[(Node, Token)]) -> Result<Vec<f32>, DeviceError> {
        self.finish(pairs.iter().map(|&(node, _)| node));
        let logit = |&(node, token)| self.model.logit(self.hidden_of(node), token);
        Ok(pairs.iter().map(logit).collect())
    }

    fn vocabulary_logits(&mut self, nodes: &[Node]) -> Result<Vec<f32>, DeviceError> {
        self.finish(nodes.iter().copied());
        let (d, vocabulary) = (self.model.config().d_model, self.model.config().vocab_size);
        let states: Vec<f32> = nodes.iter().flat_map(|&node| self.hidden_of(node)).copied().collect();
        let mut logits = vec![0.0; nodes.len() * vocabulary];
        let embedding = self.model.at(&self.model.layout().embedding);
        let (rows, columns) = (Shape::dense(nodes.len(), d), Shape::dense(vocabulary, d).t());
        matmul(
            &mut logits,
            Shape::dense(nodes.len(), vocabulary),
            &states,
            rows,
            embedding,
            columns,
            SET,
        );
        Ok(logits)
    }
}
