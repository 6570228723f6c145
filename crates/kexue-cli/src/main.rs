//! The `kexue` command: parse, call, print.

mod ask;
mod device_flags;
mod finetune;
#[cfg(feature = "burn")]
mod gan;
mod kg;
mod mlm;
mod model_flags;
mod output;
#[cfg(feature = "burn")]
mod penalty;
mod probe;
mod qa;
mod rank;
mod search_flags;
mod setting_flags;
mod texts;
mod training_flags;
mod vae;
mod vocab;
#[cfg(not(feature = "burn"))]
mod without_burn;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Eight systems of *Scientific Spaces*, from the command line.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

// One command a run: its size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Subcommand)]
enum Command {
    /// Answer a question with a fact of a graph, or say "I don't know".
    Ask(ask::AskArgs),
    /// Generative adversarial networks whose critics are normalised: train, sample, measure.
    #[cfg(feature = "burn")]
    Gan(gan::GanArgs),
    #[cfg(not(feature = "burn"))]
    #[command(about = "Generative adversarial networks (not in this build: needs the feature `burn`)")]
    Gan(without_burn::Anything),
    /// Pretrained models on a task of your own: train, compare methods, predict.
    Finetune(finetune::FinetuneArgs),
    /// Knowledge graphs: build an index of facts, and look into it.
    Kg(kg::Command),
    /// Masked language models: train them, and measure accuracy and attention entropy by length.
    Mlm(mlm::MlmArgs),
    /// Gradient penalties of input and parameters, and the inequality between them.
    #[cfg(feature = "burn")]
    Penalty(penalty::PenaltyArgs),
    #[cfg(not(feature = "burn"))]
    #[command(about = "Gradient penalties and their inequality (not in this build: needs the feature `burn`)")]
    Penalty(without_burn::Anything),
    /// What a Transformer's initialisation, norms and optimiser will do to its training.
    Probe(Box<probe::ProbeArgs>),
    /// Question answering: train, evaluate and use models that answer from a graph.
    Qa(qa::QaArgs),
    /// Leaderboards: means over equal columns, rank flips, votes, and a check of claimed averages.
    Rank(rank::RankArgs),
    /// How likely a sample is: train a variational autoencoder, rank samples by their density, and draw new ones.
    Vae(vae::VaeArgs),
    /// Count a vocabulary from texts.
    Vocab(vocab::VocabArgs),
}

fn main() -> ExitCode {
    // Before anything else, and until the end.
    #[cfg(feature = "mpi")]
    let session = kexue_train::mpi::Session::start();
    output::set_quiet(!kexue_train::is_first());
    let result = match Cli::parse().command {
        Command::Ask(args) => ask::run(&args),
        #[cfg(feature = "burn")]
        Command::Gan(args) => gan::run(args),
        #[cfg(not(feature = "burn"))]
        Command::Gan(_) => without_burn::refuse("gan"),
        Command::Finetune(args) => finetune::run(args),
        Command::Kg(command) => kg::run(command),
        Command::Mlm(args) => mlm::run(args),
        #[cfg(feature = "burn")]
        Command::Penalty(args) => penalty::run(args),
        #[cfg(not(feature = "burn"))]
        Command::Penalty(_) => without_burn::refuse("penalty"),
        Command::Probe(args) => probe::run(&args),
        Command::Qa(args) => qa::run(args),
        Command::Rank(args) => rank::run(args),
        Command::Vae(args) => vae::run(args),
        Command::Vocab(args) => vocab::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            let code = output::fail(&error);
            // The other processes would wait for this one for ever.
            #[cfg(feature = "mpi")]
            if let Some(session) = session.filter(|_| !output::is_known_to_all(&error)) {
                session.abort(code.into());
            }
            ExitCode::from(code)
        }
    }
}
