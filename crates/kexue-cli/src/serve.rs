//! `kexue serve`: question answering over HTTP.

use crate::output::{Usage, note};
use crate::search_flags::SearchFlags;
use anyhow::Result;
use clap::Args;
use kexue_serve::{Ended, ServeError, Server, Settings, Source, Tokens};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Answer questions over HTTP, with a page that shows how an answer comes about.
#[derive(Args)]
#[command(after_help = "Examples:
  kexue serve                                             the embedded graph, at http://127.0.0.1:8080
  kexue serve --kg my.idx --model runs/qa                 a graph and a model of your own
  kexue serve --kg my.idx --model runs/qa --token-file t  the same, and holders of a token may change facts

SIGTERM and Ctrl-C let open requests finish; SIGHUP opens graph and model anew.")]
pub struct ServeArgs {
    /// A graph built by `kexue kg build`; without it, the embedded one: countries and chemical elements.
    #[arg(long)]
    kg: Option<PathBuf>,
    /// The folder of a model trained by `kexue qa train`; without it, the embedded one, which needs a graph with its vocabulary.
    #[arg(long, requires = "kg")]
    model: Option<PathBuf>,
    /// The address to listen at. Beyond this machine, put a proxy with TLS in front. Port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The least probability of an answer that is given, where a request does not say.
    #[arg(long, default_value_t = 0.5)]
    min_confidence: f64,
    #[command(flatten)]
    search: SearchFlags,
    #[command(flatten)]
    access: AccessFlags,
    #[command(flatten)]
    limits: LimitFlags,
}

/// Who may do what.
#[derive(Args)]
#[command(next_help_heading = "Access")]
struct AccessFlags {
    /// A file of tokens, one a line, whose holders may change facts and pins; without it nothing can be written.
    #[arg(long, requires = "kg")]
    token_file: Option<PathBuf>,
    /// A file of tokens, one a line, without which nobody may read; without it, everybody may.
    #[arg(long)]
    read_token_file: Option<PathBuf>,
    /// The origin of a page elsewhere whose scripts may use this service, such as https://example.org; may be repeated.
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,
    /// Requests per second of one client, twice as many at once; 0 for no limit. Without it, 50 beyond this machine, and no limit on it.
    #[arg(long)]
    rate_limit: Option<u32>,
    /// Take the client's address from the last entry of X-Forwarded-For, which the proxy in front sets.
    #[arg(long)]
    behind_proxy: bool,
}

/// How much at a time.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
struct LimitFlags {
    /// Threads that decode; without it, one a core.
    #[arg(long)]
    workers: Option<usize>,
    /// Questions that one thread decodes together at most.
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Questions that may wait; beyond, requests are refused with 503.
    #[arg(long, default_value_t = 256)]
    queue: usize,
    /// Questions in one request.
    #[arg(long, default_value_t = 64)]
    max_questions: usize,
    /// Bytes of a request's body.
    #[arg(long, default_value_t = 262_144)]
    max_body: usize,
    /// Seconds that a request may take.
    #[arg(long, default_value_t = 10.0)]
    deadline: f64,
    /// Connections at a time.
    #[arg(long, default_value_t = 1024)]
    connections: usize,
    /// Seconds for requests to finish when the service is told to end.
    #[arg(long, default_value_t = 30.0)]
    drain: f64,
    /// Seconds between being told to end and closing the door, in which /readyz already says no: time for a balancer to look.
    #[arg(long, default_value_t = 0.0)]
    drain_delay: f64,
    /// Log no requests.
    #[arg(long)]
    no_log: bool,
    /// Log the texts of questions, too.
    #[arg(long, conflicts_with = "no_log")]
    log_questions: bool,
}

/// Runs the command.
pub fn run(args: &ServeArgs) -> Result<ExitCode> {
    let server = Server::bind(settings(args)?).map_err(in_flags)?;
    note!("kexue serve: http://{}", server.address());
    match server.run()? {
        Ended::Told => Ok(ExitCode::SUCCESS),
        Ended::Interrupted => Ok(ExitCode::from(130)),
    }
}

fn settings(args: &ServeArgs) -> Result<Settings> {
    let tokens = |path: &Option<PathBuf>| path.as_deref().map_or(Ok(Tokens::default()), Tokens::read);
    let seconds = |flag: &str, seconds: f64| {
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| Usage(format!("--{flag} {seconds} is no time in seconds; expected 0 or more")))
    };
    let (search, access, limits) = (args.search.clone(), &args.access, &args.limits);
    let source = match &args.kg {
        Some(kg) => Source::Files {
            kg: kg.clone(),
            model: args.model.clone(),
        },
        None => Source::Embedded,
    };
    let usual = Settings::default();
    let rate = match args.listen.ip().is_loopback() {
        true => 0,
        false => 50,
    };
    Ok(Settings {
        listen: args.listen,
        source,
        adjust: Arc::new(move |options| search.apply(options).map_err(|usage| usage.0)),
        write_tokens: tokens(&access.token_file)?,
        read_tokens: tokens(&access.read_token_file)?,
        min_confidence: args.min_confidence,
        workers: limits.workers.unwrap_or(usual.workers),
        batch: limits.batch,
        queue: limits.queue,
        questions: limits.max_questions,
        body: limits.max_body,
        deadline: seconds("deadline", limits.deadline)?,
        connections: limits.connections,
        rate: access.rate_limit.unwrap_or(rate),
        behind_proxy: access.behind_proxy,
        cors: access.cors_origin.clone(),
        drain_time: seconds("drain", limits.drain)?,
        drain_delay: seconds("drain-delay", limits.drain_delay)?,
        log: !limits.no_log,
        log_questions: limits.log_questions,
        signals: true,
        ..usual
    })
}

/// An error that names a setting names its flag here.
fn in_flags(error: ServeError) -> anyhow::Error {
    let (field, problem) = match error {
        ServeError::Setting { field, problem } => (field, problem),
        error => return error.into(),
    };
    let flag = match field {
        "adjust" => return Usage(problem).into(),
        "min_confidence" => "min-confidence",
        "write_tokens" => "token-file",
        "questions" => "max-questions",
        "body" => "max-body",
        "cors" => "cors-origin",
        field => field,
    };
    Usage(format!("--{flag} {problem}")).into()
}
