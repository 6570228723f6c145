//! Writes the collected data as an index: names become tokens, and triples are sorted by their keys.

use crate::collected::{Collected, NameTable};
use crate::interner::Interner;
use crate::objects::{BlockCoder, Blocks, Coding, ObjectWriter};
use crate::options::{BuildOptions, BuildReport};
use crate::parts::{Part, Piece, Pool, Spill, lock, read_triple};
use crate::runs::{Chunk, Merge, count_subjects, sort};
use crate::sorted::{Sorted, by_count};
use crate::spellings::SpellingsBuilder;
use kexue_text::{SEP, Token, Vocabulary, VocabularyBuilder};
use kexue_trie::{ContainerWriter, FactCode, FactIndexBuilder, FactOrder, RowEncoder};
use rayon::prelude::*;
use std::collections::HashSet;
use std::io::{Result, Seek, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Maximum number of subjects, and of triples, of a chunk. Blocks of objects end with a chunk, so that they can be packed in parallel and do not
/// depend on the number of threads.
const SUBJECTS: usize = 8192;
const TRIPLES: u64 = 1 << 16;
/// Number of chunks that are packed in parallel.
const WINDOW: usize = 16;

/// The dictionaries that triples refer to.
struct Dictionaries {
    relations: Dictionary,
    senses: Dictionary,
    /// Whether the spelling of a name is stored if its tokens do not determine it.
    spelt: bool,
    order: FactOrder,
}

struct Dictionary {
    /// The names, if their spelling is stored.
    names: Interner,
    /// For each name, its rank in the order of the tokens and its number in the dictionary.
    codes: Vec<(u32, u32)>,
}

/// The entries of a dictionary.
struct Entries {
    sorted: Sorted,
    /// The rank of each number.
    ranks: Vec<u32>,
}

impl Entries {
    fn each(&self, visit: &mut dyn FnMut(&[Token])) {
        let mut tokens = Vec::new();
        for &rank in &self.ranks {
            self.sorted.tokens(rank, &mut tokens);
            visit(&tokens);
        }
    }
}

impl Dictionary {
    fn new(table: NameTable, vocabulary: &Vocabulary) -> (Self, Entries) {
        let mut sorted = Sorted::encode(&table.names, vocabulary);
        // Only spellings that the tokens do not determine must be stored.
        let names = if vocabulary.folds_case() {
            table.names
        } else {
            Interner::default()
        };
        sorted.sort();
        let mut by_rank = vec![0; sorted.len()];
        for (&rank, &count) in sorted.rank.iter().zip(&table.counts) {
            by_rank[rank as usize] += count;
        }
        let (numbers, ranks) = by_count(&by_rank);
        let codes = std::mem::take(&mut sorted.rank)
            .into_iter()
            .map(|rank| (rank, numbers[rank as usize]))
            .collect();
        (Self { names, codes }, Entries { sorted, ranks })
    }
}

/// The vocabulary of the names. Each distinct name counts once.
fn count_vocabulary(
    options: &BuildOptions,
    names: [&NameTable; 2],
    parts: &[Part],
    spill: Option<&Spill>,
) -> Result<Vocabulary> {
    let empty = || {
        VocabularyBuilder::new()
            .fold_case(options.fold_case)
            .max_characters(options.max_characters)
    };
    let mut counts = (parts.par_iter())
        .try_fold(empty, |mut counts, part| {
            count_subjects(part, spill, &mut counts)?;
            Ok(counts)
        })
        .try_reduce(empty, |mut counts, more| {
            counts.merge(&more);
            Ok::<_, std::io::Error>(counts)
        })?;
    for table in names {
        table.names.iter().for_each(|name| counts.count(name));
    }
    Ok(counts.build())
}

/// Writes the index and returns its counts.
pub(crate) fn emit<W: Write + Seek + Send>(
    options: &BuildOptions,
    collected: Collected,
    folder: &Path,
    out: &mut ContainerWriter<W>,
) -> Result<BuildReport> {
    let (parts, spill) = collected.parts.finish();
    let (relations, senses) = (collected.relations, collected.senses);
    let (vocabulary, coding) = rayon::join(
        || match &options.vocabulary {
            Some(vocabulary) => Ok(vocabulary.clone()),
            None => count_vocabulary(options, [&relations, &senses], &parts, spill.as_ref()),
        },
        || Coding::new(collected.sample.text()),
    );
    let vocabulary = vocabulary?;
    out.section("vocabulary", vocabulary.to_text().as_bytes())?;
    // One after the other, to save memory.
    let (relations, relation_entries) = Dictionary::new(relations, &vocabulary);
    let (senses, sense_entries) = Dictionary::new(senses, &vocabulary);
    let dictionaries = Dictionaries {
        relations,
        senses,
        spelt: vocabulary.folds_case(),
        order: options.order,
    };
    let mut facts = FactIndexBuilder::new(
        options.order,
        SEP,
        &|visit| relation_entries.each(visit),
        &|visit| sense_entries.each(visit),
        out,
    )?;
    if options.memory.is_some() {
        facts = facts.spill_to(folder.to_path_buf());
    }
    let mut output = Output {
        facts,
        records: ObjectWriter::new(&coding, out)?,
        spellings: SpellingsBuilder::new(&vocabulary),
        report: BuildReport {
            triples: collected.count,
            relations: relation_entries.ranks.len() as u64,
            senses: sense_entries.ranks.len() as u64,
            vocabulary: vocabulary.len() as u64,
            ..BuildReport::default()
        },
        out,
    };
    drop((relation_entries, sense_entries));
    for (subject, alias) in &collected.aliases {
        output.spellings.alias(subject, alias);
    }
    let (runs, spill) = sort_parts(parts, spill, folder, &vocabulary)?;
    let mut merge = Merge::new(runs, spill.as_ref())?;
    let mut fill = |window: &mut Vec<Packed>| -> Result<()> {
        window.resize_with(WINDOW, Packed::default);
        for number in 0..WINDOW {
            window[number].chunk.clear();
            if !merge.fill(&mut window[number].chunk, SUBJECTS, TRIPLES)? {
                window.truncate(number);
                break;
            }
        }
        Ok(())
    };
    let (mut window, mut packed) = (Vec::new(), Vec::new());
    fill(&mut window)?;
    while !window.is_empty() {
        // While some chunks are packed, earlier ones are written and later ones are read.
        let (now, others) = rayon::join(
            || {
                (window.par_iter_mut()).try_for_each_init(
                    || Packer::new(&dictionaries, &coding),
                    |packer, packed| match packer {
                        Ok(packer) => packer.pack(packed),
                        Err(error) => Err(std::io::Error::other(error.to_string())),
                    },
                )
            },
            || {
                packed.iter().try_for_each(|packed| output.push(packed))?;
                fill(&mut packed)
            },
        );
        now?;
        others?;
        std::mem::swap(&mut window, &mut packed);
    }
    packed.iter().try_for_each(|packed| output.push(packed))?;
    drop((merge, dictionaries));
    output.finish()
}

/// Makes a run of each part; in a file if the parts are in a file.
fn sort_parts(
    parts: Vec<Part>,
    spill: Option<Spill>,
    folder: &Path,
    vocabulary: &Vocabulary,
) -> Result<(Vec<Vec<Piece>>, Option<Spill>)> {
    let pool = Pool::default();
    let sorted = spill.is_some().then(|| Spill::new(folder)).transpose()?.map(Mutex::new);
    let runs: Result<_> = (parts.into_par_iter())
        .map(|part| {
            let mut run = Vec::new();
            sort(part, spill.as_ref(), vocabulary, &pool, &mut |piece| {
                run.push(match &sorted {
                    None => Piece::Memory(piece),
                    Some(sorted) => {
                        let written = lock(sorted).append(&piece)?;
                        pool.put(piece);
                        written
                    }
                });
                Ok(())
            })?;
            Ok(run)
        })
        .collect();
    let sorted = sorted.map(|sorted| sorted.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok((runs?, sorted))
}

/// A chunk and its packed form.
#[derive(Default)]
struct Packed {
    chunk: Chunk,
    rows: Vec<u8>,
    /// For each subject, the end of its row and the number of its keys.
    subjects: Vec<(usize, u64)>,
    blocks: Blocks,
    duplicates: u64,
    merged: u64,
}

/// A triple of the current subject, with its names by rank.
#[derive(Clone, Copy)]
struct Named<'a> {
    /// Rank of the relation, then rank of the sense + 1 or 0, then place in the input.
    order: (u32, u32, u32),
    fact: FactCode,
    object: &'a [u8],
}

/// Packs chunks.
struct Packer<'a> {
    dictionaries: &'a Dictionaries,
    rows: RowEncoder,
    blocks: BlockCoder<'a>,
    groups: Vec<Range<usize>>,
    codes: Vec<FactCode>,
    senses: Vec<(u32, u32)>,
    sense_codes: Vec<u32>,
}

