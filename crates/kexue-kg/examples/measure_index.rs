//! Measures an index: build, open, and every kind of question, for the table of `docs/trie.md`.
//!
//! ```sh
//! cargo run --release -p kexue-kg --example measure_index -- build graph.tsv graph.idx [MEMORY]
//! cargo run --release -p kexue-kg --example measure_index -- query graph.idx [ROUNDS]
//! cargo run --release -p kexue-kg --example measure_index -- estimate half.tsv graph.tsv FOLDER MEGABYTES
//! ```
//!
//! `estimate` builds both graphs, each in a process of its own, and says what a billion keys would cost: everything on the straight line through
//! the two points. What grows with the logarithm of the number of keys beside it is not in that.
//!
//! Times are medians and 99th percentiles over random questions with a fixed seed, each timed by itself; the clock's own cost is subtracted.

use kexue_kg::{BuildOptions, GraphBuilder, ImportOptions, KnowledgeGraph, import};
use kexue_trie::{Allowed, Handle, Key, Token};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::error::Error;
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["build", input, output, rest @ ..] => {
            let megabytes: Option<u64> = rest.first().map(|memory| memory.parse()).transpose()?;
            build(Path::new(input), Path::new(output), megabytes.map(|size| size << 20))
        }
        ["query", index, rest @ ..] => {
            let rounds = rest.first().map_or(Ok(20_000), |rounds| rounds.parse())?;
            query(Path::new(index), rounds)
        }
        ["estimate", half, full, folder, megabytes] => {
            let points = [half, full].map(|input| point(input, &Path::new(folder).join("estimate.idx"), megabytes));
            let [half, full] = points;
            estimate(&half?, &full?);
            Ok(())
        }
        _ => Err(
            "expected: build INPUT OUTPUT [MEGABYTES] | query INDEX [ROUNDS] | estimate HALF FULL FOLDER MEGABYTES"
                .into(),
        ),
    }
}

/// What is estimated, and how it is called.
const COSTS: [&str; 4] = ["MB without objects", "MB with objects", "seconds", "MB of memory"];

/// The number of keys of a graph and its costs, from a build in a process of its own.
fn point(input: &str, output: &Path, megabytes: &str) -> Result<(f64, [f64; 4]), Box<dyn Error>> {
    let child = Command::new(std::env::current_exe()?)
        .args(["build", input])
        .arg(output)
        .arg(megabytes)
        .output()?;
    let text = String::from_utf8(child.stdout)?;
    let line = text.lines().find_map(|line| line.strip_prefix("costs "));
    let line = line.ok_or_else(|| format!("{input} was not built: {}", String::from_utf8_lossy(&child.stderr)))?;
    let numbers: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [keys, costs @ ..] = numbers.first_chunk::<5>().ok_or("a number is missing")?;
    println!("{input}: {keys} keys");
    for (name, cost) in COSTS.iter().zip(costs) {
        println!("  {cost:>10.1} {name}");
    }
    Ok((*keys, *costs))
}

/// Prints what 10⁹ keys would cost, by the straight line through two points.
fn estimate((few, less): &(f64, [f64; 4]), (many, more): &(f64, [f64; 4])) {
    println!("a billion keys, on the line through both:");
    for (name, (less, more)) in COSTS.iter().zip(less.iter().zip(more)) {
        let slope = (more - less) / (many - few);
        println!("  {:>10.0} {name}", more + slope * (1e9 - many));
    }
}

/// Largest resident memory of this process in bytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

fn build(input: &Path, output: &Path, memory: Option<u64>) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    let mut builder = GraphBuilder::new(BuildOptions {
        memory,
        max_characters: 13_000,
        temporary: output.parent().map(PathBuf::from),
        ..BuildOptions::default()
    });
    import(&[input.to_path_buf()], &ImportOptions::default(), &mut builder, &|_| ())?;
    let read = started.elapsed();
    if let Some(peak) = peak_memory() {
        println!(
            "read in {:.2} s, memory {:.0} MB",
            read.as_secs_f64(),
            peak as f64 / 1e6
        );
    }
    let report = builder.finish(output)?;
    let seconds = started.elapsed().as_secs_f64();
    let bytes = std::fs::metadata(output)?.len();
    let graph = KnowledgeGraph::open(output)?;
    let objects: u64 = graph
        .container()
        .sections()
        .filter(|(name, _)| name.starts_with("objects."))
        .map(|(_, length)| length)
        .sum();
    println!(
        "build        {seconds:.2} s · peak memory {:.0} MB",
        peak_memory().unwrap_or_default() as f64 / 1e6
    );
    println!(
        "index        {:.1} MB without objects · {:.1} MB with them · {} keys · {} subjects · {} nodes",
        (bytes - objects) as f64 / 1e6,
        bytes as f64 / 1e6,
        report.keys,
        report.subjects,
        graph.facts().nodes()
    );
    println!(
        "costs {} {} {} {seconds} {}",
        report.keys,
        (bytes - objects) as f64 / 1e6,
        bytes as f64 / 1e6,
        peak_memory().unwrap_or_default() as f64 / 1e6
    );
    for (name, length) in graph.container().sections() {
        println!("  {name:<28}{length:>12}");
    }
    Ok(())
}

/// Prints the median and the 99th percentile.
fn report(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let overhead = clock();
    let at = |share: f64| {
        let index = ((times.len() - 1) as f64 * share) as usize;
        times[index].saturating_sub(overhead).as_secs_f64() * 1e6
    };
    println!("{name:<44} p50 {:>8.3} µs   p99 {:>8.3} µs", at(0.5), at(0.99));
}

