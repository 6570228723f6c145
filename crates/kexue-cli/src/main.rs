//! The `kexue` command: parse, call, print.

mod ask;
mod completions;
mod device_flags;
#[cfg(test)]
mod documentation;
mod failure;
mod finetune;
#[cfg(feature = "burn")]
mod gan;
mod given_flags;
mod help;
mod inference_flags;
mod kg;
mod language;
mod mlm;
mod model_flags;
mod output;
#[cfg(feature = "burn")]
mod penalty;
mod probe;
mod qa;
mod rank;
mod run_config;
mod search_flags;
mod serve;
mod setting_flags;
mod shrink;
mod sizes;
mod texts;
mod training_flags;
mod vae;
mod version;
mod vocab;
#[cfg(not(feature = "burn"))]
mod without_burn;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Eight results of the blog Scientific Spaces (科学空间, kexue.fm): questions answered from a graph of facts, masked language models, fine-tuning,
/// probes of initialisation, gradient penalties, critics of GANs, density estimation, honest leaderboards.
#[derive(Parser)]
#[command(
    name = "kexue",
    version = version::version(),
    arg_required_else_help = true,
    max_term_width = 120,
    after_help = AFTER_HELP
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Number of threads [default: the number of cores].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Everywhere")]
    threads: Option<u16>,
}

const AFTER_HELP: &str = "\
Start here:
  kexue ask What is the capital of France      # from the embedded graph of countries and chemical elements
  kexue kg build facts.tsv -o my.idx           # a graph of your own; then `kexue qa train`

Exit codes: 0 done; 1 the answer is no (\"I don't know\", a check that failed); 2 wrong usage; 3 bad input; 130 interrupted.";

// One command a run: its size does not matter.
#[allow(clippy::large_enum_variant)]
#[derive(Subcommand)]
enum Command {
    /// Answer a question with a fact of a graph, or say "I don't know".
    #[command(display_order = 0)]
    Ask(ask::AskArgs),
    /// Print a completion script for a shell.
    #[command(display_order = 90)]
    Completions(completions::CompletionsArgs),
    /// Write the manual pages.
    #[command(display_order = 91)]
    Man(completions::ManArgs),
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
    /// Measure how a Transformer's initialisation, norms and optimiser will affect its training.
    Probe(Box<probe::ProbeArgs>),
    /// Question answering: train, evaluate and use models that answer from a graph.
    Qa(qa::QaArgs),
    /// Leaderboards: means over equal columns, rank flips, votes, and a check of claimed averages.
    Rank(rank::RankArgs),
    /// Answer questions over HTTP, with a page that shows how each answer was found.
    Serve(Box<serve::ServeArgs>),
    /// Write a file of weights with fewer bits.
    Shrink(shrink::ShrinkArgs),
    /// Density estimation: train a variational autoencoder, rank samples by their density, and draw new samples.
    Vae(vae::VaeArgs),
    /// Count a vocabulary from texts.
    Vocab(vocab::VocabArgs),
}

fn main() -> ExitCode {
    // Before anything else, and until the end.
    #[cfg(feature = "mpi")]
    let session = kexue_train::mpi::Session::start();
    output::set_quiet(!kexue_train::is_first());
    setting_flags::set_command(Cli::command);
    let mut command = help::localized(Cli::command());
    let matches = command.get_matches_mut();
    given_flags::set_given(&command, &matches);
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    if let Some(threads) = cli.threads {
        // Nothing has computed yet, so that this is the first and only pool.
        let _ = rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build_global();
    }
    let result = match cli.command {
        Command::Ask(args) => ask::run(&args),
        Command::Completions(args) => completions::run(&args, Cli::command()),
        Command::Man(args) => completions::run_man(&args, Cli::command()),
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
        Command::Serve(args) => serve::run(&args),
        Command::Shrink(args) => shrink::run(&args),
        Command::Vae(args) => vae::run(args),
        Command::Vocab(args) => vocab::run(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            let code = failure::fail(&error);
            // The other processes would wait for this one for ever.
            #[cfg(feature = "mpi")]
            if let Some(session) = session.filter(|_| !failure::is_known_to_all(&error)) {
                session.abort(code.into());
            }
            ExitCode::from(code)
        }
    }
}
