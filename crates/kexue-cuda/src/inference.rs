//! Models on a GPU for inference: batches of hidden states, and the caches of decoders.
//!
//! Prompts and steps of decoders are computed on the device, where keys, values and hidden states stay. Only the logits that are asked for come back. Several
//! threads may decode with one model, each with a cache of its own: while the device computes for one, the others look up their index.

use crate::engine::Part;
use crate::machine::{Address, Matrix, Number, Product, bytes_of, bytes_of_mut};
use crate::plan::{Plan, Target, check_tokens};
use crate::{CudaError, Device, Engine, Precision};
use kexue_nn::{DeviceError, InferenceDevice, Model, NewNodes, Node, NodeCache, PackedBatch, Token};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Minimum number of nodes that a cache has memory for.
const FEWEST_NODES: usize = 1024;

/// Numbers of a vocabulary's logits that are computed at once.
const MOST_LOGITS: usize = 1 << 24;

/// A copy of a model on a GPU, which [`Model::set_device`] uses for inference.
#[derive(Debug)]
pub struct DeviceModel {
    engine: Mutex<Engine>,
}

impl DeviceModel {
    /// Copies a model to a GPU.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn new(device: Device, model: &Model, precision: Precision) -> Result<Self, CudaError> {
        Ok(Self::on(Engine::open(device, model, precision, false)?))
    }

    pub(crate) fn on(engine: Engine) -> Self {
        Self {
            engine: Mutex::new(engine),
        }
    }

    /// The driver's name of the device, such as `NVIDIA H100`.
    pub fn device_name(&self) -> String {
        self.engine().device_name()
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        // A service goes on after a panic of one of its threads. Each call starts from its arguments.
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InferenceDevice for DeviceModel {
    fn hidden(&self, batch: &PackedBatch) -> Result<Vec<f32>, DeviceError> {
        self.engine().hidden(batch).map_err(DeviceError::new)
    }

    fn cache(self: Arc<Self>) -> Box<dyn NodeCache> {
        Box::new(DeviceCache {
            model: self,
            keys_values: 0,
            hidden: 0,
            capacity: 0,
            count: 0,
        })
    }
}

/// The nodes of a decoder in the memory of a GPU.
#[derive(Debug)]
struct DeviceCache {
    model: Arc<DeviceModel>,
    /// `[capacity, layers, 2, d_model]`
    keys_values: Address,
    /// `[capacity, d_model]`
    hidden: Address,
    capacity: usize,
    count: usize,
}

impl DeviceCache {
    /// Reserves memory for this many nodes.
    fn reserve(&mut self, engine: &mut Engine, count: usize) -> Result<(), CudaError> {
        if count <= self.capacity {
            return Ok(());
        }
        let capacity = count.next_power_of_two().max(FEWEST_NODES);
        let d = engine.config.d_model;
        let each = engine.config.layers * 2 * d * engine.program.operand.size();
        for (at, each) in [(&mut self.keys_values, each), (&mut self.hidden, 4 * d)] {
            let larger = engine.machine.allocate(capacity * each)?;
            let copied = engine.add(*at, 0.0, larger, self.count * each / 4);
            engine.machine.release(*at);
            *at = larger;
            copied?;
        }
        self.capacity = capacity;
        Ok(())
    }

    /// # Panics
    /// If the node is not in the cache.
    fn expect(&self, node: Node) {
        assert!(
            node.index() < self.count,
            "the node is of another decoder, or was removed"
        );
    }

    fn add(&mut self, engine: &mut Engine, new: &NewNodes) -> Result<(), CudaError> {
        let count = new.first() + new.tokens().len();
        self.reserve(engine, count)?;
        let target = Target {
            keys_values: self.keys_values,
            hidden: self.hidden,
        };
        let plan = Plan::nodes(&engine.config, new, target)?;
        let memory = engine.prepare(&plan)?;
        engine.run(&plan, &memory, Part::Whole)?;
        self.count = count;
        Ok(())
    }
}

impl NodeCache for DeviceCache {
    fn clear(&mut self) {
        self.count = 0;
    }

    fn compute(&mut self, new: &NewNodes) -> Result<(), DeviceError> {
        let model = Arc::clone(&self.model);
        self.add(&mut model.engine(), new).map_err(DeviceError::new)
    }

    fn hidden(&mut self, node: Node) -> Result<Vec<f32>, DeviceError> {
        self.expect(node);
        let mut engine = self.model.engine();
        let d = engine.config.d_model;
        let mut state = vec![0.0; d];
        let at = self.hidden + 4 * (node.index() * d) as u64;
        let copied = engine.machine.download(at, bytes_of_mut(&mut state));
        copied.map_err(DeviceError::new)?;
        Ok(state)
    }

    fn logits(&mut self, pairs: &[(Node, Token)]) -> Result<Vec<f32>, DeviceError> {
        pairs.iter().for_each(|&(node, _)| self.expect(node));
        let logits = self.model.engine().node_logits(self.hidden, pairs);
        logits.map_err(DeviceError::new)
    }

    fn vocabulary_logits(&mut self, nodes: &[Node]) -> Result<Vec<f32>, DeviceError> {
        nodes.iter().for_each(|&node| self.expect(node));
        let logits = self.model.engine().vocabulary_logits(self.hidden, nodes);
        logits.map_err(DeviceError::new)
    }
}

impl Drop for DeviceCache {
    fn drop(&mut self) {
        let mut engine = self.model.engine();
        engine.machine.release(self.keys_values);
        engine.machine.release(self.hidden);
    }
}

impl Engine {
    /// Memory of at least this size, whose content may be anything.
    fn logit_memory(&mut self, bytes: usize) -> Result<Address, CudaError> {
        if self.logits.is_below(bytes) {
            self.logits.grow(&mut *self.machine, bytes)?;
        }
        Ok(self.logits.at)
    }

    /// The logit of each token after its node, in single precision; `hidden` are the states of all nodes.
    fn node_logits(&mut self, hidden: Address, pairs: &[(Node, Token)]) -> Result<Vec<f32>, CudaError> {
        if pairs.is_empty() {
            return Ok(Vec::new());
        }
        check_tokens(&self.config, pairs.iter().map(|&(_, token)| token))?;
        let words: Vec<u32> = pairs
            .iter()
            .flat_map(|&(node, token)| [node.index() as u32, token])
            .collect();
        let count = pairs.len();
        let input = self.logit_memory(12 * count)?;
        let output = input + 8 * count as u64;
        self.machine.upload(input, bytes_of(&words))?;
        let embedding = self.parameters + 4 * self.layout.embedding.start as u64;
        let args = [
            count.into(),
            input.into(),
            hidden.into(),
            embedding.into(),
            output.into(),
        ];
        self.launch("node_logits", (count.div_ceil(4), 1), 128, 0, &args)?;
        let mut logits = vec![0.0; count];
        self.machine.download(output, bytes_of_mut(&mut logits))?;
        Ok(logits)
    }

    /// The logits of the whole vocabulary after each node, `[nodes, vocab_size]`.
    fn vocabulary_logits(&mut self, hidden: Address, nodes: &[Node]) -> Result<Vec<f32>, CudaError> {
        let (d, vocabulary, stride) = (self.config.d_model, self.config.vocab_size, self.program.logits);
        let operand = self.program.operand;
        let mut all = Vec::with_capacity(nodes.len() * vocabulary);
        for nodes in nodes.chunks((MOST_LOGITS / stride).max(1)) {
            let count = nodes.len();
            let words: Vec<u32> = nodes.iter().map(|node| node.index() as u32).collect();
            let round = |bytes: usize| bytes.next_multiple_of(256);
            let [input, states] = [round(4 * count), round(count * d * operand.size())];
            let rows = self.logit_memory(input + states + 4 * count * stride)?;
            let states_at = rows + input as u64;
            let logits_at = states_at + states as u64;
            self.machine.upload(rows, bytes_of(&words))?;
            let args = [count.into(), rows.into(), hidden.into(), states_at.into()];
            self.launch("gather_states", (count.div_ceil(4), 1), 128, 0, &args)?;
            let embedding = self.operands + (operand.size() * self.layout.embedding.start) as u64;
            self.machine.multiply(&Product {
                out: Matrix::new(logits_at, stride, Number::F32),
                a: Matrix::new(states_at, d, operand),
                b: Matrix::new(embedding, d, operand).t(),
                m: count,
                n: vocabulary,
                k: d,
                factor: 1.0,
                keep: 0.0,
            })?;
            let mut padded = vec![0.0; count * stride];
            self.machine.download(logits_at, bytes_of_mut(&mut padded))?;
            all.extend(padded.chunks_exact(stride).flat_map(|row| &row[..vocabulary]).copied());
        }
        Ok(all)
    }
}
