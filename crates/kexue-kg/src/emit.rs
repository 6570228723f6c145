//! Writing what was collected as an index: names to tokens, triples in the order of their keys.

use crate::build::{BuildOptions, BuildReport, Collected};
use crate::interner::Interner;
use crate::objects::{Coding, ObjectWriter};
use crate::sorted::{Sorted, by_count};
use crate::triples::Triples;
use kexue_text::{SEP, Token, Vocabulary, VocabularyBuilder};
use kexue_trie::{ContainerWriter, FactCode, FactIndexBuilder, Order};
use std::collections::HashSet;
use std::io::{Seek, Write};
use std::ops::Range;
use std::path::Path;

/// Most parts that spilled triples are dealt out to.
const MAX_PARTS: u64 = 200;

pub(crate) struct Emitter {
    options: BuildOptions,
    collected: Collected,
}

/// What the names have become.
struct Ranks {
    subjects: Sorted,
    relations: Sorted,
    senses: Sorted,
    /// Number in the dictionary of each rank.
    relation_codes: Vec<u32>,
    sense_codes: Vec<u32>,
}

/// The spellings, where they are not what the tokens say.
struct Spellings {
    subjects: Interner,
    relations: Interner,
    senses: Interner,
}

/// Memory for one subject's facts.
#[derive(Default)]
struct Scratch {
    tokens: Vec<Token>,
    /// Rank of the relation, rank of the sense + 1 or 0, triple.
    triples: Vec<(u32, u32, u32)>,
    /// Where the triples of each key begin.
    groups: Vec<Range<u32>>,
    codes: Vec<FactCode>,
    sense_ranks: Vec<u32>,
    sense_codes: Vec<u32>,
}

struct Output {
    facts: FactIndexBuilder,
    records: ObjectWriter,
    report: BuildReport,
    scratch: Scratch,
}

impl Emitter {
    pub fn new(options: BuildOptions, collected: Collected) -> Self {
        Self { options, collected }
    }

    fn vocabulary(&self) -> Vocabulary {
        if let Some(vocabulary) = &self.options.vocabulary {
            return vocabulary.clone();
        }
        let mut counts = VocabularyBuilder::new()
            .fold_case(self.options.fold_case)
            .max_characters(self.options.max_characters);
        let Collected {
            subjects,
            relations,
            senses,
            ..
        } = &self.collected;
        for text in subjects.iter().chain(relations.names.iter()).chain(senses.names.iter()) {
            counts.count(text);
        }
        counts.build()
    }

    pub fn emit<W: Write + Seek>(self, folder: &Path, out: &mut ContainerWriter<W>) -> std::io::Result<BuildReport> {
        let (vocabulary, coding) = rayon::join(|| self.vocabulary(), || Coding::new(self.collected.sample.text()));
        out.section("vocabulary", vocabulary.to_text().as_bytes())?;
        let Collected {
            subjects,
            subject_bytes,
            relations,
            senses,
            triples,
            spill,
            count,
            ..
        } = self.collected;
        let ranked = Ranked::new(&relations.names, &relations.counts, &vocabulary);
        let (relation_codes, relation_ranks) = by_count(&ranked.counts);
        let sense_table = Ranked::new(&senses.names, &senses.counts, &vocabulary);
        let (sense_codes, sense_ranks) = by_count(&sense_table.counts);
        let ranks = Ranks {
            subjects: Sorted::new(&subjects, &vocabulary),
            relations: ranked.sorted,
            senses: sense_table.sorted,
            relation_codes,
            sense_codes,
        };
        // What the tokens do not say must be kept; what they say need not.
        let spellings = vocabulary.folds_case().then_some(Spellings {
            subjects,
            relations: relations.names,
            senses: senses.names,
        });
        let facts = {
            let relations = entries(&ranks.relations, &relation_ranks);
            let senses = entries(&ranks.senses, &sense_ranks);
            FactIndexBuilder::new(
                self.options.order,
                SEP,
                relations.iter().map(Vec::as_slice),
                senses.iter().map(Vec::as_slice),
                out,
            )?
        };
        let mut output = Output {
            facts,
            records: ObjectWriter::new(coding, out)?,
            report: BuildReport {
                triples: count,
                subjects: ranks.subjects.len() as u64,
                relations: ranks.relations.len() as u64,
                senses: ranks.senses.len() as u64,
                vocabulary: vocabulary.len() as u64,
                ..BuildReport::default()
            },
            scratch: Scratch::default(),
        };
        let all = 0..ranks.subjects.len() as u32;
        match (spill, self.options.memory) {
            (Some(spill), Some(memory)) => {
                let ends = parts(&ranks.subjects, &subject_bytes, memory);
                drop(subject_bytes);
                let dealt = spill.deal(folder, ends.len(), |[subject, ..]| {
                    let rank = ranks.subjects.rank[subject as usize];
                    ends.partition_point(|&end| end <= rank)
                })?;
                let mut start = 0;
                for (part, end) in dealt.into_iter().zip(ends) {
                    output.emit(
                        &part.load()?,
                        start..end,
                        &ranks,
                        spellings.as_ref(),
                        self.options.order,
                        out,
                    )?;
                    start = end;
                }
            }
            _ => output.emit(&triples, all, &ranks, spellings.as_ref(), self.options.order, out)?,
        }
        drop((triples, ranks, spellings));
        output.records.finish(out)?;
        output.facts.finish(out)?;
        let description = serde_json::to_vec(&output.report).map_err(std::io::Error::other)?;
        out.section("report", &description)?;
        Ok(output.report)
    }
}

