//! Question answering over a knowledge graph that can only answer with its facts.
