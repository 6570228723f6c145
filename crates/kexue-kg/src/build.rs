//! Collects triples and builds an index.

use crate::batch::Batch;
use crate::collected::{Collected, NameTable};
use crate::disk::{self, NewFile};
use crate::emit::emit;
use crate::error::KgError;
use crate::interner::hash;
use crate::inverse::inverse_relation;
use crate::limits::{misfit, misfit_of};
use crate::log::{PATIENCE, lock, log_path};
use crate::options::{BuildOptions, BuildReport};
use crate::output::check_output;
use crate::parts::Parts;
use crate::replay::{LogState, log_state};
use crate::sample::Sample;
use crate::sections::INVERSE;
use crate::sense::{join_sense, split_sense};
use kexue_output::real_path;
use kexue_trie::ContainerWriter;
use std::io::{BufWriter, Cursor, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Collects triples and writes them as an index.
#[derive(Debug)]
pub struct GraphBuilder {
    options: BuildOptions,
    /// Whether names that differ only in case can be the same.
    folds: bool,
    collected: Collected,
    /// Sections beside those of the facts.
    attached: Vec<(&'static str, Vec<u8>)>,
}

impl GraphBuilder {
    /// A builder without triples.
    pub fn new(options: BuildOptions) -> Self {
        let folds = match &options.vocabulary {
            Some(vocabulary) => vocabulary.folds_case(),
            None => options.fold_case,
        };
        Self {
            folds,
            collected: Collected {
                relations: NameTable::default(),
                senses: NameTable::default(),
                parts: Parts::new(options.memory.map(|memory| memory / 4), temporary(&options)),
                count: 0,
                sample: Sample::default(),
                aliases: Vec::new(),
            },
            options,
            attached: Vec::new(),
        }
    }

    /// Adds a triple. A sense in full-width brackets at the end of the subject is split off.
    ///
    /// # Errors
    /// If a name is empty or has more than 2²⁰ bytes or the graph is larger than the format holds, or a temporary file cannot be written.
    pub fn add(&mut self, subject: &str, relation: &str, object: &str) -> Result<(), KgError> {
        if let Some(problem) = misfit_of([subject, relation, object]) {
            return Err(KgError::Input {
                file: "triple".into(),
                problem,
            });
        }
        let (name, sense) = split_sense(subject);
        self.add_fact(name, sense, relation, object)?;
        if self.options.inverse {
            self.add_inverse(subject, relation, object)?;
        }
        Ok(())
    }

    /// Adds a triple with its sense given separately.
    pub(crate) fn add_fact(
        &mut self,
        subject: &str,
        sense: Option<&str>,
        relation: &str,
        object: &str,
    ) -> Result<(), KgError> {
        let hashed = |text: &'_ str| hash(text.as_bytes());
        self.add_parts(
            (subject.as_bytes(), hashed(subject)),
            false,
            sense.map(|sense| (sense.as_bytes(), hashed(sense))),
            (relation.as_bytes(), hashed(relation)),
            object.as_bytes(),
        )
    }

    /// Adds another name of a subject, which questions may use. It may come before the subject's triples. Without such triples it has no effect.
    ///
    /// # Errors
    /// If a name is empty or has more than 2²⁰ bytes.
    pub fn alias(&mut self, subject: &str, alias: &str) -> Result<(), KgError> {
        for (field, text) in [("subject", subject), ("alias", alias)] {
            if let Some(problem) = misfit(field, text) {
                return Err(KgError::Input {
                    file: "alias".into(),
                    problem,
                });
            }
        }
        self.collected.aliases.push((subject.to_owned(), alias.to_owned()));
        Ok(())
    }

    /// Adds a section beside those of the facts.
    pub(crate) fn attach(&mut self, name: &'static str, bytes: Vec<u8>) {
        self.attached.push((name, bytes));
    }

    fn add_inverse(&mut self, subject: &str, relation: &str, object: &str) -> Result<(), KgError> {
        let (name, sense) = split_sense(object);
        self.add_fact(name, sense, &inverse_relation(relation), subject)
    }

    /// Adds the triples of a batch.
    pub(crate) fn add_batch(&mut self, batch: &Batch) -> Result<(), KgError> {
        for entry in &batch.entries {
            let (subject, relation, object) = (
                batch.get(entry.subject),
                batch.get(entry.relation),
                batch.get(entry.object),
            );
            let sense = entry.sense.map(|(sense, hash)| (batch.get(sense), hash));
            self.add_parts(
                (subject, entry.subject_hash),
                entry.same_subject,
                sense,
                (relation, entry.relation_hash),
                object,
            )?;
            if self.options.inverse {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let name = join_sense(&text(subject), sense.map(|(sense, _)| text(sense)).as_deref());
                self.add_inverse(&name, &text(relation), &text(object))?;
            }
        }
        Ok(())
    }

    /// Adds a triple of names with their hashes. `same` says that the subject is that of the previous triple.
    fn add_parts(
        &mut self,
        (subject, subject_hash): (&[u8], u64),
        same: bool,
        sense: Option<(&[u8], u64)>,
        (relation, relation_hash): (&[u8], u64),
        object: &[u8],
    ) -> Result<(), KgError> {
        let collected = &mut self.collected;
        let relation = collected.relations.intern(relation, relation_hash);
        let sense = sense.map_or(0, |(sense, hash)| collected.senses.intern(sense, hash) + 1);
        if relation.max(sense) >= u32::MAX - 1 {
            return Err(KgError::TooLarge("4,294,967,294 distinct relations or senses"));
        }
        // Subjects that may become equal must go to the same part.
        let subject_hash = match self.folds {
            true => hash(&subject.to_ascii_lowercase()),
            false => subject_hash,
        };
        collected
            .parts
            .push(
                subject_hash,
                same && !self.options.inverse,
                subject,
                [relation, sense],
                object,
            )
            .map_err(KgError::io(&temporary(&self.options)))?;
        collected.sample.offer(collected.count, object);
        collected.count += 1;
        Ok(())
    }

    /// The number of triples so far, including inverse ones.
    pub fn len(&self) -> u64 {
        self.collected.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.collected.count == 0
    }

    /// Writes the index to a file, which appears when it is complete. Symbolic links are followed. Waits up to half a second for another program
    /// that changes the index to be replaced.
    ///
    /// # Errors
    /// If there are no triples; if the file cannot be written; if the log beside it has changes that would be lost; [`KgError::Busy`] if another
    /// program is changing the index.
    pub fn finish(self, path: &Path) -> Result<BuildReport, KgError> {
        self.finish_within(path, PATIENCE)
    }

    /// As [`GraphBuilder::finish`], waiting up to `patience` for another program.
    ///
    /// # Errors
    /// As [`GraphBuilder::finish`].
    pub fn finish_within(self, path: &Path, patience: Duration) -> Result<BuildReport, KgError> {
        let path = &real_path(path);
        // Keeps others from changing the index that is replaced.
        let _lock = path.is_file().then(|| lock(path, patience)).transpose()?;
        check_output(path, &[])?;
        if let LogState::Folded = log_state(path)? {
            let log = log_path(path);
            disk::remove(&log).map_err(KgError::io(&log))?;
        }
        self.publish(path)
    }

    /// Writes the index without checking what it replaces.
    pub(crate) fn publish(self, path: &Path) -> Result<BuildReport, KgError> {
        if self.is_empty() {
            return Err(KgError::Empty);
        }
        let file = NewFile::create(path)?;
        let (report, out) = self.write(BufWriter::with_capacity(1 << 20, file), path)?;
        let file = out
            .into_inner()
            .map_err(|error| KgError::io(path)(error.into_error()))?;
        file.commit()?;
        Ok(report)
    }

    /// Writes the index to memory.
    ///
    /// # Errors
    /// If there are no triples.
    pub fn finish_bytes(self) -> Result<(BuildReport, Vec<u8>), KgError> {
        let (report, out) = self.write(Cursor::new(Vec::new()), Path::new("<memory>"))?;
        Ok((report, out.into_inner()))
    }

    fn write<W: Write + Seek + Send>(self, out: W, path: &Path) -> Result<(BuildReport, W), KgError> {
        if self.is_empty() {
            return Err(KgError::Empty);
        }
        let mut container = ContainerWriter::new(out).map_err(KgError::io(path))?;
        if self.options.inverse {
            container.section(INVERSE, &[]).map_err(KgError::io(path))?;
        }
        for (name, bytes) in &self.attached {
            container.section(name, bytes).map_err(KgError::io(path))?;
        }
        let folder = temporary(&self.options);
        let report = emit(&self.options, self.collected, &folder, &mut container).map_err(KgError::io(path))?;
        let out = container.finish().map_err(KgError::io(path))?;
        Ok((report, out))
    }
}

fn temporary(options: &BuildOptions) -> PathBuf {
    options.temporary.clone().unwrap_or_else(std::env::temp_dir)
}