impl<'a> Packer<'a> {
    fn new(dictionaries: &'a Dictionaries, coding: &'a Coding) -> Result<Self> {
        Ok(Self {
            dictionaries,
            rows: RowEncoder::default(),
            blocks: BlockCoder::new(coding)?,
            groups: Vec::new(),
            codes: Vec::new(),
            senses: Vec::new(),
            sense_codes: Vec::new(),
        })
    }

    fn pack(&mut self, packed: &mut Packed) -> Result<()> {
        packed.rows.clear();
        packed.subjects.clear();
        (packed.duplicates, packed.merged) = (0, 0);
        let chunk = std::mem::take(&mut packed.chunk);
        let mut triples = Vec::new();
        let mut spellings = Vec::new();
        for (_, bytes) in chunk.subjects() {
            self.read(bytes, &mut triples, &mut spellings)
                .ok_or_else(|| std::io::Error::other("a triple is not as it was written"))?;
            self.subject(&triples, &spellings, packed)?;
        }
        drop((triples, spellings));
        packed.chunk = chunk;
        self.blocks.finish(&mut packed.blocks)
    }

    /// The triples of a subject in the order of their keys. If spellings are stored, also the names of each triple by its place in the input.
    fn read<'t>(&self, bytes: &'t [u8], triples: &mut Vec<Named<'t>>, spellings: &mut Vec<Spelling<'t>>) -> Option<()> {
        let Dictionaries { relations, senses, .. } = self.dictionaries;
        triples.clear();
        spellings.clear();
        let (mut at, mut place, mut subject) = (0, 0, &bytes[..0]);
        while at < bytes.len() {
            let triple = read_triple(bytes, &mut at)?;
            let (relation, code) = relations.codes[triple.relation as usize];
            let (sense, sense_code) = match triple.sense.checked_sub(1) {
                None => (0, 0),
                Some(sense) => {
                    let (rank, code) = senses.codes[sense as usize];
                    (rank + 1, code + 1)
                }
            };
            if self.dictionaries.spelt {
                subject = triple.subject.unwrap_or(subject);
                spellings.push((subject, triple.relation, triple.sense));
            }
            triples.push(Named {
                order: (relation, sense, place),
                fact: FactCode {
                    relation: code,
                    sense: sense_code,
                },
                object: triple.object,
            });
            place += 1;
        }
        triples.sort_unstable_by_key(|triple| triple.order);
        Some(())
    }

    fn subject(&mut self, triples: &[Named<'_>], spellings: &[Spelling<'_>], packed: &mut Packed) -> Result<()> {
        self.groups.clear();
        self.codes.clear();
        self.senses.clear();
        let mut start = 0;
        for group in triples.chunk_by(|one, other| one.fact == other.fact) {
            self.groups.push(start..start + group.len());
            start += group.len();
            self.codes.push(group[0].fact);
            self.senses.push((group[0].order.1, group[0].fact.sense));
        }
        self.senses.sort_unstable();
        self.senses.dedup();
        self.sense_codes.clear();
        self.sense_codes.extend(self.senses.iter().map(|&(_, code)| code));
        packed
            .rows
            .extend_from_slice(self.rows.encode(&self.codes, &self.sense_codes));
        packed.subjects.push((packed.rows.len(), self.groups.len() as u64));
        if self.dictionaries.order == FactOrder::SubjectSenseRelation {
            self.groups.sort_by_key(|group| triples[group.start].order.1);
        }
        for group in &self.groups {
            let group = &triples[group.clone()];
            let spelling = spellings
                .get(group[0].order.2 as usize)
                .and_then(|spelling| self.dictionaries.spelling(spelling));
            let objects = group.iter().map(|triple| triple.object);
            if group.len() == 1 {
                self.blocks.push(spelling, objects)?;
                continue;
            }
            let mut distinct: Vec<&[u8]> = Vec::new();
            if group.len() <= 16 {
                for object in objects {
                    if !distinct.contains(&object) {
                        distinct.push(object);
                    }
                }
            } else {
                let mut seen = HashSet::new();
                distinct.extend(objects.filter(|object| seen.insert(*object)));
            }
            packed.duplicates += (group.len() - distinct.len()) as u64;
            packed.merged += distinct.len() as u64 - 1;
            self.blocks.push(spelling, distinct.into_iter())?;
        }
        Ok(())
    }
}

