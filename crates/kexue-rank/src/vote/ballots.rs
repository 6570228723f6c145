//! The votes of the tasks: the places of all systems on all tasks, and the votes in each duel of two systems.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::scores::{Scores, tied};
use crate::table::Direction;

use super::options::{Missing, Options, Ties};
use super::tally::{Places, Tally, Worth};
use super::units::units;

/// The places of all systems on all tasks.
pub(super) struct Ballots {
    pub systems: usize,
    pub tasks: Vec<Ballot>,
    /// Number of votes that a weight of 1 stands for.
    pub votes_of_unit: f64,
}

pub(super) struct Ballot {
    pub votes: u64,
    /// The places of each system's tie, from 1; `None` if its score is missing and ignored.
    pub places: Vec<Option<Places>>,
}

impl Ballots {
    pub fn new(scores: &Scores, options: Options) -> Self {
        let votes = units(&scores.weights);
        let tasks = votes
            .iter()
            .enumerate()
            .collect::<Vec<_>>()
            .into_par_iter()
            .map(|(task, &votes)| Ballot {
                votes,
                places: places(scores, task, options),
            })
            .collect();
        let all: u64 = votes.iter().sum();
        Self {
            systems: scores.systems.len(),
            tasks,
            votes_of_unit: scores.tasks.len() as f64 / all as f64,
        }
    }

    /// The places that a system takes under the rule for ties, with the votes of the tasks.
    pub fn places_of(&self, system: usize, ties: Ties) -> impl Iterator<Item = (Places, u64)> + '_ {
        self.tasks.iter().filter_map(move |ballot| {
            let places = ballot.places[system]?;
            let places = match ties {
                Ties::Share => places,
                Ties::Best => Places::only(places.best),
                Ties::Worst | Ties::Votenrank => Places::only(places.worst),
            };
            Some((places, ballot.votes))
        })
    }

    /// The tally of every system.
    pub fn tallies(&self, ties: Ties, worth: Worth) -> Vec<Tally> {
        (0..self.systems)
            .into_par_iter()
            .map(|system| Tally::new(worth, self.places_of(system, ties)))
            .collect()
    }
}

/// The places of every system on one task.
fn places(scores: &Scores, task: usize, options: Options) -> Vec<Option<Places>> {
    let count = scores.systems.len();
    // Missing scores come last. The key is negated if needed, so that a smaller one is better.
    let key = |system: usize| {
        let value = scores.value(system, task);
        if value.is_nan() {
            f64::INFINITY
        } else if scores.direction == Direction::Higher {
            -value
        } else {
            value
        }
    };
    // Printed scores tie if they are equal; computed ones, such as a mean of metrics, tie within rounding.
    let same = |a: usize, b: usize| key(a) == key(b) || scores.is_computed(task) && tied(key(a), key(b));
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| key(a).total_cmp(&key(b)));
    let mut places = vec![None; count];
    let mut best = 1u32;
    for group in order.chunk_by(|&a, &b| same(a, b)) {
        let worst = best + group.len() as u32 - 1;
        for &system in group {
            if !(options.missing == Missing::Pairwise && scores.value(system, task).is_nan()) {
                places[system] = Some(Places { best, worst });
            }
        }
        best = worst + 1;
    }
    places
}

/// `wins[first · systems + second]`: the votes of the tasks on which the first is better.
pub(super) struct Duels {
    pub systems: usize,
    wins: Vec<u64>,
}

impl Duels {
    pub fn new(ballots: &Ballots) -> Self {
        let count = ballots.systems;
        let best: Vec<Vec<u32>> = ballots
            .tasks
            .iter()
            .map(|ballot| {
                ballot
                    .places
                    .iter()
                    .map(|places| places.map_or(0, |places| places.best))
                    .collect()
            })
            .collect();
        let mut wins = vec![0; count * count];
        wins.par_chunks_mut(count.max(1)).enumerate().for_each(|(first, row)| {
            for (ballot, best) in ballots.tasks.iter().zip(&best) {
                let place = best[first];
                if place == 0 {
                    continue;
                }
                for (sum, &other) in row.iter_mut().zip(best) {
                    if other > place {
                        *sum += ballot.votes;
                    }
                }
            }
        });
        Self { systems: count, wins }
    }

    pub fn votes(&self, first: usize, second: usize) -> u64 {
        self.wins[first * self.systems + second]
    }

    /// The winner of the duel by majority.
    pub fn order(&self, first: usize, second: usize) -> Ordering {
        self.votes(first, second).cmp(&self.votes(second, first))
    }
}
