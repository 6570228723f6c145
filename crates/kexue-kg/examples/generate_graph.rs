//! Writes a graph with the statistics of KgCLUE's, which is not to be had, at any scale.
//!
//! At scale 1: 3,121,457 entities, 27 % with a sense; 245,838 relations, used by Zipf–Mandelbrot (s = 1.48, q = 4); 20,559,652 triples, their
//! number per entity log-normal with mean 6.6. Names and objects come from first-order Markov chains of the characters of real ones: the
//! answers `subject ||| relation ||| object` of KgCLUE's questions. One character in 250 is any other from a list of 13,000.
//!
//! ```sh
//! cargo run --release -p kexue-kg --example generate_graph -- kgclue_train.jsonl.zst graph.tsv [scale] [seed]
//! ```

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufWriter, Write};
use std::path::Path;

const ENTITIES: f64 = 3_121_457.0;
const RELATIONS: f64 = 245_838.0;
const TRIPLES: f64 = 20_559_652.0;
const WITH_SENSE: f64 = 0.27;
const CHARACTERS: u32 = 13_000;
/// So that facts per entity, weighted by facts, have mean 16.
const SIGMA: f64 = 0.94;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A first-order Markov chain of characters.
struct Chain {
    /// For each state the cumulated counts of what follows; state 0 is the beginning.
    followers: Vec<Vec<(u32, u32)>>,
    characters: Vec<char>,
    /// Lengths in characters of the texts it was made of.
    lengths: Vec<u32>,
}

