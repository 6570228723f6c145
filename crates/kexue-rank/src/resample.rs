//! How the ranking depends on the choice of tasks: the bootstrap, and leaving out one task.

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::advice::Advice;
use crate::error::{Error, Result};
use crate::mean::Mean;
use crate::scores::{Scores, tied};
use crate::table::Direction;

/// The maximum number of ranks that a bootstrap stores (systems × resamples): half a gibibyte.
pub const MOST_RANKS: usize = 1 << 27;

/// Options of the bootstrap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BootstrapOptions {
    /// Number of resamples.
    pub resamples: usize,
    /// Seed of the random draws.
    pub seed: u64,
    /// Share of the resamples that an interval covers.
    pub level: f64,
    /// Also perturb every score by a normal error of the size that the table prints (`± error`).
    pub noise: bool,
}

impl Default for BootstrapOptions {
    fn default() -> Self {
        Self {
            resamples: 1000,
            seed: 0,
            level: 0.95,
            noise: false,
        }
    }
}

/// The ranks of one system over the resamples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RankInterval {
    /// The rank with all tasks.
    pub rank: usize,
    /// The lower end of the interval.
    pub low: usize,
    /// The upper end.
    pub high: usize,
}

/// A ranking by one mean over resampled tasks: each resample draws as many tasks as there are, with repetition.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// The mean.
    pub mean: Mean,
    /// The options.
    pub options: BootstrapOptions,
    /// The interval of every system.
    pub intervals: Vec<RankInterval>,
    /// `ranks[system · resamples + resample]`
    ranks: Vec<u32>,
}

impl Bootstrap {
    /// The share of the resamples in which the first system is ahead of the second; a tie counts half.
    pub fn probability_ahead(&self, first: usize, second: usize) -> f64 {
        let count = self.options.resamples;
        let row = |system: usize| &self.ranks[system * count..(system + 1) * count];
        let twice: usize = row(first)
            .iter()
            .zip(row(second))
            .map(|(a, b)| match a.cmp(b) {
                std::cmp::Ordering::Less => 2,
                std::cmp::Ordering::Equal => 1,
                std::cmp::Ordering::Greater => 0,
            })
            .sum();
        twice as f64 / (2 * count) as f64
    }
}

/// Resamples the tasks.
///
/// # Errors
///
/// [`Error::NotPositive`] if the mean is not defined, [`Error::Refused`] if an option is invalid.
pub fn bootstrap(scores: &Scores, mean: Mean, options: BootstrapOptions) -> Result<Bootstrap> {
    let (count, width) = (scores.systems.len(), scores.tasks.len());
    if options.resamples == 0 || !(options.level > 0.0 && options.level < 1.0) {
        return Err(Error::refused(
            "a bootstrap needs at least one resample, and a level between 0 and 1",
            "give for example <resamples 1000> and <level 0.95>",
        ));
    }
    if count.saturating_mul(options.resamples) > MOST_RANKS {
        return Err(Error::refused(
            format!("{count} systems × {} resamples", options.resamples),
            Advice::about(
                "choose systems with <head> or <systems>, or at most {} resamples",
                &(MOST_RANKS / count.max(1)).to_string(),
            ),
        ));
    }
    if options.noise && scores.errors.is_none() {
        return Err(Error::refused(
            "the table has no errors (±) to move scores by",
            "do not set <noise>",
        ));
    }
    let full = scores.ranks(&scores.means(mean)?);
    let powers = Powers::new(scores, mean);

    // Each resample has its own random stream, so the result does not depend on the number of threads.
    let mut by_resample = vec![0u32; count * options.resamples];
    by_resample
        .par_chunks_mut(count)
        .enumerate()
        .for_each(|(resample, column)| {
            let mut random = ChaCha8Rng::seed_from_u64(options.seed);
            random.set_stream(resample as u64);
            let mut weights = vec![0.0; width];
            for _ in 0..width {
                let task = random.random_range(0..width);
                weights[task] += scores.weights[task];
            }
            let total: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= total);
            let averages = if options.noise {
                noisy_averages(scores, mean, &weights, &mut random)
            } else {
                powers.averages(scores, &weights)
            };
            for (slot, rank) in column.iter_mut().zip(scores.ranks(&averages)) {
                *slot = rank as u32;
            }
        });
    let mut ranks = vec![0u32; count * options.resamples];
    ranks
        .par_chunks_mut(options.resamples)
        .enumerate()
        .for_each(|(system, row)| {
            for (rank, column) in row.iter_mut().zip(by_resample.chunks_exact(count)) {
                *rank = column[system];
            }
        });
    let tail = 0.5 * (1.0 - options.level);
    let at = |share: f64| ((share * options.resamples as f64) as usize).min(options.resamples - 1);
    let intervals = (0..count)
        .into_par_iter()
        .map(|system| {
            let mut row = ranks[system * options.resamples..(system + 1) * options.resamples].to_vec();
            row.sort_unstable();
            let low = row[at(tail)] as usize;
            let high = row[options.resamples - 1 - at(tail)] as usize;
            RankInterval {
                rank: full[system],
                low,
                high,
            }
        })
        .collect();
    Ok(Bootstrap {
        mean,
        options,
        intervals,
        ranks,
    })
}

