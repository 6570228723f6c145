//! Compares gradient penalties by differences of gradients with the exact ones, on a small attention network.

use burn::module::Module;
use burn::nn::attention::{MultiHeadAttention, MultiHeadAttentionConfig};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor};
use kexue_burn::{FlatModule, Layout};
use kexue_grad::{Dual, ForwardDual, embed, hvp, parameter_gradient};
use kexue_nn::Distribution;
use kexue_optim::Parameters;
use kexue_train::{Regularizer, generator};
use std::convert::Infallible;
use std::ops::Range;

#[derive(Module, Debug)]
struct Reader {
    embedding: Embedding,
    attention: MultiHeadAttention,
    output: Linear,
}

impl Reader {
    /// The mean cross-entropy of each token as the class of its place.
    fn loss(&self, tangent: Option<&Self>, tokens: &Tensor<2, Int>) -> Dual<1> {
        let x = embed(&self.embedding, tangent.map(|t| &t.embedding), tokens.clone());
        let x = x.clone() + self.attention.forward_dual(tangent.map(|t| &t.attention), x);
        let logits = self.output.forward_dual(tangent.map(|t| &t.output), x.tanh());
        let [batch, seq, _] = logits.dims();
        let classes = tokens.clone().reshape([batch, seq, 1]);
        -logits.log_softmax(2).gather(2, classes).mean()
    }
}

#[test]
fn differences_agree_with_the_exact_penalties() {
    let device = Device::flex().autodiff();
    let reader = Reader {
        embedding: EmbeddingConfig::new(7, 8).init(&device),
        attention: MultiHeadAttentionConfig::new(8, 2).with_dropout(0.0).init(&device),
        output: LinearConfig::new(8, 7).init(&device),
    };
    let mut flat = FlatModule::new(reader).unwrap();
    flat.draw(Distribution::Xavier, &mut generator(3, 0, 0));
    let tokens = Tensor::<2, Int>::from_ints([[0, 1, 2, 3, 4], [6, 5, 5, 2, 0]], &device);
    let layout: Layout = flat.layout().clone();
    let gradient_at = |values: &[f32]| -> Vec<f32> {
        let reader = layout.write_parameters(flat.module().clone(), values);
        parameter_gradient(&reader, &layout, |reader, tangent| reader.loss(tangent, &tokens))
    };
    let plain = gradient_at(flat.values());
    let table: Range<usize> = flat
        .slots()
        .iter()
        .find(|slot| slot.name.contains("embedding"))
        .unwrap()
        .range
        .clone();
    for (regularizer, range) in [
        (Regularizer::InputGradient { weight: 0.5 }, table),
        (Regularizer::ParameterGradient { weight: 0.5 }, 0..plain.len()),
    ] {
        let mut direction = vec![0f32; plain.len()];
        direction[range.clone()].copy_from_slice(&plain[range.clone()]);
        // ∇(½·‖g‖²) over the range is exactly H·g.
        let exact: Vec<f32> = hvp(flat.module(), &layout, &direction, |reader, tangent| {
            reader.loss(tangent, &tokens)
        });
        let (mut values, mut found) = (flat.values().to_vec(), plain.clone());
        let done: Result<(), Infallible> =
            regularizer.apply(&mut values, &[range], &mut found, |at| Ok(gradient_at(at)));
        done.unwrap();
        let largest = exact.iter().fold(0f32, |most, x| most.max(x.abs()));
        assert!(largest > 1e-3);
        for ((found, plain), exact) in found.iter().zip(&plain).zip(&exact) {
            let penalty = found - plain;
            assert!(
                (penalty - exact).abs() <= 1e-3 * largest,
                "{regularizer}: {penalty}, not {exact}"
            );
        }
    }
}
