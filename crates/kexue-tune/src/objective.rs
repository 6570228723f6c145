//! Losses as functions of logits, and their derivatives.

/// The logarithm of the softmax of one example's logits.
fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let most = logits.iter().fold(f32::MIN, |most, &logit| most.max(logit));
    let shifted = || logits.iter().map(|&logit| f64::from(logit - most));
    let log_sum = shifted().map(f64::exp).sum::<f64>().ln();
    shifted().map(|logit| logit - log_sum).collect()
}

/// The loss of an example: the cross-entropy of a class, or for a single logit the squared difference to a number. Adds `weight` times its derivative with
/// respect to the logits to `derivative`.
pub(crate) fn loss(logits: &[f32], target: f32, weight: f32, derivative: &mut [f32]) -> f64 {
    if let ([logit], [derivative]) = (logits, &mut *derivative) {
        let difference = logit - target;
        *derivative += weight * 2.0 * difference;
        return f64::from(difference).powi(2);
    }
    let logs = log_softmax(logits);
    for (class, (derivative, log)) in derivative.iter_mut().zip(&logs).enumerate() {
        let is_right = if class == target as usize { 1.0 } else { 0.0 };
        *derivative += weight * (log.exp() as f32 - is_right);
    }
    -logs[target as usize]
}

/// R-Drop's divergence of two passes of an example, `½·(KL(a‖b) + KL(b‖a))`, or for single logits half the squared difference. Adds `weight` times its
/// derivatives to `derivatives`.
pub(crate) fn divergence(logits: [&[f32]; 2], weight: f32, derivatives: [&mut [f32]; 2]) -> f64 {
    let [first, second] = derivatives;
    if let [[a], [b]] = logits {
        let difference = a - b;
        first[0] += weight * difference;
        second[0] -= weight * difference;
        return 0.5 * f64::from(difference).powi(2);
    }
    let [a, b] = logits.map(log_softmax);
    let add = |of: &[f64], other: &[f64], derivative: &mut [f32]| -> f64 {
        let kl: f64 = of.iter().zip(other).map(|(log, other)| log.exp() * (log - other)).sum();
        for ((derivative, log), other) in derivative.iter_mut().zip(of).zip(other) {
            // The derivative of KL(this‖other), then of KL(other‖this).
            let own = log.exp() * (log - other - kl);
            *derivative += weight * (0.5 * (own + log.exp() - other.exp())) as f32;
        }
        kl
    };
    0.5 * (add(&a, &b, first) + add(&b, &a, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares a derivative with central differences.
    fn check(logits: &[f32], derivative: &[f32], of: impl Fn(&[f32]) -> f64) {
        for at in 0..logits.len() {
            let moved = |step: f32| {
                let mut logits = logits.to_vec();
                logits[at] += step;
                of(&logits)
            };
            let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!(
                (numeric - f64::from(derivative[at])).abs() < 1e-4,
                "{at}: {numeric}, {derivative:?}"
            );
        }
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        for (logits, target) in [(&[0.3f32, -1.2, 0.7][..], 2.0), (&[0.4], 1.5)] {
            let mut derivative = vec![0.0; logits.len()];
            let value = loss(logits, target, 1.0, &mut derivative);
            assert!(value > 0.0);
            check(logits, &derivative, |logits| {
                loss(logits, target, 1.0, &mut vec![0.0; logits.len()])
            });
        }
        for (a, b) in [(&[0.3f32, -1.2, 0.7][..], &[0.1f32, 0.9, -0.4][..]), (&[0.4], &[1.0])] {
            let zeros = || vec![0.0; a.len()];
            let (mut first, mut second) = (zeros(), zeros());
            let value = divergence([a, b], 1.0, [&mut first, &mut second]);
            assert!(value > 0.0);
            let of = |a: &[f32], b: &[f32]| divergence([a, b], 1.0, [&mut zeros(), &mut zeros()]);
            assert!((of(b, a) - value).abs() < 1e-12 && of(a, a) == 0.0);
            check(a, &first, |a| of(a, b));
            check(b, &second, |b| of(a, b));
        }
    }
}
