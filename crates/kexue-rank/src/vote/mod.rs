//! Tasks as voters: the rules of social choice that *Vote'n'Rank* (Rofin et al., EACL 2023) proposes for leaderboards.
//!
//! Every task orders the systems; its weight is the number of its votes. Scores count only by their order, so no mean has to be
//! chosen, and units do not matter.
//!
//! Two questions have more than one answer, and are asked here: what systems get that tie on a task ([`Ties`]), and what a
//! missing score says ([`Missing`]).

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::scores::{PartialScores, Scores, ranks, tied};
use crate::table::Direction;

/// Pairwise rules need a matrix of systems by systems; more are refused.
pub const MOST_SYSTEMS: usize = 3000;

/// A voting rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Votes for first places.
    Plurality,
    /// n − 1 points for the first of n, n − 2 for the second, …, 0 for the last.
    Borda,
    /// 1 point for the first, 1/2 for the second, 1/3 for the third, ….
    Dowdall,
    /// Duels won by majority, less duels lost.
    Copeland,
    /// The size of the worst defeat in a duel; the smallest wins.
    Minimax,
    /// The system that wins every duel, if there is one.
    Condorcet,
    /// Fewest last places, then fewest last but one, ….
    Threshold,
    /// The systems with the lowest Borda score are struck out, again and again.
    Baldwin,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 8] = [
        Self::Plurality,
        Self::Borda,
        Self::Dowdall,
        Self::Copeland,
        Self::Minimax,
        Self::Condorcet,
        Self::Threshold,
        Self::Baldwin,
    ];

    /// The name of the rule.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plurality => "plurality",
            Self::Borda => "Borda",
            Self::Dowdall => "Dowdall",
            Self::Copeland => "Copeland",
            Self::Minimax => "minimax",
            Self::Condorcet => "Condorcet",
            Self::Threshold => "threshold",
            Self::Baldwin => "Baldwin",
        }
    }

    /// Whether the rule looks at duels only, so that a missing score is no obstacle.
    pub fn is_pairwise(self) -> bool {
        matches!(self, Self::Copeland | Self::Minimax | Self::Condorcet)
    }

    fn needs_matrix(self) -> bool {
        self.is_pairwise() || self == Self::Baldwin
    }
}

/// Which places systems take that tie on a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ties {
    /// They share the points of the places they take together.
    #[default]
    Share,
    /// All take the best of the places.
    Best,
    /// All take the worst of the places: two that tie for first have no first place.
    Worst,
    /// As the Python package `votenrank` does: worst places, but best places for Dowdall.
    Votenrank,
}

/// What a missing score says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// Nothing may be missing.
    #[default]
    Refuse,
    /// A task has no vote in the duels of a system whose score is missing; rules of places cannot be used.
    Pairwise,
    /// The system is last on the task, tied with the others that lack a score.
    Last,
}

/// How the size of a defeat is measured by the minimax rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Defeat {
    /// The votes of the winner.
    #[default]
    WinningVotes,
    /// The votes of the winner less those of the loser.
    Margins,
    /// The votes against the system in any duel, lost or won.
    Opposition,
}

/// How to vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Ties on a task.
    pub ties: Ties,
    /// Missing scores.
    pub missing: Missing,
    /// The measure of the minimax rule.
    pub defeat: Defeat,
}

/// The outcome of one rule.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Outcome {
    /// The rule.
    pub rule: Rule,
    /// The systems with the best result; none if no system wins every duel.
    pub winners: Vec<usize>,
    /// The points of every system where the rule has points.
    pub points: Option<Vec<f64>>,
    /// The rank of every system; `None` for the Condorcet rule, which only elects.
    pub ranks: Option<Vec<usize>>,
    /// For the Condorcet rule without a winner: the smallest set whose members win every duel with the others.
    pub circle: Option<Vec<usize>>,
    /// Why the rule was not used; then everything else is empty.
    pub refused: Option<String>,
}

