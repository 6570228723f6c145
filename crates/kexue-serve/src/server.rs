//! The life of a service: it opens graph and model, listens, serves, reloads, and shuts down without losing a request.

use crate::ServeError;
use crate::api::routes;
use crate::app::{App, LOOKUPS};
use crate::around::Peer;
use crate::batcher::Batcher;
use crate::fault::Fault;
use crate::keeper::Keeper;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::rate::Rates;
use crate::settings::{Settings, Source};
use crate::store::Store;
use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, Semaphore};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt as _;

/// A service that listens. [`run`](Self::run) serves.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    address: SocketAddr,
    runtime: Runtime,
    end: Arc<End>,
}

#[derive(Default)]
struct End {
    notify: Notify,
    by_interrupt: std::sync::atomic::AtomicBool,
}

/// Shuts down or reloads a service from another thread.
#[derive(Clone)]
pub struct Handle {
    app: Arc<App>,
    runtime: tokio::runtime::Handle,
    end: Arc<End>,
}

impl Handle {
    /// Tells the service to finish its requests and end.
    pub fn shut_down(&self) {
        self.app.draining.store(true, Ordering::Relaxed);
        self.end.notify.notify_one();
    }

    /// Opens graph and model again, and returns the generation that is then served.
    ///
    /// # Errors
    /// If they cannot be used. The service then continues with the previous ones.
    pub fn reload(&self) -> Result<u64, Fault> {
        self.runtime.block_on(self.app.reload())
    }
}

/// Why a service ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to, by a handle or by SIGTERM.
    Told,
    /// It was interrupted by Ctrl-C.
    Interrupted,
}

impl Server {
    /// Opens graph and model, and listens.
    ///
    /// # Errors
    /// Names the setting, the file or the address that cannot be used.
    pub fn bind(settings: Settings) -> Result<Self, ServeError> {
        check(&settings)?;
        let system = |what| move |source| ServeError::System { what, source };
        let metrics = Arc::new(Metrics::new());
        let store = Arc::new(Store::open(settings.source.clone(), settings.adjust.clone())?);
        let keeper = Keeper::start(store.clone(), !settings.write_tokens.is_empty())?;
        let batcher = Batcher::start(settings.workers, settings.batch, settings.queue, metrics.clone())
            .map_err(system("start a thread"))?;
        let log = Log::start(settings.log).map_err(system("start a thread"))?;
        metrics.generation.set(store.current().generation as i64);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(settings.workers.clamp(1, 4))
            .enable_all()
            .build()
            .map_err(system("start a thread"))?;
        let listen = |source| ServeError::Listen {
            address: settings.listen,
            source,
        };
        let listener = runtime.block_on(TcpListener::bind(settings.listen)).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let app = App {
            rates: Rates::new(settings.rate),
            settings,
            store,
            batcher,
            keeper,
            metrics,
            log,
            draining: false.into(),
            lookups: Semaphore::new(LOOKUPS),
        };
        Ok(Self {
            app: Arc::new(app),
            listener,
            address,
            runtime,
            end: Arc::default(),
        })
    }

    /// The address that the service listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle to shut the service down or to reload it while it runs.
    pub fn handle(&self) -> Handle {
        Handle {
            app: self.app.clone(),
            runtime: self.runtime.handle().clone(),
            end: self.end.clone(),
        }
    }

    /// Serves until the service is told to end and its requests are finished.
    ///
    /// # Errors
    /// If signal handlers cannot be installed.
    pub fn run(self) -> Result<Ended, ServeError> {
        let Self {
            app,
            listener,
            runtime,
            end,
            ..
        } = self;
        runtime.block_on(async {
            if app.settings.signals {
                watch_signals(&app, &end)?;
            }
            serve(&app, listener, &end).await;
            Ok::<(), ServeError>(())
        })?;
        app.batcher.close();
        // Connections that are still open are closed.
        runtime.shutdown_timeout(Duration::from_millis(100));
        match end.by_interrupt.load(Ordering::Relaxed) {
            false => Ok(Ended::Told),
            true => Ok(Ended::Interrupted),
        }
    }
}

