//! Question answering as a training task.

use crate::catalog::Catalog;
use crate::dataset::Example;
use crate::evaluate::{Case, evaluate};
use crate::lcs::QuestionLcs;
use crate::options::SearchOptions;
use crate::prompt::{Facts, Mentions};
use crate::{Error, Result};
use kexue_kg::{FactOrder, KnowledgeGraph};
use kexue_nn::{Choice, Mask, Model, PackedBatch};
use kexue_text::{CLS, SEP};
use kexue_train::{Loss, Metric, Objective, Task, TrainError, TransformerBatch, TransformerWorkspace};
use kexue_trie::{Allowed, Token};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::{Hash as _, Hasher};
use std::ops::ControlFlow;
use std::sync::Arc;

/// What the softmax of the loss is taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossOver {
    /// The whole vocabulary, at every token of the answer (the ordinary cross-entropy).
    Vocabulary,
    /// The tokens that the index allows (constrained training).
    Allowed,
    /// As `Allowed`, but among the subjects that the question mentions.
    #[default]
    Mentioned,
}

/// How training questions are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QaSettings {
    /// What the softmax of the loss is taken over.
    pub loss_over: LossOver,
    /// Probability that a question is asked of another subject, and, if it names its relation, of another relation.
    pub swap: f32,
    /// Number of relations from elsewhere in the graph that are added to a subject's facts as wrong choices.
    pub negatives: usize,
    /// Added to the logit of a choice for each token by which it could lengthen the longest common subsequence with the question, both in
    /// training and in decoding ([`LookAhead::Added`](crate::LookAhead::Added)). The model then need not learn what spelling alone shows.
    pub lexical_prior: f32,
}

impl Default for QaSettings {
    fn default() -> Self {
        Self {
            loss_over: LossOver::default(),
            swap: 0.5,
            negatives: 8,
            lexical_prior: 0.0,
        }
    }
}

impl QaSettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// Names the invalid setting.
    pub fn validate(&self) -> std::result::Result<(), TrainError> {
        let problem = |field, problem: String| Err(TrainError::Setting { field, problem });
        if !(0.0..=1.0).contains(&self.swap) {
            return problem("swap", format!("must be a probability from 0 to 1, not {}", self.swap));
        }
        if self.negatives > 1000 {
            return problem("negatives", format!("must be at most 1000, not {}", self.negatives));
        }
        if self.lexical_prior != 0.0 && self.loss_over != LossOver::Mentioned {
            return problem("lexical_prior", "needs the loss over mentioned subjects".to_owned());
        }
        if !(self.lexical_prior >= 0.0 && self.lexical_prior.is_finite()) {
            return problem(
                "lexical_prior",
                format!("must be 0 or more, not {}", self.lexical_prior),
            );
        }
        Ok(())
    }
}

/// Question answering over a graph as a training task.
pub struct QaTask<'a> {
    graph: &'a KnowledgeGraph,
    settings: QaSettings,
    examples: Vec<Example>,
    catalog: Option<Catalog>,
    vocabulary: Arc<[Token]>,
    /// The first tokens of all answers, shared by all examples.
    root: Arc<[Token]>,
    validation: Vec<Case>,
    search: SearchOptions,
}

impl<'a> QaTask<'a> {
    /// Creates a task. Validation decodes the questions `validation` with the options `search`.
    ///
    /// # Errors
    /// If a setting is invalid, or the graph is damaged.
    pub fn new(
        graph: &'a KnowledgeGraph,
        settings: QaSettings,
        examples: Vec<Example>,
        validation: Vec<Case>,
        search: SearchOptions,
    ) -> Result<Self> {
        settings.validate()?;
        let catalog = if settings.swap > 0.0 || settings.negatives > 0 {
            Some(Catalog::new(graph)?)
        } else {
            None
        };
        let mut root = Allowed::default();
        graph.index().allowed(graph.index().root(), &mut root)?;
        Ok(Self {
            graph,
            settings,
            examples,
            catalog,
            vocabulary: (0..graph.vocabulary().len() as Token).collect(),
            root: root.tokens.into(),
            validation,
            search,
        })
    }

    /// The example as it is, or with its subject (and relation) swapped.
    fn vary(&self, example: &Example, generator: &mut ChaCha8Rng) -> Result<Example> {
        let unchanged = || Ok(example.clone());
        let Some(catalog) = &self.catalog else {
            return unchanged();
        };
        if !generator.random_bool(f64::from(self.settings.swap)) {
            return unchanged();
        }
        let parts: Vec<&[Token]> = example.path.split(|&token| token == SEP).collect();
        let [subject, second, third, ..] = parts[..] else {
            return unchanged();
        };
        let relation = match self.graph.order() {
            FactOrder::SubjectRelationSense => second,
            FactOrder::SubjectSenseRelation => third,
        };
        let mention = self.mentions(example)?.span(&example.path[..=subject.len()]);
        let Some(mention) = mention else {
            return unchanged();
        };
        let mut question = [
            example.question[..mention.start].to_vec(),
            example.question[mention.end..].to_vec(),
        ];
        // A relation of one token may occur there by chance.
        let literal = (relation.len() > 1)
            .then(|| (0..2).find_map(|side| Some((side, find(&question[side], relation)?))))
            .flatten()
            .filter(|_| generator.random_bool(0.5));
        let fact = match literal {
            Some(_) => catalog.any_fact(generator),
            None => catalog
                .relation_number(relation)
                .and_then(|number| catalog.fact_of_relation(number, generator)),
        };
        let Some(fact) = fact else { return unchanged() };
        if let Some((side, at)) = literal {
            question[side].splice(at..at + relation.len(), catalog.relation(fact.relation).iter().copied());
        }
        let question = [&question[0], catalog.subject(fact), &question[1]].concat();
        Ok(Example {
            question,
            path: catalog.path(fact),
        })
    }

