//! Every voting rule against a naive reference that counts in whole numbers.

use std::cmp::Ordering;

use kexue_rank::vote::{Defeat, Missing, Options, Outcome, Rule, Ties, vote};
use kexue_rank::{Selection, Table};
use num_bigint::BigInt;
use proptest::prelude::*;

/// A table of small scores, so that ties are frequent, with weights in tenths.
#[derive(Clone, Debug)]
struct Case {
    rows: Vec<Vec<u8>>,
    tenths: Vec<u32>,
}

fn cases() -> impl Strategy<Value = Case> {
    (2usize..7, 1usize..7).prop_flat_map(|(systems, tasks)| {
        (
            prop::collection::vec(prop::collection::vec(0u8..5, tasks), systems),
            prop::collection::vec(1u32..40, tasks),
        )
            .prop_map(|(rows, tenths)| Case { rows, tenths })
    })
}

impl Case {
    fn vote(&self, rules: &[Rule], options: Options) -> Vec<Outcome> {
        let systems: Vec<String> = (0..self.rows.len()).map(|row| format!("S{row}")).collect();
        let tasks: Vec<String> = (0..self.tenths.len()).map(|task| format!("T{task}")).collect();
        let rows: Vec<Vec<f64>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|&score| f64::from(score)).collect())
            .collect();
        let table = Table::from_scores(
            &systems.iter().map(String::as_str).collect::<Vec<_>>(),
            &tasks.iter().map(String::as_str).collect::<Vec<_>>(),
            &rows.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        );
        let selection = Selection {
            weights: tasks
                .iter()
                .zip(&self.tenths)
                .map(|(task, &tenths)| (task.clone(), f64::from(tenths) / 10.0))
                .collect(),
            ..Selection::default()
        };
        vote(&table.select_partial(&selection).unwrap(), rules, options).unwrap()
    }

    /// The best and the worst place of a system on a task, among some systems.
    fn places(&self, system: usize, task: usize, among: &[usize]) -> (u32, u32) {
        let own = self.rows[system][task];
        let count = |better: Ordering| {
            among
                .iter()
                .filter(|&&other| self.rows[other][task].cmp(&own) == better)
                .count()
        };
        let best = count(Ordering::Greater) as u32 + 1;
        (best, best + count(Ordering::Equal) as u32 - 1)
    }

    /// The sum of what places are worth, times a number that all denominators divide.
    fn sum(&self, system: usize, among: &[usize], ties: Ties, worth: impl Fn(u32) -> BigInt) -> BigInt {
        (0..self.tenths.len())
            .map(|task| {
                let (best, worst) = self.places(system, task, among);
                let (from, to) = match ties {
                    Ties::Share => (best, worst),
                    Ties::Best => (best, best),
                    Ties::Worst | Ties::Votenrank => (worst, worst),
                };
                let size = to - from + 1;
                let points: BigInt = (from..=to).map(&worth).sum();
                points * self.tenths[task] * (COMMON / u64::from(size))
            })
            .sum()
    }

    fn against(&self, first: usize, second: usize) -> i64 {
        (0..self.tenths.len())
            .filter(|&task| self.rows[first][task] > self.rows[second][task])
            .map(|task| i64::from(self.tenths[task]))
            .sum()
    }

    fn all(&self) -> Vec<usize> {
        (0..self.rows.len()).collect()
    }

    /// What orders the systems by a rule, best first: the larger list is better.
    fn keys(&self, rule: Rule, options: Options) -> Vec<Vec<BigInt>> {
        let all = self.all();
        let count = all.len() as u32;
        let places_ties = options.ties;
        let one = |system: usize, ties: Ties, worth: &dyn Fn(u32) -> BigInt| vec![self.sum(system, &all, ties, worth)];
        let key = |&system: &usize| match rule {
            Rule::Plurality => one(system, places_ties, &|place| BigInt::from(u32::from(place == 1))),
            Rule::Borda => one(system, places_ties, &|place| BigInt::from(count - place)),
            Rule::Dowdall => {
                let ties = if places_ties == Ties::Votenrank {
                    Ties::Best
                } else {
                    places_ties
                };
                one(system, ties, &|place| BigInt::from(COMMON / u64::from(place)))
            }
            // Fewer votes on the last place, then on the last but one, …
            Rule::Threshold => (1..=count)
                .rev()
                .map(|wanted| {
                    -self.sum(system, &all, places_ties, |place| {
                        BigInt::from(u32::from(place == wanted))
                    })
                })
                .collect(),
            Rule::Copeland => {
                let wins = all
                    .iter()
                    .map(|&other| self.against(system, other).cmp(&self.against(other, system)) as i64);
                vec![BigInt::from(wins.sum::<i64>())]
            }
            Rule::Minimax => {
                let defeats = all.iter().filter(|&&other| other != system).map(|&other| {
                    let (lost, won) = (self.against(other, system), self.against(system, other));
                    match options.defeat {
                        Defeat::WinningVotes if lost > won => lost,
                        Defeat::WinningVotes => 0,
                        Defeat::Margins => lost - won,
                        Defeat::Opposition => lost,
                    }
                });
                vec![BigInt::from(-defeats.max().unwrap())]
            }
            Rule::Condorcet | Rule::Baldwin => unreachable!("not ordered by points"),
        };
        all.iter().map(key).collect()
    }

    fn baldwin(&self, ties: Ties) -> Vec<usize> {
        let mut remaining = self.all();
        let mut ranks = vec![1; remaining.len()];
        loop {
            let count = remaining.len() as u32;
            let sums: Vec<BigInt> = remaining
                .iter()
                .map(|&system| self.sum(system, &remaining, ties, |place| BigInt::from(count - place)))
                .collect();
            let lowest = sums.iter().min().unwrap().clone();
            let kept: Vec<usize> = remaining
                .iter()
                .zip(&sums)
                .filter(|(_, sum)| **sum > lowest)
                .map(|(&system, _)| system)
                .collect();
            if kept.is_empty() {
                return ranks;
            }
            for system in remaining.iter().filter(|system| !kept.contains(system)) {
                ranks[*system] = kept.len() + 1;
            }
            remaining = kept;
        }
    }
}

