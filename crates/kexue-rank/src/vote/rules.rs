//! The voting rules.

use std::cmp::Ordering;

use rayon::prelude::*;

use super::ballots::{Ballots, Duels};
use super::options::{Defeat, Options, Rule, Ties};
use super::outcome::Outcome;
use super::tally::{Places, Tally, Worth};

/// The outcome of a rule. Rules that compare all pairs need the duels.
pub(super) fn outcome(rule: Rule, ballots: &Ballots, duels: Option<&Duels>, options: Options) -> Outcome {
    let scale = ballots.votes_of_unit;
    match (rule, duels) {
        (Rule::Plurality, _) => by_tally(rule, ballots, options.ties, Worth::First),
        (Rule::Borda, _) => by_points(rule, &borda(ballots, options.ties), 0.5 * scale),
        (Rule::Dowdall, _) => {
            let ties = match options.ties {
                Ties::Votenrank => Ties::Best,
                other => other,
            };
            by_tally(rule, ballots, ties, Worth::Reciprocal)
        }
        (Rule::Threshold, _) => {
            let places: Vec<Vec<(u32, Tally)>> = (0..ballots.systems)
                .into_par_iter()
                .map(|system| tallies_by_place(ballots, system, options.ties))
                .collect();
            Outcome::from_ranks(
                rule,
                ranks(ballots.systems, |a, b| fewer_bad_places(&places[a], &places[b])),
            )
        }
        (Rule::Copeland, Some(duels)) => by_points(rule, &copeland(duels), 1.0),
        (Rule::Minimax, Some(duels)) => by_points(rule, &minimax(duels, options.defeat), scale),
        (Rule::Condorcet, Some(duels)) => condorcet(duels),
        (Rule::Baldwin, Some(duels)) => Outcome::from_ranks(rule, baldwin(ballots, duels, options.ties)),
        (_, None) => Outcome::refused(rule, "the rule compares all pairs"),
    }
}

/// Ranks by an order in which better is `Less`. Equal systems share the better rank.
fn ranks(systems: usize, order: impl Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut sorted: Vec<usize> = (0..systems).collect();
    sorted.sort_by(|&a, &b| order(a, b));
    let mut ranks = vec![0; systems];
    let mut rank = 1;
    for group in sorted.chunk_by(|&a, &b| order(a, b) == Ordering::Equal) {
        group.iter().for_each(|&system| ranks[system] = rank);
        rank += group.len();
    }
    ranks
}

/// The outcome by integer points; `scale` converts them to the points to print.
fn by_points(rule: Rule, points: &[i128], scale: f64) -> Outcome {
    Outcome {
        points: Some(points.iter().map(|&points| points as f64 * scale).collect()),
        ..Outcome::from_ranks(rule, ranks(points.len(), |a, b| points[b].cmp(&points[a])))
    }
}

fn by_tally(rule: Rule, ballots: &Ballots, ties: Ties, worth: Worth) -> Outcome {
    let tallies = ballots.tallies(ties, worth);
    let scale = ballots.votes_of_unit;
    Outcome {
        points: Some(tallies.iter().map(|tally| tally.approximate() * scale).collect()),
        ..Outcome::from_ranks(rule, ranks(tallies.len(), |a, b| tallies[b].order(&tallies[a])))
    }
}

/// Twice the points, so that shared places are whole numbers.
fn borda(ballots: &Ballots, ties: Ties) -> Vec<i128> {
    let twice_last = 2 * ballots.systems as i128;
    (0..ballots.systems)
        .into_par_iter()
        .map(|system| {
            let points = |(places, votes): (Places, u64)| {
                i128::from(votes) * (twice_last - i128::from(places.best) - i128::from(places.worst))
            };
            ballots.places_of(system, ties).map(points).sum()
        })
        .collect()
}

/// The votes on each place that a system takes, worst place first.
fn tallies_by_place(ballots: &Ballots, system: usize, ties: Ties) -> Vec<(u32, Tally)> {
    let taken: Vec<(Places, u64)> = ballots
        .places_of(system, ties)
        .filter(|(_, votes)| *votes > 0)
        .collect();
    let mut places: Vec<u32> = taken
        .iter()
        .flat_map(|(places, _)| places.best..=places.worst)
        .collect();
    places.sort_unstable_by_key(|&place| std::cmp::Reverse(place));
    places.dedup();
    places
        .into_iter()
        .map(|place| {
            let here = taken
                .iter()
                .filter(|(places, _)| (places.best..=places.worst).contains(&place));
            // Only the size of a tie counts here, not its place.
            let shares = here.map(|&(places, votes)| {
                let size = places.worst - places.best + 1;
                (Places { best: 1, worst: size }, votes)
            });
            (place, Tally::new(Worth::Each, shares))
        })
        .collect()
}

