//! Training questions out of templates: `relation ⇥ template with {S}`.

use crate::{Error, Result};
use kexue_kg::KnowledgeGraph;
use kexue_train::{generator, streams};
use kexue_trie::Key;
use rand::seq::IndexedRandom;
use std::collections::BTreeMap;
use std::io::BufRead;
use std::ops::ControlFlow;
use std::path::Path;

/// Reads templates: relation and wordings.
///
/// # Errors
/// Names the line that is not `relation<tab>template with {S}`.
pub fn read_templates(path: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let mut templates: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (index, line) in kexue_kg::open_text(path)?.lines().enumerate() {
        let problem = |problem: String| Error::Line {
            path: path.to_path_buf(),
            line: index + 1,
            problem,
        };
        let line = line.map_err(|error| problem(format!("cannot be read: {error}")))?;
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match line.trim_end().split_once('\t') {
            Some((relation, template)) if template.contains("{S}") && !relation.is_empty() => {
                templates
                    .entry(relation.to_owned())
                    .or_default()
                    .push(template.to_owned());
            }
            _ => {
                return Err(problem(
                    "expected `relation<tab>template`, with {S} where the subject stands".to_owned(),
                ));
            }
        }
    }
    if templates.is_empty() {
        return Err(Error::File {
            path: path.to_path_buf(),
            problem: "holds no templates; expected lines `relation<tab>template`, with {S} where the subject stands"
                .to_owned(),
        });
    }
    Ok(templates)
}

/// Lines `question ⇥ S ⇥ P ⇥ O`: every template of a relation filled with `each` subjects of the graph, drawn by seed.
///
/// # Errors
/// When the graph is damaged, or has no fact of a relation that has templates.
pub fn expand(
    graph: &KnowledgeGraph,
    templates: &BTreeMap<String, Vec<String>>,
    each: usize,
    seed: u64,
) -> Result<Vec<String>> {
    let mut keys: BTreeMap<String, Vec<Key>> = templates.keys().map(|name| (name.clone(), Vec::new())).collect();
    let mut failed = None;
    let index = graph.index();
    index.completions(index.root(), &mut |_, key| match graph.fact(key) {
        Ok(fact) => {
            if let Some(keys) = keys.get_mut(&fact.relation) {
                keys.push(key);
            }
            ControlFlow::Continue(())
        }
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let mut lines = Vec::new();
    for (number, (relation, wordings)) in templates.iter().enumerate() {
        let keys = &keys[relation];
        if keys.is_empty() {
            let problem = format!("has no fact of relation `{relation}`, which has templates");
            return Err(Error::File {
                path: "the graph".into(),
                problem,
            });
        }
        let mut random = generator(seed, streams::TEMPLATES, number as u64);
        for wording in wordings {
            for &key in keys.choose_multiple(&mut random, each) {
                let fact = graph.fact(key)?;
                let subject = match &fact.sense {
                    Some(sense) => format!("{}（{sense}）", fact.subject),
                    None => fact.subject.clone(),
                };
                let question = wording.replace("{S}", &fact.subject);
                let object = fact.objects.first().map_or("", String::as_str);
                lines.push(format!("{question}\t{subject}\t{relation}\t{object}"));
            }
        }
    }
    Ok(lines)
}
