//! Generating questions from templates and subjects: questions that the graph answers, and questions that it cannot answer.

use crate::templates::{SUBJECT, Template, Templates};
use crate::{Error, Gold, Question, Result, Wordings};
use kexue_kg::{KnowledgeGraph, split_sense};
use kexue_train::{generator, streams};
use kexue_trie::Key;
use rand::Rng;
use rand::seq::IndexedRandom;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::ControlFlow;

/// Stands for a relation in a template of a kind: any subject fits.
const ANY: &str = "*";
/// A subject has similar relations if it has this share of the relations that most of the others have.
const ALIKE: f64 = 0.5;

/// How many questions to generate, and how.
#[derive(Clone, Debug)]
pub struct ExpandOptions {
    /// Questions for each template.
    pub each: usize,
    /// Probability of a typing error in each word outside the subject.
    pub typos: f64,
    /// Seed of the random draws.
    pub seed: u64,
    /// Wordings that no question may have.
    pub except: Wordings,
}

/// The subjects of a graph by relation.
struct Subjects {
    keys: BTreeMap<String, Vec<Key>>,
    /// Subjects, without their senses, and their relations.
    relations: BTreeMap<String, BTreeSet<String>>,
}

impl Subjects {
    fn of(graph: &KnowledgeGraph) -> Result<Self> {
        let mut all = Vec::new();
        let index = graph.index();
        index.completions(index.root(), &mut |_, key| {
            all.push(key);
            ControlFlow::Continue(())
        })?;
        let mut subjects = Self {
            keys: BTreeMap::new(),
            relations: BTreeMap::new(),
        };
        for key in all {
            let fact = graph.fact(key)?;
            subjects
                .relations
                .entry(fact.subject)
                .or_default()
                .insert(fact.relation.clone());
            subjects.keys.entry(fact.relation).or_default().push(key);
        }
        Ok(subjects)
    }

    fn without_relation(&self, relation: &str) -> Vec<&str> {
        let lacks = self
            .relations
            .iter()
            .filter(|(_, relations)| !relations.contains(relation));
        lacks.map(|(name, _)| name.as_str()).collect()
    }

    /// The subjects that lack a relation but otherwise have relations similar to those of the subjects that have it.
    fn similar_without(&self, relation: &str) -> Vec<&str> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let mut having = 0;
        for relations in self.relations.values().filter(|relations| relations.contains(relation)) {
            having += 1;
            for other in relations.iter().filter(|other| *other != relation) {
                *counts.entry(other).or_default() += 1;
            }
        }
        let usual: Vec<&str> = counts
            .iter()
            .filter(|(_, count)| 2 * **count >= having)
            .map(|(name, _)| *name)
            .collect();
        let alike = |name: &&str| {
            let shared = usual
                .iter()
                .filter(|usual| self.relations[*name].contains(**usual))
                .count();
            !usual.is_empty() && shared as f64 >= ALIKE * usual.len() as f64
        };
        self.without_relation(relation).into_iter().filter(alike).collect()
    }
}

/// Generates lines `question ⇥ S ⇥ P ⇥ O`: fills each template with subjects of the graph that have its relation.
///
/// # Errors
/// If the graph is damaged, or has no fact of a relation that has templates.
pub fn expand(graph: &KnowledgeGraph, templates: &Templates, options: &ExpandOptions) -> Result<Vec<String>> {
    let subjects = Subjects::of(graph)?;
    let (mut lines, mut seen) = (Vec::new(), HashSet::new());
    for (number, template) in templates.lines.iter().enumerate() {
        let Template {
            kind: None, relation, ..
        } = template
        else {
            continue;
        };
        let keys = subjects.keys.get(relation).ok_or_else(|| no_fact(relation))?;
        let mut random = generator(options.seed, streams::TEMPLATES, number as u64);
        for &key in draw(keys, options.each, &mut random) {
            let fact = graph.fact(key)?;
            let Some(question) = wording(templates, template, &fact.subject, options, &mut random) else {
                continue;
            };
            let subject = fact.full_subject();
            let object = fact.objects.first().map_or("", String::as_str);
            let line = format!("{question}\t{subject}\t{relation}\t{object}");
            if seen.insert(line.clone()) {
                lines.push(line);
            }
        }
    }
    Ok(lines)
}