/// `Less` if the first has fewer votes on the worst place where they differ.
fn fewer_bad_places(a: &[(u32, Tally)], b: &[(u32, Tally)]) -> Ordering {
    for ((place_a, votes_a), (place_b, votes_b)) in a.iter().zip(b) {
        let order = place_a.cmp(place_b).then_with(|| votes_a.order(votes_b));
        if order != Ordering::Equal {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

fn copeland(duels: &Duels) -> Vec<i128> {
    (0..duels.systems)
        .into_par_iter()
        .map(|system| {
            (0..duels.systems)
                .filter(|&other| other != system)
                .map(|other| match duels.order(system, other) {
                    Ordering::Greater => 1,
                    Ordering::Equal => 0,
                    Ordering::Less => -1,
                })
                .sum()
        })
        .collect()
}

/// The worst defeat of every system, below zero.
fn minimax(duels: &Duels, defeat: Defeat) -> Vec<i128> {
    (0..duels.systems)
        .into_par_iter()
        .map(|system| {
            let defeats = (0..duels.systems).filter(|&other| other != system).map(|other| {
                let (against, for_it) = (
                    i128::from(duels.votes(other, system)),
                    i128::from(duels.votes(system, other)),
                );
                match defeat {
                    Defeat::WinningVotes if against > for_it => against,
                    Defeat::WinningVotes => 0,
                    Defeat::Margins => against - for_it,
                    Defeat::Opposition => against,
                }
            });
            -defeats.max().unwrap_or(0)
        })
        .collect()
}

fn condorcet(duels: &Duels) -> Outcome {
    let wins_all = |&system: &usize| {
        (0..duels.systems).all(|other| other == system || duels.order(system, other) == Ordering::Greater)
    };
    let winners: Vec<usize> = (0..duels.systems).filter(wins_all).collect();
    Outcome {
        rule: Rule::Condorcet,
        circle: winners.is_empty().then(|| smith_set(duels)),
        winners,
        points: None,
        ranks: None,
        refused: None,
    }
}

/// The smallest set whose members win every duel against the systems outside it.
fn smith_set(duels: &Duels) -> Vec<usize> {
    let points = copeland(duels);
    let best = points.iter().copied().max();
    let mut inside: Vec<bool> = points.iter().map(|&value| Some(value) == best).collect();
    let mut pending: Vec<usize> = (0..duels.systems).filter(|&system| inside[system]).collect();
    while let Some(member) = pending.pop() {
        for (other, inside) in inside.iter_mut().enumerate() {
            if !*inside && duels.order(member, other) != Ordering::Greater {
                *inside = true;
                pending.push(other);
            }
        }
    }
    (0..duels.systems).filter(|&system| inside[system]).collect()
}

fn baldwin(ballots: &Ballots, duels: &Duels, ties: Ties) -> Vec<usize> {
    let count = ballots.systems;
    let all: i128 = ballots.tasks.iter().map(|ballot| i128::from(ballot.votes)).sum();
    // Among any candidates, a Borda score is a sum over the duels against the other candidates. These are twice the scores.
    let points = |system: usize, other: usize| {
        let wins = i128::from(duels.votes(system, other));
        let tied = all - wins - i128::from(duels.votes(other, system));
        2 * wins
            + match ties {
                Ties::Share => tied,
                Ties::Best => 2 * tied,
                Ties::Worst | Ties::Votenrank => 0,
            }
    };
    let mut remaining: Vec<usize> = (0..count).collect();
    let mut sums: Vec<i128> = (0..count)
        .into_par_iter()
        .map(|system| {
            (0..count)
                .filter(|&other| other != system)
                .map(|other| points(system, other))
                .sum()
        })
        .collect();
    let mut ranks = vec![1; count];
    loop {
        let lowest = remaining.iter().map(|&system| sums[system]).min();
        let (out, kept): (Vec<usize>, Vec<usize>) = remaining.iter().partition(|&&system| Some(sums[system]) == lowest);
        if kept.is_empty() {
            return ranks;
        }
        for &system in &out {
            ranks[system] = kept.len() + 1;
        }
        for &system in &kept {
            sums[system] -= out.iter().map(|&other| points(system, other)).sum::<i128>();
        }
        remaining = kept;
    }
}
