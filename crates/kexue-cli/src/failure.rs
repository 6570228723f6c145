//! Errors as the command reports them: message, advice, exit code.

use crate::output::Usage;
use crate::setting_flags::refused;
use kexue_train::TrainError;
use std::io::Write as _;

/// Prints an error, and returns the exit code: 2 for an invalid command line, 3 for bad input.
pub fn fail(error: &anyhow::Error) -> u8 {
    // A reader that closes the pipe early, such as `head`, is no error.
    if error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    {
        return 0;
    }
    // Some messages already contain that of their cause.
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(&cause) {
            message = format!("{message}: {cause}");
        }
    }
    if let Some(advice) = advice(error) {
        message = format!("{message}; {advice}");
    }
    if let Some(error) = error.downcast_ref::<kexue_rank::Error>() {
        message = error.message(crate::rank::flag);
    }
    let training = training(error);
    if let Some(TrainError::Setting { field, problem }) = training {
        message = refused(field, problem).0;
    }
    // The process in which it happened prints it.
    if !matches!(training, Some(TrainError::Process { .. })) {
        let _ = writeln!(std::io::stderr(), "kexue: {message}");
    }
    let setting = matches!(training, Some(TrainError::Setting { .. }));
    if error.is::<Usage>() || setting { 2 } else { 3 }
}

/// What helps against an error, in terms of commands and flags.
fn advice(error: &anyhow::Error) -> Option<String> {
    match error.downcast_ref() {
        Some(kexue_qa::Error::Vocabulary) => {
            Some("`kexue kg build --vocab` builds a graph with a given vocabulary".to_owned())
        }
        Some(kexue_qa::Error::DeadEnd(_)) => Some("check it with `kexue kg verify`".to_owned()),
        _ => crate::kg::advice(error),
    }
}

fn training(error: &anyhow::Error) -> Option<&TrainError> {
    match error.downcast_ref() {
        Some(kexue_qa::Error::Train(error)) => Some(error),
        _ => error.downcast_ref(),
    }
}

/// Whether every process of a training fails with this error.
#[cfg(feature = "mpi")]
pub fn is_known_to_all(error: &anyhow::Error) -> bool {
    matches!(training(error), Some(TrainError::Process { .. }))
}
