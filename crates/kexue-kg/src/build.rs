//! From triples to an index file.

use crate::interner::{Interner, hash};
use crate::objects::{self, ObjectWriter};
use crate::sorted::{Sorted, by_count};
use crate::{KgError, KnowledgeGraph, split_sense};
use kexue_text::{SEP, Token, Vocabulary, VocabularyBuilder};
use kexue_trie::{ContainerWriter, FactCode, FactIndexBuilder, MAX_PART, Order};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::io::{BufWriter, Cursor, Seek, Write};
use std::path::Path;

/// How to build an index.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Order of the parts of a key.
    pub order: Order,
    /// Whether to add for each triple the inverse one, from the object by `~relation` to the subject.
    pub inverse: bool,
    /// The vocabulary; without one it is counted from the names of subjects, relations and senses.
    pub vocabulary: Option<Vocabulary>,
    /// Whether a counted vocabulary folds ASCII letters to lower case.
    pub fold_case: bool,
    /// The most characters of a counted vocabulary.
    pub max_characters: usize,
}

impl Default for BuildOptions {
    fn default() -> Self {
        Self {
            order: Order::default(),
            inverse: false,
            vocabulary: None,
            fold_case: false,
            max_characters: 20_000,
        }
    }
}

/// What an index was built of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildReport {
    /// Triples, inverse ones counted.
    pub triples: u64,
    /// Triples that were there before, and left out.
    pub duplicates: u64,
    /// Triples whose object was added to a key that was there before.
    pub merged: u64,
    /// Keys: distinct subject, relation and sense.
    pub keys: u64,
    /// Distinct subjects, without their senses.
    pub subjects: u64,
    /// Distinct relations.
    pub relations: u64,
    /// Distinct senses.
    pub senses: u64,
    /// Tokens of the vocabulary.
    pub vocabulary: u64,
}

/// Collects triples and writes them as an index.
#[derive(Debug)]
pub struct GraphBuilder {
    options: BuildOptions,
    subjects: Interner,
    relations: Interner,
    senses: Interner,
    subject: Vec<u32>,
    relation: Vec<u32>,
    /// 0 for no sense, else the sense's number + 1.
    sense: Vec<u32>,
    object_ends: Vec<u64>,
    objects: Vec<u8>,
}

impl GraphBuilder {
    /// No triples yet.
    pub fn new(options: BuildOptions) -> Self {
        Self {
            options,
            subjects: Interner::default(),
            relations: Interner::default(),
            senses: Interner::default(),
            subject: Vec::new(),
            relation: Vec::new(),
            sense: Vec::new(),
            object_ends: Vec::new(),
            objects: Vec::new(),
        }
    }

    /// Adds a triple; the sense in full-width brackets at the end of the subject is split off.
    ///
    /// # Errors
    /// When the graph has more than 2³² − 1 triples, or a name has 2²⁰ bytes or more.
    pub fn add(&mut self, subject: &str, relation: &str, object: &str) -> Result<(), KgError> {
        self.add_one(subject, relation, object)?;
        if self.options.inverse {
            self.add_one(object, &format!("~{relation}"), subject)?;
        }
        Ok(())
    }

    fn add_one(&mut self, name: &str, relation: &str, object: &str) -> Result<(), KgError> {
        let (subject, sense) = split_sense(name);
        if self.subject.len() as u64 >= u64::from(u32::MAX) {
            return Err(KgError::TooLarge("4,294,967,295 triples"));
        }
        if name.len().max(relation.len()) >= MAX_PART / 4 {
            return Err(KgError::TooLarge("a million bytes in one name"));
        }
        let intern = |interner: &mut Interner, text: &str| interner.intern(text.as_bytes(), hash(text.as_bytes()));
        self.subject.push(intern(&mut self.subjects, subject));
        self.relation.push(intern(&mut self.relations, relation));
        self.sense
            .push(sense.map_or(0, |sense| intern(&mut self.senses, sense) + 1));
        self.objects.extend_from_slice(object.as_bytes());
        self.object_ends.push(self.objects.len() as u64);
        Ok(())
    }

    /// The number of triples so far, inverse ones counted.
    pub fn len(&self) -> u64 {
        self.subject.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.subject.is_empty()
    }

