//! Names of the sections of an index that say something of the graph as a whole.

/// Is there where facts stand in both directions.
pub(crate) const INVERSE: &str = "inverse";
/// The pins that [`GraphWriter::compact`](crate::GraphWriter::compact) folded in.
pub(crate) const PINS: &str = "pins";
/// The identity of the index whose log was folded in.
pub(crate) const FOLDED: &str = "folded";
