//! `GET /v1/complete`: what a text that is being typed may become. First the name of a subject is completed, then a relation of that subject.

use crate::app::{App, damaged};
use crate::body::Queried;
use crate::fault::Fault;
use crate::store::Snapshot;
use axum::extract::State;
use kexue_kg::KnowledgeGraph;
use kexue_text::SEP;
use kexue_trie::{Allowed, Handle, PrefixIndex, Token};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Characters of a text that are looked at: its end.
const LOOKED_AT: usize = 64;
/// Subjects that are weighed, of which the shortest are shown.
const WEIGHED: usize = 128;
/// Facts of a subject that are looked through for relations.
const LOOKED_THROUGH: usize = 2000;
/// The most suggestions of a kind.
const MOST: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    prefix: String,
    limit: Option<usize>,
}

/// What a text may become.
#[derive(Serialize)]
pub(crate) struct Completions {
    entities: Vec<Entity>,
    relations: Vec<Relation>,
}

#[derive(Serialize)]
struct Entity {
    /// The whole text with the name completed.
    text: String,
    name: String,
    facts: u64,
}

#[derive(Serialize)]
struct Relation {
    /// The whole text with the relation completed.
    text: String,
    subject: String,
    relation: String,
}

pub(crate) async fn complete(
    State(app): State<Arc<App>>,
    Queried(query): Queried<Query>,
) -> Result<axum::response::Response, Fault> {
    let limit = query.limit.unwrap_or(8);
    if !(1..=MOST).contains(&limit) {
        return Err(Fault::invalid(
            "limit",
            format!("is not within 1 and {MOST}"),
            format!("不在 1 与 {MOST} 之间"),
        ));
    }
    if query.prefix.len() > app.settings.body {
        return Err(Fault::TooLarge(app.settings.body));
    }
    let found = app
        .look_up(move |snapshot| completions(snapshot, &query.prefix, limit))
        .await?;
    super::json(&found)
}

fn completions(snapshot: &Snapshot, text: &str, limit: usize) -> Result<Completions, Fault> {
    let graph = &snapshot.graph;
    let mut found = Completions {
        entities: Vec::new(),
        relations: Vec::new(),
    };
    let text = text.trim_start();
    for start in starts(text) {
        let typed = &text[start..];
        found.entities = entities(graph, typed, limit)
            .map_err(damaged)?
            .into_iter()
            .map(|(name, facts)| Entity {
                text: format!("{}{name}", &text[..start]),
                name,
                facts,
            })
            .collect();
        if !found.entities.is_empty() {
            break;
        }
    }
    found.relations = relations(graph, text, limit).map_err(damaged)?;
    Ok(found)
}

/// Where the name of a subject may begin: at the start of a word, or at any character of a script without spaces; the earliest first.
fn starts(text: &str) -> impl Iterator<Item = usize> + '_ {
    let skipped = text.chars().count().saturating_sub(LOOKED_AT);
    let mut before = None;
    text.char_indices()
        .filter(move |&(_, character)| {
            let joins = |c: char| c.is_alphanumeric() && c < '\u{2e80}';
            let inside = joins(character) && before.is_some_and(joins);
            before = Some(character);
            !inside && !character.is_whitespace()
        })
        .map(|(at, _)| at)
        .filter(move |&at| skipped == 0 || text[..at].chars().count() >= skipped)
}

/// The subjects whose names begin so, the shortest first, each with the number of its facts.
fn entities(graph: &KnowledgeGraph, typed: &str, limit: usize) -> Result<Vec<(String, u64)>, kexue_kg::KgError> {
    let index = graph.index();
    let tokens = graph.vocabulary().encode(typed);
    let Some(at) = index.find(&tokens)? else {
        return Ok(Vec::new());
    };
    // A name must have begun, and no more than that.
    if tokens.is_empty() || tokens.contains(&SEP) {
        return Ok(Vec::new());
    }
    let mut subjects = Vec::new();
    collect(index, at, 0, &mut subjects)?;
    subjects.sort_by_key(|&(longer, at)| (longer, index.count(at).map_or(0, |facts| u64::MAX - facts)));
    let mut found: Vec<(String, u64)> = Vec::new();
    for (_, at) in subjects.into_iter().take(limit) {
        let mut key = None;
        index.completions(at, &mut |_, first| {
            key = Some(first);
            ControlFlow::Break(())
        })?;
        if let Some(key) = key {
            found.push((graph.fact(key)?.subject, index.count(at)?));
        }
    }
    Ok(found)
}

/// The subjects below a place, in order: by how many tokens they are longer, and where their facts are.
fn collect(
    index: &dyn PrefixIndex,
    at: Handle,
    depth: usize,
    found: &mut Vec<(usize, Handle)>,
) -> Result<(), kexue_trie::Error> {
    let mut open: Vec<(usize, Handle)> = vec![(depth, at)];
    let mut allowed = Allowed::default();
    while let Some((depth, at)) = open.pop() {
        index.allowed(at, &mut allowed)?;
        let tokens: Vec<Token> = allowed.tokens.clone();
        for token in tokens.into_iter().rev() {
            let Some(next) = index.step(at, token)? else { continue };
            if token == SEP {
                found.push((depth, next));
            } else {
                open.push((depth + 1, next));
            }
        }
        if found.len() >= WEIGHED || open.len() > 64 * WEIGHED {
            break;
        }
    }
    Ok(())
}

/// Relations of the last subject that the text names, where what stands behind the name begins one.
fn relations(graph: &KnowledgeGraph, text: &str, limit: usize) -> Result<Vec<Relation>, kexue_kg::KgError> {
    let mentions = graph.mentions(text)?;
    let Some(mention) = mentions
        .into_iter()
        .max_by_key(|mention| (mention.bytes.end, mention.bytes.len()))
    else {
        return Ok(Vec::new());
    };
    let rest = &text[mention.bytes.end..];
    let begun = ["的", "'s", "’s", "之"]
        .iter()
        .find_map(|link| rest.trim_start().strip_prefix(link))
        .unwrap_or(rest)
        .trim_start();
    let kept = &text[..text.len() - begun.len()];
    let index = graph.index();
    let mut subject = mention.subject;
    subject.push(SEP);
    let Some(at) = index.find(&subject)? else {
        return Ok(Vec::new());
    };
    let mut keys = Vec::new();
    index.completions(at, &mut |_, key| {
        keys.push(key);
        match keys.len() < LOOKED_THROUGH {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    let begun = begun.to_lowercase();
    let mut found: Vec<Relation> = Vec::new();
    graph.visit_keys(&keys, &mut |_, fact| {
        let is_new = found.iter().all(|other| other.relation != fact.relation);
        if is_new && fact.relation.to_lowercase().starts_with(&begun) {
            found.push(Relation {
                text: format!("{kept}{}", fact.relation),
                subject: fact.subject,
                relation: fact.relation,
            });
        }
        match found.len() < limit {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    Ok(found)
}