/// Lets the tasks vote by all rules, or some.
///
/// # Errors
///
/// [`Error::MissingVotes`] if a score is missing and [`Missing::Refuse`] was asked for.
pub fn vote(scores: &PartialScores, rules: &[Rule], options: Options) -> Result<Vec<Outcome>> {
    if options.missing == Missing::Refuse && !scores.missing.is_empty() {
        return Err(Error::MissingVotes {
            cells: scores.missing.clone(),
        });
    }
    let ballots = Ballots::new(&scores.scores, options);
    let partial = options.missing == Missing::Pairwise && !scores.missing.is_empty();
    let too_many = scores.scores.systems.len() > MOST_SYSTEMS;
    let duels = (!too_many && rules.iter().any(|rule| rule.needs_matrix())).then(|| Duels::new(&ballots));
    Ok(rules
        .iter()
        .map(|&rule| {
            if partial && !rule.is_pairwise() {
                return Outcome::refused(
                    rule,
                    "scores are missing, and the rule needs the place of every system on every task",
                );
            }
            match (&duels, rule.needs_matrix()) {
                (None, true) => Outcome::refused(
                    rule,
                    &format!("the rule compares all pairs, and there are more than {MOST_SYSTEMS} systems"),
                ),
                (duels, _) => outcome(rule, &ballots, duels.as_ref(), options),
            }
        })
        .collect())
}

impl Outcome {
    fn refused(rule: Rule, reason: &str) -> Self {
        Self {
            rule,
            winners: Vec::new(),
            points: None,
            ranks: None,
            circle: None,
            refused: Some(reason.to_owned()),
        }
    }

    fn from_points(rule: Rule, points: Vec<f64>) -> Self {
        let ranks = ranks(&points, Direction::Higher);
        Self {
            points: Some(points),
            ..Self::from_ranks(rule, ranks)
        }
    }

    fn from_ranks(rule: Rule, ranks: Vec<usize>) -> Self {
        let winners = (0..ranks.len()).filter(|&system| ranks[system] == 1).collect();
        Self {
            rule,
            winners,
            points: None,
            ranks: Some(ranks),
            circle: None,
            refused: None,
        }
    }
}

/// The places of all systems on all tasks.
struct Ballots {
    systems: usize,
    tasks: Vec<Ballot>,
}

struct Ballot {
    votes: f64,
    /// The best place of each system's tie, from 1; 0 if its score is missing and says nothing.
    best: Vec<u32>,
    /// The worst place of each system's tie.
    worst: Vec<u32>,
}

impl Ballots {
    fn new(scores: &Scores, options: Options) -> Self {
        let count = scores.systems.len();
        let votes = scores.tasks.len() as f64;
        let tasks = (0..scores.tasks.len())
            .into_par_iter()
            .map(|task| {
                // NaN after all others: the key turns so that a smaller one is better.
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
                let mut order: Vec<usize> = (0..count).collect();
                order.sort_by(|&a, &b| key(a).total_cmp(&key(b)));
                let (mut best, mut worst) = (vec![0; count], vec![0; count]);
                let same = |a: usize, b: usize| key(a) == key(b) || tied(key(a), key(b));
                let mut place = 1u32;
                for group in order.chunk_by(|&a, &b| same(a, b)) {
                    let last = place + group.len() as u32 - 1;
                    for &system in group {
                        if !(options.missing == Missing::Pairwise && scores.value(system, task).is_nan()) {
                            best[system] = place;
                            worst[system] = last;
                        }
                    }
                    place = last + 1;
                }
                Ballot {
                    votes: scores.weights[task] * votes,
                    best,
                    worst,
                }
            })
            .collect();
        Self { systems: count, tasks }
    }

    /// Points by place, summed over the tasks; `points(place, systems)`.
    fn points(&self, ties: Ties, by_place: impl Fn(u32) -> f64) -> Vec<f64> {
        let mut sums = vec![0.0; self.systems];
        for ballot in &self.tasks {
            for (system, sum) in sums.iter_mut().enumerate() {
                let (best, worst) = (ballot.best[system], ballot.worst[system]);
                *sum += ballot.votes
                    * match ties {
                        Ties::Best => by_place(best),
                        Ties::Worst | Ties::Votenrank => by_place(worst),
                        Ties::Share => (best..=worst).map(&by_place).sum::<f64>() / f64::from(worst - best + 1),
                    };
            }
        }
        sums
    }

