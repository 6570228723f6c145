//! The nodes of a decoder on the CPU.

use crate::attention::rotate_and_scale;
use crate::decoding::Node;
use crate::inference_device::{DeviceError, NewNodes, NodeCache};
use crate::kernels::{Rotary, SET, Shape, Work, activate, attend, matmul};
use crate::model::Model;
use crate::packed_weights::InferenceLinear;
use crate::parameters::BranchRanges;
use crate::training::{BranchTape, NormTape};
use kexue_text::Token;

/// Keys, values and last hidden states in the memory of the CPU.
#[derive(Debug)]
pub(crate) struct ProcessorCache<'m> {
    model: &'m Model,
    /// For each block, the keys and the values, `[nodes, d_model]` each.
    keys_values: Vec<(Vec<f32>, Vec<f32>)>,
    /// The last hidden state of every node, `[nodes, d_model]`.
    hidden: Vec<f32>,
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
    visible: Vec<u32>,
    visible_ends: Vec<usize>,
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

    /// Lists the nodes that each new node sees.
    fn list_visible(&mut self, new: &NewNodes) {
        self.visible.clear();
        self.visible_ends.clear();
        let mut start = 0;
        for (prompt, &end) in new.prompts.iter().zip(&new.path_ends) {
            self.visible.extend(prompt.clone());
            self.visible.extend_from_slice(&new.paths[start..end as usize]);
            self.visible_ends.push(self.visible.len());
            start = end as usize;
        }
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
}

impl<'m> ProcessorCache<'m> {
    pub fn new(model: &'m Model) -> Self {
        let mut rotary = Rotary::default();
        rotary.for_heads(model.config().head_dim());
        Self {
            model,
            keys_values: vec![Default::default(); model.config().layers],
            hidden: Vec::new(),
            rotary,
            scratch: Scratch::default(),
        }
    }

    fn hidden_of(&self, node: Node) -> &[f32] {
        let d = self.model.config().d_model;
        &self.hidden[node.index() * d..][..d]
    }
}

impl NodeCache for ProcessorCache<'_> {
    fn clear(&mut self) {
        self.hidden.clear();
        for (keys, values) in &mut self.keys_values {
            keys.clear();
            values.clear();
        }
    }

    fn compute(&mut self, new: &NewNodes) -> Result<(), DeviceError> {
        let Self {
            model,
            keys_values,
            hidden,
            rotary,
            scratch,
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
        scratch.list_visible(new);

        let placed = new.tokens.iter().zip(&new.positions);
        let placed = placed.map(|(&token, &position)| (token, position as usize, 0));
        model.embed(&mut scratch.stream, placed);
        scratch.outer_norm(model, config.norm_placement.after());
        let blocks = layout.blocks.iter().zip(&model.packed().blocks);
        for ((at, packed), (keys, values)) in blocks.zip(keys_values) {
            let multiply = |layer: &InferenceLinear, y: &mut [f32], x: &[f32]| layer.multiply(Work::Pieces, y, x, rows);
            scratch.branch_input(model, &at.attention);
            let input = &scratch.tape.input[..rows * d];
            multiply(&packed.query_key_value, &mut scratch.query_key_value, input);
            let each = scratch.query_key_value.chunks_exact_mut(3 * d);
            for ((row, &position), seen) in each.zip(&new.positions).zip(new.seen()) {
                rotate_and_scale(config, rotary, row, position as usize, seen, false);
                keys.extend_from_slice(&row[d..2 * d]);
                values.extend_from_slice(&row[2 * d..]);
            }
            let mut start = 0;
            let qkv = scratch.query_key_value.chunks_exact(3 * d);
            for ((row, &end), context) in qkv.zip(&scratch.visible_ends).zip(scratch.context.chunks_exact_mut(d)) {
                let visible = &scratch.visible[start..end];
                let (heads, scores) = (config.heads, &mut scratch.scores);
                attend(context, &row[..d], keys, values, visible, heads, scores);
                start = end;
            }
            multiply(&packed.attention_output, &mut scratch.branch, &scratch.context);
            scratch.add_branch(model, &at.attention);

            scratch.branch_input(model, &at.ffn);
            multiply(&packed.up, &mut scratch.up, &scratch.tape.input[..rows * d]);
            activate(config.activation, &mut scratch.activated, &scratch.up);
            multiply(&packed.down, &mut scratch.branch, &scratch.activated);
            scratch.add_branch(model, &at.ffn);
        }
        scratch.outer_norm(model, config.norm_placement.before());
        let factor = config.hidden_factor();
        hidden.extend(scratch.stream.iter().map(|h| h * factor));
        Ok(())
    }

    fn hidden(&self, node: Node) -> Result<Vec<f32>, DeviceError> {
        Ok(self.hidden_of(node).to_vec())
    }

    fn logits(&self, pairs: &[(Node, Token)]) -> Result<Vec<f32>, DeviceError> {
        let logit = |&(node, token)| self.model.logit(self.hidden_of(node), token);
        Ok(pairs.iter().map(logit).collect())
    }

    fn vocabulary_logits(&self, nodes: &[Node]) -> Result<Vec<f32>, DeviceError> {
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
