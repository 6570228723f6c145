//! Changing a graph without rebuilding its index.

use crate::build::GraphBuilder;
use crate::changes::{Base, Changes, normalise};
use crate::disk;
use crate::error::KgError;
use crate::file_kind::not_an_index;
use crate::graph::KnowledgeGraph;
use crate::limits::misfit;
use crate::log::{Change, LogWriter, PATIENCE, lock, log_path};
use crate::options::{BuildOptions, BuildReport};
use crate::sections::{FOLDED, PINS};
use kexue_output::{folder_of, real_path};
use kexue_trie::{Bytes, Container, Error};
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The single writer of a graph, which changes it while others read.
///
/// Readers see a change when they open the graph or [refresh](KnowledgeGraph::refresh) it.
#[derive(Debug)]
pub struct GraphWriter {
    path: PathBuf,
    graph: KnowledgeGraph,
    changes: Changes,
    log: LogWriter,
    most_subjects: usize,
    many: usize,
}

impl GraphWriter {
    /// Opens an index for changes, waiting up to half a second for another writer. Symbolic links are followed: an index has one writer, whatever
    /// its name.
    ///
    /// # Errors
    /// [`KgError::Busy`] if another writer has it open; otherwise as [`KnowledgeGraph::open`].
    pub fn open(path: &Path) -> Result<Self, KgError> {
        Self::open_within(path, PATIENCE)
    }

    /// As [`GraphWriter::open`], waiting up to `patience` for another writer.
    ///
    /// # Errors
    /// As [`GraphWriter::open`].
    pub fn open_within(path: &Path, patience: Duration) -> Result<Self, KgError> {
        let path = real_path(path);
        // A file that is not an index gets no lock beside it.
        let bytes = File::open(&path).and_then(|file| Bytes::map(&file));
        let bytes = bytes.map_err(KgError::io(&path))?;
        Container::open(bytes.clone()).map_err(|error| match error {
            Error::NotAnIndex => not_an_index(&path, &bytes),
            error => in_file(&path)(error),
        })?;
        let lock = lock(&path, patience)?;
        let mut graph = KnowledgeGraph::open(&path)?;
        let Base {
            most_subjects, many, ..
        } = graph.base();
        let changes = graph.take_changes();
        let log = LogWriter::open(&path, graph.container().identity(), lock)?;
        Ok(Self {
            path,
            graph,
            changes,
            log,
            most_subjects,
            many,
        })
    }

    /// Makes a change, which is on disk when this returns. Returns false if there is nothing to change, such as the removal of a fact that does
    /// not exist. In a graph with [inverse facts](KnowledgeGraph::has_inverse), both directions change, or neither.
    ///
    /// # Errors
    /// If a name is empty or too long, more subjects would have changed than readers can lay over an index
    /// ([`MergedIndex::MOST_CHANGED`]), or the log cannot be written. The graph is then as before.
    pub fn apply(&mut self, change: &Change) -> Result<bool, KgError> {
        check(change)?;
        let base = Base {
            most_subjects: self.most_subjects,
            many: self.many,
            ..self.graph.base()
        };
        let mut undo = Vec::new();
        let made = match self.changes.apply(&base, change, &mut undo) {
            Ok(_) if undo.is_empty() => return Ok(false),
            Ok(removal) => self.log.append(change, removal.as_ref()),
            Err(error) => Err(error),
        };
        if made.is_err() {
            self.changes.take_back(undo);
        }
        made.map(|()| true)
    }

