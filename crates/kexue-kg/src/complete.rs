//! The facts that begin with a text.

use crate::error::KgError;
use crate::escape::unescape_name;
use crate::graph::KnowledgeGraph;
use crate::sense::split_sense;
use kexue_text::{SEP, Token};
use kexue_trie::{FactOrder, Key};
use std::ops::{ControlFlow, Range};

impl KnowledgeGraph {
    /// Finds the facts that begin with `prefix`: the keys of the first `limit`, and the total number. Tabs separate the parts of the prefix; the last
    /// part may be incomplete. The prefix is read in two ways: as the beginning of a key (subject, relation, sense in the order of the index), and
    /// as the beginning of a written fact (subject with its sense in full-width brackets, relation, and objects separated by ` | `). Tabs, line
    /// breaks and backslashes in names are [escaped](crate::escape_name). Facts found by key come first.
    ///
    /// # Errors
    /// If the index is damaged.
    pub fn complete(&self, prefix: &str, limit: u64) -> Result<(Vec<Key>, u64), KgError> {
        let index = self.index();
        let mut tokens = Vec::new();
        for (number, part) in prefix.split('\t').enumerate() {
            if number > 0 {
                tokens.push(SEP);
            }
            self.vocabulary().encode_into(&unescape_name(part), &mut tokens);
        }
        let mut keys = Vec::new();
        let mut begun = 0..0;
        if let Some(at) = index.find(&tokens)? {
            index.completions(at, &mut |_, key| {
                if keys.is_empty() {
                    begun.start = key;
                }
                if (keys.len() as u64) < limit {
                    keys.push(key);
                }
                match (keys.len() as u64) < limit {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })?;
            begun.end = begun.start + index.count(at)?;
        }
        let mut total = begun.end - begun.start;
        self.written_so(prefix, &begun, &mut |key| {
            total += 1;
            if (keys.len() as u64) < limit {
                keys.push(key);
            }
        })?;
        Ok((keys, total))
    }

    /// Visits the facts that begin with `prefix` when written, except those with the given keys.
    fn written_so(&self, prefix: &str, but: &Range<Key>, visit: &mut dyn FnMut(Key)) -> Result<(), KgError> {
        let mut parts = prefix.splitn(3, '\t');
        let subject = unescape_name(parts.next().unwrap_or_default());
        let (name, sense) = split_sense(&subject);
        let (relation, objects) = (parts.next().map(unescape_name), parts.next().map(unescape_name));
        let is_key = match self.order() {
            FactOrder::SubjectRelationSense => objects.is_none(),
            FactOrder::SubjectSenseRelation => relation.is_none(),
        };
        if sense.is_none() && is_key {
            return Ok(());
        }
        let index = self.index();
        let encode = |text: &str| self.vocabulary().encode(text);
        let Some(at) = index.find(&[encode(name), vec![SEP]].concat())? else {
            return Ok(());
        };
        let (sense, wanted) = (
            encode(sense.unwrap_or_default()),
            encode(relation.as_deref().unwrap_or_default()),
        );
        let mut found = Vec::new();
        index.completions(at, &mut |rest, key| {
            let mut parts = rest.split(|&token| token == SEP);
            let (first, second): (&[Token], &[Token]) =
                (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let (relation, own) = match self.order() {
                FactOrder::SubjectRelationSense => (first, second),
                FactOrder::SubjectSenseRelation => (second, first),
            };
            let begins = match objects {
                Some(_) => relation == wanted,
                None => relation.starts_with(&wanted),
            };
            if begins && own == sense && !but.contains(&key) {
                found.push(key);
            }
            ControlFlow::Continue(())
        })?;
        let Some(objects) = objects else {
            found.into_iter().for_each(visit);
            return Ok(());
        };
        self.visit_keys(&found, &mut |key, fact| {
            if fact.objects.join(" | ").starts_with(&*objects) {
                visit(key);
            }
            ControlFlow::Continue(())
        })
    }
}
