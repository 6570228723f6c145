//! Exact rescoring. After the subject only few facts are left, so all of them are scored, in one call for all questions.

use crate::Result;
use crate::distribution::{Context, distribution, log_softmax};
use crate::explanation::explain;
use crate::logits::{AllLogits, LogitsAt, Wanted};
use crate::prompt::Facts;
use crate::rerank::{Evidence, Lookups, Reranker, Spelling};
use crate::state::{Found, Hypothesis, Search, State, best_first};
use kexue_nn::{Decoder, Node, Steps};
use kexue_trie::{Allowed, Token};
use std::ops::Range;
use std::sync::Arc;

/// A node of the tree of a subject's facts with more than one continuation.
struct Branch {
    range: Range<usize>,
    depth: usize,
    allowed: Allowed,
    /// The facts of each continuation, in the order of the distribution: the tokens first, and the terminal last.
    groups: Vec<Range<usize>>,
    logits: LogitsAt,
}

/// A subject of the beam and the tree of its facts.
struct Tree {
    state: usize,
    hypothesis: usize,
    facts: Arc<Facts>,
    branches: Vec<Branch>,
}

/// Replaces the hypotheses of each question with all facts of their subjects. The probability of a fact is the product of its choices'.
pub(crate) fn rescore(search: Search<'_>, decoder: &mut Decoder<'_>, states: &mut [State]) -> Result<()> {
    let (mut steps, mut wanted) = (decoder.steps(), Wanted::default());
    let mut trees = Vec::new();
    for (state_index, state) in states.iter_mut().enumerate() {
        for (hypothesis_index, hypothesis) in state.beam.iter_mut().enumerate() {
            let Some(subject) = hypothesis.subject.clone() else {
                continue;
            };
            let facts = state.prompt.facts(search.graph.index(), &subject)?;
            let mut tree = Tree {
                state: state_index,
                hypothesis: hypothesis_index,
                facts,
                branches: Vec::new(),
            };
            if tree.facts.len() > 1 {
                let node = hypothesis.compute(&mut steps);
                tree.plan(search, &mut steps, &mut wanted, node);
            }
            trees.push(tree);
        }
    }
    decoder.extend(&steps)?;
    let logits = wanted.compute(decoder)?;
    let mut evidence: Vec<Vec<Evidence>> = vec![Vec::new(); states.len()];
    let mut lookups: Vec<Lookups<'_>> = states.iter().map(|_| Lookups::default()).collect();
    for tree in &trees {
        let state = &mut states[tree.state];
        let found = tree.score(search, &logits, state);
        if let Some(reranker) = &search.options.reranker {
            let lookups = &mut lookups[tree.state];
            evidence[tree.state].extend(tree.evidence(search, reranker, state, &found, lookups));
        }
        state.result.found.extend(found);
    }
    if let Some(reranker) = &search.options.reranker {
        for (state, evidence) in states.iter_mut().zip(evidence) {
            weigh(reranker, state, evidence, search.keep_evidence);
        }
    }
    Ok(())
}

/// Replaces probabilities with those of learned rescoring.
fn weigh(reranker: &Reranker, state: &mut State, evidence: Vec<Evidence>, keep: bool) {
    let mut logits: Vec<f64> = evidence.iter().map(|evidence| reranker.logit(evidence)).collect();
    log_softmax(&mut logits);
    let best = logits.iter().zip(&evidence).max_by(|a, b| a.0.total_cmp(b.0));
    state.result.lacking = best.map_or(0.0, |(&log_probability, evidence)| {
        reranker.lacking(evidence, log_probability)
    });
    let found = &mut state.result.found;
    for (found, log_probability) in found.iter_mut().zip(logits) {
        found.log_probability = log_probability;
    }
    if keep {
        let mut both: Vec<(Found, Evidence)> = found.drain(..).zip(evidence).collect();
        both.sort_by(|a, b| best_first(&a.0, &b.0));
        (state.result.found, state.result.evidence) = both.into_iter().unzip();
    }
}

