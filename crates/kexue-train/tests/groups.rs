//! Groups of parameters that take turns, as the players of a GAN.

mod common;

use common::{Duel, Players, SIZE, files, groups, settings};
use kexue_optim::Parameters;
use kexue_train::{BatchSettings, GroupSettings, Learner, Outcome, ParameterGroup, TrainError, Trainer};
use std::path::Path;

fn run(folder: &Path, task: &Duel) -> Result<Outcome<Players>, TrainError> {
    let settings = settings();
    let trainer = Trainer::new(task, Players::new(), &settings, &groups(), folder, "duel")?;
    trainer.run(&task.interrupt)
}

#[test]
fn the_group_whose_turn_it_is_not_is_left_alone_entirely() {
    let (task, model) = (Duel::default(), Players::new());
    let made = groups().map(|group| ParameterGroup::new(&group, model.slots(), model.values(), 30).unwrap());
    let batches = BatchSettings {
        seed: 0,
        size: 5,
        shards: 2,
    };
    let mut learner = Learner::new(&task, model, made.into(), batches);
    for step in 0..12 {
        let before = learner.model().values().to_vec();
        learner.gradient(step, false).unwrap();
        assert!(learner.last_gradient().iter().all(|&g| g != 0.0), "all would move");
        learner.apply(step).unwrap();
        let after = learner.model().values();
        let moved =
            |range: std::ops::Range<usize>| before[range.clone()].iter().zip(&after[range]).all(|(a, b)| a != b);
        let still = |range: std::ops::Range<usize>| before[range.clone()] == after[range];
        let (first, middle, last) = (0..SIZE, SIZE..2 * SIZE, 2 * SIZE..3 * SIZE);
        match step % 3 {
            2 => assert!(still(first) && moved(middle) && still(last), "step {step}"),
            _ => assert!(moved(first) && still(middle) && moved(last), "step {step}"),
        }
    }
}

#[test]
fn a_player_alone_moves_as_in_the_duel() {
    // The critic's gradient depends on the generator, which is held still by a turn that never comes within the run.
    let (task, model) = (Duel::default(), Players::new());
    let batches = BatchSettings {
        seed: 3,
        size: 5,
        shards: 2,
    };
    let of = |turn_from: u64| {
        let mut group = groups()[0].clone();
        group.turn.from = turn_from;
        ParameterGroup::new(&group, model.slots(), model.values(), 30).unwrap()
    };
    // Step 0 is no turn of the second: its first own step is step 1, with all that goes by the number of steps.
    let mut second = Learner::new(&task, Players::new(), vec![of(1)], batches);
    second.gradient(0, false).unwrap();
    second.apply(0).unwrap();
    assert_eq!(second.model().values(), Players::new().values());
    assert_eq!(second.groups()[0].learning_rate(1), of(0).learning_rate(0));
}

#[test]
fn resumes_bit_for_bit_with_both_players_and_their_averages() {
    let whole = tempfile::tempdir().unwrap();
    let uninterrupted = run(whole.path(), &Duel::default()).unwrap();
    let expected = files(whole.path());
    // The loss is called once for each of the four shards.
    for stops in [vec![1], vec![22, 9], vec![29], vec![44, 4, 4], vec![90]] {
        let parts = tempfile::tempdir().unwrap();
        for &interrupt_at in &stops {
            let task = Duel {
                interrupt_at,
                ..Duel::default()
            };
            assert!(run(parts.path(), &task).unwrap().interrupted);
        }
        let resumed = run(parts.path(), &Duel::default()).unwrap();
        assert_eq!(resumed.model.values(), uninterrupted.model.values());
        assert!(files(parts.path()) == expected, "{stops:?}");
    }
}

#[test]
fn metrics_go_by_player_and_goal_and_the_best_average_is_saved() {
    let (folder, task) = (tempfile::tempdir().unwrap(), Duel::default());
    let outcome = run(folder.path(), &task).unwrap();
    let (best, step) = outcome.best.unwrap();
    assert!(best < 0.0, "a negative cost is a good one");
    let last = outcome
        .records
        .iter()
        .rev()
        .find(|record| record.values.contains_key("cost"))
        .unwrap();
    for name in ["cost", "cost (average 0.2)", "first", "first (average 0.2)"] {
        assert!(last.values.contains_key(name), "{name}");
    }
    let costs = || {
        let records = outcome.records.iter();
        records.flat_map(|record| record.values.iter().filter(|(name, _)| name.starts_with("cost")))
    };
    assert!(costs().all(|(_, &cost)| best <= cost) && costs().any(|(_, &cost)| cost == best));
    let losses = outcome
        .records
        .iter()
        .find(|record| record.values.contains_key("critic.loss"))
        .unwrap();
    for name in [
        "critic.loss",
        "generator.loss",
        "critic.learning_rate",
        "generator.learning_rate",
        "noise",
    ] {
        assert!(losses.values.contains_key(name), "{name}: {:?}", losses.values);
    }
    let report = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    let caption = |name: &str| {
        report
            .split(&format!("<figcaption>{name}: "))
            .nth(1)
            .unwrap()
            .split('<')
            .next()
            .unwrap()
    };
    assert!(report.contains("best cost -9") && caption("critic loss").contains("smallest"));
    assert!(!caption("first").contains("est ") && !caption("noise").contains("est "));
    // Validations saw the averages of the generator, and the critic as it was.
    let seen = task.seen.lock().unwrap();
    let (slow, fast) = (&seen[seen.len() - 2], &seen[seen.len() - 1]);
    assert_eq!(slow[..SIZE], fast[..SIZE]);
    assert!(
        slow[SIZE..2 * SIZE]
            .iter()
            .zip(&fast[SIZE..2 * SIZE])
            .all(|(a, b)| a != b)
    );
    assert!(
        seen.iter().any(|values| values == outcome.model.values()),
        "the best of step {step}"
    );
}

#[test]
fn groups_that_cannot_be_are_named() {
    let task = Duel::default();
    let error = |change: &dyn Fn(&mut GroupSettings)| {
        let mut all = groups();
        change(&mut all[0]);
        let settings = settings();
        let made = Trainer::new(&task, Players::new(), &settings, &all, Path::new("nowhere"), "");
        made.map(|_| ()).unwrap_err().to_string()
    };
    assert!(error(&|group| group.turn.until = 4).starts_with("turn: from 0 until 4 is no part of a cycle of 3"));
    assert!(error(&|group| group.turn.from = 2).starts_with("turn: "));
    assert!(error(&|group| group.on = vec!["judge.*".parse().unwrap()]).contains("no parameter's name matches"));
    assert!(error(&|group| group.averages = vec![1.0]).starts_with("average: "));
}
