//! The passes as one differentiable operation of Burn's.

use super::passes::{Chain, Tape, Wanted};
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};
use burn::tensor::TensorData;
use std::sync::Arc;

/// A [`Chain`] and what to compute, in a form that operations take.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub chain: Arc<Chain>,
    /// Whether the norms of the gradients are wanted, too.
    pub norms: bool,
}

/// Operations on the CPU. On other devices, the same numbers come from [`Dual`](crate::Dual).
#[backend_extension(Flex, Autodiff)]
pub(super) trait PiecewiseLinearOps: Backend {
    /// The scores of an input `[batch, size]`, `[batch]`, followed by the norms of their gradients if they are requested. The parameters are one vector.
    fn scores(input: FloatTensor<Self>, parameters: FloatTensor<Self>, request: Request) -> FloatTensor<Self>;
}

fn forward(input: &FloatTensor<Flex>, parameters: &FloatTensor<Flex>, request: &Request) -> (FloatTensor<Flex>, Tape) {
    let (input, parameters) = (input.to_contiguous(), parameters.to_contiguous());
    let (input, parameters) = (input.as_slice().expect("f32"), parameters.as_slice().expect("f32"));
    let (output, tape) = request.chain.forward(parameters, input, request.norms);
    (vector(output), tape)
}

fn tensor(values: Vec<f32>, shape: impl Into<burn::tensor::Shape>) -> FloatTensor<Flex> {
    Flex::float_from_data(TensorData::new(values, shape.into()), &Default::default())
}

fn vector(values: Vec<f32>) -> FloatTensor<Flex> {
    let length = values.len();
    tensor(values, [length])
}

impl PiecewiseLinearOps for Flex {
    fn scores(input: FloatTensor<Self>, parameters: FloatTensor<Self>, request: Request) -> FloatTensor<Self> {
        forward(&input, &parameters, &request).0
    }
}

#[derive(Debug)]
struct ScoresBackward;

impl Backward<Flex, 2> for ScoresBackward {
    type State = (Arc<Chain>, Arc<Tape>);

    fn backward(self, ops: Ops<Self::State, 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let output = gradients.consume::<Flex>(&ops.node).to_contiguous();
        let ([input, parameters], (chain, tape)) = (ops.parents, ops.state);
        let wanted = Wanted {
            parameters: parameters.is_some(),
            input: input.is_some(),
        };
        let computed = chain.backward(&tape, output.as_slice().expect("f32"), wanted);
        if let (Some(node), Some(values)) = (input, computed.input) {
            let size = chain.input().numbers();
            let shape = [values.len() / size, size];
            gradients.register::<Flex>(node.id, tensor(values, shape));
        }
        if let (Some(node), Some(values)) = (parameters, computed.parameters) {
            gradients.register::<Flex>(node.id, vector(values));
        }
    }
}

impl<C: CheckpointStrategy> PiecewiseLinearOps for Autodiff<Flex, C> {
    fn scores(input: FloatTensor<Self>, parameters: FloatTensor<Self>, request: Request) -> FloatTensor<Self> {
        let guards = [input.node(), parameters.node()];
        let (input, parameters) = (input.into_primitive(), parameters.into_primitive());
        let (output, tape) = forward(&input, &parameters, &request);
        match ScoresBackward.prepare::<C>(guards).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((request.chain, Arc::new(tape)), output),
            OpsKind::UnTracked(prepared) => prepared.finish(output),
        }
    }
}