fn check(settings: &Settings) -> Result<(), ServeError> {
    let problem = |field, problem: &str| {
        Err(ServeError::Setting {
            field,
            problem: problem.to_owned(),
        })
    };
    if !(0.0..=1.0).contains(&settings.min_confidence) {
        return problem("min_confidence", "must be between 0 and 1");
    }
    for (field, number, most) in [
        ("workers", settings.workers, 1024),
        ("batch", settings.batch, 1 << 20),
        ("queue", settings.queue, 1 << 20),
        ("questions", settings.questions, 1 << 20),
        ("body", settings.body, 1 << 30),
        ("connections", settings.connections, 1 << 20),
    ] {
        if number == 0 || number > most {
            return problem(field, &format!("must be within 1 and {most}"));
        }
    }
    if settings.questions > settings.queue {
        return problem("questions", "is larger than the queue; lower it, or enlarge the queue");
    }
    if settings.deadline.is_zero() {
        return problem("deadline", "must be longer than 0");
    }
    for origin in &settings.cors {
        let host = origin
            .strip_prefix("https://")
            .or_else(|| origin.strip_prefix("http://"));
        if host.is_none_or(|host| host.is_empty() || host.contains('/')) || !origin.is_ascii() {
            return problem(
                "cors",
                &format!("{origin} is not an origin; expected one such as https://example.org"),
            );
        }
    }
    if !settings.write_tokens.is_empty() && settings.source == Source::Embedded {
        return problem(
            "write_tokens",
            "the embedded graph cannot be changed; serve a graph file",
        );
    }
    Ok(())
}

async fn serve(app: &Arc<App>, listener: TcpListener, end: &End) {
    let routes = routes(app);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(app.settings.connections));
    let ended = async {
        end.notify.notified().await;
        tokio::time::sleep(app.settings.drain_delay).await;
    };
    tokio::pin!(ended);
    loop {
        // At the limit of connections, further ones wait in the system's queue.
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut ended => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(app, &routes, stream, Peer(peer));
                let connection = graceful.watch(connection);
                let connections = app.metrics.connections.clone();
                connections.inc();
                tokio::spawn(async move {
                    // Clients may disconnect at any time; that is no error.
                    let _ = connection.await;
                    connections.dec();
                    drop(place);
                });
            }
            // No file descriptors are left, or the client has disconnected already.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    drop(listener);
    let drained = tokio::time::timeout(app.settings.drain_time, graceful.shutdown()).await;
    if drained.is_err() {
        crate::log::complain("some requests did not finish in time; their connections were closed");
    }
}

/// Serves a connection, with limits on the size and time of what the client sends, and on the time that the client does not read.
fn connection(
    app: &App,
    routes: &Router,
    stream: TcpStream,
    peer: Peer,
) -> impl GracefulConnection<Error = hyper::Error> + Send + use<> {
    // Responses are small: waiting for a full packet would only delay them.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(app.settings.write_time));
    let routes = routes.clone();
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        routes.clone().oneshot(request.map(axum::body::Body::new))
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(app.settings.head_time)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
}

#[cfg(unix)]
fn watch_signals(app: &Arc<App>, end: &Arc<End>) -> Result<(), ServeError> {
    use tokio::signal::unix::{SignalKind, signal};
    let watch = |kind| {
        signal(kind).map_err(|source| ServeError::System {
            what: "watch signals",
            source,
        })
    };
    let mut terminate = watch(SignalKind::terminate())?;
    let mut interrupt = watch(SignalKind::interrupt())?;
    let mut hang_up = watch(SignalKind::hangup())?;
    let (app, end) = (app.clone(), end.clone());
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {
                    // The second Ctrl-C ends the service at once.
                    if end.by_interrupt.swap(true, Ordering::Relaxed) {
                        std::process::exit(130);
                    }
                }
                _ = hang_up.recv() => {
                    let _ = app.reload().await;
                    continue;
                }
            }
            app.draining.store(true, Ordering::Relaxed);
            end.notify.notify_one();
        }
    });
    Ok(())
}

#[cfg(not(unix))]
fn watch_signals(app: &Arc<App>, end: &Arc<End>) -> Result<(), ServeError> {
    let (app, end) = (app.clone(), end.clone());
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            end.by_interrupt.store(true, Ordering::Relaxed);
            app.draining.store(true, Ordering::Relaxed);
            end.notify.notify_one();
        }
    });
    Ok(())
}