    /// Merges the changes into the index, which is replaced by rename and keeps its vocabulary, and empties the log. `memory` is
    /// [`BuildOptions::memory`].
    ///
    /// # Errors
    /// If the index is damaged, the graph would be left without facts, or a file cannot be written. Index and log are then as before.
    pub fn compact(self, memory: Option<u64>) -> Result<BuildReport, KgError> {
        let graph = KnowledgeGraph::open(&self.path)?;
        // Damaged data would get valid checksums.
        graph.container().verify().map_err(in_file(&self.path))?;
        let mut builder = GraphBuilder::new(BuildOptions {
            order: graph.order(),
            inverse: graph.has_inverse(),
            vocabulary: Some(graph.vocabulary().clone()),
            memory,
            temporary: Some(folder_of(&self.path).to_path_buf()),
            ..BuildOptions::default()
        });
        let mut failed = None;
        graph.visit_facts(&mut |_, fact| {
            let added = (fact.objects.iter())
                .try_for_each(|object| builder.add_fact(&fact.subject, fact.sense.as_deref(), &fact.relation, object));
            match added {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        graph.visit_aliases(&mut |alias, subject| builder.alias(subject, alias))?;
        let old = graph.container().identity();
        let pins = serde_json::to_vec(&self.changes.pins).map_err(|error| KgError::io(&self.path)(error.into()))?;
        builder.attach(PINS, pins);
        builder.attach(FOLDED, old.to_le_bytes().to_vec());
        let report = builder.publish(&self.path)?;
        // If the program is killed here, the identity of the log shows that it is merged already.
        let log = log_path(&self.path);
        disk::remove(&log).map_err(KgError::io(&log))?;
        Ok(report)
    }
}

fn in_file(path: &Path) -> impl FnOnce(Error) -> KgError + '_ {
    move |source| KgError::File {
        path: path.to_path_buf(),
        source,
    }
}

fn check(change: &Change) -> Result<(), KgError> {
    let bad = |problem: String| KgError::Input {
        file: "change".into(),
        problem,
    };
    let fields: Vec<(&str, &str)> = match change {
        Change::Add {
            subject,
            relation,
            object,
        } => vec![("subject", subject), ("relation", relation), ("object", object)],
        Change::Replace {
            subject,
            relation,
            objects,
        } => [("subject", subject.as_str()), ("relation", relation)]
            .into_iter()
            .chain(objects.iter().map(|object| ("object", object.as_str())))
            .collect(),
        Change::Remove {
            subject,
            relation,
            object,
        } => {
            if relation.is_none() && object.is_some() {
                return Err(bad("an object to remove needs its relation".into()));
            }
            [
                ("subject", Some(subject)),
                ("relation", relation.as_ref()),
                ("object", object.as_ref()),
            ]
            .into_iter()
            .filter_map(|(field, text)| text.map(|text| (field, text.as_str())))
            .collect()
        }
        Change::Pin {
            question,
            subject,
            relation,
        } => vec![("question", question), ("subject", subject), ("relation", relation)],
        Change::Alias { subject, alias } | Change::Unalias { subject, alias } => {
            vec![("subject", subject), ("alias", alias)]
        }
        Change::Unpin { question } => vec![("question", question)],
    };
    for (field, text) in fields {
        if let Some(problem) = misfit(field, text) {
            return Err(bad(problem));
        }
    }
    match change {
        Change::Pin { question, .. } if normalise(question).is_empty() => Err(bad(format!(
            "the question `{question}` has nothing but spaces and punctuation, which make no difference; expected words"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::Stored;
    use crate::replay::changes_of;
    use kexue_text::Token;
    use kexue_trie::{Allowed, Key};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn name(text: &str) -> String {
        text.to_owned()
    }

    fn built(path: &Path, inverse: bool) {
        let mut builder = GraphBuilder::new(BuildOptions {
            inverse,
            ..BuildOptions::default()
        });
        for (subject, object) in [("甲", "丙"), ("甲", "丁"), ("乙", "丙")] {
            builder.add(subject, "父", object).unwrap();
        }
        builder.finish(path).unwrap();
    }

    fn add(subject: &str, object: &str) -> Change {
        Change::Add {
            subject: name(subject),
            relation: name("父"),
            object: name(object),
        }
    }

    #[test]
    fn what_readers_could_not_bear_is_refused_before_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        for inverse in [false, true] {
            let path = folder.path().join("graph.idx");
            built(&path, inverse);
            let mut writer = GraphWriter::open(&path).unwrap();
            writer.most_subjects = 2;
            assert!(writer.apply(&add("甲", "戊")).unwrap());
            if !inverse {
                assert!(writer.apply(&add("子", "戊")).unwrap());
            }
            let log = std::fs::read(log_path(&path)).unwrap();
            let refused = writer.apply(&add("丑", "寅")).unwrap_err();
            assert!(matches!(refused, KgError::TooManyChanges { most: 2 }), "{refused}");
            assert_eq!(std::fs::read(log_path(&path)).unwrap(), log);
            // Those that have changed can change again, and nothing is left of what was refused.
            assert!(
                writer
                    .apply(&Change::Remove {
                        subject: name("甲"),
                        relation: Some(name("父")),
                        object: Some(name("戊"))
                    })
                    .unwrap()
            );
            assert!(
                KnowledgeGraph::open(&path)
                    .unwrap()
                    .key_of("丑", "父")
                    .unwrap()
                    .is_none()
            );
            writer.compact(None).unwrap();
            assert!(GraphWriter::open(&path).unwrap().apply(&add("丑", "寅")).unwrap());
            std::fs::remove_file(log_path(&path)).unwrap();
        }
    }

    /// What the changes say, whatever they hold in memory.
    fn said(changes: &Changes) -> String {
        let lost: BTreeMap<_, _> = changes.lost.iter().filter(|(_, objects)| !objects.is_empty()).collect();
        let mut said = format!("{:?} {:?} {lost:?}\n", changes.pins, changes.pruned);
        for (subject, facts) in &changes.subjects {
            said += &format!("{subject:?}\n");
            for (key, stored) in facts {
                let record = match stored {
                    Stored::Base(key) => format!("{key}"),
                    Stored::Changed(record) => format!("{:?}", record.to_record()),
                };
                said += &format!("{key:?} {record}\n");
            }
        }
        said
    }

    /// Subject with its sense, relation, object; as they are written.
    fn triples(graph: &KnowledgeGraph) -> Vec<[String; 3]> {
        let mut found = Vec::new();
        graph
            .visit_facts(&mut |_, fact| {
                let subject = fact.full_subject();
                for object in fact.objects {
                    found.push([subject.clone(), fact.relation.clone(), object]);
                }
                ControlFlow::Continue(())
            })
            .unwrap();
        found
    }

    /// Every prefix, how many keys begin so, and which key it is.
    fn walk(graph: &KnowledgeGraph) -> Vec<(Vec<Token>, u64, Option<Key>)> {
        let index = graph.index();
        let (mut found, mut open) = (Vec::new(), vec![(Vec::new(), index.root())]);
        let mut allowed = Allowed::default();
        while let Some((prefix, at)) = open.pop() {
            index.allowed(at, &mut allowed).unwrap();
            for &token in &allowed.tokens {
                let next = index.step(at, token).unwrap().unwrap();
                open.push(([&prefix[..], &[token]].concat(), next));
            }
            found.push((prefix, index.count(at).unwrap(), allowed.terminal));
        }
        found
    }

    /// A triple that has no way back, if there is one: none from its object, whatever the case, to its subject, whatever the case.
    fn out_of_step(triples: &[[String; 3]]) -> Option<&[String; 3]> {
        triples.iter().find(|[subject, relation, object]| {
            let back = [object.as_str(), &crate::inverse_relation(relation), subject];
            !(triples.iter()).any(|other| {
                other
                    .iter()
                    .zip(back)
                    .all(|(one, other)| one.eq_ignore_ascii_case(other))
            })
        })
    }

    proptest! {
        #[test]
        fn whatever_the_case_both_directions_are_in_step(
            triples_before in proptest::collection::vec(("[aA](（[sS]）)?", "~?[rR]", "[aAb](（[sS]）)?"), 1..8),
            edits in proptest::collection::vec((0u8..5, "[aA](（[sS]）)?", "~?[rR]", "[aAb](（[sS]）)?"), 1..12),
            smp: bool,
            planned: bool,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("graph.idx");
            let mut builder = GraphBuilder::new(BuildOptions {
                inverse: true,
                fold_case: true,
                order: if smp { crate::FactOrder::SubjectSenseRelation } else { crate::FactOrder::default() },
                ..BuildOptions::default()
            });
            for (subject, relation, object) in &triples_before {
                builder.add(subject, relation, object).unwrap();
            }
            builder.add("x", "y", "z").unwrap();
            builder.finish(&path).unwrap();
            let mut writer = GraphWriter::open(&path).unwrap();
            // Whether removals are made as large ones are.
            if planned {
                writer.many = 0;
            }
            let mut before = triples(&KnowledgeGraph::open(&path).unwrap());
            prop_assert_eq!(out_of_step(&before), None);
            for (kind, subject, relation, object) in edits {
                let of_fact = |triple: &&[String; 3]| triple[0].eq_ignore_ascii_case(&subject) && triple[1].eq_ignore_ascii_case(&relation);
                let forward: Vec<String> = before.iter().filter(of_fact).map(|triple| triple[2].clone()).collect();
                let (change, expected) = match kind {
                    0 => {
                        let mut after = forward.clone();
                        if !after.contains(&object) {
                            after.push(object.clone());
                        }
                        (Change::Add { subject: subject.clone(), relation: relation.clone(), object }, after)
                    }
                    1 => {
                        let objects = vec![object, name("A")];
                        let mut after = objects.clone();
                        after.dedup();
                        (Change::Replace { subject: subject.clone(), relation: relation.clone(), objects }, after)
                    }
                    2 => {
                        let after = forward.iter().filter(|&other| *other != object).cloned().collect();
                        (Change::Remove { subject: subject.clone(), relation: Some(relation.clone()), object: Some(object) }, after)
                    }
                    3 => (Change::Remove { subject: subject.clone(), relation: Some(relation.clone()), object: None }, vec![]),
                    _ => (Change::Remove { subject: subject.clone(), relation: None, object: None }, vec![]),
                };
                let changed = writer.apply(&change).unwrap();
                let graph = KnowledgeGraph::open(&path).unwrap();
                let after = triples(&graph);
                prop_assert_eq!(out_of_step(&after), None, "{:?}", change);
                let found: Vec<String> = after.iter().filter(of_fact).map(|triple| triple[2].clone()).collect();
                prop_assert_eq!(found, expected, "{:?}", change);
                prop_assert_eq!(changed, before != after, "{:?}", change);
                let read = changes_of(Some(&path), graph.container(), &graph.base()).unwrap();
                prop_assert_eq!(said(&writer.changes), said(&read));
                before = after;
            }
            let walked = walk(&KnowledgeGraph::open(&path).unwrap());
            writer.compact(None).unwrap();
            let graph = KnowledgeGraph::open(&path).unwrap();
            graph.verify(&|_| ()).unwrap();
            prop_assert_eq!(triples(&graph), before);
            prop_assert_eq!(walked, walk(&graph));
        }

        #[test]
        fn what_could_not_be_written_is_taken_back(
            edits in proptest::collection::vec((0u8..5, "[甲乙丙丁]", "~?父", "[甲乙丙丁]", any::<bool>()), 1..20),
            inverse: bool,
            planned: bool,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("graph.idx");
            built(&path, inverse);
            let graph = KnowledgeGraph::open(&path).unwrap();
            let mut changes = Changes::default();
            for (kind, subject, relation, object, written) in edits {
                let change = match kind {
                    0 => Change::Add { subject, relation, object },
                    1 => Change::Replace { subject, relation, objects: vec![object, name("甲")] },
                    2 => Change::Remove { subject, relation: Some(relation), object: Some(object) },
                    3 => Change::Remove { subject, relation: None, object: None },
                    _ => Change::Pin { question: object, subject, relation },
                };
                let before = said(&changes);
                let mut undo = Vec::new();
                let many = if planned { 0 } else { graph.base().many };
                changes.apply(&Base { many, ..graph.base() }, &change, &mut undo).unwrap();
                let changed = !undo.is_empty();
                if !written {
                    changes.take_back(undo);
                }
                prop_assert_eq!(changed && written, said(&changes) != before);
            }
        }
    }
}
