//! Questions that arrive together are decoded together.
//!
//! Questions wait in one bounded queue. Each worker thread takes what waits (its share of it, where other workers are idle), decodes it as one
//! batch, and comes back. So nothing waits for a batch to fill: batches are small when there is little to do and grow with the load. An answer does
//! not depend on the batch it was decoded in.

use crate::fault::Fault;
use crate::metrics::Metrics;
use crate::store::Snapshot;
use kexue_qa::{Answer, AskOptions, ask};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What a question asks for beside its answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub min_confidence: f64,
    pub top: usize,
    pub explain: bool,
}

/// What comes back for a question.
pub(crate) type Reply = Result<Answer, Fault>;

struct Job {
    question: String,
    wanted: Wanted,
    snapshot: Arc<Snapshot>,
    deadline: Instant,
    reply: oneshot::Sender<Reply>,
}

impl Job {
    /// Whether both are decoded in one batch.
    fn goes_with(&self, other: &Self) -> bool {
        self.wanted == other.wanted && Arc::ptr_eq(&self.snapshot, &other.snapshot)
    }
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    idle: usize,
    closed: bool,
    /// Seconds that a question took of late, of one worker's time; for Retry-After.
    seconds: f64,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    capacity: usize,
    batch: usize,
    workers: usize,
    metrics: Arc<Metrics>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The job, unless its client has left or its deadline has passed.
    fn still_counts(&self, job: Job, now: Instant) -> Option<Job> {
        if job.reply.is_closed() {
            self.metrics.cancelled.inc();
        } else if job.deadline <= now {
            self.metrics.late.inc();
            let _ = job.reply.send(Err(Fault::Late));
        } else {
            return Some(job);
        }
        None
    }
}

/// The queue and the threads that decode.
pub(crate) struct Batcher {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Batcher {
    /// Starts `workers` threads; `capacity` questions may wait.
    pub fn start(workers: usize, batch: usize, capacity: usize, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            capacity,
            batch,
            workers,
            metrics,
        });
        let start = |number| {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name(format!("decode-{number}"))
                .spawn(move || work(&shared))
        };
        let threads = (0..workers).map(start).collect::<std::io::Result<_>>()?;
        Ok(Self {
            shared,
            threads: Mutex::new(threads),
        })
    }

    /// Puts the questions of a request into the queue, all or none.
    pub fn ask(
        &self,
        questions: Vec<String>,
        wanted: Wanted,
        snapshot: &Arc<Snapshot>,
        deadline: Instant,
    ) -> Result<Vec<oneshot::Receiver<Reply>>, Fault> {
        let mut queue = self.shared.lock();
        if queue.closed {
            return Err(Fault::Draining);
        }
        if queue.jobs.len() + questions.len() > self.shared.capacity {
            // Whom nobody waits for takes no place.
            let now = Instant::now();
            let jobs = std::mem::take(&mut queue.jobs);
            queue.jobs = jobs
                .into_iter()
                .filter_map(|job| self.shared.still_counts(job, now))
                .collect();
        }
        let waiting = queue.jobs.len();
        if waiting + questions.len() > self.shared.capacity {
            let seconds = queue.seconds * waiting as f64 / self.shared.workers as f64;
            return Err(Fault::Busy(Duration::from_secs_f64(seconds.clamp(0.0, 3600.0))));
        }
        let mut replies = Vec::with_capacity(questions.len());
        for question in questions {
            let (reply, receiver) = oneshot::channel();
            replies.push(receiver);
            queue.jobs.push_back(Job {
                question,
                wanted,
                snapshot: snapshot.clone(),
                deadline,
                reply,
            });
        }
        self.shared.metrics.waiting.set(queue.jobs.len() as i64);
        drop(queue);
        if replies.len() > 1 {
            self.shared.wake.notify_all();
        } else {
            self.shared.wake.notify_one();
        }
        Ok(replies)
    }

    /// Lets the workers finish what waits, and ends them. New questions are refused.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A worker catches what panics in it.
            let _ = thread.join();
        }
    }
}

fn work(shared: &Shared) {
    // Whatever would use the threads of a pool finds one with this thread only: workers do not wait for each other.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build();
    while let Some(batch) = next(shared) {
        let start = Instant::now();
        let size = batch.len();
        decode(shared, batch);
        let each = start.elapsed().as_secs_f64() / size as f64;
        let mut queue = shared.lock();
        queue.seconds += 0.05 * (each - queue.seconds);
    }
    drop(pool);
}

/// The next batch: questions that somebody still waits for and that go together. None once the queue is closed and empty.
fn next(shared: &Shared) -> Option<Vec<Job>> {
    let mut queue = shared.lock();
    loop {
        let now = Instant::now();
        while let Some(job) = queue.jobs.pop_front() {
            // The oldest that still counts.
            if let Some(job) = shared.still_counts(job, now) {
                queue.jobs.push_front(job);
                break;
            }
        }
        if !queue.jobs.is_empty() {
            let share = queue.jobs.len().div_ceil(queue.idle + 1).min(shared.batch);
            let mut batch: Vec<Job> = queue.jobs.drain(..1).collect();
            while batch.len() < share
                && let Some(job) = queue.jobs.pop_front_if(|job| job.goes_with(&batch[0]))
            {
                batch.extend(shared.still_counts(job, now));
            }
            shared.metrics.waiting.set(queue.jobs.len() as i64);
            if !queue.jobs.is_empty() && queue.idle > 0 {
                shared.wake.notify_one();
            }
            return Some(batch);
        }
        if queue.closed {
            return None;
        }
        queue.idle += 1;
        queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        queue.idle -= 1;
    }
}

/// Decodes a batch, and one by one those that could not be decoded together: no question spoils another's answer.
fn decode(shared: &Shared, batch: Vec<Job>) {
    shared.metrics.batch_size.observe(batch.len() as f64);
    match answers(&batch) {
        Ok(answers) => {
            for (job, answer) in batch.into_iter().zip(answers) {
                let _ = job.reply.send(Ok(answer));
            }
        }
        Err(fault) if batch.len() == 1 => {
            for job in batch {
                let _ = job.reply.send(Err(fault.clone()));
            }
        }
        Err(_) => batch.into_iter().for_each(|job| decode(shared, vec![job])),
    }
}

fn answers(batch: &[Job]) -> Result<Vec<Answer>, Fault> {
    let Some(first) = batch.first() else {
        return Ok(Vec::new());
    };
    let options = AskOptions {
        search: (*first.snapshot.search).clone(),
        min_confidence: first.wanted.min_confidence,
        top: first.wanted.top,
        explain: first.wanted.explain,
    };
    let questions: Vec<&str> = batch.iter().map(|job| job.question.as_str()).collect();
    let asked = || ask(&first.snapshot.graph, &first.snapshot.model.model, &options, &questions);
    // Nothing that is shared is left half changed by a panic: graph and model are only read.
    match catch_unwind(AssertUnwindSafe(asked)) {
        Ok(Ok(answers)) => Ok(answers),
        Ok(Err(kexue_qa::Error::Question(problem))) => Err(Fault::invalid("question", problem, "不能作答")),
        Ok(Err(error)) => {
            crate::log::complain(&format!("a question could not be answered: {error}"));
            Err(Fault::Internal)
        }
        Err(_) => Err(Fault::Internal),
    }
}
