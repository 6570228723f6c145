//! Several processes, played by threads: the files depend on the number of shards, not on that of the processes.

mod common;

use common::{Duel, Players, files, groups, settings};
use kexue_optim::Parameters;
use kexue_train::{Outcome, Ranks, TrainError, Trainer};
use std::path::Path;
use std::sync::{Arc, Barrier, Mutex};

/// What the threads exchange: a message of each.
struct Board {
    barrier: Barrier,
    messages: Mutex<Vec<Vec<u8>>>,
}

struct Threads {
    rank: usize,
    size: usize,
    board: Arc<Board>,
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

impl Ranks for Threads {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn gather(&self, own: &[u8]) -> Vec<Vec<u8>> {
        self.board.messages.lock().unwrap()[self.rank] = own.to_vec();
        self.board.barrier.wait();
        let all = self.board.messages.lock().unwrap().clone();
        self.board.barrier.wait();
        all
    }

    fn broadcast(&self, values: &mut [f32]) {
        values.copy_from_slice(&floats(&self.gather(&bytes(values))[0]));
    }

    fn sum(&self, own: &mut [Vec<f32>]) {
        let length = own[0].len();
        let all = self.gather(&bytes(&own.concat())).concat();
        let mut vectors = floats(&all)
            .chunks_exact(length)
            .map(<[f32]>::to_vec)
            .collect::<Vec<_>>()
            .into_iter();
        let mut sum = vectors.next().unwrap();
        for vector in vectors {
            sum.iter_mut().zip(vector).for_each(|(sum, more)| *sum += more);
        }
        own[0] = sum;
    }
}

/// Runs on so many processes; each has a folder, but only the first may use it.
fn run(folder: &Path, size: usize, task: impl Fn(usize) -> Duel + Sync) -> Vec<Result<Outcome<Players>, TrainError>> {
    let board = Arc::new(Board {
        barrier: Barrier::new(size),
        messages: Mutex::new(vec![Vec::new(); size]),
    });
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..size)
            .map(|rank| {
                let (board, task) = (board.clone(), &task);
                scope.spawn(move || {
                    let (task, settings) = (task(rank), settings());
                    let folder = if rank == 0 { folder } else { Path::new("/nowhere") };
                    let trainer = Trainer::new(&task, Players::new(), &settings, &groups(), folder, "duel")?;
                    let outcome = trainer
                        .shared(Box::new(Threads { rank, size, board }))?
                        .run(&task.interrupt);
                    assert!(
                        rank == 0 || task.seen.lock().unwrap().is_empty(),
                        "only the first validates"
                    );
                    outcome
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn one_two_and_three_processes_write_the_same_bytes_and_resume_each_other() {
    let alone = tempfile::tempdir().unwrap();
    let expected = run(alone.path(), 1, |_| Duel::default()).remove(0).unwrap();
    for size in [2, 3, 4] {
        let folder = tempfile::tempdir().unwrap();
        for outcome in run(folder.path(), size, |_| Duel::default()) {
            let outcome = outcome.unwrap();
            assert_eq!((outcome.steps, outcome.best), (expected.steps, expected.best));
            assert_eq!(outcome.model.values(), expected.model.values());
        }
        assert!(files(folder.path()) == files(alone.path()), "{size} processes");
    }
    // Interrupted on any of two, resumed on three, interrupted again, finished alone.
    for rank in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let interrupted = |at: u64, who: usize| {
            move |rank: usize| Duel {
                interrupt_at: if rank == who { at } else { 0 },
                ..Duel::default()
            }
        };
        let outcomes = run(folder.path(), 2, interrupted(9, rank));
        assert!(
            outcomes
                .iter()
                .all(|outcome| outcome.as_ref().is_ok_and(|outcome| outcome.interrupted))
        );
        assert!(
            run(folder.path(), 3, interrupted(5, 2))
                .iter()
                .all(|outcome| outcome.as_ref().unwrap().interrupted)
        );
        let outcome = run(folder.path(), 1, |_| Duel::default()).remove(0).unwrap();
        assert_eq!(outcome.model.values(), expected.model.values());
        assert!(files(folder.path()) == files(alone.path()));
    }
}

#[test]
fn an_error_of_one_ends_all() {
    let spoilt = |_| Duel {
        fails_at: Some(17),
        ..Duel::default()
    };
    let folder = tempfile::tempdir().unwrap();
    for outcome in run(folder.path(), 3, spoilt) {
        let error = outcome.err().unwrap().to_string();
        assert!(error.ends_with("example 17 is spoilt"), "{error}");
    }
    // The folder of the first is of another run.
    std::fs::write(folder.path().join("checkpoint.bin"), "KXCKPT02 of nothing").unwrap();
    let errors = run(folder.path(), 2, |_| Duel::default());
    let errors: Vec<String> = errors
        .into_iter()
        .map(|outcome| outcome.err().unwrap().to_string())
        .collect();
    assert!(
        errors[0].contains("checkpoint.bin: the checkpoint is damaged"),
        "{errors:?}"
    );
    assert_eq!(errors[1], format!("process 0: {}", errors[0]));
}

#[test]
fn more_processes_than_shards_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for outcome in run(folder.path(), 5, |_| Duel::default()) {
        assert_eq!(
            outcome.err().unwrap().to_string(),
            "shards: 4 shards of a batch are too few for 5 processes, each of which computes at least one"
        );
    }
}