impl Chain {
    fn new<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut characters = vec!['\0'];
        let mut lengths = Vec::new();
        let mut numbers = HashMap::new();
        let mut counts: Vec<std::collections::BTreeMap<u32, u32>> = vec![Default::default()];
        for text in texts {
            let mut state = 0;
            lengths.push(text.chars().count() as u32);
            for character in text.chars() {
                let next = *numbers.entry(character).or_insert_with(|| {
                    characters.push(character);
                    counts.push(Default::default());
                    characters.len() as u32 - 1
                });
                *counts[state as usize].entry(next).or_default() += 1;
                state = next;
            }
        }
        let followers = counts
            .into_iter()
            .map(|counts| {
                let mut sum = 0;
                counts
                    .into_iter()
                    .map(|(next, count)| {
                        sum += count;
                        (sum, next)
                    })
                    .collect()
            })
            .collect();
        Self {
            followers,
            characters,
            lengths,
        }
    }

    /// Appends a string as long as one of the texts.
    fn generate(&self, random: &mut ChaCha8Rng, text: &mut String) {
        let mut state = 0u32;
        for _ in 0..self.lengths[random.random_range(0..self.lengths.len())] {
            let mut followers = &self.followers[state as usize];
            if followers.is_empty() {
                // A character that only ever stood last: on from the beginning of another text.
                followers = &self.followers[0];
            }
            let total = followers.last().map_or(0, |&(sum, _)| sum);
            let drawn = random.random_range(0..total);
            let next = followers[followers.partition_point(|&(sum, _)| sum <= drawn)].1;
            let any = random.random_ratio(1, 250);
            text.push(if any {
                // Rare characters: ideographs, the first of the list more often.
                let place = random.random::<f64>().powi(2) * f64::from(CHARACTERS);
                char::from_u32(0x4e00 + place as u32).unwrap_or('一')
            } else {
                self.characters[next as usize]
            });
            state = next;
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [answers, output, rest @ ..] = arguments.as_slice() else {
        return Err("expected: ANSWERS.jsonl[.zst] OUTPUT.tsv [SCALE] [SEED]".into());
    };
    let scale: f64 = rest.first().map_or(Ok(1.0), |scale| scale.parse())?;
    let seed: u64 = rest.get(1).map_or(Ok(1), |seed| seed.parse())?;

    let mut parts: [Vec<String>; 4] = Default::default();
    for line in kexue_kg::open_text(Path::new(answers))?.lines() {
        let value: serde_json::Value = serde_json::from_str(&line?)?;
        let answer = value["answer"].as_str().unwrap_or_default().to_owned();
        let fields: Vec<&str> = answer.split(" ||| ").collect();
        if let [subject, relation, object] = fields.as_slice() {
            let (name, sense) = kexue_kg::split_sense(subject);
            parts[0].push(name.to_owned());
            parts[1].push(relation.trim().to_owned());
            parts[2].push(object.replace(['\t', '\n'], " "));
            parts[3].extend(sense.map(str::to_owned));
        }
    }
    let [subjects, relations, objects, senses] = parts.map(|texts| Chain::new(texts.iter().map(String::as_str)));
    let mut random = ChaCha8Rng::seed_from_u64(seed);

    let relation_count = (RELATIONS * scale).ceil().max(16.0) as usize;
    let mut names = Vec::with_capacity(relation_count);
    let mut seen = HashSet::new();
    while names.len() < relation_count {
        let mut name = String::new();
        relations.generate(&mut random, &mut name);
        let name = name.trim().to_owned();
        if !name.is_empty() && seen.insert(name.clone()) {
            names.push(name);
        }
    }
    drop(seen);
    let mut sum = 0.0;
    let weights: Vec<f64> = (1..=relation_count)
        .map(|rank| {
            sum += (rank as f64 + 4.0).powf(-1.48);
            sum
        })
        .collect();

    let triples = (TRIPLES * scale) as u64;
    let entities = (ENTITIES * scale).ceil();
    let mut out = BufWriter::with_capacity(1 << 20, File::create(output)?);
    let mut uses: HashMap<u64, u8> = HashMap::new();
    let mut entities_seen = HashSet::new();
    let (mut written, mut made) = (0, 0.0);
    let mut own: Vec<usize> = Vec::new();
    let (mut name, mut object) = (String::new(), String::new());
    while written < triples {
        name.clear();
        subjects.generate(&mut random, &mut name);
        let hash = |text: &str| {
            use std::hash::BuildHasher;
            std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one(text)
        };
        if name.trim().is_empty() || name.contains('\t') {
            continue;
        }
        let with_sense = random.random_bool(WITH_SENSE);
        // A name that is there already becomes a homonym, seldom and only with a sense.
        let used = uses.entry(hash(&name)).or_default();
        if *used > 0 && !(with_sense && *used < 20 && random.random_ratio(1, 4)) {
            continue;
        }
        *used += 1;
        if with_sense {
            name.push('（');
            senses.generate(&mut random, &mut name);
            name.push('）');
        }
        if !entities_seen.insert(hash(&name)) {
            continue;
        }
        made += 1.0;
        let normal = {
            let (one, two): (f64, f64) = (random.random::<f64>().max(1e-300), random.random());
            (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos()
        };
        // What is left to write for what is left to make decides the mean, so that both counts are met. The mean of a log-normal is
        // exp(mu + sigma²/2).
        let left = (triples - written) as f64;
        let entities_left = (entities - made + 1.0).max(1.0);
        let mu = (left / entities_left).ln() - SIGMA * SIGMA / 2.0;
        let facts = (mu + SIGMA * normal).exp().round().clamp(1.0, left.min(4000.0));
        own.clear();
        for _ in 0..facts as u64 {
            let mut relation = 0;
            // Nine of ten facts that would repeat a relation of their subject are drawn again.
            for _ in 0..10 {
                let drawn = random.random::<f64>() * sum;
                relation = weights
                    .partition_point(|&weight| weight <= drawn)
                    .min(relation_count - 1);
                if !own.contains(&relation) || random.random_ratio(1, 10) {
                    break;
                }
            }
            own.push(relation);
            let relation = &names[relation];
            object.clear();
            objects.generate(&mut random, &mut object);
            let object = if object.trim().is_empty() { "无" } else { &object };
            writeln!(out, "{name}\t{relation}\t{object}")?;
        }
        written += facts as u64;
    }
    out.flush()?;
    eprintln!("{written} triples of {made} entities");
    Ok(())
}
