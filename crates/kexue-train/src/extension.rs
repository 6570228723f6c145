//! Extending a finished run by more steps.

use crate::TrainSettings;
use toml::{Table, Value};

/// The description of a run without its number of steps, which is the same for a run and its extension; only if no learning rate depends on that number.
pub(crate) fn identity(description: &str) -> String {
    match without_steps(description) {
        Some((rest, _, settings)) if settings.can_be_extended() => rest,
        _ => description.to_owned(),
    }
}

/// The numbers of steps there and here, if they are the only difference and the run becomes longer.
pub(crate) fn more_steps(there: &str, here: &str) -> Option<(u64, u64)> {
    let (rest_there, steps_there, _) = without_steps(there)?;
    let (rest_here, steps_here, _) = without_steps(here)?;
    (rest_there == rest_here && steps_there < steps_here).then_some((steps_there, steps_here))
}

/// A configuration without `train.steps`, those steps, and all of `train`.
fn without_steps(description: &str) -> Option<(String, u64, TrainSettings)> {
    let mut table: Table = description.parse().ok()?;
    let train = table.get_mut("train")?;
    let settings: TrainSettings = train.clone().try_into().ok()?;
    let Value::Table(train) = train else { return None };
    train.remove("steps");
    Some((table.to_string(), settings.steps, settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(steps: u64, decay: &str, seed: u64) -> String {
        format!("[model]\nwidth = 3\n\n[train]\nseed = {seed}\nsteps = {steps}\ndecay = \"{decay}\"\n")
    }

    #[test]
    fn only_more_steps_of_the_same_run_are_an_extension() {
        let there = description(100, "constant", 0);
        assert_eq!(more_steps(&there, &description(300, "constant", 0)), Some((100, 300)));
        assert_eq!(more_steps(&there, &description(50, "constant", 0)), None);
        assert_eq!(more_steps(&there, &description(300, "constant", 1)), None);
        assert_eq!(more_steps("steps = 3", "steps = 4"), None);
    }

    #[test]
    fn a_run_whose_rate_falls_towards_its_end_is_another_run_with_more_steps() {
        for (decay, same) in [
            ("constant", true),
            ("inverse_root", true),
            ("cosine", false),
            ("linear", false),
        ] {
            let [short, long] = [100, 300].map(|steps| identity(&description(steps, decay, 0)));
            assert_eq!(short == long, same, "{decay}");
        }
        assert_eq!(identity("anything"), "anything");
        let optimizer = "[[train.optimizer]]\nkind = \"rate\"\npeak = 0.1\n";
        let [short, long] = [100, 300].map(|steps| identity(&(description(steps, "constant", 0) + optimizer)));
        assert_ne!(short, long, "the chain's own rate falls along a cosine");
    }
}
