//! Non-negative least squares (Lawson and Hanson, 1974), for a few dozen unknowns.

/// The weights `w ≥ 0` that minimise `Σ (Σ wⱼ xᵢⱼ − yᵢ)²`.
pub(super) fn nnls(rows: &[Vec<f64>], targets: &[f64]) -> Vec<f64> {
    let width = rows.first().map_or(0, Vec::len);
    // The normal equations: XᵀX and Xᵀy.
    let mut gram = vec![vec![0.0; width]; width];
    let mut moment = vec![0.0; width];
    for (row, target) in rows.iter().zip(targets) {
        for i in 0..width {
            moment[i] += row[i] * target;
            for j in 0..width {
                gram[i][j] += row[i] * row[j];
            }
        }
    }
    let scale = (0..width)
        .map(|i| gram[i][i])
        .fold(0.0, f64::max)
        .max(f64::MIN_POSITIVE);
    // Equal columns share their weight.
    (0..width).for_each(|i| gram[i][i] += 1e-12 * scale);

    let mut weights = vec![0.0; width];
    let mut free = vec![false; width];
    for _ in 0..3 * width {
        let gradient = |i: usize| moment[i] - (0..width).map(|j| gram[i][j] * weights[j]).sum::<f64>();
        let entering = (0..width)
            .filter(|&i| !free[i])
            .map(|i| (gradient(i), i))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        match entering {
            Some((gain, index)) if gain > 1e-10 * scale => free[index] = true,
            _ => break,
        }
        loop {
            let found = solve(&gram, &moment, &free);
            // The step towards the solution at which a weight becomes 0, and that weight.
            let blocking = (0..width)
                .filter(|&i| free[i] && found[i] <= 0.0)
                .map(|i| (weights[i] / (weights[i] - found[i]).max(f64::MIN_POSITIVE), i))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            let step = blocking.map_or(1.0, |(step, _)| step.min(1.0));
            for i in 0..width {
                weights[i] += step * (found[i] - weights[i]);
            }
            // One weight is removed each time, so the loop ends despite rounding.
            if let Some((_, index)) = blocking {
                weights[index] = 0.0;
                free[index] = false;
            }
            let Some(_) = blocking else { break };
        }
    }
    weights.iter_mut().for_each(|weight| *weight = weight.max(0.0));
    weights
}

/// Solves the equations of the free unknowns by elimination. The others are 0.
fn solve(gram: &[Vec<f64>], moment: &[f64], free: &[bool]) -> Vec<f64> {
    let index: Vec<usize> = (0..free.len()).filter(|&i| free[i]).collect();
    let count = index.len();
    let mut system: Vec<Vec<f64>> = index
        .iter()
        .map(|&i| index.iter().map(|&j| gram[i][j]).chain([moment[i]]).collect())
        .collect();
    for pivot in 0..count {
        let best = (pivot..count)
            .max_by(|&a, &b| system[a][pivot].abs().total_cmp(&system[b][pivot].abs()))
            .unwrap_or(pivot);
        system.swap(pivot, best);
        let top = system[pivot].clone();
        for (row, values) in system.iter_mut().enumerate() {
            if row != pivot && top[pivot] != 0.0 {
                let factor = values[pivot] / top[pivot];
                values
                    .iter_mut()
                    .zip(&top)
                    .for_each(|(value, top)| *value -= factor * top);
            }
        }
    }
    let mut found = vec![0.0; free.len()];
    for (row, &i) in index.iter().enumerate() {
        if system[row][row] != 0.0 {
            found[i] = system[row][count] / system[row][row];
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The conditions of Karush, Kuhn and Tucker: no weight that is 0 wants to grow, no other wants to change.
        #[test]
        fn no_weight_wants_to_change(
            rows in prop::collection::vec(prop::collection::vec(-10.0f64..10.0, 4), 4..9),
            targets in prop::collection::vec(-10.0f64..10.0, 9),
        ) {
            let targets = &targets[..rows.len()];
            let weights = nnls(&rows, targets);
            for column in 0..4 {
                let gradient: f64 = rows.iter().zip(targets).map(|(row, target)| {
                    let value: f64 = row.iter().zip(&weights).map(|(x, w)| x * w).sum();
                    row[column] * (target - value)
                }).sum();
                prop_assert!(weights[column] >= 0.0);
                prop_assert!(gradient <= 1e-5 && (weights[column] == 0.0 || gradient >= -1e-5), "{weights:?} {gradient}");
            }
        }
    }

    #[test]
    fn weights_are_found_again() {
        let rows = vec![vec![60.0, 80.0, 70.0], vec![50.0, 60.0, 90.0], vec![40.0, 30.0, 20.0]];
        let found = nnls(&rows, &[67.5, 62.5, 32.5]);
        for (found, expected) in found.iter().zip([0.5, 0.25, 0.25]) {
            assert!((found - expected).abs() < 1e-6, "{found}");
        }
    }
}