    /// Writes the index to a file, which appears when it is complete.
    ///
    /// # Errors
    /// When there are no triples, or the file cannot be written.
    pub fn finish(self, path: &Path) -> Result<BuildReport, KgError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".kexue-kg-")
            .tempfile_in(folder)
            .map_err(KgError::io(path))?;
        let (report, out) = self.write(BufWriter::with_capacity(1 << 20, file), path)?;
        let file = out
            .into_inner()
            .map_err(|error| KgError::io(path)(error.into_error()))?;
        publish(file, path).map_err(KgError::io(path))?;
        Ok(report)
    }

    /// Writes the index to memory.
    ///
    /// # Errors
    /// When there are no triples.
    pub fn finish_bytes(self) -> Result<(BuildReport, Vec<u8>), KgError> {
        let (report, out) = self.write(Cursor::new(Vec::new()), Path::new("<memory>"))?;
        Ok((report, out.into_inner()))
    }

    fn write<W: Write + Seek>(self, out: W, path: &Path) -> Result<(BuildReport, W), KgError> {
        if self.is_empty() {
            return Err(KgError::Empty);
        }
        let vocabulary = self.options.vocabulary.clone().unwrap_or_else(|| {
            let mut counts = VocabularyBuilder::new()
                .fold_case(self.options.fold_case)
                .max_characters(self.options.max_characters);
            for text in self
                .subjects
                .iter()
                .chain(self.relations.iter())
                .chain(self.senses.iter())
            {
                counts.count(text);
            }
            counts.build()
        });
        let mut container = ContainerWriter::new(out).map_err(KgError::io(path))?;
        let report = self.emit(&vocabulary, &mut container).map_err(KgError::io(path))?;
        let out = container.finish().map_err(KgError::io(path))?;
        Ok((report, out))
    }

    fn emit<W: Write + Seek>(
        self,
        vocabulary: &Vocabulary,
        out: &mut ContainerWriter<W>,
    ) -> std::io::Result<BuildReport> {
        out.section("vocabulary", vocabulary.to_text().as_bytes())?;
        let subjects = Sorted::new(&self.subjects, vocabulary);
        let relations = Sorted::new(&self.relations, vocabulary);
        let senses = Sorted::new(&self.senses, vocabulary);

        let mut relation_counts = vec![0; relations.len()];
        let mut sense_counts = vec![0; senses.len()];
        let mut starts = vec![0u32; subjects.len() + 1];
        for index in 0..self.subject.len() {
            relation_counts[relations.rank[self.relation[index] as usize] as usize] += 1;
            if self.sense[index] > 0 {
                sense_counts[senses.rank[self.sense[index] as usize - 1] as usize] += 1;
            }
            starts[subjects.rank[self.subject[index] as usize] as usize + 1] += 1;
        }
        for subject in 0..subjects.len() {
            starts[subject + 1] += starts[subject];
        }
        let mut order = vec![0u32; self.subject.len()];
        let mut next = starts.clone();
        for index in 0..self.subject.len() {
            let place = &mut next[subjects.rank[self.subject[index] as usize] as usize];
            order[*place as usize] = index as u32;
            *place += 1;
        }
        drop(next);
        let (relation_codes, relation_ranks) = by_count(&relation_counts);
        let (sense_codes, sense_ranks) = by_count(&sense_counts);

        let entries = |sorted: &Sorted, ranks: &[u32]| -> Vec<Vec<Token>> {
            ranks
                .iter()
                .map(|&rank| {
                    let mut tokens = Vec::new();
                    sorted.append(rank, &mut tokens);
                    tokens
                })
                .collect()
        };
        let relation_entries = entries(&relations, &relation_ranks);
        let sense_entries = entries(&senses, &sense_ranks);
        let mut facts = FactIndexBuilder::new(
            self.options.order,
            SEP,
            relation_entries.iter().map(Vec::as_slice),
            sense_entries.iter().map(Vec::as_slice),
            out,
        )?;
        drop((relation_entries, sense_entries));
        let mut records = ObjectWriter::new(objects::train(&self.sample()), out)?;

        let mut report = BuildReport {
            triples: self.subject.len() as u64,
            subjects: subjects.len() as u64,
            relations: relations.len() as u64,
            senses: senses.len() as u64,
            vocabulary: vocabulary.len() as u64,
            ..BuildReport::default()
        };
        let folds = vocabulary.folds_case();
        let mut tokens = Vec::new();
        // Of a subject: its triples as (rank of relation, rank of sense + 1 or 0, triple), the facts they are of, and the senses.
        let mut triples: Vec<(u32, u32, u32)> = Vec::new();
        let mut codes = Vec::new();
        let mut ranks_of_senses = Vec::new();
        let mut seen = HashSet::new();
        for subject in 0..subjects.len() {
            triples.clear();
            triples.extend(
                order[starts[subject] as usize..starts[subject + 1] as usize]
                    .iter()
                    .map(|&triple| {
                        let sense = match self.sense[triple as usize] {
                            0 => 0,
                            sense => senses.rank[sense as usize - 1] + 1,
                        };
                        (relations.rank[self.relation[triple as usize] as usize], sense, triple)
                    }),
            );
            triples.sort_unstable();
            let mut groups: Vec<&[(u32, u32, u32)]> = triples
                .chunk_by(|one, other| (one.0, one.1) == (other.0, other.1))
                .collect();
            ranks_of_senses.clear();
            ranks_of_senses.extend(groups.iter().map(|group| group[0].1));
            ranks_of_senses.sort_unstable();
            ranks_of_senses.dedup();
            let code = |rank: u32| match rank {
                0 => 0,
                rank => sense_codes[rank as usize - 1] + 1,
            };
            codes.clear();
            codes.extend(groups.iter().map(|group| FactCode {
                relation: relation_codes[group[0].0 as usize],
                sense: code(group[0].1),
            }));
            let sense_list: Vec<u32> = ranks_of_senses.iter().map(|&rank| code(rank)).collect();
            tokens.clear();
            subjects.append(subject as u32, &mut tokens);
            facts.push(&tokens, &codes, &sense_list);
            if self.options.order == Order::SubjectSenseRelation {
                groups.sort_by_key(|group| group[0].1);
            }
            for group in groups {
                let spelling = folds.then(|| self.spelling(group[0].2 as usize)).filter(|spelling| {
                    spelling
                        .iter()
                        .any(|text| text.bytes().any(|byte| byte.is_ascii_uppercase()))
                });
                if let [(_, _, triple)] = group {
                    records.push(spelling, std::iter::once(self.object(*triple)), out)?;
                } else {
                    seen.clear();
                    let distinct: Vec<&[u8]> = group
                        .iter()
                        .map(|&(_, _, triple)| self.object(triple))
                        .filter(|object| seen.insert(*object))
                        .collect();
                    report.duplicates += (group.len() - distinct.len()) as u64;
                    report.merged += distinct.len() as u64 - 1;
                    records.push(spelling, distinct.into_iter(), out)?;
                }
                report.keys += 1;
            }
        }
        records.finish(out)?;
        facts.finish(out)?;
        let description = serde_json::to_vec(&report).map_err(std::io::Error::other)?;
        out.section("report", &description)?;
        Ok(report)
    }

    fn object(&self, triple: u32) -> &[u8] {
        let triple = triple as usize;
        let start = if triple == 0 { 0 } else { self.object_ends[triple - 1] };
        &self.objects[start as usize..self.object_ends[triple] as usize]
    }

    fn spelling(&self, triple: usize) -> [&str; 3] {
        [
            self.subjects.get(self.subject[triple]),
            self.relations.get(self.relation[triple]),
            match self.sense[triple] {
                0 => "",
                sense => self.senses.get(sense - 1),
            },
        ]
    }

    /// Objects spread over the input, to train the dictionary on.
    fn sample(&self) -> Vec<u8> {
        const TARGET: usize = 4 << 20;
        let every = (self.objects.len() / TARGET).max(1);
        (0..self.subject.len() as u32)
            .step_by(every)
            .flat_map(|triple| self.object(triple).iter().copied())
            .collect()
    }
}

/// Gives a finished temporary file its name, readable as other files are.
pub(crate) fn publish(file: tempfile::NamedTempFile, path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

impl KnowledgeGraph {
    /// An index in memory of triples, for small graphs.
    ///
    /// # Errors
    /// When there are no triples.
    pub fn from_triples<'a>(
        triples: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
        options: &BuildOptions,
    ) -> Result<Self, KgError> {
        let mut builder = GraphBuilder::new(options.clone());
        for (subject, relation, object) in triples {
            builder.add(subject, relation, object)?;
        }
        Self::from_bytes(builder.finish_bytes()?.1)
    }
}
