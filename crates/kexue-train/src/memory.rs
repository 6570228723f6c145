//! How much memory a training takes, and how much there is.

use kexue_nn::{Layout, TransformerConfig};

/// Bytes without which a model of a valid configuration cannot be trained on `sequences` sequences of `length` tokens a step: weights, gradient and Adam's two
/// moments; the activations that the backward pass needs; the probabilities of the attention. What is needed in the end is more, but of the same size.
pub fn least_memory(config: &TransformerConfig, sequences: usize, length: usize) -> f64 {
    let [layers, heads, d_model, d_ffn] =
        [config.layers, config.heads, config.d_model, config.d_ffn].map(|size| size as f64);
    let (length, tokens) = (length as f64, sequences as f64 * length as f64);
    let parameters = 4.0 * Layout::new(config).len() as f64;
    // Stream, query, key, value and context of each layer; both sides of its activation.
    let activations = tokens * layers * (5.0 * d_model + 2.0 * d_ffn);
    // The backward pass has one more square.
    let probabilities = tokens * length * layers * heads + length * length;
    4.0 * (parameters + activations + probabilities)
}

/// Bytes of memory that the machine has; `None` where the system does not say so in `/proc/meminfo`.
pub fn machine_memory() -> Option<f64> {
    total(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn total(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024.0 * kibibytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_real_trainings() {
        let small = TransformerConfig::new(8000);
        let (alone, trained) = (least_memory(&small, 0, 0), least_memory(&small, 64, 128));
        assert!(
            (alone / 16.0 / 5.2e6 - 1.0).abs() < 0.01,
            "5.2 million parameters: {alone}"
        );
        assert!((1e8..2e9).contains(&trained), "{trained}");
        let wide = TransformerConfig {
            d_model: 1 << 16,
            d_ffn: 1 << 18,
            layers: 1 << 10,
            ..TransformerConfig::new(1 << 24)
        };
        assert!(least_memory(&wide, usize::MAX, usize::MAX).is_finite());
        assert!(least_memory(&small, 1, 1 << 16) > 2e11, "squares of long sequences");
    }

    #[test]
    fn the_total_is_read_in_bytes() {
        let text = "MemFree:  1 kB\nMemTotal:       24689764 kB\nMemAvailable: 3 kB\n";
        assert_eq!(total(text), Some(24_689_764.0 * 1024.0));
        assert_eq!((total(""), total("MemTotal: many kB")), (None, None));
    }
}
