//! Recomputes the averages of a leaderboard, and says which columns made them.
//!
//! `cargo run -p kexue --example check_a_leaderboard examples/data/leaderboard.csv`

use kexue::rank::check::{Options, check};
use kexue::rank::{Mean, Selection, read};
use std::path::PathBuf;

/// Where no file is given: the average leaves the last column out.
const TABLE: &str = "System,Reading,Arithmetic,Common sense,Average\nBeacon,88.1,84.7,61.3,86.4\nGull,86.9,83.5,64.8,85.2\nPeople,87.2,82.6,93.5,84.9\n";

/// Runs the example.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = std::env::args().nth(1).map(PathBuf::from).filter(|path| path.exists());
    let (name, bytes) = match given {
        Some(path) => (path.to_string_lossy().into_owned(), std::fs::read(&path)?),
        None => ("table.csv".to_owned(), TABLE.as_bytes().to_vec()),
    };
    let table = read::read_bytes(&name, &bytes, &read::Options::default())?;

    // What is printed: which rule reproduces it?
    let found = check(&table, &Options::default())?;
    for claim in &found.claims {
        for rule in &claim.rules {
            println!("printed average: {:?} of {} columns", rule.formula, rule.columns.len());
        }
    }

    // Over equal columns: who is first by which mean?
    let scores = table.select(&Selection::default())?;
    for mean in [Mean::ARITHMETIC, Mean::GEOMETRIC, Mean::HARMONIC] {
        let ranks = scores.ranks(&scores.means(mean)?);
        let first = ranks.iter().position(|&rank| rank == 1).ok_or("somebody is first")?;
        println!("first by the {mean}: {}", scores.systems[first]);
    }
    Ok(())
}