/// Names in the order of their tokens, with the triples of each rank.
struct Ranked {
    sorted: Sorted,
    counts: Vec<u64>,
}

impl Ranked {
    fn new(names: &Interner, counts_by_name: &[u64], vocabulary: &Vocabulary) -> Self {
        let sorted = Sorted::new(names, vocabulary);
        let mut counts = vec![0; sorted.len()];
        for (&rank, &count) in sorted.rank.iter().zip(counts_by_name) {
            counts[rank as usize] += count;
        }
        Self { sorted, counts }
    }
}

fn entries(sorted: &Sorted, ranks: &[u32]) -> Vec<Vec<Token>> {
    ranks
        .iter()
        .map(|&rank| {
            let mut tokens = Vec::new();
            sorted.append(rank, &mut tokens);
            tokens
        })
        .collect()
}

/// Cuts the subjects into ranges whose triples fit a part of the memory each; the ends of the ranges.
fn parts(subjects: &Sorted, bytes_by_name: &[u32], memory: u64) -> Vec<u32> {
    let mut bytes = vec![0u64; subjects.len()];
    for (&rank, &more) in subjects.rank.iter().zip(bytes_by_name) {
        bytes[rank as usize] += u64::from(more);
    }
    let total: u64 = bytes.iter().sum();
    let size = (memory / 6).max(total / MAX_PARTS).max(1);
    let mut ends = Vec::new();
    let mut filled = 0;
    for (rank, &more) in bytes.iter().enumerate() {
        if filled + more > size && filled > 0 {
            ends.push(rank as u32);
            filled = 0;
        }
        filled += more;
    }
    ends.push(bytes.len() as u32);
    ends
}

