//! [`Ranks`] over MPI.

use crate::Ranks;
use mpi::datatype::PartitionMut;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Root, Source};
use mpi::{Count, Threading};

/// An MPI session. Dropping it finalises MPI.
pub struct Session {
    _universe: Universe,
}

impl Session {
    /// Initialises MPI if `mpirun` started this process. Call it once, on the main thread, before anything else.
    pub fn start() -> Option<Self> {
        // Open MPI, and the process managers of MPICH and Slurm.
        let started = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"];
        if !started.iter().any(|name| std::env::var_os(name).is_some()) {
            return None;
        }
        let (universe, _) = mpi::initialize_with_threading(Threading::Funneled)?;
        Some(Self { _universe: universe })
    }

    /// Ends all processes of the run with this exit code. Used after an error, since the other processes would wait forever.
    pub fn abort(&self, code: i32) -> ! {
        world().abort(code)
    }
}

/// All processes that `mpirun` started. MPI is used on the main thread only.
pub struct World(());

impl World {
    /// `None` if MPI was not started, or for a single process.
    pub fn current() -> Option<Self> {
        if !mpi::environment::is_initialized() || mpi::environment::is_finalized() {
            return None;
        }
        (world().size() > 1).then_some(Self(()))
    }
}

fn world() -> SimpleCommunicator {
    SimpleCommunicator::world()
}

/// The size of a message. A vector is summed in many messages, so that all links of the chain of processes work at the same time.
const MESSAGE: usize = 1 << 16;

impl Ranks for World {
    fn rank(&self) -> usize {
        world().rank() as usize
    }

    fn size(&self) -> usize {
        world().size() as usize
    }

    fn gather(&self, own: &[u8]) -> Vec<Vec<u8>> {
        let mut lengths: Vec<Count> = vec![0; self.size()];
        world().all_gather_into(&(own.len() as Count), &mut lengths[..]);
        let mut all = vec![0; lengths.iter().map(|&length| length as usize).sum()];
        let starts: Vec<Count> = lengths
            .iter()
            .scan(0, |next, length| Some(std::mem::replace(next, *next + length)))
            .collect();
        let mut parts = PartitionMut::new(&mut all[..], &lengths[..], &starts[..]);
        world().all_gather_varcount_into(own, &mut parts);
        let parts = starts.iter().zip(&lengths);
        parts
            .map(|(&start, &length)| all[start as usize..(start + length) as usize].to_vec())
            .collect()
    }

    fn broadcast(&self, values: &mut [f32]) {
        world().process_at_rank(0).broadcast_into(values);
    }

    /// Each process sends message by message to the next one, which adds its own values; the last one sends the sum to all. As in a ring, each link
    /// transfers the vector twice, regardless of the number of processes.
    fn sum(&self, own: &mut [Vec<f32>]) {
        let (rank, last) = (world().rank(), world().size() - 1);
        let Some((first, others)) = own.split_first_mut() else {
            return;
        };
        let mut before = vec![0.0f32; MESSAGE.min(first.len())];
        for (index, sum) in first.chunks_mut(MESSAGE).enumerate() {
            let at = index * MESSAGE;
            if rank > 0 {
                let before = &mut before[..sum.len()];
                world().process_at_rank(rank - 1).receive_into(before);
                sum.iter_mut()
                    .zip(&*before)
                    .for_each(|(own, before)| *own = before + *own);
            }
            for other in others.iter() {
                sum.iter_mut().zip(&other[at..]).for_each(|(sum, more)| *sum += more);
            }
            if rank < last {
                world().process_at_rank(rank + 1).send(sum);
            }
        }
        world().process_at_rank(last).broadcast_into(&mut first[..]);
    }
}
