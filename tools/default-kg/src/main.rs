//! Regenerates the knowledge graph that is built into `kexue ask`, its test questions, and checks its templates.

mod cldr;
mod countries;
mod elements;
mod graph;
mod inverses;
mod questions;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use graph::Graph;

/// Where the tables of this program lie.
const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");
/// Where the generated files go.
const OUTPUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/kexue-qa/data/default");

fn main() -> Result<()> {
    let output = PathBuf::from(OUTPUT);
    let mut graph = Graph::default();
    countries::add(&mut graph, Path::new(TABLES))?;
    elements::add(&mut graph, Path::new(TABLES))?;
    inverses::add(&mut graph);
    add_names(&mut graph, "aliases.tsv")?;

    let training = table::read(&output.join("templates.tsv"), 2)?;
    let held_out = table::read(&output.join("test_templates.tsv"), 2)?;
    let unanswerable = std::fs::read_to_string(output.join("unanswerable.txt")).context("unanswerable.txt")?;
    questions::check(&graph, &training, &held_out)?;
    let test = questions::generate(&graph, &held_out);
    write(&output.join("test_questions.tsv"), &test)?;
    add_names(&mut graph, "short_names.tsv")?;
    write(&output.join("triples.tsv"), &graph.to_tsv())?;

    println!("facts: {} ({} bytes)", graph.facts().len(), graph.to_tsv().len());
    println!(
        "subjects: {}, relations: {}",
        graph.subjects().len(),
        graph.relations().len()
    );
    for (relation, count) in graph.relations() {
        let templates = |rows: &[Vec<String>]| rows.iter().filter(|row| row[0] == relation).count();
        println!(
            "  {relation}: {count} facts, {} + {} templates",
            templates(&training),
            templates(&held_out)
        );
    }
    println!("test questions: {}", test.lines().count());
    println!("unanswerable questions: {}", unanswerable.lines().count());
    Ok(())
}

/// Repeats facts under other names, as a table says.
fn add_names(graph: &mut Graph, table: &str) -> Result<()> {
    for row in &table::read(&Path::new(TABLES).join(table), 2)? {
        let copied = graph.add_alias(&row[0], &row[1]);
        ensure!(copied > 0, "{table}: no fact has the subject {:?}", row[0]);
    }
    Ok(())
}

/// Writes a file so that it appears whole.
fn write(path: &Path, text: &str) -> Result<()> {
    let temporary = path.with_extension("partial");
    std::fs::write(&temporary, text).with_context(|| format!("cannot write {}", temporary.display()))?;
    std::fs::rename(&temporary, path).with_context(|| format!("cannot write {}", path.display()))
}