    /// The subjects that an example's question mentions, as in decoding.
    fn mentions(&self, example: &Example) -> Result<Mentions> {
        Mentions::find(self.graph, &self.graph.vocabulary().decode(&example.question))
    }

    /// The choices along an example's path. The row of a choice is its position in the path.
    fn choices(&self, example: &Example, generator: &mut ChaCha8Rng) -> Result<Vec<Choice>> {
        if self.settings.loss_over == LossOver::Vocabulary {
            let choice = |(row, &token): (usize, &Token)| Choice {
                row,
                allowed: self.vocabulary.clone(),
                target: token as usize,
                bias: Vec::new(),
            };
            return Ok(example.path.iter().enumerate().map(choice).collect());
        }
        let prior = self.settings.lexical_prior;
        let mut choices = Vec::new();
        let mut add = |row: usize, allowed: Arc<[Token]>, gains: &dyn Fn(&[Token]) -> Vec<u32>| -> Result<()> {
            if allowed.len() > 1 {
                let outside = |_| Error::DeadEnd(self.graph.vocabulary().decode(&example.path[..row]));
                let target = allowed.binary_search(&example.path[row]).map_err(outside)?;
                let bias = match prior {
                    0.0 => Vec::new(),
                    _ => gains(&allowed).into_iter().map(|gain| prior * gain as f32).collect(),
                };
                choices.push(Choice {
                    row,
                    allowed,
                    target,
                    bias,
                });
            }
            Ok(())
        };
        let index = self.graph.index();
        let subject_end = example
            .path
            .iter()
            .position(|&token| token == SEP)
            .map_or(0, |at| at + 1);
        let (subject, suffix) = example.path.split_at(subject_end);
        let mentions = match self.settings.loss_over {
            LossOver::Mentioned => self.mentions(example)?,
            _ => Mentions::default(),
        };
        // The subject: among the mentioned ones if it is mentioned, else among all.
        let mut range = mentions.all();
        let through = subject
            .iter()
            .enumerate()
            .fold(range.clone(), |range, (depth, &token)| {
                mentions.narrow(range, depth, token)
            });
        let is_mentioned = !through.is_empty();
        let mut handle = index.root();
        for (at, &token) in subject.iter().enumerate() {
            if is_mentioned {
                let mut allowed = Vec::new();
                mentions.allowed(range.clone(), at, &mut allowed);
                add(at, allowed.into(), &|tokens| mentions.gains(range.clone(), at, tokens))?;
                range = mentions.narrow(range, at, token);
            } else if at == 0 {
                add(at, self.root.clone(), &|tokens| vec![0; tokens.len()])?;
            } else {
                let mut here = Allowed::default();
                index.allowed(handle, &mut here)?;
                add(at, here.tokens.into(), &|tokens| vec![0; tokens.len()])?;
            }
            let dead_end = || Error::DeadEnd(self.graph.vocabulary().decode(&example.path[..=at]));
            handle = index.step(handle, token)?.ok_or_else(dead_end)?;
        }
        // Relation and sense among the subject's facts and the added wrong ones.
        let mut rivals: Vec<Vec<Token>> = Vec::new();
        index.completions(handle, &mut |rival, _| {
            rivals.push(rival.to_vec());
            ControlFlow::Continue(())
        })?;
        self.add_negatives(example, suffix, &mut rivals, generator);
        rivals.sort_unstable();
        rivals.dedup();
        let lcs = QuestionLcs::new(&[&[CLS][..], &example.question, &[SEP]].concat());
        let mut facts = Facts::new(&lcs, subject);
        for rival in &rivals {
            facts.push(&lcs, rival, 0);
        }
        let mut range = 0..facts.len();
        for (depth, &token) in suffix.iter().enumerate() {
            let mut allowed: Vec<Token> = rivals[range.clone()]
                .iter()
                .filter_map(|rival| rival.get(depth).copied())
                .collect();
            allowed.dedup();
            let gains = |tokens: &[Token]| facts.gains(&lcs, &suffix[..depth], range.clone(), tokens);
            add(subject_end + depth, allowed.into(), &gains)?;
            range = facts.narrow(range.clone(), depth, token);
        }
        Ok(choices)
    }

