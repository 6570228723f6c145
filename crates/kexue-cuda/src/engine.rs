//! Forward and backward passes of a model on a device.

use crate::machine::{Address, Arg, Launch, Machine, Matrix, Number, Product, Recording, bytes_of, bytes_of_mut};
use crate::memory::{BlockAt, BranchAt, COLUMN_PARTS, Memory, SUMS, boundary_blocks};
use crate::plan::{Key, Plan, Purpose};
use crate::program::{NODE_ROWS, Program};
use crate::{CudaError, Precision, Shard};
use kexue_nn::{BranchRanges, Dropout, Layout, Model, PackedBatch, Pair, Rotary, TransformerConfig};
use std::collections::HashMap;
use std::ops::Range;

/// Threads per block of most kernels.
const THREADS: usize = 256;

/// Maximum number of stored recordings.
const MOST_RECORDINGS: usize = 256;

/// Number of steps of a size before a step is recorded, because libraries initialise themselves in the first.
const BEFORE_RECORDING: u32 = 1;

/// The part of a step that is computed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Whole,
    /// The forward pass of a step whose loss is computed elsewhere.
    Forward,
    /// Its backward pass.
    Backward,
}

/// Growing memory on the device.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Buffer {
    pub at: Address,
    bytes: usize,
}

impl Buffer {
    /// Whether it is smaller than this.
    pub fn is_below(&self, bytes: usize) -> bool {
        self.bytes < bytes
    }

    /// Replaces it by a larger one, with some to spare and nothing of its content.
    pub fn grow(&mut self, machine: &mut dyn Machine, bytes: usize) -> Result<(), CudaError> {
        let bytes = bytes + bytes / 8;
        machine.release(self.at);
        *self = Self::default();
        self.at = machine.allocate(bytes)?;
        self.bytes = bytes;
        Ok(())
    }
}

/// A model on a device: its parameters, their gradient, and the passes that compute the gradient.
pub struct Engine {
    pub(crate) machine: Box<dyn Machine>,
    pub(crate) program: Program,
    pub(crate) config: TransformerConfig,
    pub(crate) layout: Layout,
    /// The parameters, in single precision.
    pub(crate) parameters: Address,
    /// The parameters as operands of matrix products; the same memory in single precision.
    pub(crate) operands: Address,
    pub(crate) gradient: Address,
    arena: Buffer,
    rotary: Buffer,
    positions: usize,
    recordings: HashMap<(Key, Part), (u32, Option<Recording>)>,
    /// The step whose backward pass is to follow.
    pub(crate) open: Option<(Plan, Memory)>,
    /// A gradient that is kept aside; 0 if none ever was.
    pub(crate) kept: Address,
    /// Whether steps are recorded and replayed.
    is_recording: bool,
    /// Inputs and results of `inference.rs`.
    pub(crate) logits: Buffer,
    /// Memory to release at the end.
    allocated: Vec<Address>,
}

impl Engine {
    /// An engine for training, or for forward passes only: that has no memory for a gradient.
    pub(crate) fn on(
        machine: Box<dyn Machine>,
        program: Program,
        model: &Model,
        precision: Precision,
        is_for_training: bool,
    ) -> Result<Self, CudaError> {
        if model.is_for_inference() {
            let problem = "was loaded for inference, without its linear layers; load it with all its parameters";
            return Err(CudaError::unsupported("model", problem));
        }
        let is_recording = machine.records();
        let mut engine = Self {
            machine,
            program,
            config: model.config().clone(),
            layout: model.layout().clone(),
            parameters: 0,
            operands: 0,
            gradient: 0,
            arena: Buffer::default(),
            rotary: Buffer::default(),
            positions: 0,
            recordings: HashMap::new(),
            open: None,
            kept: 0,
            is_recording,
            logits: Buffer::default(),
            allocated: Vec::new(),
        };
        let count = engine.layout.len();
        engine.parameters = engine.allocate(4 * count)?;
        engine.operands = match precision.operand() {
            Number::F32 => engine.parameters,
            Number::Bf16 => engine.allocate(2 * count)?,
        };
        if is_for_training {
            engine.gradient = engine.allocate(4 * count)?;
        }
        engine.set_parameters(model.values())?;
        Ok(engine)
    }

    /// The driver's name of the device, such as `NVIDIA H100`.
    pub fn device_name(&self) -> String {
        self.machine.name()
    }