    /// For each system its places with the votes there, worst place first.
    fn places(&self, ties: Ties) -> Vec<Vec<(u32, f64)>> {
        (0..self.systems)
            .into_par_iter()
            .map(|system| {
                let mut places: Vec<(u32, f64)> = Vec::new();
                for ballot in &self.tasks {
                    let (best, worst) = (ballot.best[system], ballot.worst[system]);
                    match ties {
                        Ties::Best => places.push((best, ballot.votes)),
                        Ties::Worst | Ties::Votenrank => places.push((worst, ballot.votes)),
                        Ties::Share => {
                            let share = ballot.votes / f64::from(worst - best + 1);
                            places.extend((best..=worst).map(|place| (place, share)));
                        }
                    }
                }
                places.sort_by_key(|&(place, _)| std::cmp::Reverse(place));
                let mut merged: Vec<(u32, f64)> = Vec::with_capacity(places.len());
                for (place, votes) in places {
                    match merged.last_mut() {
                        Some(last) if last.0 == place => last.1 += votes,
                        _ => merged.push((place, votes)),
                    }
                }
                merged
            })
            .collect()
    }
}

/// `wins[first · systems + second]`: the votes of the tasks on which the first is better.
struct Duels {
    systems: usize,
    wins: Vec<f64>,
}

impl Duels {
    fn new(ballots: &Ballots) -> Self {
        let count = ballots.systems;
        let mut wins = vec![0.0; count * count];
        wins.par_chunks_mut(count.max(1)).enumerate().for_each(|(first, row)| {
            for ballot in &ballots.tasks {
                let place = ballot.best[first];
                if place == 0 {
                    continue;
                }
                for (sum, &other) in row.iter_mut().zip(&ballot.best) {
                    if other > place {
                        *sum += ballot.votes;
                    }
                }
            }
        });
        Self { systems: count, wins }
    }

    fn votes(&self, first: usize, second: usize) -> f64 {
        self.wins[first * self.systems + second]
    }

    /// Who wins the duel by majority.
    fn order(&self, first: usize, second: usize) -> Ordering {
        let (a, b) = (self.votes(first, second), self.votes(second, first));
        if tied(a, b) { Ordering::Equal } else { a.total_cmp(&b) }
    }
}

fn outcome(rule: Rule, ballots: &Ballots, duels: Option<&Duels>, options: Options) -> Outcome {
    let count = ballots.systems;
    let last = count as u32;
    match (rule, duels) {
        (Rule::Plurality, _) => Outcome::from_points(
            rule,
            ballots.points(options.ties, |place| f64::from(u8::from(place == 1))),
        ),
        (Rule::Borda, _) => Outcome::from_points(rule, ballots.points(options.ties, |place| f64::from(last - place))),
        (Rule::Dowdall, _) => {
            let ties = if options.ties == Ties::Votenrank {
                Ties::Best
            } else {
                options.ties
            };
            Outcome::from_points(rule, ballots.points(ties, |place| 1.0 / f64::from(place)))
        }
        (Rule::Threshold, _) => {
            let places = ballots.places(options.ties);
            let mut order: Vec<usize> = (0..count).collect();
            order.sort_by(|&a, &b| fewer_bad_places(&places[a], &places[b]));
            let mut ranks = vec![0; count];
            let mut rank = 1;
            for group in order.chunk_by(|&a, &b| fewer_bad_places(&places[a], &places[b]) == Ordering::Equal) {
                group.iter().for_each(|&system| ranks[system] = rank);
                rank += group.len();
            }
            Outcome::from_ranks(rule, ranks)
        }
        (Rule::Copeland, Some(duels)) => Outcome::from_points(rule, copeland(duels)),
        (Rule::Minimax, Some(duels)) => {
            let worst = |system: usize| {
                (0..count)
                    .filter(|&other| other != system)
                    .map(|other| {
                        let against = duels.votes(other, system);
                        match options.defeat {
                            Defeat::WinningVotes if duels.order(other, system) == Ordering::Greater => against,
                            Defeat::WinningVotes => 0.0,
                            Defeat::Margins => against - duels.votes(system, other),
                            Defeat::Opposition => against,
                        }
                    })
                    .fold(f64::NEG_INFINITY, f64::max)
            };
            let points = (0..count)
                .into_par_iter()
                // 0 and not −0 for a system without a defeat, and for one without opponents.
                .map(|system| if count == 1 { 0.0 } else { 0.0 - worst(system) })
                .collect();
            Outcome::from_points(rule, points)
        }
        (Rule::Condorcet, Some(duels)) => {
            let wins_all = |system: usize| {
                (0..count).all(|other| other == system || duels.order(system, other) == Ordering::Greater)
            };
            let winners: Vec<usize> = (0..count).filter(|&system| wins_all(system)).collect();
            let circle = winners.is_empty().then(|| smith_set(duels));
            Outcome {
                rule,
                winners,
                points: None,
                ranks: None,
                circle,
                refused: None,
            }
        }
        (Rule::Baldwin, Some(duels)) => Outcome::from_ranks(rule, baldwin(ballots, duels, options.ties)),
        (_, None) => Outcome::refused(rule, "the rule compares all pairs"),
    }
}

