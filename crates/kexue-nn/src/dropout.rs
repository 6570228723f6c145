//! Dropout.

use rand::Rng;

/// Drops elements with a probability that is a multiple of 1/256, so that one random byte decides one element.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    dropped: u8,
}

impl Dropout {
    /// Rounds a probability to the nearest multiple of 1/256.
    pub fn new(probability: f32) -> Self {
        Self {
            dropped: (probability * 256.0).round().clamp(0.0, 255.0) as u8,
        }
    }

    /// Elements whose random byte is below this are dropped.
    pub fn dropped(self) -> u8 {
        self.dropped
    }

    /// The factor of kept elements.
    pub fn scale(self) -> f32 {
        256.0 / (256.0 - f32::from(self.dropped))
    }

    /// Drops elements if a generator is given, and records in `kept` which are left.
    pub(crate) fn forward(self, x: &mut [f32], kept: &mut Vec<u8>, generator: Option<&mut (impl Rng + ?Sized)>) {
        kept.clear();
        let Some(generator) = generator.filter(|_| self.dropped > 0) else {
            return;
        };
        kept.resize(x.len(), 0);
        generator.fill_bytes(kept);
        let scale = self.scale();
        for (x, kept) in x.iter_mut().zip(kept) {
            *kept = u8::from(*kept >= self.dropped);
            *x *= f32::from(*kept) * scale;
        }
    }

    pub(crate) fn backward(self, dx: &mut [f32], kept: &[u8]) {
        let scale = self.scale();
        for (dx, &kept) in dx.iter_mut().zip(kept) {
            *dx *= f32::from(kept) * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn dropout_keeps_the_mean() {
        let dropout = Dropout::new(0.25);
        let mut x = vec![1.0; 100_000];
        let mut kept = Vec::new();
        dropout.forward(&mut x, &mut kept, Some(&mut ChaCha8Rng::seed_from_u64(0)));
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        assert!((mean - 1.0).abs() < 4.0 * (1.0f32 / 3.0 / 100_000.0).sqrt());
    }
}