/// What it costs to look at the clock twice.
fn clock() -> Duration {
    let mut times: Vec<Duration> = (0..10_001).map(|_| Instant::now().elapsed()).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn tokens_of(graph: &KnowledgeGraph, key: Key) -> Result<Vec<Token>, Box<dyn Error>> {
    let (mut subject, mut relation, mut sense) = (Vec::new(), Vec::new(), Vec::new());
    graph.facts().fact(key, &mut subject, &mut relation, &mut sense)?;
    let mut tokens = subject;
    for part in [relation, sense] {
        tokens.push(kexue_text::SEP);
        tokens.extend(part);
    }
    tokens.push(kexue_text::SEP);
    Ok(tokens)
}

fn query(path: &Path, rounds: usize) -> Result<(), Box<dyn Error>> {
    let mut opens = Vec::new();
    for _ in 0..101 {
        let started = Instant::now();
        black_box(KnowledgeGraph::open(path)?);
        opens.push(started.elapsed());
    }
    println!("open, first of this process: {:.3} ms", opens[0].as_secs_f64() * 1e3);
    report("open, warm", opens);

    let graph = KnowledgeGraph::open(path)?;
    let index = graph.index();
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let keys: Vec<Key> = (0..rounds).map(|_| random.random_range(0..index.len())).collect();
    let sequences: Vec<Vec<Token>> = keys
        .iter()
        .map(|&key| tokens_of(&graph, key))
        .collect::<Result<_, _>>()?;
    let prefixes: Vec<&[Token]> = sequences
        .iter()
        .map(|tokens| &tokens[..random.random_range(0..=tokens.len())])
        .collect();
    let mut allowed = Allowed::default();

    // Once without the clock, so that the pages are there; it is the questions' order that is cold.
    let mut handles: Vec<Handle> = Vec::new();
    let mut subjects: Vec<Handle> = Vec::new();
    for (prefix, tokens) in prefixes.iter().zip(&sequences) {
        let at = index.find(prefix)?.ok_or("a prefix is not found")?;
        index.allowed(at, &mut allowed)?;
        handles.push(at);
        let end = tokens
            .iter()
            .position(|&token| token == kexue_text::SEP)
            .unwrap_or_default();
        subjects.push(index.find(&tokens[..=end])?.ok_or("a subject is not found")?);
    }

    let mut times = Vec::with_capacity(rounds);
    for prefix in &prefixes {
        let started = Instant::now();
        let at = index.find(prefix)?.ok_or("a prefix is not found")?;
        index.allowed(at, &mut allowed)?;
        times.push(started.elapsed());
        black_box(&allowed);
    }
    report("next tokens from the root down a prefix", times);

    let mut times = Vec::with_capacity(rounds);
    for &at in &handles {
        let started = Instant::now();
        index.allowed(at, &mut allowed)?;
        times.push(started.elapsed());
        black_box(&allowed);
    }
    report("next tokens from a handle", times);

    let mut times = Vec::with_capacity(rounds);
    for (&at, prefix) in handles.iter().zip(&prefixes) {
        // As a decoder does: the step that led here, then what is allowed.
        let Some((&last, before)) = prefix.split_last() else {
            continue;
        };
        let parent = index.find(before)?.ok_or("a prefix is not found")?;
        let started = Instant::now();
        let next = index.step(parent, last)?;
        times.push(started.elapsed());
        if next != Some(at) {
            return Err("a step leads elsewhere than the prefix".into());
        }
    }
    report("a step", times);

    let (mut times, mut total) = (Vec::with_capacity(rounds), 0u64);
    for &at in &subjects {
        let started = Instant::now();
        index.completions(at, &mut |tokens, key| {
            black_box((tokens.len(), key));
            total += 1;
            ControlFlow::Continue(())
        })?;
        times.push(started.elapsed());
    }
    report(
        &format!(
            "all completions of a subject (mean {:.1})",
            total as f64 / rounds as f64
        ),
        times,
    );

    let mut questions = Vec::new();
    for pair in sequences.chunks_exact(3) {
        let question: Vec<Token> = pair
            .iter()
            .flatten()
            .copied()
            .filter(|&token| token != kexue_text::SEP)
            .take(30)
            .collect();
        questions.push((graph.vocabulary().decode(&question), question));
    }
    let (mut times, mut found) = (Vec::with_capacity(rounds), 0u64);
    for (_, question) in &questions {
        let started = Instant::now();
        graph.occurrences(question, &mut |range, handle| {
            black_box((range, handle));
            found += 1;
        })?;
        times.push(started.elapsed());
    }
    let mean = |found: u64| found as f64 / questions.len() as f64;
    report(&format!("subjects in 30 characters (mean {:.1})", mean(found)), times);

    let (mut times, mut found) = (Vec::with_capacity(rounds), 0u64);
    for (question, _) in &questions {
        let started = Instant::now();
        found += black_box(graph.mentions(question)?).len() as u64;
        times.push(started.elapsed());
    }
    report(&format!("mentions in 30 characters (mean {:.1})", mean(found)), times);

    let mut times = Vec::with_capacity(rounds);
    for &key in keys.iter().take(5_000) {
        let started = Instant::now();
        black_box(graph.fact(key)?);
        times.push(started.elapsed());
    }
    report("a fact with its objects", times);
    Ok(())
}
