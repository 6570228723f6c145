//! Adafactor: second moments of matrices in the memory of their rows and columns.

use crate::{Slots, Transformation};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Constants of [`Adafactor`]; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdafactorConfig {
    /// The second moment of step t keeps `1 − t^decay` of the past.
    pub decay: f32,
    /// Smallest root of a second moment.
    pub epsilon: f32,
    /// Lower bound on the parameter size that updates are scaled to.
    pub smallest_scale: f32,
    /// Largest root mean square of an update, before it is scaled.
    pub clip: f32,
}

impl Default for AdafactorConfig {
    fn default() -> Self {
        Self {
            decay: -0.8,
            epsilon: f32::EPSILON,
            smallest_scale: 1e-3,
            clip: 1.0,
        }
    }
}

/// The gradient over the root of its second moment, which for matrices is the product of row means and column means over their mean; clipped by its
/// root mean square and scaled to that of the parameter (Shazeer & Stern, arXiv 1804.04235, algorithms 4 and 5), as PyTorch's `Adafactor`.
///
/// The relative step size of the paper is a [`LearningRate`](crate::LearningRate) after it, with
/// [`Decay::InverseRoot`](crate::Decay::InverseRoot).
#[derive(Clone, Debug)]
pub struct Adafactor {
    config: AdafactorConfig,
    parts: Vec<Part>,
    rows: Vec<f32>,
    columns: Vec<f32>,
    whole: Vec<f32>,
}

/// A parameter and its second moments.
#[derive(Clone, Debug)]
struct Part {
    range: Range<usize>,
    /// Rows and columns of its matrices (the last two dimensions); none for a vector.
    matrix: Option<(usize, usize)>,
}

impl Part {
    /// Numbers of the state: rows, columns, whole.
    fn sizes(&self) -> (usize, usize, usize) {
        match self.matrix {
            Some((rows, columns)) => {
                let count = self.range.len() / (rows * columns).max(1);
                (count * rows, count * columns, 0)
            }
            None => (0, 0, self.range.len()),
        }
    }
}

impl Adafactor {
    /// Zero-initialised moments of these parameters.
    pub fn new(config: AdafactorConfig, slots: &Slots) -> Self {
        let part = |slot: &crate::Slot| Part {
            range: slot.range.clone(),
            matrix: match slot.shape[..] {
                [.., rows, columns] => Some((rows, columns)),
                _ => None,
            },
        };
        let parts: Vec<Part> = slots.iter().map(part).collect();
        let sum =
            |size: fn((usize, usize, usize)) -> usize| vec![0.0; parts.iter().map(|part| size(part.sizes())).sum()];
        Self {
            config,
            rows: sum(|sizes| sizes.0),
            columns: sum(|sizes| sizes.1),
            whole: sum(|sizes| sizes.2),
            parts,
        }
    }
}

fn mean_square(values: impl Iterator<Item = f32>, count: usize) -> f64 {
    values.map(|value| f64::from(value) * f64::from(value)).sum::<f64>() / count.max(1) as f64
}

/// Updates a moment towards `new`.
fn blend(moment: &mut f32, new: f32, weight: f32) {
    *moment += weight * (new - *moment);
}

/// The values computed for one parameter.
struct Work<'a> {
    update: &'a mut [f32],
    parameters: &'a [f32],
    matrix: Option<(usize, usize)>,
    rows: &'a mut [f32],
    columns: &'a mut [f32],
    whole: &'a mut [f32],
}

impl Work<'_> {
    fn run(self, config: AdafactorConfig, weight: f32) {
        let Self {
            update,
            parameters,
            matrix,
            rows,
            columns,
            whole,
        } = self;
        let least = config.epsilon * config.epsilon;
        match matrix {
            Some((height, width)) => {
                let matrices = update.chunks_exact_mut((height * width).max(1));
                let moments = rows
                    .chunks_exact_mut(height.max(1))
                    .zip(columns.chunks_exact_mut(width.max(1)));
                for (matrix, (rows, columns)) in matrices.zip(moments) {
                    let mut sums = vec![0.0f64; width];
                    for (row, moment) in matrix.chunks_exact(width).zip(rows.iter_mut()) {
                        blend(moment, mean_square(row.iter().copied(), width) as f32, weight);
                        sums.iter_mut()
                            .zip(row)
                            .for_each(|(sum, &g)| *sum += f64::from(g) * f64::from(g));
                    }
                    for (moment, sum) in columns.iter_mut().zip(sums) {
                        blend(moment, (sum / height as f64) as f32, weight);
                    }
                    let mean = rows.iter().map(|&row| f64::from(row)).sum::<f64>() / height as f64;
                    let mean = (mean as f32).max(config.epsilon);
                    for (row, &row_moment) in matrix.chunks_exact_mut(width).zip(rows.iter()) {
                        for (g, &column_moment) in row.iter_mut().zip(columns.iter()) {
                            *g /= (row_moment * column_moment / mean).max(least).sqrt();
                        }
                    }
                }
            }
            None => {
                for (g, moment) in update.iter_mut().zip(whole) {
                    blend(moment, *g * *g, weight);
                    *g /= moment.max(least).sqrt();
                }
            }
        }
        let root = |values: &[f32]| mean_square(values.iter().copied(), values.len()).sqrt();
        let scale = root(parameters).max(f64::from(config.smallest_scale));
        let factor = (scale / (root(update) / f64::from(config.clip)).max(1.0)) as f32;
        update.iter_mut().for_each(|u| *u *= factor);
    }
}

impl Transformation for Adafactor {
    fn name(&self) -> &'static str {
        "adafactor"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64) {
        let weight = ((step + 1) as f64).powf(f64::from(self.config.decay)) as f32;
        let mut rest = (&mut self.rows[..], &mut self.columns[..], &mut self.whole[..], update);
        let mut work = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let (rows, columns, whole) = part.sizes();
            let (rows, rest_rows) = std::mem::take(&mut rest.0).split_at_mut(rows);
            let (columns, rest_columns) = std::mem::take(&mut rest.1).split_at_mut(columns);
            let (whole, rest_whole) = std::mem::take(&mut rest.2).split_at_mut(whole);
            let (update, rest_update) = std::mem::take(&mut rest.3).split_at_mut(part.range.len());
            rest = (rest_rows, rest_columns, rest_whole, rest_update);
            work.push(Work {
                update,
                parameters: &parameters[part.range.clone()],
                matrix: part.matrix,
                rows,
                columns,
                whole,
            });
        }
        let config = self.config;
        work.into_par_iter().for_each(|work| work.run(config, weight));
    }

    fn state(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        vec![
            ("rows".to_owned(), &mut self.rows),
            ("columns".to_owned(), &mut self.columns),
            ("whole".to_owned(), &mut self.whole),
        ]
    }
}
