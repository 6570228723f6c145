//! The flags for the settings of the libraries.

use crate::output::Usage;
use std::sync::OnceLock;

/// Settings whose flags have different names.
const NAMED: [(&str, &str); 10] = [
    ("attention_scale", "attention-scale"),
    ("attention_scale.base", "attention-base"),
    ("attention_scale.kappa", "attention-base"),
    ("initializer.weights", "initial-std"),
    ("initializer.weights.std", "initial-std"),
    ("initializer.embeddings", "init"),
    ("initializer.branches", "init"),
    ("norm_placement", "norm"),
    ("look_ahead", "gain-weight"),
    ("mentions", "prior"),
];

/// Builds the command whose flags set the settings.
static COMMAND: OnceLock<fn() -> clap::Command> = OnceLock::new();

/// Sets the command whose flags set the settings. It is built only when an error needs it.
pub fn set_command(command: fn() -> clap::Command) {
    // A second call would set the same command.
    let _ = COMMAND.set(command);
}

/// The error for an invalid setting, naming its flag.
pub fn refused(setting: &str, problem: &str) -> Usage {
    Usage(format!("{}: {problem}", flag_of(setting)))
}

/// The flag that sets a setting; the setting itself if there is none.
pub fn flag_of(setting: &str) -> String {
    let named = NAMED.iter().find(|(name, _)| *name == setting);
    let flag = match named {
        Some((_, flag)) => (*flag).to_owned(),
        None => setting.rsplit('.').next().unwrap_or(setting).replace('_', "-"),
    };
    match COMMAND.get().is_some_and(|command| has_flag(&command(), &flag)) {
        true => format!("--{flag}"),
        false => setting.to_owned(),
    }
}

/// Whether a command or one of its subcommands has a flag.
fn has_flag(command: &clap::Command, flag: &str) -> bool {
    command
        .get_arguments()
        .any(|argument| argument.get_long() == Some(flag))
        || command.get_subcommands().any(|command| has_flag(command, flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_named_by_their_flags() {
        set_command(<crate::Cli as clap::CommandFactory>::command);
        for (setting, flag) in [
            ("learning_rate", "--learning-rate"),
            ("heads", "--heads"),
            ("initializer.weights", "--initial-std"),
            ("attention_scale.base", "--attention-base"),
            ("no_such_setting", "no_such_setting"),
        ] {
            assert_eq!(flag_of(setting), flag);
        }
        for (setting, flag) in NAMED {
            assert_eq!(flag_of(setting), format!("--{flag}"));
        }
    }
}