/// Generates lines `question ⇥ kind` that the graph has no answer to. A template of a kind is filled with subjects that have its relation (`*`:
/// with any subject). A template of a relation is filled with subjects that lack it; half of them have relations similar to those of the
/// subjects that have it. A question that is no more than a name is left out.
///
/// # Errors
/// If the graph is damaged, or has no fact of a relation that has templates.
pub fn expand_unanswerable(
    graph: &KnowledgeGraph,
    templates: &Templates,
    options: &ExpandOptions,
) -> Result<Vec<String>> {
    let subjects = Subjects::of(graph)?;
    let all: Vec<&str> = subjects.relations.keys().map(String::as_str).collect();
    let (mut lines, mut seen) = (Vec::new(), HashSet::new());
    let mut lacking: BTreeMap<&str, [Vec<&str>; 2]> = BTreeMap::new();
    for (number, template) in templates.lines.iter().enumerate() {
        let mut random = generator(options.seed, streams::TEMPLATES, number as u64);
        let relation = template.relation.as_str();
        let mut names: Vec<String> = Vec::new();
        match &template.kind {
            Some(_) if relation == ANY => {
                names.extend(
                    draw(&all, options.each, &mut random)
                        .into_iter()
                        .map(|name| (*name).to_owned()),
                );
            }
            Some(_) => {
                let keys = subjects.keys.get(relation).ok_or_else(|| no_fact(relation))?;
                for &key in draw(keys, options.each, &mut random) {
                    names.push(graph.fact(key)?.subject);
                }
            }
            None => {
                let [any, similar] = lacking
                    .entry(relation)
                    .or_insert_with(|| [subjects.without_relation(relation), subjects.similar_without(relation)]);
                let near = draw(similar, options.each.div_ceil(2), &mut random);
                let far = draw(any, options.each - near.len(), &mut random);
                names.extend(near.into_iter().chain(far).map(|name| (*name).to_owned()));
            }
        }
        for name in names {
            let Some(question) = wording(templates, template, &name, options, &mut random) else {
                continue;
            };
            if !is_name_alone(&question, &name) && seen.insert(question.clone()) {
                lines.push(format!("{question}\t{}", template.kind.as_deref().unwrap_or(relation)));
            }
        }
    }
    Ok(lines)
}

/// Generates lines `question ⇥ kind` that the graph has no answer to, from questions that it answers: replaces the subject with one that lacks
/// the relation, half of the time one whose other relations are similar. Questions that do not contain their subject's name are skipped.
///
/// # Errors
/// If the graph is damaged.
pub fn swap_subjects(graph: &KnowledgeGraph, questions: &[Question], options: &ExpandOptions) -> Result<Vec<String>> {
    let subjects = Subjects::of(graph)?;
    let mut lacking: BTreeMap<&str, [Vec<&str>; 2]> = BTreeMap::new();
    let (mut lines, mut seen) = (Vec::new(), HashSet::new());
    for (number, question) in questions.iter().enumerate() {
        let (name, relation) = match &question.gold {
            Gold::Fact { subject, relation, .. } => (split_sense(subject).0, relation.clone()),
            Gold::Answers { entity, .. } => {
                let facts = crate::gold_facts(graph, &question.gold)?;
                let Some((key, _)) = facts.first() else { continue };
                (entity.as_str(), graph.fact(*key)?.relation)
            }
            Gold::Unknown => continue,
        };
        let Some((relation, _)) = subjects.keys.get_key_value(&relation) else {
            continue;
        };
        if !question.text.contains(name)
            || options
                .except
                .contains(&question.text.replacen(name, &SUBJECT.to_string(), 1))
        {
            continue;
        }
        let [any, similar] = lacking
            .entry(relation)
            .or_insert_with(|| [subjects.without_relation(relation), subjects.similar_without(relation)]);
        let mut random = generator(options.seed, streams::TEMPLATES, number as u64);
        for _ in 0..options.each {
            let pool = if similar.is_empty() || random.random_bool(0.5) {
                &*any
            } else {
                &*similar
            };
            let Some(other) = pool.choose(&mut random) else { break };
            let text = question.text.replacen(name, other, 1);
            if !is_name_alone(&text, other) && seen.insert(text.clone()) {
                lines.push(format!("{text}\t{relation}"));
            }
        }
    }
    Ok(lines)
}

/// Whether a question is no more than a name. It asks for whatever the graph has of it, so the graph can answer it.
fn is_name_alone(question: &str, name: &str) -> bool {
    !question.replacen(name, "", 1).contains(char::is_alphanumeric)
}

fn no_fact(relation: &str) -> Error {
    Error::File {
        path: "the graph".into(),
        problem: format!("has no fact of the relation `{relation}`, which has templates"),
    }
}

