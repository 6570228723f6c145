//! Asks the embedded graph, and builds one of your own.
//!
//! `cargo run -p kexue --example ask_a_graph`

use kexue::prelude::*;

/// Runs the example.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The embedded graph and its model: countries and chemical elements.
    let (graph, trained) = embedded()?;
    let options = AskOptions::new(trained.config.search.clone());
    for answer in ask(
        &graph,
        &trained.model,
        &options,
        &["What is the capital of France?", "北京有多少人口？"],
    )? {
        match answer.candidates.first() {
            Some(best) if answer.known => println!("{} {}", answer.question, best.objects.join("; ")),
            // What comes closest is no answer.
            Some(best) => println!(
                "{} unknown; closest: {} · {}",
                answer.question, best.subject, best.relation
            ),
            None => println!("{} unknown", answer.question),
        }
    }

    // A graph of your own, in memory; `GraphBuilder` writes one to a file.
    let triples = [
        ("Dave", "phone", "555-0137"),
        ("Dave", "street", "6 Orchard Way"),
        ("Iris", "phone", "555-0199"),
    ];
    let options = BuildOptions {
        fold_case: true,
        ..BuildOptions::default()
    };
    let graph = KnowledgeGraph::from_triples(triples, &options)?;
    let key = graph.key_of("dave", "phone")?.ok_or("the fact was added")?;
    println!("{:?}", graph.fact(key)?);
    for mention in graph.mentions("what is the phone number of DAVE?")? {
        println!("mentions {}", graph.vocabulary().decode(&mention.subject));
    }
    println!("names like `Irish`: {:?}", graph.similar_names("Irish", 3)?);
    Ok(())
}