/// Transformed scores, so that a resample is a weighted sum.
enum Powers {
    /// `Σ w f(x)` has the order of the mean, or the reverse order if `falling`.
    Sum { transformed: Vec<f64>, falling: bool },
    /// Minimum, maximum, median: no sum.
    Direct(Mean),
}

impl Powers {
    fn new(scores: &Scores, mean: Mean) -> Self {
        let Mean::Power(exponent) = mean else {
            return Self::Direct(mean);
        };
        if exponent.is_infinite() {
            return Self::Direct(mean);
        }
        let rows = || (0..scores.systems.len()).flat_map(|system| scores.row(system).iter().copied());
        // The largest power is 1.
        let extreme = if exponent >= 0.0 {
            rows().fold(0.0, f64::max)
        } else {
            rows().fold(f64::INFINITY, f64::min)
        };
        let transform = |value: f64| match exponent {
            0.0 => value.ln(),
            1.0 => value,
            _ => (value / extreme).powf(exponent),
        };
        Self::Sum {
            transformed: rows().map(transform).collect(),
            falling: exponent < 0.0,
        }
    }

    /// Numbers that rank the systems as the resampled mean does.
    fn averages(&self, scores: &Scores, weights: &[f64]) -> Vec<f64> {
        match self {
            Self::Sum { transformed, falling } => transformed
                .chunks(weights.len())
                .map(|row| {
                    let sum: f64 = row.iter().zip(weights).map(|(x, w)| x * w).sum();
                    if *falling { -sum } else { sum }
                })
                .collect(),
            Self::Direct(mean) => (0..scores.systems.len())
                .map(|system| mean.of(scores.row(system), weights))
                .collect(),
        }
    }
}

fn noisy_averages(scores: &Scores, mean: Mean, weights: &[f64], random: &mut ChaCha8Rng) -> Vec<f64> {
    let width = scores.tasks.len();
    let errors = scores.errors.as_deref().unwrap_or_default();
    let mut row = vec![0.0; width];
    (0..scores.systems.len())
        .map(|system| {
            for (task, moved) in row.iter_mut().enumerate() {
                let value = scores.value(system, task);
                let error = errors.get(system * width + task).copied().unwrap_or(f64::NAN);
                *moved = if error > 0.0 {
                    value + error * normal(random)
                } else {
                    value
                };
                // A score for which noise makes the mean undefined is kept.
                if mean.undefined(*moved).is_some() {
                    *moved = value;
                }
            }
            mean.of(&row, weights)
        })
        .collect()
}

/// A standard normal number (Box and Muller).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// The ranking without one task.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct LeftOut {
    /// The task.
    pub task: usize,
    /// The ranks without it.
    pub ranks: Vec<usize>,
    /// Pairs whose order reverses.
    pub reversed: usize,
    /// The system whose rank changes most, and its ranks with and without the task; `None` if no rank changes.
    pub largest: Option<(usize, usize, usize)>,
}

/// Leaves out each task in turn. Empty if there is only one task.
///
/// # Errors
///
/// [`Error::NotPositive`] if the mean is not defined.
pub fn leave_one_out(scores: &Scores, mean: Mean) -> Result<Vec<LeftOut>> {
    if scores.tasks.len() < 2 {
        return Ok(Vec::new());
    }
    let full_averages = scores.means(mean)?;
    let full = scores.ranks(&full_averages);
    (0..scores.tasks.len())
        .into_par_iter()
        .map(|task| {
            let less = scores.without_task(task);
            let averages = less.means(mean)?;
            let ranks = less.ranks(&averages);
            let largest = (0..full.len())
                .map(|system| (full[system].abs_diff(ranks[system]), system))
                .filter(|(change, _)| *change > 0)
                .max_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)))
                .map(|(_, system)| (system, full[system], ranks[system]));
            Ok(LeftOut {
                task,
                reversed: reversed(&full_averages, &averages, scores.direction),
                ranks,
                largest,
            })
        })
        .collect()
}

