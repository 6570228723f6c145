//! What a step of constrained decoding costs over random semantic IDs: 140 beams, masks and steps, at each of eight tokens.
//!
//! ```text
//! cargo run --release -p kexue-trie --example beam_speed -- items.trie 20000000 [VOCABULARY] [BEAMS]
//! ```
//!
//! The file is built where there is none. Each round walks other items, drawn at random, so that what it reads is mostly not in the
//! processor's caches. The file is read into large pages, or with MAPPED=1 in the environment mapped. Figures are microseconds for all beams, medians
//! and 99th percentiles of the rounds.

use kexue_trie::{Batch, PrefixIndex, SequenceSorter, Token, Trie};
use std::path::Path;
use std::time::Instant;

const LENGTH: usize = 8;
const ROUNDS: u64 = 400;

/// Item number `item`: eight tokens, drawn by SplitMix64.
fn item(number: u64, vocabulary: u64) -> [Token; LENGTH] {
    let mut state = number.wrapping_mul(0xd134_2543_de82_ef95);
    std::array::from_fn(|_| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % vocabulary) as Token
    })
}

fn percentile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * share) as usize]
}

fn resident_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: f64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(f64::NAN);
    kibibytes * 1024.0 / 1e6
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("name a file")?;
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (items, vocabulary, beams) = (number(20_000_000)?, number(2048)?, number(140)? as usize);
    let path = Path::new(&path);
    if !path.exists() {
        let start = Instant::now();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut sorter = SequenceSorter::new().spill_to(folder.unwrap_or(Path::new(".")).into(), 512 << 20);
        for number in 0..items {
            sorter.push(&item(number, vocabulary))?;
        }
        sorter.build(path)?;
        println!("built in {:.1} s", start.elapsed().as_secs_f64());
    }
    let trie = match std::env::var_os("MAPPED") {
        Some(_) => Trie::open(path)?,
        None => Trie::load(path)?,
    };
    println!(
        "{} sequences, {} nodes, {:.1} MB",
        trie.len(),
        trie.nodes(),
        std::fs::metadata(path)?.len() as f64 / 1e6
    );
    let batch = Batch::new(&trie, None);
    let words = vocabulary.div_ceil(32) as usize;
    let (mut masks, mut bytes) = (vec![0; words * beams], vec![0; vocabulary as usize * beams]);
    let (mut offsets, mut tokens) = (vec![0; beams + 1], vec![0; vocabulary as usize * beams]);
    let mut times = vec![[const { Vec::<f64>::new() }; 5]; LENGTH];
    let mut draw = 0u64;
    for round in 0..ROUNDS + 20 {
        let walks: Vec<[Token; LENGTH]> = (0..beams)
            .map(|_| {
                draw = draw
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                item((draw >> 11) % items, vocabulary)
            })
            .collect();
        // Each kind of mask on walks of its own, so that none finds what another has read in the caches.
        let kind = round % 3;
        let mut states = vec![batch.root(); beams];
        for (depth, times) in times.iter_mut().enumerate() {
            let chosen: Vec<i64> = walks.iter().map(|walk| walk[depth].into()).collect();
            let start = Instant::now();
            match kind {
                0 => batch.fill_bits(&states, words, &mut masks)?,
                1 => batch.fill_bytes(&states, vocabulary as usize, &mut bytes)?,
                _ => drop(batch.lists(&states, &mut offsets, &mut tokens)?),
            }
            let masked = start.elapsed().as_secs_f64() * 1e6;
            batch.step(&mut states, &chosen)?;
            let both = start.elapsed().as_secs_f64() * 1e6;
            if round >= 20 {
                times[kind as usize].push(masked);
                if kind == 0 {
                    times[3].push(both - masked);
                    times[4].push(both);
                }
            }
        }
        if states.contains(&kexue_trie::DEAD) {
            return Err("a walk left the trie".into());
        }
    }
    println!(
        "token  bit masks      byte masks     lists          step           bit masks and step, p50 p99 of {beams} beams (µs)"
    );
    for (depth, times) in times.iter_mut().enumerate() {
        print!("{:5}", depth + 1);
        for times in times {
            print!("  {:6.1} {:6.1}", percentile(times, 0.5), percentile(times, 0.99));
        }
        println!();
    }
    println!("{:.0} MB resident", resident_megabytes());
    Ok(())
}
