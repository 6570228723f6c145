//! The processes of this run.

use crate::ranks::{Alone, Ranks};

/// Whether this process is the first one of the run.
pub fn is_first() -> bool {
    ranks().rank() == 0
}

/// The processes of this run: those that `mpirun` started if the feature `mpi` is on, otherwise this one alone.
pub fn ranks() -> Box<dyn Ranks> {
    #[cfg(feature = "mpi")]
    if let Some(world) = crate::mpi::World::current() {
        return Box::new(world);
    }
    Box::new(Alone)
}
