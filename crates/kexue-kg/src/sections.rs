//! Names of sections that concern the whole graph.

/// Present if the graph has facts in both directions.
pub(crate) const INVERSE: &str = "inverse";
/// The pins that [`GraphWriter::compact`](crate::GraphWriter::compact) merged.
pub(crate) const PINS: &str = "pins";
/// The identity of the index whose log was merged.
pub(crate) const FOLDED: &str = "folded";
