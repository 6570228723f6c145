//! `GET /v1/complete`: completes a text while it is typed. First the name or an alias of a subject is completed, then a relation of that subject.

use crate::app::App;
use crate::body::Queried;
use crate::fault::Fault;
use crate::reply::json;
use crate::store::Snapshot;
use axum::extract::State;
use kexue_kg::{Alias, KgError, KnowledgeGraph};
use kexue_text::SEP;
use kexue_trie::{Allowed, Handle, PrefixIndex, Token};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Number of characters at the end of a text in which a name is looked for.
const LOOKED_AT: usize = 64;
/// Number of subjects that are compared, of which the shortest are returned.
const WEIGHED: usize = 128;
/// Maximum number of facts of a subject that are searched for relations.
const LOOKED_THROUGH: usize = 2000;
/// Maximum number of suggestions of a kind.
const MOST: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Query {
    prefix: String,
    limit: Option<usize>,
}

/// The suggestions for a text.
#[derive(Serialize)]
pub(crate) struct Completions {
    entities: Vec<Entity>,
    relations: Vec<Relation>,
}

#[derive(Serialize)]
struct Entity {
    /// The whole text with the name or alias completed.
    text: String,
    /// The subject.
    name: String,
    /// The alias of the subject that the text completes, if it is not the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
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
        return Err(Fault::out_of_range("limit", 1, MOST as u64));
    }
    if query.prefix.len() > app.settings.body {
        return Err(Fault::TooLarge(app.settings.body));
    }
    let found = app
        .look_up(move |snapshot| completions(snapshot, &query.prefix, limit))
        .await?;
    json(&found)
}

fn completions(snapshot: &Snapshot, text: &str, limit: usize) -> Result<Completions, Fault> {
    let graph = &snapshot.graph;
    let mut found = Completions {
        entities: Vec::new(),
        relations: Vec::new(),
    };
    let text = text.trim_start();
    for start in starts(text) {
        let (before, typed) = text.split_at(start);
        let begun = entities(graph, typed, limit).map_err(Fault::of_damage)?;
        if !begun.is_empty() {
            for subject in begun {
                found.entities.push(Entity {
                    text: format!("{before}{}", subject.alias.as_ref().unwrap_or(&subject.name)),
                    facts: graph.index().count(subject.at).map_err(Fault::of_damage)?,
                    name: subject.name,
                    alias: subject.alias,
                });
            }
            break;
        }
    }
    found.relations = relations(graph, text, limit).map_err(Fault::of_damage)?;
    Ok(found)
}

/// The places where a name may begin, in order: at the start of a word, or at any character of a script without spaces.
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

/// A subject whose name or alias begins with what was typed.
struct Begun {
    name: String,
    alias: Option<String>,
    /// The node of its facts.
    at: Handle,
    /// How many tokens or letters are missing.
    missing: usize,
}

/// The subjects with a name or an alias that begins with what was typed, the shortest first.
fn entities(graph: &KnowledgeGraph, typed: &str, limit: usize) -> Result<Vec<Begun>, KgError> {
    let mut begun = named(graph, typed, limit)?;
    let letters = typed.chars().count();
    for Alias { alias, subject } in graph.complete_alias(typed, limit)? {
        let key = [graph.vocabulary().encode(&subject), vec![SEP]].concat();
        let Some(at) = graph.index().find(&key)? else { continue };
        begun.extend(name_at(graph, at)?.map(|name| Begun {
            missing: alias.chars().count().saturating_sub(letters),
            name,
            alias: Some(alias),
            at,
        }));
    }
    // Names and aliases are each sorted already.
    begun.sort_by_key(|subject| subject.missing);
    begun.truncate(limit);
    Ok(begun)
}

/// The subjects whose name begins with what was typed, the shortest first; of the same length, those with the most facts first.
fn named(graph: &KnowledgeGraph, typed: &str, limit: usize) -> Result<Vec<Begun>, KgError> {
    let index = graph.index();
    let tokens = graph.vocabulary().encode(typed);
    // Something must be typed, and not beyond the end of the name.
    if tokens.is_empty() || tokens.contains(&SEP) {
        return Ok(Vec::new());
    }
    let Some(at) = index.find(&tokens)? else {
        return Ok(Vec::new());
    };
    let mut subjects = Vec::new();
    collect(index, at, 0, &mut subjects)?;
    subjects.sort_by_key(|&(missing, at)| (missing, index.count(at).map_or(0, |facts| u64::MAX - facts)));
    let mut found = Vec::new();
    for (missing, at) in subjects.into_iter().take(limit) {
        found.extend(name_at(graph, at)?.map(|name| Begun {
            name,
            alias: None,
            at,
            missing,
        }));
    }
    Ok(found)
}

/// The name of the subject with its facts at a node, as the first of them spells it: a vocabulary may fold case.
fn name_at(graph: &KnowledgeGraph, at: Handle) -> Result<Option<String>, KgError> {
    let mut key = None;
    graph.index().completions(at, &mut |_, first| {
        key = Some(first);
        ControlFlow::Break(())
    })?;
    key.map(|key| Ok(graph.fact(key)?.subject)).transpose()
}

/// Collects the subjects below a node of the index: how many tokens each is longer, and the node of its facts.
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

/// The relations of the last subject in the text that begin with what follows its name.
fn relations(graph: &KnowledgeGraph, text: &str, limit: usize) -> Result<Vec<Relation>, KgError> {
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