impl Output {
    /// Writes the subjects of these ranks, whose triples these are.
    fn emit<W: Write + Seek>(
        &mut self,
        triples: &Triples,
        subjects: Range<u32>,
        ranks: &Ranks,
        spellings: Option<&Spellings>,
        order: Order,
        out: &mut ContainerWriter<W>,
    ) -> std::io::Result<()> {
        // A counting sort by subject keeps the order of the input for each.
        let place = |subject: u32| (ranks.subjects.rank[subject as usize] - subjects.start) as usize;
        let mut ends = vec![0u32; subjects.len() + 1];
        for [subject, ..] in triples.iter() {
            ends[place(subject) + 1] += 1;
        }
        for subject in 0..subjects.len() {
            ends[subject + 1] += ends[subject];
        }
        let mut sorted = vec![0u32; triples.len()];
        // Afterwards, `ends[s]` is where the triples of subject `s` end.
        for (triple, [subject, ..]) in triples.iter().enumerate() {
            let next = &mut ends[place(subject)];
            sorted[*next as usize] = triple as u32;
            *next += 1;
        }
        let mut start = 0;
        for (index, subject) in subjects.enumerate() {
            let end = ends[index];
            self.subject(
                triples,
                subject,
                &sorted[start as usize..end as usize],
                ranks,
                spellings,
                order,
                out,
            )?;
            start = end;
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)] // the parts of one loop's body
    fn subject<W: Write + Seek>(
        &mut self,
        triples: &Triples,
        subject: u32,
        own: &[u32],
        ranks: &Ranks,
        spellings: Option<&Spellings>,
        order: Order,
        out: &mut ContainerWriter<W>,
    ) -> std::io::Result<()> {
        let scratch = &mut self.scratch;
        scratch.triples.clear();
        scratch.triples.extend(own.iter().map(|&triple| {
            let [_, relation, sense] = triples.names(triple);
            let sense = match sense {
                0 => 0,
                sense => ranks.senses.rank[sense as usize - 1] + 1,
            };
            (ranks.relations.rank[relation as usize], sense, triple)
        }));
        scratch.triples.sort_unstable();
        scratch.groups.clear();
        let mut start = 0;
        for group in scratch
            .triples
            .chunk_by(|one, other| (one.0, one.1) == (other.0, other.1))
        {
            scratch.groups.push(start..start + group.len() as u32);
            start += group.len() as u32;
        }
        let first = |group: &Range<u32>| scratch.triples[group.start as usize];
        scratch.sense_ranks.clear();
        scratch
            .sense_ranks
            .extend(scratch.groups.iter().map(|group| first(group).1));
        scratch.sense_ranks.sort_unstable();
        scratch.sense_ranks.dedup();
        let code = |rank: u32| match rank {
            0 => 0,
            rank => ranks.sense_codes[rank as usize - 1] + 1,
        };
        scratch.sense_codes.clear();
        scratch
            .sense_codes
            .extend(scratch.sense_ranks.iter().map(|&rank| code(rank)));
        scratch.codes.clear();
        scratch.codes.extend(scratch.groups.iter().map(|group| {
            let (relation, sense, _) = first(group);
            FactCode {
                relation: ranks.relation_codes[relation as usize],
                sense: code(sense),
            }
        }));
        scratch.tokens.clear();
        ranks.subjects.append(subject, &mut scratch.tokens);
        self.facts.push(&scratch.tokens, &scratch.codes, &scratch.sense_codes);
        if order == Order::SubjectSenseRelation {
            let triples = &scratch.triples;
            scratch.groups.sort_by_key(|group| triples[group.start as usize].1);
        }
        let mut distinct: Vec<&str> = Vec::new();
        for group in &scratch.groups {
            let group = &scratch.triples[group.start as usize..group.end as usize];
            let spelling = spellings.and_then(|spellings| spellings.of(triples.names(group[0].2)));
            if let [(_, _, triple)] = group {
                self.records
                    .push(spelling, std::iter::once(triples.object(*triple)), out)?;
            } else {
                distinct.clear();
                let objects = group.iter().map(|&(_, _, triple)| triples.object(triple));
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
                self.report.duplicates += (group.len() - distinct.len()) as u64;
                self.report.merged += distinct.len() as u64 - 1;
                self.records.push(spelling, distinct.iter().copied(), out)?;
            }
        }
        self.report.keys += scratch.groups.len() as u64;
        Ok(())
    }
}

impl Spellings {
    /// The names of a triple, where folding their case changed them.
    fn of(&self, [subject, relation, sense]: [u32; 3]) -> Option<[&str; 3]> {
        let names = [
            self.subjects.get(subject),
            self.relations.get(relation),
            match sense {
                0 => "",
                sense => self.senses.get(sense - 1),
            },
        ];
        names
            .iter()
            .any(|name| name.bytes().any(|byte| byte.is_ascii_uppercase()))
            .then_some(names)
    }
}
