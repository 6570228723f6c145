//! Knowledge graphs: import triples, build an index of facts, read and change it.
//!
//! A graph is a set of facts. A fact has a subject, a relation and objects; if several things share a name, the subject also has a sense
//! (`牛郎织女（2015年东方出版社出版的图书）`). Read [`KnowledgeGraph`] first:
//!
//! ```
//! use kexue_kg::{BuildOptions, KnowledgeGraph};
//!
//! let graph = KnowledgeGraph::from_triples([("水（化合物）", "化学式", "H₂O"), ("水（歌曲）", "演唱", "黄绮珊")], &BuildOptions::default())?;
//! let fact = graph.fact(0)?;
//! assert_eq!((fact.subject.as_str(), fact.sense.as_deref()), ("水", Some("化合物")));
//! # Ok::<(), kexue_kg::KgError>(())
//! ```
//!
//! [`import`] reads files of triples into a [`GraphBuilder`], which writes the index file. [`KnowledgeGraph::open`] maps that file. A decoder
//! walks its [prefix index](KnowledgeGraph::index); [`fact`](KnowledgeGraph::fact) returns the fact of a key. [`GraphWriter`] changes a graph
//! without rebuilding it: changes go to a log beside the index, which readers merge.
//!
//! ```
//! use kexue_kg::{BuildOptions, Change, Format, GraphBuilder, GraphWriter, ImportOptions, KnowledgeGraph, import_reader};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("my.idx");
//! let mut builder = GraphBuilder::new(BuildOptions::default());
//! import_reader("水,沸点,100 °C\n".as_bytes(), Format::Csv, "facts.csv", &ImportOptions::default(), &mut builder)?;
//! builder.finish(&path)?;
//! let (subject, relation) = ("水".to_owned(), "沸点".to_owned());
//! GraphWriter::open(&path)?.apply(&Change::Replace { subject, relation, objects: vec!["99.97 °C".to_owned()] })?;
//! let graph = KnowledgeGraph::open(&path)?;
//! let key = graph.key_of("水", "沸点")?.expect("the fact was imported");
//! assert_eq!(graph.fact(key)?.objects, ["99.97 °C"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]
#![forbid(unsafe_code)]

mod aliases;
mod apply;
mod batch;
mod build;
mod changes;
mod characters;
mod collected;
mod complete;
mod disk;
mod emit;
mod error;
mod escape;
mod file_kind;
mod from_triples;
mod graph;
mod import;
mod interner;
mod inverse;
mod limits;
mod live;
mod log;
mod mentions;
mod objects;
mod options;
mod ordered;
mod output;
mod parts;
mod remedy;
mod removal;
mod replay;
mod runs;
mod sample;
mod sections;
mod sense;
mod similar;
mod sorted;
mod spellings;

pub use aliases::Alias;
pub use batch::{Batch, Problem};
pub use build::GraphBuilder;
pub use error::KgError;
pub use escape::{escape_name, unescape_name};
pub use graph::{Fact, KnowledgeGraph};
pub use import::{
    CsvEscape, Format, ImportOptions, ImportReport, Progress, import, import_reader, open_text, parse_block, unreadable,
};
pub use inverse::inverse_relation;
pub use kexue_trie::FactOrder;
pub use live::GraphWriter;
pub use log::{Change, log_path};
pub use mentions::{Mention, Recognition};
pub use options::{BuildOptions, BuildReport};
pub use output::check_output;
pub use remedy::Remedy;
pub use sense::{join_sense, split_sense};

/// The page about the prefix index, whose example is run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/trie.md")]
struct TriePage;
