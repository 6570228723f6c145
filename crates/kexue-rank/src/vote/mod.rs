//! Tasks as voters: the rules of social choice that *Vote'n'Rank* (Rofin et al., EACL 2023) proposes for leaderboards.
//!
//! Every task orders the systems; its weight is the number of its votes. Only the order of scores counts, so no mean has to be chosen, and
//! units do not matter.
//!
//! Votes are whole numbers and their sums are compared exactly, so rounding neither creates nor breaks ties.
//!
//! Two conventions are up to the caller: the points of systems that tie on a task ([`Ties`]), and the treatment of missing scores
//! ([`Missing`]).

mod ballots;
mod options;
mod outcome;
mod rules;
mod tally;
mod units;

use crate::error::{Error, Result};
use crate::scores::PartialScores;

pub use options::{Defeat, MOST_SYSTEMS, Missing, Options, Rule, Ties};
pub use outcome::Outcome;

use ballots::{Ballots, Duels};

/// Lets the tasks vote by the given rules.
///
/// # Errors
///
/// [`Error::MissingVotes`] if a score is missing and [`Missing::Refuse`] is set.
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
                    &format!("the rule compares all pairs of systems, and there are more than {MOST_SYSTEMS} systems"),
                ),
                (duels, _) => rules::outcome(rule, &ballots, duels.as_ref(), options),
            }
        })
        .collect())
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
    fn no_votes_are_zero_points_and_not_minus_zero() {
        let scores = partial(&[&[5., 1.], &[5., 1.], &[6., 3.]]);
        for outcome in vote(&scores, &Rule::ALL, Options::default()).unwrap() {
            let points = outcome.points.unwrap_or_default();
            let is_minus_zero = |points: &f64| *points == 0.0 && points.is_sign_negative();
            assert!(!points.iter().any(is_minus_zero), "{:?}: {points:?}", outcome.rule);
        }
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
