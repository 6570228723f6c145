//! Knowledge graphs: import triples, build an index of facts, read and change it.
