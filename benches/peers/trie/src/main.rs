//! Prefix indexes in Rust over the keys of a TSV graph: what they cost to build, and to ask.
//!
//! ```sh
//! trie-peers graph.tsv fst|yada [ROUNDS]
//! ```
//!
//! - fst: a set of the keys' UTF-8 as a minimal automaton. A token is a character: what may follow is collected over the bytes of one.
//! - yada: a double array of the subjects. It offers exact and common-prefix search alone, so that it is asked for the subjects in a text.
//!
//! Keys are sequences of characters `subject SEP relation SEP sense SEP`. One JSON object is printed. As for all others here, each question is asked
//! once before it is timed, and what it costs to look at the clock is subtracted.

use fst::raw::{CompiledAddr, Fst};
use fst::{IntoStreamer, Streamer};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SEP: char = '\u{2}';

/// Subject and sense: at the matching full-width bracket at the end.
fn split_sense(name: &str) -> (&str, &str) {
    let mut depth = 0;
    if name.ends_with('）') {
        for (at, character) in name.char_indices().rev() {
            depth += i32::from(character == '）') - i32::from(character == '（');
            if depth == 0 {
                let (subject, sense) = (&name[..at], &name[at + 3..name.len() - 3]);
                return if subject.is_empty() || sense.is_empty() { (name, "") } else { (subject, sense) };
            }
        }
    }
    (name, "")
}

fn keys(path: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let mut keys = Vec::new();
    for line in BufReader::new(std::fs::File::open(path)?).lines() {
        let line = line?;
        let mut fields = line.split('\t');
        let (name, relation) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let (subject, sense) = split_sense(name);
        keys.push(format!("{subject}{SEP}{relation}{SEP}{sense}{SEP}"));
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// What it costs to look at the clock twice.
fn clock() -> Duration {
    let mut times: Vec<Duration> = (0..10_001).map(|_| Instant::now().elapsed()).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Median and 99th percentile, in microseconds, of what `ask` takes, each question asked once before.
fn measure<Q>(questions: &[Q], mut ask: impl FnMut(&Q)) -> [f64; 2] {
    questions.iter().for_each(&mut ask);
    let mut times = Vec::with_capacity(questions.len());
    for question in questions {
        let started = Instant::now();
        ask(question);
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let overhead = clock();
    [0.5, 0.99].map(|share| {
        let time = times[((times.len() - 1) as f64 * share) as usize];
        time.saturating_sub(overhead).as_nanos() as f64 / 1e3
    })
}

/// Processor time and largest memory of this process, in seconds and megabytes.
fn spent() -> Result<(f64, f64), Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    let kilobytes: f64 = peak.split_whitespace().nth(1).unwrap_or("0").parse()?;
    Ok((ticks / 100.0, kilobytes / 1024.0))
}

fn walk(fst: &Fst<Vec<u8>>, from: CompiledAddr, bytes: &[u8]) -> Option<CompiledAddr> {
    bytes.iter().try_fold(from, |at, &byte| {
        let node = fst.node(at);
        node.find_input(byte).map(|place| node.transition_addr(place))
    })
}

/// Collects the characters whose bytes lead on.
fn following(fst: &Fst<Vec<u8>>, at: CompiledAddr, prefix: &mut Vec<u8>, found: &mut Vec<char>) {
    if let Some(character) = std::str::from_utf8(prefix).ok().and_then(|text| text.chars().next()) {
        found.push(character);
        return;
    }
    for transition in fst.node(at).transitions() {
        prefix.push(transition.inp);
        following(fst, transition.addr, prefix, found);
        prefix.pop();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let (path, kind) = (&arguments[1], arguments[2].as_str());
    let rounds: usize = arguments.get(3).map_or(Ok(20_000), |rounds| rounds.parse())?;
    let keys = keys(path)?;
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let sample: Vec<&String> = (0..rounds).map(|_| &keys[random.random_range(0..keys.len())]).collect();
    if kind == "fst" {
        let mut builder = fst::SetBuilder::memory();
        builder.extend_iter(&keys)?;
        let bytes = builder.into_inner()?;
        let (size, (seconds, megabytes)) = (bytes.len(), spent()?);
        let set = fst::Set::new(bytes)?;
        let fst = set.as_fst();
        let mut prefixes = Vec::new();
        for key in &sample {
            let length = key.chars().count();
            let end = key.char_indices().nth(random.random_range(0..=length)).map_or(key.len(), |(at, _)| at);
            prefixes.push(&key.as_bytes()[..end]);
        }
        let [next_50, next_99] = measure(&prefixes, |prefix| {
            let mut found = Vec::new();
            if let Some(at) = walk(fst, fst.root().addr(), prefix) {
                following(fst, at, &mut Vec::new(), &mut found);
            }
            black_box(found);
        });
        let mut subjects = Vec::new();
        for key in &sample {
            let prefix = &key[..=key.find(SEP).unwrap_or_default()];
            let mut above = prefix.as_bytes().to_vec();
            if let Some(last) = above.last_mut() {
                *last += 1;
            }
            subjects.push((prefix, above));
        }
        let [all_50, all_99] = measure(&subjects, |(prefix, above)| {
            let mut stream = set.range().ge(prefix).lt(above).into_stream();
            while let Some(key) = stream.next() {
                black_box(key);
            }
        });
        println!(
            "{}",
            json!({
                "peer": "fst", "keys": keys.len(), "build_cpu_s": seconds, "peak_memory_mb": megabytes.round(), "bytes": size,
                "next_tokens_p50_us": next_50, "next_tokens_p99_us": next_99, "completions_p50_us": all_50, "completions_p99_us": all_99,
            })
        );
        return Ok(());
    }
    let mut subjects: Vec<&str> = keys.iter().map(|key| &key[..key.find(SEP).unwrap_or_default()]).collect();
    subjects.dedup();
    let numbered: Vec<(&str, u32)> = subjects.iter().copied().zip(0..).collect();
    let bytes = yada::builder::DoubleArrayBuilder::build(&numbered).ok_or("yada cannot build it")?;
    let (size, (seconds, megabytes)) = (bytes.len(), spent()?);
    let array = yada::DoubleArray::new(bytes);
    let mut questions: Vec<String> = Vec::new();
    for keys in sample.chunks_exact(3) {
        questions.push(keys.iter().flat_map(|key| key.chars()).filter(|&character| character != SEP).take(30).collect());
    }
    let mut found = 0usize;
    let [mentions_50, mentions_99] = measure(&questions, |question| {
        for (start, _) in question.char_indices() {
            found += array.common_prefix_search(&question[start..]).count();
        }
    });
    // Each was asked twice.
    let mean = found as f64 / (2 * questions.len()) as f64;
    println!(
        "{}",
        json!({
            "peer": "yada", "subjects": subjects.len(), "build_cpu_s": seconds, "peak_memory_mb": megabytes.round(), "bytes": size,
            "mentions_p50_us": mentions_50, "mentions_p99_us": mentions_99, "mentions_mean": mean,
        })
    );
    Ok(())
}