impl Tree {
    /// Finds the branches and adds the tokens that lead to them to the steps.
    fn plan(&mut self, search: Search<'_>, steps: &mut Steps, wanted: &mut Wanted, root: Node) {
        let mut open = vec![(0..self.facts.len(), 0, root)];
        while let Some((range, depth, node)) = open.pop() {
            let groups = self.groups(range.clone(), depth);
            for (token, group) in &groups {
                if let (Some(token), true) = (*token, group.len() > 1) {
                    open.push((group.clone(), depth + 1, steps.push(node, token)));
                }
            }
            if groups.len() > 1 {
                let (goes_on, ends_here): (Vec<_>, Vec<_>) = groups.into_iter().partition(|(token, _)| token.is_some());
                let allowed = Allowed {
                    tokens: goes_on.iter().filter_map(|(token, _)| *token).collect(),
                    terminal: ends_here.first().map(|(_, group)| self.facts.keys[group.start]),
                };
                let in_order = goes_on.into_iter().chain(ends_here);
                self.branches.push(Branch {
                    range,
                    depth,
                    logits: wanted.add(search.options, node, &allowed, true),
                    allowed,
                    groups: in_order.map(|(_, group)| group).collect(),
                });
            }
        }
    }

    /// Groups the facts of a range by their token at `depth`; the token is `None` for a fact that ends there.
    fn groups(&self, range: Range<usize>, depth: usize) -> Vec<(Option<Token>, Range<usize>)> {
        let mut groups: Vec<(Option<Token>, Range<usize>)> = Vec::new();
        for fact in range {
            let token = self.facts.suffix(fact).get(depth).copied();
            match groups.last_mut() {
                Some((last, group)) if *last == token => group.end = fact + 1,
                _ => groups.push((token, fact..fact + 1)),
            }
        }
        groups
    }

    /// The evidence for each fact.
    fn evidence<'s>(
        &self,
        search: Search<'s>,
        reranker: &'s Reranker,
        state: &State,
        found: &[Found],
        lookups: &mut Lookups<'s>,
    ) -> Vec<Evidence> {
        let hypothesis = &state.beam[self.hypothesis];
        let subject = hypothesis
            .subject
            .iter()
            .flat_map(|subject| subject.tokens.iter().copied());
        let subject: Vec<Token> = subject.collect();
        let before = hypothesis.log_probability;
        let spelling = Spelling::new(
            reranker,
            search.graph,
            &state.prompt,
            &subject,
            before,
            found.len(),
            lookups,
        );
        let of =
            |(fact, found): (usize, &Found)| spelling.evidence(self.facts.suffix(fact), found.log_probability - before);
        found.iter().enumerate().map(of).collect()
    }

    fn score(&self, search: Search<'_>, logits: &AllLogits, state: &mut State) -> Vec<Found> {
        let hypothesis: &Hypothesis = &state.beam[self.hypothesis];
        let mut log_probabilities = vec![hypothesis.log_probability; self.facts.len()];
        for branch in &self.branches {
            let Branch { groups, allowed, .. } = branch;
            let prefix = &self.facts.suffix(branch.range.start)[..branch.depth];
            let gains = search.options.looks_ahead().then(|| {
                self.facts
                    .gains(&state.prompt.lcs, prefix, branch.range.clone(), &allowed.tokens)
            });
            let context = Context {
                allowed,
                mentioned: &[],
                gains,
                logits: logits.of(branch.logits),
            };
            let distribution = distribution(search.options, &context);
            if search.explain {
                let subject = hypothesis.subject.iter().flat_map(|subject| subject.tokens.iter());
                let whole: Vec<Token> = subject.chain(prefix).copied().collect();
                let probability = log_probabilities[branch.range.start].exp();
                state
                    .result
                    .choices
                    .push(explain(search.graph, &whole, probability, allowed, &distribution));
            }
            for (group, log_probability) in groups.iter().zip(distribution.log_probabilities) {
                for fact in group.clone() {
                    log_probabilities[fact] += log_probability;
                }
            }
        }
        self.facts
            .keys
            .iter()
            .zip(log_probabilities)
            .map(|(&key, log_probability)| Found { key, log_probability })
            .collect()
    }
}