/// Divisible by every product of a place and the size of a tie.
const COMMON: u64 = 60 * 60;

fn ranks(keys: &[Vec<BigInt>]) -> Vec<usize> {
    keys.iter()
        .map(|key| keys.iter().filter(|other| *other > key).count() + 1)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_rule_decides_ties_exactly(
        case in cases(),
        ties in prop::sample::select(vec![Ties::Share, Ties::Best, Ties::Worst, Ties::Votenrank]),
        defeat in prop::sample::select(vec![Defeat::WinningVotes, Defeat::Margins, Defeat::Opposition]),
    ) {
        let options = Options { ties, defeat, missing: Missing::Refuse };
        for outcome in case.vote(&Rule::ALL, options) {
            let expected = match outcome.rule {
                Rule::Condorcet => {
                    let wins_all = |&system: &usize| {
                        (0..case.rows.len())
                            .all(|other| other == system || case.against(system, other) > case.against(other, system))
                    };
                    let winners: Vec<usize> = case.all().into_iter().filter(wins_all).collect();
                    prop_assert_eq!(&outcome.winners, &winners);
                    continue;
                }
                Rule::Baldwin => case.baldwin(ties),
                rule => ranks(&case.keys(rule, options)),
            };
            prop_assert_eq!(outcome.ranks.as_ref(), Some(&expected), "{:?}", outcome);
            let winners: Vec<usize> = (0..expected.len()).filter(|&system| expected[system] == 1).collect();
            prop_assert_eq!(&outcome.winners, &winners);
        }
    }
}

/// The first beats the second on tasks of weight 0.2 and 0.1, and loses on one of weight 0.3.
#[test]
fn weighted_duels_that_tie_are_ties() {
    let case = Case {
        rows: vec![vec![2, 2, 0], vec![0, 0, 2]],
        tenths: vec![2, 1, 3],
    };
    for outcome in case.vote(&Rule::ALL, Options::default()) {
        if outcome.rule != Rule::Condorcet {
            assert_eq!(outcome.winners, [0, 1], "{}", outcome.rule.name());
        }
    }
}

/// The Python package `votenrank` adds 1 + 1 + 1/3 in the order of the tasks, and elects one of two systems that tie.
#[test]
fn dowdall_ties_that_floating_sums_break() {
    let cases: [(&[&[u8]], &[usize]); 3] = [
        (&[&[2, 5, 3], &[0, 5, 4], &[2, 1, 4], &[0, 4, 2]], &[0, 1]),
        (&[&[5, 0, 3], &[5, 5, 0], &[0, 0, 0], &[0, 4, 2]], &[0, 1]),
        (
            &[&[1, 3, 5, 1, 3, 5], &[1, 0, 1, 2, 2, 5], &[1, 5, 3, 5, 3, 2]],
            &[0, 2],
        ),
    ];
    for (rows, winners) in cases {
        let case = Case {
            rows: rows.iter().map(|row| row.to_vec()).collect(),
            tenths: vec![10; rows[0].len()],
        };
        let options = Options {
            ties: Ties::Votenrank,
            ..Options::default()
        };
        assert_eq!(case.vote(&[Rule::Dowdall], options)[0].winners, winners);
    }
}

#[test]
fn scores_that_differ_in_the_last_digit_do_not_tie() {
    let table = Table::from_scores(
        &["A", "B"],
        &["T"],
        &[&[0.712_345_678_901_234_5], &[0.712_345_678_901_234_3]],
    );
    let scores = table.select_partial(&Selection::default()).unwrap();
    for outcome in vote(&scores, &Rule::ALL, Options::default()).unwrap() {
        assert_eq!(outcome.winners, [0], "{}", outcome.rule.name());
    }
}
