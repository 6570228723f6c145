//! The traits of models whose densities can be estimated.

use rand_chacha::ChaCha8Rng;

/// A model with latent variables: a joint density `p(x, z)` and a proposal `q(z|x)` that can be sampled, one draw at a time.
///
/// Every such model is an [`ImportanceModel`]. See the [crate's documentation](crate) for an example.
pub trait LatentModel: Sync {
    /// An observation x.
    type Sample: ?Sized + Sync;
    /// A latent z.
    type Latent;

    /// Draws z from `q(z|x)`, which must be positive wherever `p(x, z)` is.
    fn draw(&self, sample: &Self::Sample, generator: &mut ChaCha8Rng) -> Self::Latent;

    /// `log p(x, z)`, in nats.
    fn log_joint(&self, sample: &Self::Sample, latent: &Self::Latent) -> f64;

    /// `log q(z|x)`, in nats.
    fn log_proposal(&self, sample: &Self::Sample, latent: &Self::Latent) -> f64;
}

/// A model that computes many importance weights `p(x, z)/q(z|x)` at once.
pub trait ImportanceModel: Sync {
    /// An observation x.
    type Sample: ?Sized + Sync;
    /// Values that are computed once for an observation, such as the mean and standard deviation of its posterior.
    type Proposal: Send + Sync;

    /// Computes the proposal for an observation.
    fn propose(&self, sample: &Self::Sample) -> Self::Proposal;

    /// Draws latents and sets each number of `out` to `log w = log p(x, z) − log q(z|x)`, in nats.
    fn log_weights(
        &self,
        sample: &Self::Sample,
        proposal: &Self::Proposal,
        generator: &mut ChaCha8Rng,
        out: &mut [f64],
    );
}

impl<M: LatentModel> ImportanceModel for M {
    type Sample = M::Sample;
    type Proposal = ();

    fn propose(&self, _: &Self::Sample) {}

    fn log_weights(&self, sample: &Self::Sample, _: &(), generator: &mut ChaCha8Rng, out: &mut [f64]) {
        for weight in out {
            let latent = self.draw(sample, generator);
            *weight = self.log_joint(sample, &latent) - self.log_proposal(sample, &latent);
        }
    }
}
