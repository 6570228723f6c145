//! `kexue serve`: question answering over HTTP.

use crate::inference_flags::InferenceFlags;
use crate::output::{Usage, note};
use crate::search_flags::SearchFlags;
use anyhow::Result;
use clap::Args;
use kexue_nn::DeviceError;
use kexue_serve::{Ended, ServeError, Server, Settings, Source, Tokens};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Answer questions over HTTP, with a page that shows how each answer was found.
#[derive(Args)]
#[command(after_help = "Examples:
  kexue serve                                             the embedded graph, at http://127.0.0.1:8080
  kexue serve --kg my.idx --model runs/qa                 your own graph and model
  kexue serve --kg my.idx --model runs/qa --token-file t  the same; clients with a token may change facts

SIGTERM and Ctrl-C end the service when its requests have finished. SIGHUP opens graph and model again.")]
pub struct ServeArgs {
    /// A graph built by `kexue kg build`. Without it, the embedded graph of countries and chemical elements, which cannot be changed.
    #[arg(long)]
    kg: Option<PathBuf>,
    /// The folder of a model trained by `kexue qa train`. Without it, the embedded model, which needs a graph with its vocabulary.
    #[arg(long, requires = "kg")]
    model: Option<PathBuf>,
    /// The address to listen on. For other machines, put a proxy with TLS in front. Port 0 lets the system choose.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The lowest confidence of an answer that is given, unless a request states another.
    #[arg(long, default_value_t = 0.5)]
    min_confidence: f64,
    #[command(flatten)]
    search: SearchFlags,
    #[command(flatten)]
    inference: InferenceFlags,
    #[command(flatten)]
    access: AccessFlags,
    #[command(flatten)]
    limits: LimitFlags,
}

/// Who may read and write.
#[derive(Args)]
#[command(next_help_heading = "Access")]
struct AccessFlags {
    /// A file of tokens, one per line, that allow changing facts and pins (and reading). Without it, nothing can be changed. Needs --kg.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// A file of tokens, one per line, that allow reading. Without it, everybody may read.
    #[arg(long)]
    read_token_file: Option<PathBuf>,
    /// The origin of another page whose scripts may use the API, such as https://example.org. May be repeated.
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,
    /// Maximum number of requests per second from one client; twice as many at once. 0 means no limit. [default: 50, or no limit on loopback]
    #[arg(long)]
    rate_limit: Option<u32>,
    /// Take the client's address from the last entry of X-Forwarded-For. Use this only behind a proxy that sets it.
    #[arg(long)]
    behind_proxy: bool,
}

/// Limits of load.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
struct LimitFlags {
    /// Number of decoding threads. [default: one per core]
    #[arg(long)]
    workers: Option<usize>,
    /// Maximum number of questions that a thread decodes together.
    #[arg(long, default_value_t = 2)]
    batch: usize,
    /// Maximum number of waiting questions. Further requests are refused with 503.
    #[arg(long, default_value_t = 256)]
    queue: usize,
    /// Maximum number of questions in a request.
    #[arg(long, default_value_t = 64)]
    max_questions: usize,
    /// Maximum size of a request's body, in bytes.
    #[arg(long, default_value_t = 262_144)]
    max_body: usize,
    /// Maximum time for a request, in seconds.
    #[arg(long, default_value_t = 10.0)]
    deadline: f64,
    /// Maximum number of open connections.
    #[arg(long, default_value_t = 1024)]
    connections: usize,
    /// Maximum time for requests to finish when the service is told to end, in seconds.
    #[arg(long, default_value_t = 30.0)]
    drain: f64,
    /// Seconds during which the service still accepts connections after it is told to end, while /readyz already returns 503. Gives load
    /// balancers time to notice.
    #[arg(long, default_value_t = 0.0)]
    drain_delay: f64,
    /// Do not log requests.
    #[arg(long)]
    no_log: bool,
    /// Also log the texts of questions.
    #[arg(long, conflicts_with = "no_log")]
    log_questions: bool,
}

/// Runs the command.
pub fn run(args: &ServeArgs) -> Result<ExitCode> {
    avoid_huge_pages();
    let server = Server::bind(settings(args)?).map_err(in_flags)?;
    note!("kexue serve: http://{}", server.address());
    match server.run()? {
        Ended::Told => Ok(ExitCode::SUCCESS),
        Ended::Interrupted => Ok(ExitCode::from(130)),
    }
}

/// The allocator asks for huge pages, which speed up training. Each holds 2 MiB of memory from the first byte that is used, which would make up a third
/// of the memory of a service with a small model and not make it faster.
fn avoid_huge_pages() {
    // Without this the service only needs more memory.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

fn settings(args: &ServeArgs) -> Result<Settings> {
    let tokens = |path: &Option<PathBuf>| path.as_deref().map_or(Ok(Tokens::default()), Tokens::read);
    let seconds = |flag: &str, seconds: f64| {
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| Usage(format!("--{flag} is {seconds}; expected seconds, 0 or more")))
    };
    let (search, inference) = (args.search.clone(), args.inference.clone());
    inference.check()?;
    let (access, limits) = (&args.access, &args.limits);
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
        adjust: Arc::new(move |trained| {
            let failed = |error: anyhow::Error| kexue_qa::Error::from(DeviceError::new(error));
            inference.prepare(&mut trained.model).map_err(failed)?;
            let applied = search.apply(trained.config.search.clone());
            trained.config.search = applied.map_err(|Usage(problem)| ServeError::Setting {
                field: "adjust",
                problem,
            })?;
            Ok(())
        }),
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

/// Replaces the name of a setting in an error by the name of its flag.
fn in_flags(error: ServeError) -> anyhow::Error {
    let (field, problem) = match error {
        ServeError::Setting { field, problem } => (field, problem),
        error => return error.into(),
    };
    let flag = match field {
        "adjust" => return Usage(problem).into(),
        "write_tokens" => {
            return Usage("--token-file needs --kg: the embedded graph cannot be changed".to_owned()).into();
        }
        "min_confidence" => "min-confidence",
        "questions" => "max-questions",
        "body" => "max-body",
        "cors" => "cors-origin",
        field => field,
    };
    Usage(format!("--{flag} {problem}")).into()
}