/// Draws items at random, without repetition if there are enough.
fn draw<'a, T>(items: &'a [T], count: usize, random: &mut impl Rng) -> Vec<&'a T> {
    let mut drawn: Vec<&T> = items.choose_multiple(random, count).collect();
    while drawn.len() < count
        && let Some(item) = items.choose(random)
    {
        drawn.push(item);
    }
    drawn
}

/// Draws the wording of a question; `None` if it is one of the exceptions.
fn wording(
    templates: &Templates,
    template: &Template,
    subject: &str,
    options: &ExpandOptions,
    random: &mut impl Rng,
) -> Option<String> {
    let drawn = templates.draw(&template.pattern, random);
    let text = if options.typos > 0.0 {
        mistype(&drawn, options.typos, random)
    } else {
        drawn.clone()
    };
    let is_excepted = options.except.contains(&drawn) || options.except.contains(&text);
    (!is_excepted).then(|| text.replace(SUBJECT, subject))
}

/// Makes typing errors in words of four letters or more: two letters swapped, one doubled, or one left out.
fn mistype(text: &str, probability: f64, random: &mut impl Rng) -> String {
    let is_letter = |c: &char| c.is_ascii_alphabetic();
    let mut out = String::with_capacity(text.len());
    let mut word: Vec<char> = Vec::new();
    for character in text.chars().map(Some).chain([None]) {
        match character {
            Some(character) if is_letter(&character) => word.push(character),
            other => {
                if word.len() >= 4 && random.random_bool(probability) {
                    let at = random.random_range(1..word.len() - 1);
                    match random.random_range(0..3) {
                        0 => word.swap(at, at + 1),
                        1 => word.insert(at, word[at]),
                        _ => {
                            word.remove(at);
                        }
                    }
                }
                out.extend(word.drain(..));
                out.extend(other);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use kexue_kg::BuildOptions;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn graph() -> KnowledgeGraph {
        let mut triples = Vec::new();
        for name in ["France", "Germany", "Italy"] {
            triples.extend([(name, "capital", "x"), (name, "currency", "Euro"), (name, "area", "1")]);
        }
        triples.extend([
            ("Hong Kong", "currency", "Dollar"),
            ("Hong Kong", "area", "2"),
            ("Iron", "symbol", "Fe"),
        ]);
        KnowledgeGraph::from_triples(triples, &BuildOptions::default()).unwrap()
    }

    fn templates(text: &str) -> Templates {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.tsv");
        std::fs::write(&path, text).unwrap();
        Templates::read(&[path]).unwrap()
    }

    const OPTIONS: ExpandOptions = ExpandOptions {
        each: 4,
        typos: 0.0,
        seed: 1,
        except: Wordings::none(),
    };

    #[test]
    fn subjects_that_have_the_relation_answer_and_others_do_not() {
        let graph = graph();
        let templates =
            templates("capital\tcapital of {S}\nanthem\tcapital\tanthem of {S}\ncolour\t*\tcolour of {S}\n");
        let mut answered = expand(&graph, &templates, &OPTIONS).unwrap();
        answered.sort();
        assert_eq!(
            answered,
            ["France", "Germany", "Italy"].map(|name| format!("capital of {name}\t{name}\tcapital\tx"))
        );
        let unanswerable = expand_unanswerable(&graph, &templates, &OPTIONS).unwrap();
        let of = |kind: &str| -> BTreeSet<String> {
            let ending = format!("\t{kind}");
            unanswerable
                .iter()
                .filter_map(|line| Some(line.strip_suffix(&ending)?.to_owned()))
                .collect()
        };
        assert_eq!(
            of("capital"),
            ["Hong Kong", "Iron"].map(|name| format!("capital of {name}")).into()
        );
        assert_eq!(
            of("anthem"),
            ["France", "Germany", "Italy"]
                .map(|name| format!("anthem of {name}"))
                .into()
        );
        assert_eq!(of("colour").len(), 4);
    }

    #[test]
    fn a_name_alone_can_be_answered() {
        let templates = templates("capital\t{S}[?]\n");
        assert!(!expand(&graph(), &templates, &OPTIONS).unwrap().is_empty());
        assert!(expand_unanswerable(&graph(), &templates, &OPTIONS).unwrap().is_empty());
    }

    #[test]
    fn swapped_subjects_lack_the_relation() {
        let question = |text: &str, subject: &str| Question {
            line: 1,
            id: 0,
            text: text.to_owned(),
            gold: Gold::Fact {
                subject: subject.to_owned(),
                relation: "capital".to_owned(),
                object: None,
            },
        };
        let questions = [
            question("capital of France?", "France"),
            question("its capital?", "Germany"),
        ];
        let mut lines = swap_subjects(&graph(), &questions, &ExpandOptions { each: 20, ..OPTIONS }).unwrap();
        lines.sort();
        assert_eq!(lines, ["capital of Hong Kong?\tcapital", "capital of Iron?\tcapital"]);
    }

    #[test]
    fn excepted_wordings_are_dropped() {
        let templates = templates("capital\t(capital|chief city) of {S}[?]\n");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("except.tsv");
        std::fs::write(&path, "# tests\ncapital\tCapital of {S}!\n").unwrap();
        let mut except = Wordings::none();
        except.read(&path).unwrap();
        let options = |except| ExpandOptions {
            each: 100,
            except,
            ..OPTIONS
        };
        let all = expand(&graph(), &templates, &options(Wordings::none())).unwrap();
        let kept = expand(&graph(), &templates, &options(except.clone())).unwrap();
        assert!(all.iter().any(|line| line.starts_with("capital")));
        assert!(
            !kept.is_empty() && kept.iter().all(|line| line.starts_with("chief city")),
            "{kept:?}"
        );
        let question = Question {
            line: 1,
            id: 0,
            text: "capital of France".to_owned(),
            gold: Gold::Fact {
                subject: "France".to_owned(),
                relation: "capital".to_owned(),
                object: None,
            },
        };
        assert!(
            swap_subjects(&graph(), &[question], &options(except))
                .unwrap()
                .is_empty()
        );
        std::fs::write(&path, "capital\tcapital\n").unwrap();
        assert!(
            Wordings::none()
                .read(&path)
                .unwrap_err()
                .to_string()
                .contains(":1: the wording")
        );
    }

    fn data(name: &str) -> std::path::PathBuf {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("data/default")
            .join(name)
    }

    /// The relations of all templates are the embedded graph's, and no question made from them has a wording of the test.
    #[test]
    fn no_test_wording_is_trained_on() {
        let (graph, _) = crate::embedded().unwrap();
        let training = Templates::read(&["templates.tsv", "patterns.tsv"].map(data)).unwrap();
        let mut except = Wordings::none();
        except.read(&data("test_templates.tsv")).unwrap();
        let options = ExpandOptions {
            each: 20,
            except: except.clone(),
            ..OPTIONS
        };
        let lines = expand(&graph, &training, &options).unwrap();
        assert!(lines.len() > 20_000, "{}", lines.len());
        for line in lines {
            let fields: Vec<&str> = line.split('\t').collect();
            let wording = fields[0].replacen(split_sense(fields[1]).0, &SUBJECT.to_string(), 1);
            assert!(!except.contains(&wording), "{line}");
        }
    }

    /// The kinds of unanswerable questions for training and for fitting are different, and all can be made on the embedded graph.
    #[test]
    fn kinds_are_apart() {
        let (graph, _) = crate::embedded().unwrap();
        let [train, fit, test] = ["train", "fit", "test"].map(|part| {
            let name = format!("unanswerable_{part}.tsv");
            let mut templates = Templates::read(&["patterns.tsv", name.as_str()].map(data)).unwrap();
            templates.lines.retain(|template| template.kind.is_some());
            let lines = expand_unanswerable(&graph, &templates, &OPTIONS).unwrap();
            let kinds: BTreeSet<String> = lines
                .iter()
                .map(|line| line.split_once('\t').unwrap().1.to_owned())
                .collect();
            assert_eq!(
                kinds,
                templates.lines.iter().filter_map(|line| line.kind.clone()).collect()
            );
            kinds
        });
        assert!(train.is_disjoint(&fit));
        // The tests may be of known kinds; what is learned must not have their wordings.
        let name = data("unanswerable_test.tsv");
        let mut except = Wordings::none();
        except.read(&name).unwrap();
        let templates = Templates::read(&[name]).unwrap();
        let options = ExpandOptions { except, ..OPTIONS };
        let left = expand_unanswerable(&graph, &templates, &options).unwrap();
        assert!(left.is_empty(), "{left:?}");
        assert!(test.len() >= 40, "{}", test.len());
    }

    #[test]
    fn typing_errors_leave_short_words_and_the_subject_alone() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..100 {
            let text = mistype(&format!("is the capital of {SUBJECT} big"), 1.0, &mut random);
            assert!(
                text.starts_with("is the c") && text.ends_with(&format!(" of {SUBJECT} big")),
                "{text}"
            );
            assert_eq!(text.split(' ').count(), 6);
        }
        assert_eq!(mistype("capital", 0.0, &mut random), "capital");
    }
}
