//! The flags that the command line has, as opposed to defaults.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use std::sync::OnceLock;

static GIVEN: OnceLock<Vec<GivenFlag>> = OnceLock::new();

/// A flag of the command line.
#[derive(Debug, PartialEq, Eq)]
struct GivenFlag {
    /// The name of its field.
    id: String,
    /// The flag with its values, as on a command line.
    text: String,
}

/// Remembers the flags of the command line. `command` has parsed it.
pub fn set_given(command: &Command, matches: &ArgMatches) {
    // A second call would set the same flags.
    let _ = GIVEN.set(given_of(command, matches));
}

/// Whether the command line has a flag.
pub fn is_given(id: &str) -> bool {
    given().iter().any(|flag| flag.id == id)
}

/// The flags of the command line with their values, without those named. They come in the order in which the command defines them.
pub fn given_but(left_out: &[&str]) -> Vec<&'static str> {
    let kept = given().iter().filter(|flag| !left_out.contains(&flag.id.as_str()));
    kept.map(|flag| flag.text.as_str()).collect()
}

fn given() -> &'static [GivenFlag] {
    GIVEN.get().map_or(&[], Vec::as_slice)
}

/// The flags of the innermost subcommand.
fn given_of(mut command: &Command, mut matches: &ArgMatches) -> Vec<GivenFlag> {
    while let Some((name, of_subcommand)) = matches.subcommand() {
        let Some(subcommand) = command.find_subcommand(name) else {
            break;
        };
        (command, matches) = (subcommand, of_subcommand);
    }
    let is_given = |arg: &&Arg| matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let given = command.get_arguments().filter(is_given).map(|arg| GivenFlag {
        id: arg.get_id().to_string(),
        text: text(arg, matches),
    });
    given.collect()
}

fn text(arg: &Arg, matches: &ArgMatches) -> String {
    let values = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
    let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
    let values = values.join(&arg.get_value_delimiter().unwrap_or(' ').to_string());
    match arg.get_long() {
        Some(long) if arg.get_action().takes_values() => format!("--{long} {values}"),
        Some(long) => format!("--{long}"),
        None => values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::CommandFactory;

    /// The flags of a command line.
    fn flags(line: &str) -> Vec<GivenFlag> {
        let mut command = Cli::command();
        let matches = command.try_get_matches_from_mut(line.split(' ')).unwrap();
        given_of(&command, &matches)
    }

    #[test]
    fn however_it_is_written_a_flag_is_the_same() {
        let plain = flags("kexue probe --threads 2 --layers 2 --compare pre,post --texts a b --json --out x.html");
        let texts: Vec<&str> = plain.iter().map(|flag| flag.text.as_str()).collect();
        for text in [
            "--layers 2",
            "--compare pre,post",
            "--texts a b",
            "--json",
            "--out x.html",
        ] {
            assert!(texts.contains(&text), "{text} in {texts:?}");
        }
        assert_eq!(texts.len(), 6);
        for same in [
            "kexue --threads 2 probe --json --texts a --texts b --out=x.html --compare=pre --compare post --layers=2",
            "kexue probe --threads=2 -o x.html --texts a b --compare pre,post --json --layers 2",
        ] {
            assert_eq!(flags(same), plain, "{same}");
        }
    }

    #[test]
    fn defaults_are_not_given() {
        assert_eq!(flags("kexue probe"), []);
        let evaluation = flags("kexue mlm eval --model a b --texts t");
        let ids: Vec<&str> = evaluation.iter().map(|flag| flag.id.as_str()).collect();
        assert_eq!(ids, ["model", "texts"]);
    }
}
