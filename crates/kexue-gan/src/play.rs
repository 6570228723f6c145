//! The steps of both players: their losses and what to differentiate.

use crate::loss::AdversarialLoss;
use crate::network::{Critic, Generator, score};
use crate::normalizer::Normalizer;
use burn::module::Module;
use burn::tensor::Tensor;
use kexue_grad::{ForwardDual, jvp, norm_per_sample};

/// The normalised scores D̂ of samples, `[batch]`, and the norms of the gradients of D if the normaliser needs them. `critic` has the weights of
/// [`Normalizer::weights`]. The scores are exactly differentiable with respect to the parameters, and to the samples if they require gradients.
pub fn normalized_scores(
    normalizer: &dyn Normalizer,
    critic: &Critic,
    samples: Tensor<2>,
) -> (Tensor<1>, Option<Tensor<1>>) {
    if !normalizer.needs_gradient() {
        return (critic.scores(samples), None);
    }
    let (mut scores, norms) = critic.scores_and_grad_norms(samples.clone());
    if normalizer.projects() {
        // The derivative in the direction of x.
        scores = score(jvp(critic, samples.clone(), samples)).tangent_or_zeros();
    }
    (normalizer.normalize(scores, norms.clone()), Some(norms))
}

/// The results of a critic's step.
#[derive(Clone, Debug)]
pub struct CriticStep {
    /// The loss with the penalty, `[1]`, to be differentiated.
    pub loss: Tensor<1>,
    /// The mean D̂ of real samples minus that of generated ones, `[1]`.
    pub gap: Tensor<1>,
    /// The mean norm of the gradient of D, if it was computed.
    pub gradient_norm: Option<Tensor<1>>,
}

/// The critic's loss for real and generated samples `[batch, size]`. `shares`, `[batch, 1]`, determine the points between the two at which a penalty is
/// computed.
pub fn critic_step(
    loss: AdversarialLoss,
    normalizer: &dyn Normalizer,
    critic: &Critic,
    real: Tensor<2>,
    fake: Tensor<2>,
    shares: Tensor<2>,
) -> CriticStep {
    let critic = normalizer.weights(critic);
    let batch = real.dims()[0];
    let both = Tensor::cat(vec![real.clone(), fake.clone()], 0);
    let (scores, norms) = normalized_scores(normalizer, &critic, both);
    let (of_real, of_fake) = (scores.clone().narrow(0, 0, batch), scores.narrow(0, batch, batch));
    let gap = of_real.clone().mean() - of_fake.clone().mean();
    let mut total = loss.critic(of_real, of_fake);
    if let Some(penalty) = normalizer.penalty(&critic, real, fake, shares) {
        total = total + penalty;
    }
    CriticStep {
        loss: total,
        gap: gap.detach(),
        gradient_norm: norms.map(|norms| norms.detach().mean()),
    }
}

/// The formula by which the generator's step differentiates a normalised critic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeneratorFormula {
    /// Omits `∇ₓ‖g‖`: `∇ₓD̂ = ∂D̂/∂D·g`. It is exact for critics that are piecewise linear and treat samples independently, because `‖g‖` is then
    /// constant between the kinks. It takes one forward and one backward pass.
    FirstOrder,
    /// Includes `∇ₓ‖g‖`, by forward-over-reverse differentiation.
    Exact,
}

/// The generator's loss, `[1]`, and a surrogate to differentiate, `[1]`, which has the same gradient with respect to the generator's parameters.
pub fn generator_step(
    loss: AdversarialLoss,
    normalizer: &dyn Normalizer,
    formula: GeneratorFormula,
    critic: &Critic,
    generator: &Generator,
    noise: Tensor<2>,
) -> (Tensor<1>, Tensor<1>) {
    // Gradients of the critic's parameters would only cost time here.
    let critic = normalizer.weights(critic).no_grad();
    let samples = generator.forward(noise);
    if formula == GeneratorFormula::Exact || !normalizer.needs_gradient() {
        let loss = loss.generator(normalized_scores(normalizer, &critic, samples).0);
        return (loss.clone().detach(), loss);
    }
    let (mut scores, gradients) = critic.scores_and_input_gradient(samples.clone().detach());
    if normalizer.projects() {
        let batch = scores.dims();
        scores = (gradients.clone() * samples.clone().detach()).sum_dim(1).reshape(batch);
    }
    let norms = norm_per_sample(gradients.clone());
    // ∂L/∂D of each sample, with the norm held constant.
    let scores = scores.require_grad();
    let loss = loss.generator(normalizer.normalize(scores.clone(), norms));
    let batch = scores.dims()[0];
    let slopes = scores.grad(&loss.backward()).map(Tensor::from_inner);
    let slopes = slopes
        .unwrap_or_else(|| scores.zeros_like().detach())
        .reshape([batch, 1]);
    (loss.detach(), (samples * (gradients * slopes)).sum())
}
