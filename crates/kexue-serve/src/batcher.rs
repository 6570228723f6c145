//! Decodes questions in batches.
//!
//! Questions wait in one bounded queue. A free worker takes its share of the queue, which is the same for every worker, and decodes it as one
//! batch. No question waits for a batch to fill: batches are small under light load, where they would only delay each other's answers, and grow with
//! the queue, where they save processor time. An answer does not depend on its batch.

use crate::fault::Fault;
use crate::metrics::Metrics;
use crate::store::Snapshot;
use kexue_nn::Decoder;
use kexue_qa::{Answer, AskOptions, ask_with};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a worker without work keeps its decoder, and with it the snapshot that it decodes with.
const PATIENCE: Duration = Duration::from_secs(1);

/// A decoder that has decoded more bytes of questions than this is not kept: its memory grows with the longest batch.
const KEPT: usize = 16 << 10;

/// How a question is to be answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub min_confidence: f64,
    pub top: usize,
    pub explain: bool,
}

/// The reply to a question.
pub(crate) type Reply = Result<Answer, Fault>;

struct Job {
    question: String,
    wanted: Wanted,
    snapshot: Arc<Snapshot>,
    deadline: Instant,
    reply: oneshot::Sender<Reply>,
}

impl Job {
    /// Whether both may be decoded in one batch.
    fn goes_with(&self, other: &Self) -> bool {
        self.wanted == other.wanted && Arc::ptr_eq(&self.snapshot, &other.snapshot)
    }
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Number of workers that wait for jobs.
    idle: usize,
    closed: bool,
    /// Recent average of a worker's time per question, in seconds; for Retry-After.
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

    /// Waits until there may be something to do. The second value is whether `patience` was over before.
    fn wait<'q>(&self, queue: MutexGuard<'q, Queue>, patience: Option<Duration>) -> (MutexGuard<'q, Queue>, bool) {
        match patience {
            None => (self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner), false),
            Some(time) => {
                let waited = self.wake.wait_timeout(queue, time);
                let (queue, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                (queue, waited.timed_out())
            }
        }
    }

    /// Returns the job, unless its client has disconnected or its deadline has passed.
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

/// The queue and the decoding threads.
pub(crate) struct Batcher {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Batcher {
    /// Starts `workers` threads. Batches have at most `batch` questions, and at most `capacity` questions wait.
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

    /// Puts all questions of a request into the queue.
    ///
    /// # Errors
    /// [`Fault::Busy`] if the queue has no room for all of them, [`Fault::Draining`] if it is closed.
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
            // Make room by removing jobs that nobody waits for.
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
        let is_idle = queue.idle > 0;
        drop(queue);
        if is_idle {
            // That worker wakes the next one if it leaves jobs in the queue.
            self.shared.wake.notify_one();
        }
        Ok(replies)
    }

    /// Refuses new questions, lets the workers finish the waiting ones, and ends them.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // Workers catch panics, so this cannot fail.
            let _ = thread.join();
        }
    }
}

fn work(shared: &Shared) {
    // Parallel code inside decoding runs on this thread only, so that workers do not wait for each other.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build();
    let mut first = Next::Idle;
    loop {
        match first {
            Next::Batch(batch) => first = decode_from(shared, batch),
            Next::Idle => first = next(shared, None, None),
            Next::Closed => break,
        }
    }
    drop(pool);
}

/// Decodes a batch and those that follow, with one decoder, until there is nothing to do or another snapshot is served. Returns what comes next.
fn decode_from(shared: &Shared, mut batch: Vec<Job>) -> Next {
    let Some(snapshot) = batch.first().map(|job| job.snapshot.clone()) else {
        return Next::Idle;
    };
    let mut decoder = Decoder::new(&snapshot.model.model);
    loop {
        let (start, size) = (Instant::now(), batch.len());
        let is_long = batch.iter().map(|job| job.question.len()).sum::<usize>() > KEPT;
        decode(shared, &mut decoder, batch);
        if is_long {
            decoder = Decoder::new(&snapshot.model.model);
        }
        let each = start.elapsed().as_secs_f64() / size as f64;
        match next(shared, Some(each), Some(PATIENCE)) {
            Next::Batch(next) if Arc::ptr_eq(&next[0].snapshot, &snapshot) => batch = next,
            other => return other,
        }
    }
}

/// What a worker does next.
enum Next {
    /// Decodes these questions, at least one, which may be decoded together.
    Batch(Vec<Job>),
    /// Waits.
    Idle,
    /// Ends: the queue is closed and empty.
    Closed,
}