/// Pairs with opposite strict orders: inversions, counted by merging.
fn reversed(first: &[f64], second: &[f64], direction: Direction) -> usize {
    let sign = if direction == Direction::Higher { -1.0 } else { 1.0 };
    // In rising order of the first; equal ones in falling order of the second reversed, so that they count nothing.
    let mut order: Vec<usize> = (0..first.len()).collect();
    order.sort_by(|&a, &b| {
        let by_first = if tied(first[a], first[b]) {
            std::cmp::Ordering::Equal
        } else {
            (sign * first[a]).total_cmp(&(sign * first[b]))
        };
        by_first.then((sign * second[a]).total_cmp(&(sign * second[b])))
    });
    let mut sequence: Vec<f64> = order.into_iter().map(|index| sign * second[index]).collect();
    let mut buffer = sequence.clone();
    inversions(&mut sequence, &mut buffer)
}

fn inversions(values: &mut [f64], buffer: &mut [f64]) -> usize {
    let length = values.len();
    if length < 2 {
        return 0;
    }
    let middle = length / 2;
    let mut count = {
        let (left, right) = values.split_at_mut(middle);
        let (left_buffer, right_buffer) = buffer.split_at_mut(middle);
        inversions(left, left_buffer) + inversions(right, right_buffer)
    };
    let (mut i, mut j) = (0, middle);
    for slot in buffer.iter_mut() {
        let take_right = j < length && (i == middle || (values[j] < values[i] && !tied(values[j], values[i])));
        if take_right {
            count += middle - i;
            *slot = values[j];
            j += 1;
        } else {
            *slot = values[i];
            i += 1;
        }
    }
    values.copy_from_slice(buffer);
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::from_rows as scores;
    use proptest::prelude::*;

    #[test]
    fn a_system_that_is_best_everywhere_is_always_first() {
        let scores = scores(&[vec![3.0, 4.0, 5.0], vec![1.0, 2.0, 4.0], vec![2.0, 1.0, 3.0]]);
        for mean in [
            Mean::ARITHMETIC,
            Mean::GEOMETRIC,
            Mean::HARMONIC,
            Mean::MINIMUM,
            Mean::Median,
            Mean::Power(0.5),
        ] {
            let found = bootstrap(&scores, mean, BootstrapOptions::default()).unwrap();
            assert_eq!(
                found.intervals[0],
                RankInterval {
                    rank: 1,
                    low: 1,
                    high: 1
                },
                "{mean}"
            );
            assert_eq!(found.probability_ahead(0, 1), 1.0);
            assert!((found.probability_ahead(1, 2) + found.probability_ahead(2, 1) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn two_tasks_can_be_counted_by_hand() {
        // A wins the first task by as much as B wins the second: of the four draws one favours each, two tie.
        let scores = scores(&[vec![2.0, 1.0], vec![1.0, 2.0]]);
        let options = BootstrapOptions {
            resamples: 4000,
            ..BootstrapOptions::default()
        };
        let found = bootstrap(&scores, Mean::ARITHMETIC, options).unwrap();
        assert!((found.probability_ahead(0, 1) - 0.5).abs() < 0.03);
        assert_eq!(
            found.intervals[0],
            RankInterval {
                rank: 1,
                low: 1,
                high: 2
            }
        );
    }

    #[test]
    fn the_seed_decides() {
        let scores = scores(&[vec![3.0, 1.0, 2.0], vec![1.0, 2.0, 2.5]]);
        let run = |seed| {
            bootstrap(
                &scores,
                Mean::ARITHMETIC,
                BootstrapOptions {
                    seed,
                    ..BootstrapOptions::default()
                },
            )
            .unwrap()
            .probability_ahead(0, 1)
        };
        assert_eq!(run(1), run(1));
    }

    #[test]
    fn leaving_out_the_task_that_decides() {
        let scores = scores(&[vec![9.0, 1.0, 5.0], vec![4.0, 3.0, 5.0]]);
        let found = leave_one_out(&scores, Mean::ARITHMETIC).unwrap();
        assert_eq!(found.iter().map(|left| left.reversed).collect::<Vec<_>>(), [1, 0, 0]);
        assert_eq!(found[0].ranks, [2, 1]);
        assert_eq!(found[0].largest, Some((0, 1, 2)));
    }

    proptest! {
        #[test]
        fn inversions_are_counted(pairs in prop::collection::vec((0u8..12, 0u8..12), 0..30)) {
            let first: Vec<f64> = pairs.iter().map(|(a, _)| f64::from(*a)).collect();
            let second: Vec<f64> = pairs.iter().map(|(_, b)| f64::from(*b)).collect();
            let slow = (0..pairs.len()).flat_map(|i| (0..i).map(move |j| (i, j)))
                .filter(|&(i, j)| (first[i] - first[j]) * (second[i] - second[j]) < 0.0).count();
            prop_assert_eq!(reversed(&first, &second, Direction::Higher), slow);
            prop_assert_eq!(reversed(&first, &second, Direction::Lower), slow);
        }
    }
}