    /// Adds relations that the subject does not have. Most of them share a token with the question or the right relation.
    fn add_negatives(
        &self,
        example: &Example,
        suffix: &[Token],
        rivals: &mut Vec<Vec<Token>>,
        generator: &mut ChaCha8Rng,
    ) {
        let Some(catalog) = &self.catalog else { return };
        // In the order subject, sense, relation the rivals have the right sense, in the other none.
        let (before, after): (usize, &[Token]) = match self.graph.order() {
            FactOrder::SubjectRelationSense => (0, &[SEP, SEP]),
            FactOrder::SubjectSenseRelation => (
                suffix.iter().position(|&token| token == SEP).map_or(0, |at| at + 1),
                &[SEP],
            ),
        };
        let relation = suffix[before..].split(|&token| token == SEP).next().unwrap_or_default();
        for _ in 0..self.settings.negatives {
            let holding = match generator.random_range(0..4) {
                0 => None,
                1 => example.question.choose(generator).copied(),
                _ => relation.choose(generator).copied(),
            };
            let Some(number) = catalog.any_relation(holding, generator) else {
                continue;
            };
            if catalog.relation(number) != relation {
                rivals.push([&suffix[..before], catalog.relation(number), after].concat());
            }
        }
    }

    fn make(&self, examples: &[usize], generator: &mut ChaCha8Rng) -> Result<QaBatch> {
        let mut batch = QaBatch {
            examples: examples.len(),
            ..QaBatch::default()
        };
        let mut sequence = Vec::new();
        for &example in examples {
            let example = self.vary(&self.examples[example], generator)?;
            sequence.clear();
            sequence.push(CLS);
            sequence.extend_from_slice(&example.question);
            sequence.push(SEP);
            let prefix = sequence.len();
            let here = self.choices(&example, generator)?;
            // The tokens after the last choice affect no loss.
            let last = here.last().map_or(0, |choice| choice.row);
            sequence.extend_from_slice(&example.path[..last]);
            let start = batch.packed.push(&sequence, Mask::unilm(prefix));
            batch.choices.extend(here.into_iter().map(|choice| Choice {
                row: start + prefix - 1 + choice.row,
                ..choice
            }));
        }
        batch.packed.set_outputs(batch.choices.iter().map(|choice| choice.row));
        Ok(batch)
    }
}

/// A batch: packed questions with their answers, and the choices along the answers.
#[derive(Default)]
pub struct QaBatch {
    examples: usize,
    packed: PackedBatch,
    choices: Vec<Choice>,
}

impl TransformerBatch for QaBatch {
    fn packed(&self) -> &PackedBatch {
        &self.packed
    }

    fn objective(&self) -> Objective<'_> {
        Objective::Choices(&self.choices)
    }

    fn loss(&self, sum: f64) -> Loss {
        Loss {
            sum,
            terms: self.examples as f64,
            items: self.packed.len(),
            also: Vec::new(),
        }
    }
}

impl Task for QaTask<'_> {
    type Model = Model;
    type Batch = QaBatch;
    type Workspace = TransformerWorkspace;

    const UNIT: &'static str = "tokens";

    fn examples(&self) -> usize {
        self.examples.len()
    }

    fn hash_examples(&self, mut hasher: &mut dyn Hasher) {
        self.examples.hash(&mut hasher);
    }

    fn workspace(&self, _: &Model) -> TransformerWorkspace {
        TransformerWorkspace::default()
    }

    fn batch(
        &self,
        examples: &[usize],
        _: u64,
        generator: &mut ChaCha8Rng,
    ) -> std::result::Result<QaBatch, TrainError> {
        self.make(examples, generator).map_err(TrainError::task)
    }

    fn loss(
        &self,
        model: &Model,
        batch: &QaBatch,
        generator: &mut ChaCha8Rng,
        workspace: &mut TransformerWorkspace,
        gradient: &mut [f32],
    ) -> std::result::Result<Loss, TrainError> {
        model.forward(&batch.packed, &mut workspace.tape, Some(generator));
        workspace.clear_d_hidden();
        let TransformerWorkspace { tape, d_hidden, .. } = workspace;
        let sum = model.choice_loss(tape.hidden(), &batch.choices, d_hidden, gradient);
        model.backward(&batch.packed, tape, d_hidden, gradient);
        Ok(batch.loss(sum))
    }

    fn validate(&self, model: &Model) -> std::result::Result<Vec<Metric>, TrainError> {
        if self.validation.is_empty() {
            return Ok(Vec::new());
        }
        let (scores, _) = evaluate(self.graph, model, &self.search, &self.validation).map_err(TrainError::task)?;
        let named = scores.as_named().into_iter();
        Ok(named.map(|(name, value)| Metric::maximized(name, value)).collect())
    }

    fn metadata(&self) -> HashMap<String, String> {
        HashMap::from([("format".to_owned(), "pt".to_owned())])
    }
}

fn find(haystack: &[Token], needle: &[Token]) -> Option<usize> {
    if needle.is_empty() {
        return None;
    }
    haystack.windows(needle.len()).position(|window| window == needle)
}