/// Takes the next batch of questions that somebody still waits for. `each` is the time per question of the worker's last batch, in seconds. Waits
/// for `patience` at most.
fn next(shared: &Shared, each: Option<f64>, patience: Option<Duration>) -> Next {
    let mut queue = shared.lock();
    if let Some(each) = each {
        queue.seconds += 0.05 * (each - queue.seconds);
    }
    loop {
        let now = Instant::now();
        while let Some(job) = queue.jobs.pop_front() {
            if let Some(job) = shared.still_counts(job, now) {
                queue.jobs.push_front(job);
                break;
            }
        }
        if !queue.jobs.is_empty() {
            // The other workers are about to come for theirs, if they are not idle.
            let share = queue.jobs.len().div_ceil(shared.workers).min(shared.batch);
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
            return Next::Batch(batch);
        }
        if queue.closed {
            return Next::Closed;
        }
        queue.idle += 1;
        let is_late;
        (queue, is_late) = shared.wait(queue, patience);
        queue.idle -= 1;
        if is_late && queue.jobs.is_empty() {
            return Next::Idle;
        }
    }
}

/// Decodes a batch. If that fails, decodes its questions one by one, so that a question does not affect the others.
fn decode(shared: &Shared, decoder: &mut Decoder<'_>, batch: Vec<Job>) {
    shared.metrics.batch_size.observe(batch.len() as f64);
    match answers(decoder, &batch) {
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
        Err(_) => {
            for job in batch {
                decode(shared, decoder, vec![job]);
            }
        }
    }
}

fn answers(decoder: &mut Decoder<'_>, batch: &[Job]) -> Result<Vec<Answer>, Fault> {
    let Some(first) = batch.first() else {
        return Ok(Vec::new());
    };
    let options = AskOptions {
        search: first.snapshot.model.config.search.clone(),
        min_confidence: first.wanted.min_confidence,
        top: first.wanted.top,
        explain: first.wanted.explain,
    };
    let questions: Vec<&str> = batch.iter().map(|job| job.question.as_str()).collect();
    let asked = || ask_with(&first.snapshot.graph, decoder, &options, &questions);
    // Graph and model are only read, and the decoder is cleared before it is used again, so a panic leaves nothing inconsistent.
    match catch_unwind(AssertUnwindSafe(asked)) {
        Ok(Ok(answers)) => Ok(answers),
        Ok(Err(kexue_qa::Error::Question(problem))) => {
            Err(Fault::invalid("question", problem, "无法作答：问题过长，或图谱为空"))
        }
        Ok(Err(error)) => {
            crate::log::complain(&format!("a question could not be answered: {error}"));
            Err(Fault::Internal)
        }
        Err(_) => Err(Fault::Internal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Source;
    use crate::store::Store;

    fn shared(workers: usize, batch: usize) -> Shared {
        Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            capacity: 100,
            batch,
            workers,
            metrics: Arc::new(Metrics::new()),
        }
    }

    /// The sizes of the batches that one worker after the other takes of waiting questions, which differ in what they ask for.
    fn sizes(shared: &Shared, tops: &[usize]) -> Vec<usize> {
        let snapshot = Store::open(Source::Embedded, Arc::new(|_| Ok(()))).unwrap().current();
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut replies = Vec::new();
        for &top in tops {
            let (reply, receiver) = oneshot::channel();
            replies.push(receiver);
            shared.lock().jobs.push_back(Job {
                question: "法国的首都是哪里？".to_owned(),
                wanted: Wanted {
                    min_confidence: 0.5,
                    top,
                    explain: false,
                },
                snapshot: snapshot.clone(),
                deadline,
                reply,
            });
        }
        shared.lock().closed = true;
        let taken = std::iter::from_fn(|| match next(shared, None, None) {
            Next::Batch(batch) => Some(batch.len()),
            Next::Idle | Next::Closed => None,
        });
        taken.collect()
    }

    #[test]
    fn a_worker_takes_its_share_of_the_queue() {
        assert_eq!(sizes(&shared(2, 4), &[1; 10]), [4, 3, 2, 1]);
        assert_eq!(sizes(&shared(1, 16), &[1; 10]), [10]);
        assert_eq!(sizes(&shared(4, 16), &[1; 4]), [1; 4]);
        // Questions that ask for different things are not decoded together.
        assert_eq!(sizes(&shared(1, 16), &[1, 1, 2, 2, 2]), [2, 3]);
    }

    #[test]
    fn a_worker_does_not_wait_longer_than_its_patience() {
        let waited = next(&shared(2, 4), None, Some(Duration::from_millis(1)));
        assert!(matches!(waited, Next::Idle));
    }
}
