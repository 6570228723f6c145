//! Trains a model on questions about a graph of your own, and asks it.
//!
//! `cargo run --release -p kexue --example train_on_your_questions`

use kexue::nn::{Model, TransformerConfig};
use kexue::prelude::*;
use kexue::qa::{Case, QaSettings, QaTask, read_questions, tie};
use kexue::train::{TrainSettings, generator, streams, train};
use std::sync::atomic::AtomicBool;

/// Runs the example.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Ten towns, two relations, a question for each fact.
    let names: Vec<String> = "赤橙黄绿青蓝紫黑白灰"
        .chars()
        .map(|colour| format!("{colour}城"))
        .collect();
    let objects: Vec<(String, String)> = (0..10).map(|n| (format!("{n}万"), format!("{n}平方公里"))).collect();
    let (mut triples, mut questions) = (Vec::new(), String::new());
    for (name, (people, area)) in names.iter().zip(&objects) {
        triples.push((name.as_str(), "人口", people.as_str()));
        triples.push((name.as_str(), "面积", area.as_str()));
        questions += &format!("{name}有多少人？\t{name}\t人口\n{name}有多大？\t{name}\t面积\n");
    }
    // A token for every character of both.
    let mut counted = VocabularyBuilder::new();
    for text in names.iter().map(String::as_str).chain(["人口面积", &questions]) {
        counted.count(text);
    }
    let options = BuildOptions {
        vocabulary: Some(counted.build()),
        ..BuildOptions::default()
    };
    let graph = KnowledgeGraph::from_triples(triples, &options)?;

    let folder = std::env::temp_dir().join(format!("kexue-example-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("questions.tsv");
    std::fs::write(&path, &questions)?;
    let read = read_questions(&path, false)?;
    let (examples, _) = tie(&graph, &read)?;

    // Training: this one takes seconds, and `TrainSettings::default` is for tens of thousands of questions.
    let search = SearchOptions::default();
    let task = QaTask::new(
        &graph,
        QaSettings::default(),
        examples,
        Case::prepare(&graph, read)?,
        search.clone(),
    )?;
    let config = TransformerConfig {
        d_model: 32,
        layers: 1,
        heads: 2,
        d_ffn: 64,
        dropout: 0.0,
        ..TransformerConfig::new(graph.vocabulary().len())
    };
    let settings = TrainSettings {
        steps: 150,
        batch_size: 16,
        learning_rate: 5e-3,
        warmup: 10,
        average: 0.9,
        validate_every: 50,
        ..TrainSettings::default()
    };
    let model = Model::new(config, &mut generator(settings.seed, streams::WEIGHTS, 0))?;
    let outcome = train(&task, model, &settings, &folder, "towns", &AtomicBool::new(false))?;

    let options = AskOptions::new(search);
    let answers = ask(&graph, &outcome.model, &options, &["蓝城有多少人？"])?;
    println!("蓝城有多少人？ {}", answers[0].candidates[0].objects.join("; "));
    assert_eq!(answers[0].candidates[0].objects, ["5万"]);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