/// The names of a triple as written: the subject, the number of the relation, and the number of the sense + 1 or 0.
type Spelling<'a> = (&'a [u8], u32, u32);

impl Dictionaries {
    /// The names, if folding their case changed them.
    fn spelling<'s>(&'s self, &(subject, relation, sense): &Spelling<'s>) -> Option<[&'s [u8]; 3]> {
        let sense = sense.checked_sub(1).map_or("", |sense| self.senses.names.get(sense));
        let names = [subject, self.relations.names.get(relation).as_bytes(), sense.as_bytes()];
        (names.iter().flat_map(|name| name.iter()))
            .any(u8::is_ascii_uppercase)
            .then_some(names)
    }
}

/// What is being written.
struct Output<'a, W: Write + Seek> {
    facts: FactIndexBuilder,
    records: ObjectWriter,
    spellings: SpellingsBuilder<'a>,
    report: BuildReport,
    out: &'a mut ContainerWriter<W>,
}

impl<W: Write + Seek> Output<'_, W> {
    /// Writes the next chunk.
    fn push(&mut self, packed: &Packed) -> Result<()> {
        let mut start = 0;
        for ((tokens, _), &(end, keys)) in packed.chunk.subjects().zip(&packed.subjects) {
            self.spellings.subject(tokens);
            self.facts.push(tokens, &packed.rows[start..end], keys)?;
            self.report.keys += keys;
            start = end;
        }
        self.report.subjects += packed.subjects.len() as u64;
        self.report.duplicates += packed.duplicates;
        self.report.merged += packed.merged;
        self.records.push(&packed.blocks, self.out)
    }

    fn finish(self) -> Result<BuildReport> {
        self.records.finish(self.out)?;
        self.facts.finish(self.out)?;
        self.spellings.write(self.out)?;
        let description = serde_json::to_vec(&self.report).map_err(std::io::Error::other)?;
        self.out.section("report", &description)?;
        Ok(self.report)
    }
}
