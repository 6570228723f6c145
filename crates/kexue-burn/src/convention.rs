//! PyTorch's names and layouts for the parameters of Burn's layers.

use kexue_optim::Role;

/// The name and layout of a parameter in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Convention<'a> {
    /// The last part of its name.
    pub name: &'a str,
    /// Whether a matrix is stored transposed.
    pub transposed: bool,
    /// Its role, as far as layer and name tell.
    pub role: Role,
}

/// PyTorch's convention for the parameter `name` of a Burn layer of type `layer`, as `Module::visit` reports both.
///
/// Convolutions and embeddings have the same names and layouts in both. Layers whose parts differ (recurrent cells, `MultiHeadAttention`,
/// which PyTorch stacks into one matrix) keep Burn's names of their parts.
pub(crate) fn pytorch<'a>(layer: &str, name: &'a str) -> Convention<'a> {
    let layer = layer.strip_prefix("Struct:").unwrap_or(layer);
    let renamed = match (layer, name) {
        ("BatchNorm" | "LayerNorm" | "GroupNorm" | "InstanceNorm" | "RmsNorm", "gamma") => "weight",
        ("BatchNorm" | "LayerNorm" | "GroupNorm" | "InstanceNorm", "beta") => "bias",
        ("PRelu", "alpha") => "weight",
        _ => name,
    };
    let role = match (layer, name) {
        ("Embedding", _) => Role::Embedding,
        (_, "gamma") => Role::Gamma,
        (_, "bias" | "beta") => Role::Bias,
        _ => Role::Weight,
    };
    Convention {
        name: renamed,
        role,
        // Burn's `Linear` multiplies from the right: `[in, out]` against PyTorch's `[out, in]`.
        transposed: layer == "Linear" && name == "weight",
    }
}

/// Copies a matrix `[rows, columns]` to its transpose `[columns, rows]`, a tile at a time so that both sides stay in the cache.
///
/// # Panics
/// If a slice is shorter than the matrix.
pub fn transpose<E: Copy>(from: &[E], rows: usize, columns: usize, to: &mut [E]) {
    const TILE: usize = 32;
    for top in (0..rows).step_by(TILE) {
        for left in (0..columns).step_by(TILE) {
            for row in top..rows.min(top + TILE) {
                for column in left..columns.min(left + TILE) {
                    to[column * rows + row] = from[row * columns + column];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_twice_changes_nothing() {
        for (rows, columns) in [(1, 1), (1, 7), (33, 64), (70, 31)] {
            let values: Vec<usize> = (0..rows * columns).collect();
            let (mut once, mut twice) = (vec![0; values.len()], vec![0; values.len()]);
            transpose(&values, rows, columns, &mut once);
            transpose(&once, columns, rows, &mut twice);
            assert_eq!(once[columns.min(2).saturating_sub(1) * rows], columns.min(2) - 1);
            assert_eq!(twice, values);
        }
    }
}