/// `Less` if the first has fewer votes on the worst place on which they differ.
fn fewer_bad_places(a: &[(u32, f64)], b: &[(u32, f64)]) -> Ordering {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    loop {
        match (a.peek(), b.peek()) {
            (None, None) => return Ordering::Equal,
            (Some(_), None) => return Ordering::Greater,
            (None, Some(_)) => return Ordering::Less,
            (Some(&&(place_a, votes_a)), Some(&&(place_b, votes_b))) => match place_a.cmp(&place_b) {
                Ordering::Equal if tied(votes_a, votes_b) => {
                    a.next();
                    b.next();
                }
                Ordering::Equal => return votes_a.total_cmp(&votes_b),
                other => return other,
            },
        }
    }
}

fn copeland(duels: &Duels) -> Vec<f64> {
    (0..duels.systems)
        .into_par_iter()
        .map(|system| {
            (0..duels.systems)
                .filter(|&other| other != system)
                .map(|other| match duels.order(system, other) {
                    Ordering::Greater => 1.0,
                    Ordering::Equal => 0.0,
                    Ordering::Less => -1.0,
                })
                .sum()
        })
        .collect()
}

/// The smallest set whose members win every duel with those outside.
fn smith_set(duels: &Duels) -> Vec<usize> {
    let points = copeland(duels);
    let best = points.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut inside: Vec<bool> = points.iter().map(|&value| value == best).collect();
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
    let all: f64 = ballots.tasks.iter().map(|ballot| ballot.votes).sum();
    // Among any candidates, a Borda score is a sum over the duels with the other candidates.
    let points = |system: usize, other: usize| {
        let wins = duels.votes(system, other);
        let ties_share = match ties {
            Ties::Share => 0.5,
            Ties::Best => 1.0,
            Ties::Worst | Ties::Votenrank => 0.0,
        };
        wins + ties_share * (all - wins - duels.votes(other, system))
    };
    let mut remaining: Vec<usize> = (0..count).collect();
    let mut sums: Vec<f64> = (0..count)
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
        let lowest = remaining
            .iter()
            .map(|&system| sums[system])
            .fold(f64::INFINITY, f64::min);
        let is_lowest = |sum: f64| (sum - lowest).abs() <= 1e-9 * all.max(1.0);
        let (out, kept): (Vec<usize>, Vec<usize>) = remaining.iter().partition(|&&system| is_lowest(sums[system]));
        if kept.is_empty() {
            return ranks;
        }
        for &system in &out {
            ranks[system] = kept.len() + 1;
        }
        for &system in &kept {
            sums[system] -= out.iter().map(|&other| points(system, other)).sum::<f64>();
        }
        remaining = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;
    use proptest::prelude::*;

    fn partial(rows: &[&[f64]]) -> PartialScores {
        let systems: Vec<String> = (0..rows.len()).map(|i| format!("S{i}")).collect();
        let tasks: Vec<String> = (0..rows[0].len()).map(|i| format!("T{i}")).collect();
        Table::from_scores(
            &systems.iter().map(String::as_str).collect::<Vec<_>>(),
            &tasks.iter().map(String::as_str).collect::<Vec<_>>(),
            rows,
        )
        .select_partial(&crate::Selection::default())
        .unwrap()
    }

    fn run(rows: &[&[f64]], rule: Rule, options: Options) -> Outcome {
        vote(&partial(rows), &[rule], options).unwrap().remove(0)
    }

    /// Tennessee's vote for a capital: 42 % Memphis, Nashville, Chattanooga, Knoxville; 26 % Nashville, Chattanooga,
    /// Knoxville, Memphis; 15 % Chattanooga, Knoxville, Nashville, Memphis; 17 % Knoxville, Chattanooga, Nashville, Memphis.
    fn tennessee() -> PartialScores {
        let mut scores = partial(&[
            &[4., 1., 1., 1.],
            &[3., 4., 2., 2.],
            &[2., 3., 4., 3.],
            &[1., 2., 3., 4.],
        ]);
        scores.scores.weights = vec![0.42, 0.26, 0.15, 0.17];
        scores
    }

    #[test]
    fn the_textbook_election() {
        let outcomes = vote(&tennessee(), &Rule::ALL, Options::default()).unwrap();
        let winner = |rule: Rule| {
            outcomes
                .iter()
                .find(|outcome| outcome.rule == rule)
                .unwrap()
                .winners
                .clone()
        };
        assert_eq!(winner(Rule::Plurality), [0]);
        for rule in [
            Rule::Borda,
            Rule::Copeland,
            Rule::Minimax,
            Rule::Condorcet,
            Rule::Baldwin,
        ] {
            assert_eq!(winner(rule), [1], "{}", rule.name());
        }
        // Memphis is last for 58 %; Knoxville for 42 %; the other two never.
        assert_eq!(winner(Rule::Threshold), [1]);
        let borda = &outcomes[1].points.as_ref().unwrap();
        let percent: Vec<f64> = borda.iter().map(|points| (points * 25.0).round()).collect();
        assert_eq!(percent, [126.0, 194.0, 173.0, 107.0]);
    }

    #[test]
    fn a_circle_has_no_condorcet_winner() {
        let outcome = run(
            &[&[3., 1., 2.], &[2., 3., 1.], &[1., 2., 3.], &[0., 0., 0.]],
            Rule::Condorcet,
            Options::default(),
        );
        assert!(outcome.winners.is_empty());
        assert_eq!(outcome.circle, Some(vec![0, 1, 2]));
    }

    #[test]
    fn ties_take_the_places_asked_for() {
        let rows: &[&[f64]] = &[&[5., 1.], &[5., 2.], &[1., 3.]];
        let points = |rule, ties| {
            run(
                rows,
                rule,
                Options {
                    ties,
                    ..Options::default()
                },
            )
            .points
            .unwrap()
        };
        assert_eq!(points(Rule::Plurality, Ties::Share), [0.5, 0.5, 1.0]);
        assert_eq!(points(Rule::Plurality, Ties::Best), [1.0, 1.0, 1.0]);
        assert_eq!(points(Rule::Plurality, Ties::Worst), [0.0, 0.0, 1.0]);
        assert_eq!(points(Rule::Borda, Ties::Share), [1.5, 2.5, 2.0]);
        assert_eq!(points(Rule::Borda, Ties::Votenrank), [1.0, 2.0, 2.0]);
        assert_eq!(
            points(Rule::Dowdall, Ties::Votenrank),
            [1.0 + 1.0 / 3.0, 1.5, 1.0 / 3.0 + 1.0]
        );
    }

    #[test]
    fn missing_scores_say_what_they_are_asked_to_say() {
        let rows: &[&[f64]] = &[&[5., 5., f64::NAN], &[4., 4., 9.], &[3., 6., 8.]];
        assert!(matches!(
            vote(&partial(rows), &Rule::ALL, Options::default()),
            Err(Error::MissingVotes { .. })
        ));
        let pairwise = Options {
            missing: Missing::Pairwise,
            ..Options::default()
        };
        assert!(run(rows, Rule::Borda, pairwise).refused.is_some());
        // The first beats the second on both tasks they share and ties with the third; the second beats the third on two of three.
        assert_eq!(run(rows, Rule::Copeland, pairwise).points.unwrap(), [1.0, 0.0, -1.0]);
        let last = Options {
            missing: Missing::Last,
            ..Options::default()
        };
        assert_eq!(run(rows, Rule::Borda, last).points.unwrap(), [3.0, 3.0, 3.0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// A system that gains on one task does not fall in any rule that is monotone.
        #[test]
        fn monotone_rules(
            rows in (1usize..5).prop_flat_map(|tasks| prop::collection::vec(prop::collection::vec(0u8..8, tasks), 2..6)),
            system in 0usize..6, task in 0usize..5, gain in 1u8..8,
            ties in prop::sample::select(vec![Ties::Share, Ties::Best, Ties::Worst]),
        ) {
            let (system, task) = (system % rows.len(), task % rows[0].len());
            let as_floats = |rows: &[Vec<u8>]| -> Vec<Vec<f64>> {
                rows.iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect()
            };
            let before = as_floats(&rows);
            let mut after = before.clone();
            after[system][task] += f64::from(gain);
            let rules = [Rule::Plurality, Rule::Borda, Rule::Dowdall, Rule::Copeland, Rule::Minimax, Rule::Condorcet];
            let [before, after] = [&before, &after].map(|rows| {
                let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
                vote(&partial(&rows), &rules, Options { ties, ..Options::default() }).unwrap()
            });
            for (before, after) in before.iter().zip(&after) {
                // Shared places can move others more than the one that gains, except where everyone keeps strict places.
                if let (Some(a), Some(b)) = (&before.points, &after.points) {
                    prop_assert!(b[system] >= a[system] - 1e-9, "{:?} {:?}", before, after);
                }
                if before.winners.contains(&system) && before.rule == Rule::Condorcet {
                    prop_assert!(after.winners.contains(&system));
                }
            }
        }

        /// A system that is better than another on every task is never ranked behind it.
        #[test]
        fn unanimity(
            rows in (1usize..5).prop_flat_map(|tasks| prop::collection::vec(prop::collection::vec(0u8..8, tasks), 1..5)),
        ) {
            let mut rows: Vec<Vec<f64>> = rows.iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
            rows.push(rows[0].iter().map(|x| x + 0.5).collect());
            let best = rows.len() - 1;
            let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
            for outcome in vote(&partial(&rows), &Rule::ALL, Options::default()).unwrap() {
                if let Some(ranks) = &outcome.ranks {
                    prop_assert!(ranks[best] <= ranks[0], "{outcome:?}");
                }
            }
        }

        /// A task on which all tie says nothing.
        #[test]
        fn a_task_on_which_all_tie(
            rows in (1usize..5).prop_flat_map(|tasks| prop::collection::vec(prop::collection::vec(0u8..8, tasks), 1..6)),
        ) {
            let narrow: Vec<Vec<f64>> = rows.iter().map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
            let wide: Vec<Vec<f64>> = narrow.iter().map(|row| [row.clone(), vec![5.0]].concat()).collect();
            let [narrow, wide] = [&narrow, &wide].map(|rows| {
                let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
                vote(&partial(&rows), &Rule::ALL, Options::default()).unwrap()
            });
            for (narrow, wide) in narrow.iter().zip(&wide) {
                prop_assert_eq!(&narrow.ranks, &wide.ranks, "{:?}", narrow.rule);
                prop_assert_eq!(&narrow.winners, &wide.winners);
            }
        }
    }
}