    /// Copies the parameters to the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn set_parameters(&mut self, values: &[f32]) -> Result<(), CudaError> {
        assert_eq!(
            values.len(),
            self.layout.len(),
            "the number of parameters does not match the model"
        );
        self.machine.upload(self.parameters, bytes_of(values))?;
        if self.operands != self.parameters {
            let args = [
                Arg::Long(values.len() as u64),
                self.parameters.into(),
                self.operands.into(),
            ];
            let blocks = values.len().div_ceil(THREADS).min(4096);
            self.launch("to_operands", (blocks, 1), THREADS, 0, &args)?;
        }
        Ok(())
    }

    /// Copies the parameters from the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn parameters_into(&mut self, values: &mut [f32]) -> Result<(), CudaError> {
        assert_eq!(
            values.len(),
            self.layout.len(),
            "the number of parameters does not match the model"
        );
        self.machine.download(self.parameters, bytes_of_mut(values))
    }

    /// Copies the gradient of the last step from the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn gradient(&mut self) -> Result<Vec<f32>, CudaError> {
        let mut gradient = vec![0.0; self.layout.len()];
        self.machine.download(self.gradient, bytes_of_mut(&mut gradient))?;
        Ok(gradient)
    }

    /// Allocates memory that lasts as long as the engine.
    pub(crate) fn allocate(&mut self, bytes: usize) -> Result<Address, CudaError> {
        let at = self.machine.allocate(bytes)?;
        self.allocated.push(at);
        Ok(at)
    }

    /// The parameters as operands of matrix products; 0 if these are the parameters themselves.
    pub(crate) fn operands(&self) -> Address {
        match self.operands == self.parameters {
            true => 0,
            false => self.operands,
        }
    }

    /// Waits for the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn synchronize(&mut self) -> Result<(), CudaError> {
        self.machine.synchronize()
    }

    /// Sets whether steps of a recurring size are recorded once and then replayed. The default is true if the device supports it.
    pub fn set_recording(&mut self, is_recording: bool) {
        self.is_recording = is_recording && self.machine.records();
    }

    /// Starts or stops timing each kernel and matrix product. Returns the milliseconds of each since the start, in launch order. Steps that are replayed
    /// from a recording are not timed.
    pub fn time_kernels(&mut self, on: bool) -> Vec<(String, f32)> {
        self.machine.time_kernels(on)
    }

    /// Computes the last hidden states `[tokens, d_model]`, without dropout.
    ///
    /// # Errors
    /// If the batch does not fit the model, or the device fails.
    pub fn hidden(&mut self, batch: &PackedBatch) -> Result<Vec<f32>, CudaError> {
        let shard = Shard {
            packed: batch,
            objective: None,
            generator: None,
        };
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let plan = Plan::new(&self.config, &self.layout, &[shard], Purpose::Hidden)?;
        let memory = self.prepare(&plan)?;
        self.run(&plan, &memory, Part::Whole)?;
        let mut hidden = vec![0.0; batch.len() * self.config.d_model];
        self.machine.download(memory.hidden, bytes_of_mut(&mut hidden))?;
        Ok(hidden)
    }

    /// Computes the summed loss of all shards and the number of correct predictions. The gradient of the sum replaces that of the previous step.
    ///
    /// # Errors
    /// If a batch does not fit the model, or the device fails.
    pub fn loss(&mut self, shards: &[Shard<'_>]) -> Result<(f64, usize), CudaError> {
        if shards.iter().all(|shard| shard.packed.is_empty()) {
            self.machine.zero(self.gradient, 4 * self.layout.len())?;
            return Ok((0.0, 0));
        }
        let plan = Plan::new(&self.config, &self.layout, shards, Purpose::Loss)?;
        let memory = self.prepare(&plan)?;
        self.run(&plan, &memory, Part::Whole)?;
        let mut sums = [0.0f64; 2];
        self.machine.download(memory.sums, bytes_of_mut(&mut sums))?;
        Ok((sums[0], sums[1] as usize))
    }

    /// Divides the memory for a plan and uploads its words.
    pub(crate) fn prepare(&mut self, plan: &Plan) -> Result<Memory, CudaError> {
        self.open = None;
        self.reserve_positions(plan.end_of_positions)?;
        let processors = self.machine.multiprocessors();
        let cut = |base| Memory::new(base, &plan.key, &plan.places, &self.config, &self.program, processors);
        let bytes = (cut(0).end) as usize;
        if self.arena.is_below(bytes) {
            self.forget_recordings();
            self.arena.grow(&mut *self.machine, bytes)?;
        }
        let base = self.arena.at;
        let memory = Memory::new(base, &plan.key, &plan.places, &self.config, &self.program, processors);
        self.machine.upload(memory.words, bytes_of(&plan.words))?;
        Ok(memory)
    }

    /// Executes a part of a plan.
    pub(crate) fn run(&mut self, plan: &Plan, memory: &Memory, part: Part) -> Result<(), CudaError> {
        if !self.is_recording {
            return self.pass(plan, memory, part);
        }
        let key = (plan.key, part);
        let (done, recording) = *self.recordings.entry(key).or_default();
        match recording {
            Some(recording) => self.machine.play(recording),
            None if done < BEFORE_RECORDING => {
                self.recordings.insert(key, (done + 1, None));
                self.pass(plan, memory, part)
            }
            None => {
                if self.recordings.values().flat_map(|(_, recording)| recording).count() >= MOST_RECORDINGS {
                    self.forget_recordings();
                }
                self.machine.begin_recording()?;
                let passed = self.pass(plan, memory, part);
                let recording = self.machine.end_recording();
                passed?;
                let recording = recording?;
                self.recordings.insert(key, (done, Some(recording)));
                self.machine.play(recording)
            }
        }
    }

    /// Computes the cosines and sines of all positions up to `end`.
    fn reserve_positions(&mut self, end: usize) -> Result<(), CudaError> {
        if self.config.positions != kexue_nn::Positions::Rotary || end <= self.positions {
            return Ok(());
        }
        let end = end.next_power_of_two().max(256);
        let table = Rotary::new(self.config.head_dim(), end);
        let flat: Vec<f32> = table
            .table()
            .iter()
            .flat_map(|&(cosine, sine)| [cosine, sine])
            .collect();
        self.forget_recordings();
        self.positions = 0;
        self.rotary.grow(&mut *self.machine, 4 * flat.len())?;
        self.machine.upload(self.rotary.at, bytes_of(&flat))?;
        self.positions = end;
        Ok(())
    }

    /// Forgets all recordings, before memory moves: they contain addresses.
    fn forget_recordings(&mut self) {
        self.machine.forget_recordings();
        self.recordings.clear();
    }

    fn pass(&mut self, plan: &Plan, memory: &Memory, part: Part) -> Result<(), CudaError> {
        let mut pass = Pass {
            operand: self.program.operand,
            logits: self.program.logits,
            rotary: self.rotary.at,
            plan,
            memory,
            drop_scale: Dropout::new(self.config.dropout).scale(),
            dropped: u32::from(Dropout::new(self.config.dropout).dropped()),
            engine: self,
        };
        match (part, plan.key.purpose) {
            (Part::Whole, Purpose::Loss) => {
                pass.forward()?;
                pass.loss()?;
                pass.backward()
            }
            (Part::Whole, _) => pass.forward(),
            (Part::Forward, _) => {
                pass.forward()?;
                pass.gather_first()
            }
            (Part::Backward, _) => {
                pass.scatter_first()?;
                pass.backward()
            }
        }
    }

    pub(crate) fn launch(
        &mut self,
        kernel: &'static str,
        grid: (usize, usize),
        threads: usize,
        shared: usize,
        args: &[Arg],
    ) -> Result<(), CudaError> {
        self.machine.launch(&Launch {
            kernel,
            grid,
            threads,
            shared,
            args,
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.machine.forget_recordings();
        let all = self
            .allocated
            .drain(..)
            .chain([self.arena.at, self.rotary.at, self.logits.at]);
        all.for_each(|at| self.machine.release(at));
    }
}

/// A pass over a batch.
struct Pass<'a> {
    engine: &'a mut Engine,
    plan: &'a Plan,
    memory: &'a Memory,
    operand: Number,
    logits: usize,
    rotary: Address,
    dropped: u32,
    drop_scale: f32,
}

/// Kernel arguments of several kinds.
macro_rules! args {
    ($($arg:expr),* $(,)?) => { &[$(Arg::from($arg)),*] };
}

impl Pass<'_> {
    fn config(&self) -> &TransformerConfig {
        &self.engine.config
    }

    fn rows(&self) -> usize {
        self.plan.key.rows
    }

    fn word(&self, place: usize) -> Address {
        self.memory.words + 4 * place as u64
    }

    /// The address of a parameter, or 0 for an empty range.
    fn parameter(&self, range: &Range<usize>) -> Address {
        match range.is_empty() {
            true => 0,
            false => self.engine.parameters + 4 * range.start as u64,
        }
    }

    fn gradient(&self, range: &Range<usize>) -> Address {
        match range.is_empty() {
            true => 0,
            false => self.engine.gradient + 4 * range.start as u64,
        }
    }

    /// A matrix of parameters as the operand of a product.
    fn weight(&self, range: &Range<usize>, inputs: usize) -> Matrix {
        let at = self.engine.operands + (self.operand.size() * range.start) as u64;
        Matrix::new(at, inputs, self.operand)
    }

    fn weight_gradient(&self, range: &Range<usize>, inputs: usize) -> Matrix {
        Matrix::new(self.gradient(range), inputs, Number::F32)
    }

    fn operands(&self, at: Address, width: usize) -> Matrix {
        Matrix::new(at, width, self.operand)
    }

    /// The address of the random bytes of a dropout site; 0 without dropout.
    fn bytes(&self, site: usize) -> Address {
        match self.memory.bytes {
            0 => 0,
            bytes => bytes + (site * self.rows() * self.config().d_model) as u64,
        }
    }

    /// Launches a kernel with a warp for each row.
    fn by_rows(&mut self, kernel: &'static str, rows: usize, args: &[Arg]) -> Result<(), CudaError> {
        self.engine.launch(kernel, (rows.div_ceil(4), 1), 128, 0, args)
    }

    fn multiply(
        &mut self,
        out: Matrix,
        a: Matrix,
        b: Matrix,
        (m, n, k): (usize, usize, usize),
        factor: f32,
    ) -> Result<(), CudaError> {
        self.engine.machine.multiply(&Product {
            out,
            a,
            b,
            m,
            n,
            k,
            factor,
            keep: 0.0,
        })
    }

    /// `out[rows, outputs] = x[rows, inputs]·weightᵀ`. The next kernel adds the bias.
    fn linear(&mut self, out: Address, x: Address, at: &Pair, rows: usize, inputs: usize) -> Result<(), CudaError> {
        let outputs = at.bias.len();
        let factor = self.config().linear_factor(inputs);
        self.multiply(
            self.operands(out, outputs),
            self.operands(x, inputs),
            self.weight(&at.weight, inputs).t(),
            (rows, outputs, inputs),
            factor,
        )
    }

    /// The gradients of [`Self::linear`], except that of the bias.
    fn linear_backward(
        &mut self,
        dx: Address,
        dy: Address,
        x: Address,
        at: &Pair,
        rows: usize,
        inputs: usize,
    ) -> Result<(), CudaError> {
        let outputs = at.bias.len();
        let factor = self.config().linear_factor(inputs);
        self.multiply(
            self.operands(dx, inputs),
            self.operands(dy, outputs),
            self.weight(&at.weight, inputs),
            (rows, inputs, outputs),
            factor,
        )?;
        self.multiply(
            self.weight_gradient(&at.weight, inputs),
            self.operands(dy, outputs).t(),
            self.operands(x, inputs),
            (outputs, inputs, rows),
            factor,
        )
    }

    fn norm_parameters(&self, norm: Option<&Pair>) -> [Arg; 2] {
        match norm {
            Some(at) => [
                Arg::from(self.parameter(&at.weight)),
                Arg::from(self.parameter(&at.bias)),
            ],
            None => [Arg::from(0u64); 2],
        }
    }

    /// The addresses and parameters of a branch. `index` counts from 0 through all blocks.
    fn branch(&self, index: usize) -> (BranchAt, BranchRanges) {
        let block = &self.engine.layout.blocks[index / 2];
        let ranges = if index.is_multiple_of(2) {
            &block.attention
        } else {
            &block.ffn
        };
        (self.memory.blocks[index / 2].branches[index % 2], ranges.clone())
    }

    /// The output layer of a branch.
    fn last_layer(&self, index: usize) -> Pair {
        let block = &self.engine.layout.blocks[index / 2];
        match index % 2 {
            0 => block.attention_output.clone(),
            _ => block.down.clone(),
        }
    }

    fn forward(&mut self) -> Result<(), CudaError> {
        let (rows, memory) = (self.rows(), self.memory);
        let (dropped, drop_scale) = (self.dropped, self.drop_scale);
        let (layers, placement) = (self.config().layers, self.config().norm_placement);
        if self.plan.key.shards > 0 {
            let sites = 2 * layers + 1;
            // Each thread generates 16 words.
            let blocks = (rows * self.config().d_model / 64 * sites)
                .div_ceil(THREADS)
                .clamp(1, 2048);
            let args = args![memory.bytes, self.word(self.plan.places.shards), sites, rows];
            self.engine
                .launch("dropout_bytes", (blocks, self.plan.key.shards), THREADS, 0, args)?;
        }
        let layout = self.engine.layout.clone();
        let tables = [&layout.position_embedding, &layout.type_embedding]
            .map(|table| table.as_ref().map_or(0, |table| self.parameter(table)));
        let outer = layout.outer_norm.as_ref();
        let after = self.norm_parameters(outer.filter(|_| placement.after()));
        let (first, first_ranges) = self.branch(0);
        let before = self.norm_parameters(first_ranges.norm.as_ref().filter(|_| placement.before()));
        let places = &self.plan.places;
        let mut args = args![
            rows,
            memory.stream,
            self.word(places.tokens),
            self.word(places.positions),
            self.word(places.types),
            self.parameter(&layout.embedding),
            tables[0],
            tables[1],
            memory.offset,
        ]
        .to_vec();
        args.extend(after);
        args.extend(args![memory.outer_norm.normal, memory.outer_norm.inverse]);
        args.extend(args![self.bytes(0), dropped, drop_scale, first.input]);
        args.extend(before);
        args.extend(args![first.norm.normal, first.norm.inverse]);
        self.by_rows("embed", rows, &args)?;
        for index in 0..2 * layers {
            self.branch_forward(index)?;
            self.add_branch(index)?;
        }
        if self.plan.key.purpose == Purpose::Nodes {
            let target = self.word(self.plan.places.target);
            self.by_rows("keep_hidden", rows, args![rows, memory.hidden, target])?;
        }
        Ok(())
    }

    /// Computes the layers of a branch, from its input to its output without the last bias.
    fn branch_forward(&mut self, index: usize) -> Result<(), CudaError> {
        let (rows, d, ffn) = (self.rows(), self.config().d_model, self.config().d_ffn);
        let at = self.memory.blocks[index / 2];
        let ranges = self.engine.layout.blocks[index / 2].clone();
        let branch = self.memory.branch;
        if index % 2 == 1 {
            self.linear(at.up, at.branches[1].input, &ranges.up, rows, d)?;
            let fours = rows * ffn / 4;
            let args = [
                Arg::Long(fours as u64),
                at.up.into(),
                self.parameter(&ranges.up.bias).into(),
                at.activated.into(),
            ];
            self.engine
                .launch("activate_forward", (fours.div_ceil(THREADS), 1), THREADS, 0, &args)?;
            return self.linear(branch, at.activated, &ranges.down, rows, ffn);
        }
        self.linear(
            at.query_key_value,
            at.branches[0].input,
            &ranges.query_key_value,
            rows,
            d,
        )?;
        let places = &self.plan.places;
        let turn = args![
            rows,
            at.query_key_value,
            self.parameter(&ranges.query_key_value.bias),
            self.word(places.factors),
            self.word(places.positions),
            self.rotary,
        ];
        let blocks = (rows * 3 * d / 4).div_ceil(THREADS);
        self.engine.launch("turn_forward", (blocks, 1), THREADS, 0, turn)?;
        if self.plan.key.purpose == Purpose::Nodes {
            self.attention_nodes(index / 2)?;
            return self.linear(branch, at.context, &ranges.attention_output, rows, d);
        }
        let args = args![
            rows,
            at.query_key_value,
            self.word(places.query_tiles),
            self.word(places.see_from),
            self.word(places.see_to),
            at.context,
            at.log_sums,
        ];
        self.attention("attention_forward", self.engine.program.attention.forward, args)?;
        self.linear(branch, at.context, &ranges.attention_output, rows, d)
    }

    /// Keeps the keys and values of a layer, and computes the attention over those of all nodes.
    fn attention_nodes(&mut self, layer: usize) -> Result<(), CudaError> {
        let (rows, d, layers) = (self.rows(), self.config().d_model, self.config().layers);
        let at = self.memory.blocks[layer];
        let words = &self.plan.places;
        let target = self.word(words.target);
        let keep = args![rows, at.query_key_value, target, layer, layers];
        let blocks = (rows * 2 * d / 4).div_ceil(THREADS);
        let attend = args![
            rows,
            at.query_key_value,
            target,
            layer,
            layers,
            self.word(words.see_from),
            self.word(words.see_to),
            self.word(words.path_from),
            self.word(words.path_to),
            self.word(words.paths),
            at.context,
        ];
        self.engine.launch("keep_keys_values", (blocks, 1), THREADS, 0, keep)?;
        let grid = (rows.div_ceil(NODE_ROWS), self.config().heads);
        self.engine.launch("attention_nodes", grid, 32 * NODE_ROWS, 0, attend)
    }

    /// Launches a kernel with a block for each tile and head.
    fn attention(&mut self, kernel: &'static str, shared: usize, args: &[Arg]) -> Result<(), CudaError> {
        let grid = (self.plan.key.tiles, self.config().heads);
        let threads = self.engine.program.attention.threads;
        self.engine.launch(kernel, grid, threads, shared, args)
    }

    fn add_branch(&mut self, index: usize) -> Result<(), CudaError> {
        let (rows, memory) = (self.rows(), self.memory);
        let (placement, layers) = (self.config().norm_placement, self.config().layers);
        let (at, ranges) = self.branch(index);
        let layout = self.engine.layout.clone();
        let last = index + 1 == 2 * layers;
        let (next, next_norm, next_norm_at) = if last {
            (0, layout.outer_norm.clone(), memory.outer_norm)
        } else {
            let (next, ranges) = self.branch(index + 1);
            (next.input, ranges.norm, next.norm)
        };
        let gate = ranges.gate.as_ref().map_or(0, |gate| self.parameter(gate));
        let mut args = args![
            rows,
            memory.stream,
            memory.branch,
            self.parameter(&self.last_layer(index).bias),
        ]
        .to_vec();
        args.extend(self.norm_parameters(ranges.output_norm.as_ref()));
        args.extend(args![at.output_norm.normal, at.output_norm.inverse]);
        args.extend(args![self.bytes(index + 1), self.dropped, self.drop_scale]);
        args.extend(args![gate, at.ungated, placement.residual_scale(layers) as f32]);
        args.extend(self.norm_parameters(ranges.norm.as_ref().filter(|_| placement.after())));
        args.extend(args![at.norm.normal, at.norm.inverse]);
        args.extend(args![
            next,
            if last { memory.hidden } else { 0 },
            self.config().hidden_factor(),
        ]);
        args.extend(self.norm_parameters(next_norm.as_ref().filter(|_| placement.before())));
        args.extend(args![next_norm_at.normal, next_norm_at.inverse]);
        self.by_rows("add_branch", rows, &args)
    }

    /// Computes the loss and the gradients of the last hidden state, the head and the tied embedding.
    fn loss(&mut self) -> Result<(), CudaError> {
        let (memory, layout) = (self.memory, self.engine.layout.clone());
        let Key {
            places,
            are_choices,
            longest,
            ..
        } = self.plan.key;
        let d = self.config().d_model;
        let words = &self.plan.places;
        let place_rows = self.word(words.place_rows);
        let gather = args![places, place_rows, memory.hidden, memory.states];
        self.by_rows("gather_states", places, gather)?;
        let dense = layout.head_dense.as_ref().filter(|_| !are_choices);
        let outputs = match dense {
            None => memory.states,
            Some(at) => {
                self.linear(memory.dense, memory.states, &at.dense, places, d)?;
                let mut args = args![places, memory.dense, self.parameter(&at.dense.bias)].to_vec();
                args.extend(self.norm_parameters(Some(&at.norm)));
                args.extend(args![memory.head_norm.normal, memory.head_norm.inverse, memory.outputs]);
                self.by_rows("head_forward", places, &args)?;
                memory.outputs
            }
        };
        let bias = layout.head_bias.clone().filter(|_| !are_choices).unwrap_or_default();
        let factor = match are_choices {
            true => 1.0,
            false => self.config().logit_factor() / self.config().hidden_factor(),
        };
        let (vocabulary, stride, size) = (self.config().vocab_size, self.logits, self.operand.size());
        let mut parts = 0;
        for start in (0..places).step_by(memory.chunk) {
            let count = memory.chunk.min(places - start);
            let here = outputs + (start * d * size) as u64;
            let embedding = self.weight(&layout.embedding, d);
            let logits = Matrix::new(memory.logits, stride, Number::F32);
            self.multiply(
                logits,
                self.operands(here, d),
                embedding.t(),
                (count, vocabulary, d),
                factor,
            )?;
            let place = |at: Address| at + 4 * start as u64;
            let (losses, right) = (place(memory.losses), place(memory.right));
            let targets = self.word(words.targets + start);
            let rows = self.word(words.place_rows + start);
            if are_choices {
                let args = args![
                    memory.logits,
                    rows,
                    self.word(words.lists + 3 * start),
                    self.word(words.list_tokens),
                    self.word(words.list_biases),
                    targets,
                    memory.scores,
                    longest,
                    memory.d_logits,
                    losses,
                    right,
                ];
                self.engine.launch("choice_loss", (count, 1), THREADS, 0, args)?;
            } else {
                let args = args![
                    memory.logits,
                    self.parameter(&bias),
                    rows,
                    targets,
                    memory.d_logits,
                    losses,
                    right,
                ];
                self.engine.launch("token_loss", (count, 1), 512, 0, args)?;
            }
            let d_logits = self.operands(memory.d_logits, stride);
            let d_outputs = self.operands(memory.d_outputs + (start * d * size) as u64, d);
            self.multiply(d_outputs, d_logits, embedding, (count, d, vocabulary), factor)?;
            self.engine.machine.multiply(&Product {
                out: Matrix::new(self.gradient(&layout.embedding), d, Number::F32),
                a: d_logits.t(),
                b: self.operands(here, d),
                m: vocabulary,
                n: d,
                k: count,
                factor,
                keep: if start == 0 { 0.0 } else { 1.0 },
            })?;
            if !bias.is_empty() {
                let partial = memory.partial + (4 * parts * vocabulary) as u64;
                let columns = args![count, vocabulary, stride, memory.d_logits, partial];
                let grid = (vocabulary.div_ceil(128), COLUMN_PARTS);
                self.engine.launch("column_sums", grid, THREADS, 0, columns)?;
                parts += COLUMN_PARTS;
            }
        }
        let sums = args![places, memory.losses, memory.right, memory.sums];
        self.engine.launch("sum_losses", (1, 1), THREADS, 0, sums)?;
        if !bias.is_empty() {
            self.sum_parts(parts, vocabulary, vocabulary, [self.gradient(&bias), 0, 0, 0, 0, 0])?;
        }
        let d_states = match dense {
            None => memory.d_outputs,
            Some(at) => {
                let blocks = boundary_blocks(places, self.engine.machine.multiprocessors());
                let head = args![
                    places,
                    memory.d_outputs,
                    memory.dense,
                    memory.head_norm.normal,
                    memory.head_norm.inverse,
                    self.parameter(&at.norm.weight),
                    memory.partial,
                ];
                self.engine
                    .launch("head_backward", (blocks, 1), THREADS, 4 * 8 * d, head)?;
                let to = [&at.norm.weight, &at.norm.bias, &at.dense.bias].map(|range| self.gradient(range));
                self.sum_parts(blocks, 3 * d, d, [to[0], to[1], to[2], 0, 0, 0])?;
                self.linear_backward(memory.d_states, memory.d_outputs, memory.states, &at.dense, places, d)?;
                memory.d_states
            }
        };
        if are_choices {
            // Choices skip the head.
            self.zero_head()?;
        }
        self.engine.machine.zero(memory.d_hidden, 4 * self.rows() * d)?;
        let scatter = args![places, place_rows, d_states, memory.d_hidden];
        self.by_rows("scatter_states", places, scatter)
    }

    /// Zeroes the gradient of the head.
    fn zero_head(&mut self) -> Result<(), CudaError> {
        let layout = self.engine.layout.clone();
        for range in layout.head_dense.iter().flat_map(|at| [&at.dense, &at.norm]) {
            let start = range.weight.start;
            let bytes = 4 * (range.bias.end.max(range.weight.end) - start);
            self.engine
                .machine
                .zero(self.engine.gradient + 4 * start as u64, bytes)?;
        }
        match &layout.head_bias {
            Some(bias) => self.engine.machine.zero(self.gradient(bias), 4 * bias.len()),
            None => Ok(()),
        }
    }

    /// Copies the states of first tokens, in single precision.
    fn gather_first(&mut self) -> Result<(), CudaError> {
        let (memory, places) = (self.memory, self.plan.key.places);
        let rows = self.word(self.plan.places.place_rows);
        self.by_rows("gather_first", places, args![places, rows, memory.hidden, memory.first])
    }

    /// The gradient of the last hidden states from that of the states of first tokens. No other token has one, and neither have the head and, from this
    /// side, the embeddings.
    fn scatter_first(&mut self) -> Result<(), CudaError> {
        let (memory, places) = (self.memory, self.plan.key.places);
        let bytes = 4 * self.rows() * self.config().d_model;
        self.engine.machine.zero(memory.d_hidden, bytes)?;
        let rows = self.word(self.plan.places.place_rows);
        self.by_rows(
            "scatter_first",
            places,
            args![places, rows, memory.d_first, memory.d_hidden],
        )?;
        self.zero_head()?;
        let embedding = self.engine.layout.embedding.clone();
        self.engine.machine.zero(self.gradient(&embedding), 4 * embedding.len())
    }

    fn sum_parts(&mut self, parts: usize, stride: usize, width: usize, to: [Address; 6]) -> Result<(), CudaError> {
        let mut args = args![self.memory.partial, parts, stride, width].to_vec();
        args.extend(to.map(Arg::from));
        let used = to.iter().rposition(|&at| at != 0).map_or(0, |last| last + 1);
        if used == 0 {
            return Ok(());
        }
        self.engine
            .launch("sum_parts", (width.div_ceil(32), used), THREADS, 0, &args)
    }

    fn backward(&mut self) -> Result<(), CudaError> {
        let (rows, memory, d) = (self.rows(), self.memory, self.config().d_model);
        let branches = 2 * self.config().layers;
        self.boundary(branches)?;
        for index in (0..branches).rev() {
            self.branch_backward(index)?;
            self.boundary(index)?;
        }
        let layout = self.engine.layout.clone();
        for table in [&layout.position_embedding, &layout.type_embedding]
            .into_iter()
            .flatten()
        {
            self.engine.machine.zero(self.gradient(table), 4 * table.len())?;
        }
        let words = &self.plan.places;
        let counts = self.word(words.counts);
        let parts = args![
            counts,
            self.word(words.parts),
            self.word(words.order),
            memory.d_stream,
            memory.embedding_partial,
        ];
        let blocks = words.most_parts.min(8 * self.engine.machine.multiprocessors());
        let shared = 4 * 4 * d;
        self.engine.launch("embedding_parts", (blocks, 1), 128, shared, parts)?;
        let sums = args![
            counts,
            self.word(words.table_rows),
            memory.embedding_partial,
            self.engine.gradient,
        ];
        self.by_rows("embedding_sums", rows.min(8192), sums)
    }

    /// Backward between branch `index − 1` and branch `index`: from the gradient of the later branch's input to that of the earlier branch's output. The
    /// hidden state follows the last branch, and the embeddings precede the first.
    fn boundary(&mut self, index: usize) -> Result<(), CudaError> {
        let (rows, memory, d) = (self.rows(), self.memory, self.config().d_model);
        let (placement, layers) = (self.config().norm_placement, self.config().layers);
        let layout = self.engine.layout.clone();
        let outer = layout.outer_norm.clone();
        let (is_first, is_last) = (index == 2 * layers, index == 0);
        // Before the later branch: its norm, or the norm of the last hidden state.
        let (before, before_at) = match is_first {
            true => (outer.clone(), memory.outer_norm),
            false => {
                let (at, ranges) = self.branch(index);
                (ranges.norm, at.norm)
            }
        };
        let before = before.filter(|_| placement.before());
        // After the earlier branch: its norms, or the norm of the embeddings.
        let (at, ranges) = match is_last {
            true => {
                let at = BranchAt {
                    norm: memory.outer_norm,
                    ..BranchAt::default()
                };
                let ranges = BranchRanges {
                    norm: outer,
                    ..BranchRanges::default()
                };
                (at, ranges)
            }
            false => self.branch(index - 1),
        };
        let after = ranges.norm.filter(|_| placement.after());
        let weight = |pass: &Self, norm: &Option<Pair>| norm.as_ref().map_or(0, |at| pass.parameter(&at.weight));
        let input = if is_first { memory.d_hidden } else { memory.d_input };
        let gate = ranges.gate.as_ref().map_or(0, |gate| self.parameter(gate));
        let args = args![
            rows,
            memory.d_stream,
            input,
            self.config().hidden_factor(),
            before_at.normal,
            before_at.inverse,
            weight(self, &before),
            self.bytes(index),
            self.dropped,
            self.drop_scale,
            at.output_norm.normal,
            at.output_norm.inverse,
            weight(self, &ranges.output_norm),
            at.norm.normal,
            at.norm.inverse,
            weight(self, &after),
            gate,
            at.ungated,
            placement.residual_scale(layers) as f32,
            memory.branch,
            memory.partial,
        ];
        let kernel = match (is_first, is_last) {
            (true, _) => "boundary_first",
            (_, true) => "boundary_last",
            _ => "boundary_middle",
        };
        let blocks = boundary_blocks(rows, self.engine.machine.multiprocessors());
        self.engine.launch(kernel, (blocks, 1), THREADS, 4 * 8 * d, args)?;
        let of = |pass: &Self, norm: Option<&Pair>| {
            norm.map_or([0; 2], |at| [pass.gradient(&at.weight), pass.gradient(&at.bias)])
        };
        let before = of(self, before.as_ref());
        let after = of(self, after.as_ref().or(ranges.output_norm.as_ref()));
        let bias = match is_last {
            true => 0,
            false => self.gradient(&self.last_layer(index - 1).bias),
        };
        let gate = ranges.gate.as_ref().map_or(0, |gate| self.gradient(gate));
        self.sum_parts(
            blocks,
            SUMS * d,
            d,
            [before[0], before[1], after[0], after[1], bias, gate],
        )
    }

    /// Computes the gradients of a branch's input and layers from that of its output.
    fn branch_backward(&mut self, index: usize) -> Result<(), CudaError> {
        let (rows, d, ffn) = (self.rows(), self.config().d_model, self.config().d_ffn);
        let memory = self.memory;
        let at: BlockAt = memory.blocks[index / 2];
        let ranges = self.engine.layout.blocks[index / 2].clone();
        if index % 2 == 1 {
            self.linear_backward(memory.wide, memory.branch, at.activated, &ranges.down, rows, ffn)?;
            let args = args![rows, memory.wide, at.up, memory.partial];
            let grid = (ffn.div_ceil(128), COLUMN_PARTS);
            self.engine.launch("activate_backward", grid, THREADS, 0, args)?;
            self.sum_parts(COLUMN_PARTS, ffn, ffn, [self.gradient(&ranges.up.bias), 0, 0, 0, 0, 0])?;
            return self.linear_backward(memory.d_input, memory.wide, at.branches[1].input, &ranges.up, rows, d);
        }
        self.linear_backward(
            memory.d_context,
            memory.branch,
            at.context,
            &ranges.attention_output,
            rows,
            d,
        )?;
        let places = &self.plan.places;
        let (query_tiles, key_tiles) = (self.word(places.query_tiles), self.word(places.key_tiles));
        let (see_from, see_to) = (self.word(places.see_from), self.word(places.see_to));
        let queries = args![
            rows,
            at.query_key_value,
            query_tiles,
            see_from,
            see_to,
            at.context,
            at.log_sums,
            memory.d_context,
            memory.means,
            memory.wide,
        ];
        let shared = self.engine.program.attention.backward;
        self.attention("attention_queries_backward", shared, queries)?;
        let keys = args![
            rows,
            at.query_key_value,
            key_tiles,
            see_from,
            see_to,
            at.log_sums,
            memory.d_context,
            memory.means,
            memory.wide,
        ];
        self.attention("attention_keys_backward", shared, keys)?;
        let turn = args![
            rows,
            memory.wide,
            self.word(places.factors),
            self.word(places.positions),
            self.rotary,
            memory.partial,
        ];
        let grid = ((3 * d).div_ceil(128), COLUMN_PARTS);
        self.engine.launch("turn_backward", grid, THREADS, 0, turn)?;
        let bias = self.gradient(&ranges.query_key_value.bias);
        self.sum_parts(COLUMN_PARTS, 3 * d, 3 * d, [bias, 0, 0, 0, 0, 0])?;
        let input = at.branches[0].input;
        self.linear_backward(memory.d_input, memory.wide, input, &ranges.query_key_value, rows, d)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine on {}", self.machine.name())
    }
}
