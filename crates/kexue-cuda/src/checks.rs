//! Compares a device with the CPU for every option of the configuration: the emulator everywhere, and a GPU if there is one.

use crate::classifier_run::{ClassifierRun, fisher_on};
use crate::cuda::Gpu;
use crate::emulator::Emulator;
use crate::program::Program;
use crate::run::DeviceRun;
use crate::{Device, DeviceModel, Engine, Precision, Shard};
use kexue_lm::{MlmSettings, MlmTask};
use kexue_nn::{
    Activation, AttentionScale, Choice, Classifier, Decoder, Head, HeadTape, InferencePrecision, Initializer,
    LogitScale, Mask, Model, Node, NormKind, NormPlacement, PackedBatch, Parametrization, Positions, Prediction,
    Pretrained, StdConvention, Tape, Token, TransformerConfig,
};
use kexue_optim::{BitMask, Parameters, SlotGroup};
use kexue_qa::{Answer, AskOptions, ask, embedded};
use kexue_text::{Corpus, TextEncoder, VocabularyBuilder};
use kexue_train::{Accelerator, Objective, Record, Task, TrainSettings, train_on};
use kexue_tune::{ChildSettings, Dataset, Encoded, FisherKind, Labels, Measure, Method, TuneTask, fisher};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The device of a check.
#[derive(Clone, Copy, PartialEq)]
enum On {
    Emulator,
    Gpu,
}

impl On {
    /// `None`, with a message, if the device is missing.
    fn engine(self, model: &Model, precision: Precision) -> Option<Engine> {
        self.open(model, precision, true)
    }

    /// The model on the device, for inference.
    fn copy(self, model: &Model, precision: Precision) -> Option<Arc<DeviceModel>> {
        Some(Arc::new(DeviceModel::on(self.open(model, precision, false)?)))
    }

    fn open(self, model: &Model, precision: Precision, is_for_training: bool) -> Option<Engine> {
        match self {
            Self::Gpu => match Gpu::open(0) {
                Ok(_) => Some(Engine::open(Device::default(), model, precision, is_for_training).unwrap()),
                Err(problem) => {
                    eprintln!("skipped: {problem}");
                    None
                }
            },
            Self::Emulator => {
                let program = Program::new(model.config(), model.layout(), precision).unwrap();
                let Some(machine) = Emulator::new(&program.source) else {
                    eprintln!("skipped: no C++ compiler for the emulator");
                    return None;
                };
                Some(Engine::on(Box::new(machine), program, model, precision, is_for_training).unwrap())
            }
        }
    }
}

/// A model, with its name in messages.
struct Case {
    name: &'static str,
    model: Model,
}

fn case(name: &'static str, change: impl FnOnce(&mut TransformerConfig)) -> Case {
    let mut config = TransformerConfig {
        d_model: 24,
        layers: 2,
        heads: 3,
        d_ffn: 40,
        dropout: 0.25,
        head: Head::DenseNorm,
        initializer: Initializer::truncated_normal(0.3, StdConvention::Effective),
        ..TransformerConfig::new(61)
    };
    change(&mut config);
    let model = Model::new(config, &mut ChaCha8Rng::seed_from_u64(3)).unwrap();
    Case { name, model }
}

fn learned(config: &mut TransformerConfig) {
    config.positions = Positions::Learned;
    config.max_positions = 200;
}

/// Every option of the configuration at least once.
fn cases() -> Vec<Case> {
    vec![
        case("pre", |_| ()),
        case("post, learned positions, segments, BERT's scale of norms", |config| {
            learned(config);
            config.token_types = 2;
            config.norm_placement = NormPlacement::Post;
            config.norm_epsilon = 1e-12;
        }),
        case("DeepNorm, entropy-invariant, ReLU, RMS norm", |config| {
            config.norm_placement = NormPlacement::DeepNorm;
            config.attention_scale = AttentionScale::EntropyInvariant { base: 32.0 };
            config.activation = Activation::Relu;
            config.norm = NormKind::RmsNorm;
            config.head = Head::Bias;
        }),
        case("sandwich, GELU by tanh, no head", |config| {
            config.norm_placement = NormPlacement::Sandwich;
            config.activation = Activation::GeluTanh;
            config.head = Head::None;
            config.attention_scale = AttentionScale::EntropyInvariantKappa { kappa: 0.7 };
            config.logit_scale = LogitScale::InverseRootWidth;
        }),
        case("no norm, gates, NTK, heads of width 6", |config| {
            config.norm_placement = NormPlacement::None;
            config.gate = Some(0.6);
            config.parametrization = Parametrization::Ntk;
            config.heads = 4;
            config.logit_scale = LogitScale::InverseRootWidth;
            config.attention_scale = AttentionScale::Fixed { factor: 0.3 };
        }),
        case("sandwich with gates, heads of width 3, DeepNorm's head", |config| {
            learned(config);
            config.norm_placement = NormPlacement::Sandwich;
            config.gate = Some(1.1);
            config.heads = 8;
            config.dropout = 0.0;
            config.attention_scale = AttentionScale::InferenceClip { trained_length: 3 };
        }),
        case("heads of width 64 in a stream of 128", |config| {
            (config.d_model, config.heads, config.d_ffn) = (128, 2, 256);
            config.norm_placement = NormPlacement::Post;
            config.initializer = Initializer::truncated_normal(0.1, StdConvention::Effective);
        }),
    ]
}

/// Sequences with every kind of mask, several tiles long (two, on the emulator, which is slow).
fn batches(on: On, model: &Model, seed: u64) -> Vec<PackedBatch> {
    let [long, wide, last] = match on {
        On::Gpu => [150, 66, 131],
        On::Emulator => [67, 9, 20],
    };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let most = model.config().vocab_size as Token;
    let mut text = |length: usize| -> Vec<Token> { (0..length).map(|_| random.random_range(0..most)).collect() };
    let (mut one, mut other) = (PackedBatch::default(), PackedBatch::default());
    one.push(&text(long), Mask::unilm(long / 2));
    one.push(&text(3), Mask::CAUSAL);
    one.push(&text(wide), Mask::BIDIRECTIONAL);
    other.push(&text(1), Mask::BIDIRECTIONAL);
    other.push_pair(&text(20), &text(9), Mask::BIDIRECTIONAL.within(5));
    other.push_apart(&text(10), &text(7), 31, Mask::CAUSAL.within(6));
    other.push(&text(last), Mask::CAUSAL);
    vec![one, other]
}

fn predictions(batch: &PackedBatch, model: &Model, seed: u64) -> Vec<Prediction> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let vocabulary = model.config().vocab_size as Token;
    let mut one = |_| Prediction {
        row: random.random_range(0..batch.len()),
        token: random.random_range(0..vocabulary),
    };
    // Also several per row.
    (0..batch.len() / 5 + 1).map(&mut one).collect()
}

fn choices(batch: &PackedBatch, model: &Model, seed: u64) -> Vec<Choice> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let vocabulary = model.config().vocab_size as Token;
    let shared: Arc<[Token]> = (3..vocabulary).collect();
    let mut one = |at: usize| {
        let mut some: Vec<Token> = (0..vocabulary).filter(|_| random.random_bool(0.2)).collect();
        some.push(at as Token % 2);
        some.sort_unstable();
        some.dedup();
        let allowed: Arc<[Token]> = if at.is_multiple_of(3) {
            shared.clone()
        } else {
            some.into()
        };
        let bias = match at % 2 {
            0 => Vec::new(),
            _ => allowed.iter().map(|&token| (token as f32).sin()).collect(),
        };
        Choice {
            row: random.random_range(0..batch.len()),
            target: random.random_range(0..allowed.len()),
            allowed,
            bias,
        }
    };
    (0..batch.len() / 6 + 1).map(&mut one).collect()
}

enum Asked {
    Predictions(Vec<Prediction>),
    Choices(Vec<Choice>),
}

/// The sums over shards on the CPU: loss, correct predictions, gradient.
fn on_processor(model: &Model, batches: &[PackedBatch], asked: &[Asked], seed: u64) -> (f64, usize, Vec<f32>) {
    let (mut loss, mut right, mut gradient) = (0.0, 0, vec![0.0; model.layout().len()]);
    for (shard, (batch, asked)) in batches.iter().zip(asked).enumerate() {
        let mut tape = Tape::default();
        let mut random = generator(seed, shard);
        model.forward(batch, &mut tape, Some(&mut random));
        let mut d_hidden = vec![0.0; tape.hidden().len()];
        match asked {
            Asked::Predictions(predictions) => {
                let mut head = HeadTape::default();
                let (more, correct) =
                    model.prediction_loss(tape.hidden(), predictions, &mut head, &mut d_hidden, &mut gradient);
                (loss, right) = (loss + more, right + correct);
            }
            Asked::Choices(choices) => {
                loss += model.choice_loss(tape.hidden(), choices, &mut d_hidden, &mut gradient);
            }
        }
        model.backward(batch, &mut tape, &mut d_hidden, &mut gradient);
    }
    (loss, right, gradient)
}

/// A generator that has already drawn numbers, as when a batch has been made.
fn generator(seed: u64, shard: usize) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed + shard as u64);
    let drawn = 7 + 10 * shard;
    for _ in 0..drawn {
        random.random::<u32>();
    }
    random
}

fn on_device(engine: &mut Engine, batches: &[PackedBatch], asked: &[Asked], seed: u64) -> (f64, usize, Vec<f32>) {
    let random: Vec<ChaCha8Rng> = (0..batches.len()).map(|shard| generator(seed, shard)).collect();
    let shards: Vec<Shard<'_>> = batches
        .iter()
        .zip(asked)
        .zip(&random)
        .map(|((packed, asked), generator)| Shard {
            packed,
            objective: Some(match asked {
                Asked::Predictions(predictions) => Objective::Predictions(predictions),
                Asked::Choices(choices) => Objective::Choices(choices),
            }),
            generator: Some(generator),
        })
        .collect();
    let (loss, right) = engine.loss(&shards).unwrap();
    (loss, right, engine.gradient().unwrap())
}

fn largest(numbers: &[f32]) -> f32 {
    numbers.iter().fold(0.0, |most, x| most.max(x.abs()))
}

/// The largest difference, relative to the largest number.
fn relative(found: &[f32], expected: &[f32]) -> f32 {
    difference(found, expected) / largest(expected)
}

/// The largest difference; infinite if a number is NaN.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    let mut worst = 0.0f32;
    for (a, b) in found.iter().zip(expected) {
        let difference = (a - b).abs();
        // NaN counts as the largest difference.
        worst = if difference.is_nan() {
            f32::INFINITY
        } else {
            worst.max(difference)
        };
    }
    worst
}

/// The Euclidean length of the difference, relative to that of the expected numbers.
fn relative_length(found: &[f32], expected: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let pairs = found.iter().zip(expected);
    (pairs.map(|(a, b)| square(a - b)).sum::<f64>() / expected.iter().map(|x| square(*x)).sum::<f64>()).sqrt()
}

/// Compares losses and gradients, and names each parameter that differs. At lower precision, some numbers fall on the other side of a kink (ReLU), so
/// only the whole gradient is compared.
fn compare(
    problems: &mut Vec<String>,
    name: &str,
    model: &Model,
    found: &(f64, usize, Vec<f32>),
    expected: &(f64, usize, Vec<f32>),
    (precision, tolerance): (Precision, f32),
) {
    if precision != Precision::F32 {
        let length = relative_length(&found.2, &expected.2);
        let loss = (found.0 / expected.0 - 1.0).abs();
        println!("{name} in {precision}: gradient {length:.1e}, loss {loss:.1e}");
        // NaN fails the check.
        if !(length < f64::from(tolerance) && loss < 0.02 * f64::from(tolerance)) {
            problems.push(format!(
                "{name}: the gradient differs by {length:e}, the loss by {loss:e}"
            ));
        }
        return;
    }
    let loss = (found.0 / expected.0 - 1.0).abs();
    if loss.is_nan() || loss > f64::from(tolerance) {
        problems.push(format!("{name}: loss {} instead of {}", found.0, expected.0));
    }
    let mut worst = 0.0f32;
    // Gradients that are 0 except for rounding (that of the keys' bias, without rotation) have no meaningful relative error.
    let least = 1e-2 * largest(&expected.2);
    for slot in model.layout().slots() {
        let (found, expected) = (&found.2[slot.range.clone()], &expected.2[slot.range.clone()]);
        let difference = difference(found, expected) / largest(expected).max(least);
        worst = worst.max(difference);
        if difference > tolerance {
            problems.push(format!(
                "{name}: the gradient of {} differs by {difference:e}",
                slot.name
            ));
        }
    }
    println!(
        "{name}: worst gradient {worst:.1e}, loss {:.1e}",
        (found.0 / expected.0 - 1.0).abs()
    );
}

/// Checks the passes of some cases. A GPU runs them three times, the last time from a recording.
fn check_passes(on: On, precision: Precision, tolerance: f32, chosen: &[usize]) {
    let mut problems = Vec::new();
    let cases = cases().into_iter().enumerate();
    for (_, Case { name, model }) in cases.filter(|(index, _)| chosen.contains(index)) {
        let Some(mut engine) = on.engine(&model, precision) else {
            return;
        };
        let batches = batches(on, &model, 5);
        // Hidden states, without dropout.
        let mut tape = Tape::default();
        model.forward(&batches[0], &mut tape, None);
        let hidden = engine.hidden(&batches[0]).unwrap();
        let difference = relative(&hidden, tape.hidden());
        println!("{name}: hidden {difference:.1e}");
        if difference > tolerance.min(if precision == Precision::F32 { 1e-5 } else { 1.0 }) {
            problems.push(format!("{name}: hidden states differ by {difference:e}"));
        }
        let times = if on == On::Gpu { 3 } else { 1 };
        for seed in 0..times {
            let predicted: Vec<Asked> = batches
                .iter()
                .map(|batch| Asked::Predictions(predictions(batch, &model, 9)))
                .collect();
            let expected = on_processor(&model, &batches, &predicted, seed);
            let found = on_device(&mut engine, &batches, &predicted, seed);
            compare(&mut problems, name, &model, &found, &expected, (precision, tolerance));
            if precision == Precision::F32 && found.1 != expected.1 {
                problems.push(format!("{name}: {} right instead of {}", found.1, expected.1));
            }
            let chosen: Vec<Asked> = batches
                .iter()
                .map(|batch| Asked::Choices(choices(batch, &model, 9)))
                .collect();
            let expected = on_processor(&model, &batches, &chosen, seed);
            let found = on_device(&mut engine, &batches, &chosen, seed);
            compare(
                &mut problems,
                &format!("{name} (choices)"),
                &model,
                &found,
                &expected,
                (precision, tolerance),
            );
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

const ALL: &[usize] = &[0, 1, 2, 3, 4, 5, 6];

#[test]
fn the_emulator_computes_what_the_processor_does() {
    // The emulator is slow: these cases have every norm, gate, activation and kind of position.
    check_passes(On::Emulator, Precision::F32, 1e-4, &[1, 2, 5]);
}

#[test]
fn the_emulator_in_fewer_bits_is_near() {
    check_passes(On::Emulator, Precision::Tf32, 0.05, &[6]);
    check_passes(On::Emulator, Precision::Bf16, 0.1, &[6]);
}

#[test]
fn a_gpu_computes_what_the_processor_does() {
    check_passes(On::Gpu, Precision::F32, 1e-4, ALL);
}

#[test]
fn a_gpu_in_fewer_bits_is_near() {
    check_passes(On::Gpu, Precision::Tf32, 0.05, ALL);
    check_passes(On::Gpu, Precision::Bf16, 0.25, ALL);
}

/// Decodes trees under several prompts on the CPU and on a device, from two caches in turn, and compares hidden states and logits.
fn check_decoding(on: On, precision: Precision, tolerance: f32, chosen: &[usize]) {
    let mut problems = Vec::new();
    let cases = cases().into_iter().enumerate();
    for (_, Case { name, model }) in cases.filter(|(index, _)| chosen.contains(index)) {
        let Some(device) = on.copy(&model, precision) else {
            return;
        };
        let mut copy = model.clone();
        copy.set_device(device);
        let mut random = ChaCha8Rng::seed_from_u64(8);
        let vocabulary = model.config().vocab_size as Token;
        let [rounds, length] = match on {
            On::Gpu => [6, 90],
            On::Emulator => [3, 37],
        };
        let mut decoders: Vec<[Decoder<'_>; 2]> = (0..2).map(|_| [Decoder::new(&model), Decoder::new(&copy)]).collect();
        let mut worst = [0.0f32; 2];
        // The second time, a cleared cache is used again.
        for _ in 0..2 {
            let mut open: Vec<Vec<Node>> = Vec::new();
            for pair in &mut decoders {
                let prompts: Vec<Vec<Token>> = [length, 1, 9]
                    .map(|length| (0..length).map(|_| random.random_range(0..vocabulary)).collect())
                    .to_vec();
                let [here, there] = pair.each_mut().map(|decoder| {
                    decoder.clear();
                    decoder.prompts(prompts.iter().map(|prompt| &prompt[..])).unwrap()
                });
                assert_eq!(here, there);
                open.push(here);
            }
            for _ in 0..rounds {
                for (pair, open) in decoders.iter_mut().zip(&mut open) {
                    let mut steps = pair[0].steps();
                    for _ in 0..5 {
                        let parent = open[random.random_range(0..open.len())];
                        open.push(steps.push(parent, random.random_range(0..vocabulary)));
                    }
                    let pairs: Vec<(Node, Token)> = open
                        .iter()
                        .flat_map(|&node| [0, vocabulary / 2, vocabulary - 1].map(|token| (node, token)))
                        .collect();
                    let [here, there] = pair.each_mut().map(|decoder| {
                        decoder.extend(&steps).unwrap();
                        let hidden: Vec<f32> = open.iter().flat_map(|&node| decoder.hidden(node).unwrap()).collect();
                        let logits = decoder.logits(&pairs).unwrap();
                        [hidden, [logits, decoder.vocabulary_logits(open).unwrap()].concat()]
                    });
                    assert_eq!(here.each_ref().map(Vec::len), there.each_ref().map(Vec::len));
                    for (worst, (here, there)) in worst.iter_mut().zip(here.iter().zip(&there)) {
                        *worst = worst.max(relative(there, here));
                    }
                }
            }
        }
        println!(
            "{name} in {precision}, decoded: hidden {:.1e}, logits {:.1e}",
            worst[0], worst[1]
        );
        if !(worst[0] < tolerance && worst[1] < tolerance) {
            problems.push(format!("{name}: decoded states and logits differ by {worst:?}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_emulator_decodes_what_the_processor_does() {
    check_decoding(On::Emulator, Precision::F32, 1e-5, &[0, 1, 2, 4, 5]);
    check_decoding(On::Emulator, Precision::Bf16, 0.05, &[6]);
}

#[test]
fn a_gpu_decodes_what_the_processor_does() {
    check_decoding(On::Gpu, Precision::F32, 1e-5, ALL);
    check_decoding(On::Gpu, Precision::Bf16, 0.1, ALL);
}

/// Answers questions from the embedded graph on the CPU and on a device.
fn check_answers(on: On, questions: &[&str]) {
    let (graph, trained) = embedded().unwrap();
    let Some(device) = on.copy(&trained.model, Precision::F32) else {
        return;
    };
    let mut copy = trained.model.clone();
    copy.set_device(device);
    let options = AskOptions::new(trained.config.search.clone());
    let [here, there] = [&trained.model, &copy].map(|model| ask(&graph, model, &options, questions).unwrap());
    for (here, there) in here.iter().zip(&there) {
        assert_eq!(here.known, there.known, "{}", here.question);
        assert!((here.confidence - there.confidence).abs() < 1e-3, "{}", here.question);
        let fact = |answer: &Answer| {
            let best = answer.candidates.first()?;
            Some((best.subject.clone(), best.relation.clone(), best.objects.clone()))
        };
        assert_eq!(fact(here), fact(there), "{}", here.question);
    }
}

#[test]
fn the_emulator_answers_as_the_processor_does() {
    check_answers(On::Emulator, &["What is the capital of France?", "铁的原子序数是多少"]);
}

#[test]
fn a_gpu_answers_as_the_processor_does() {
    let (graph, _) = embedded().unwrap();
    let mut questions = Vec::new();
    let visited = graph.visit_facts(&mut |_, fact| {
        questions.push(format!("{} {}", fact.subject, fact.relation));
        ControlFlow::Continue(())
    });
    visited.unwrap();
    let questions: Vec<&str> = questions.iter().map(String::as_str).step_by(40).take(200).collect();
    check_answers(On::Gpu, &questions);
}

#[test]
fn what_does_not_fit_the_model_is_refused_before_the_device_computes() {
    let Case { model, .. } = case("learned positions", learned);
    let Some(device) = On::Emulator.copy(&model, Precision::F32) else {
        return;
    };
    let mut copy = model.clone();
    copy.set_device(device);
    let mut decoder = Decoder::new(&copy);
    let problem = decoder.prompts([&[61][..]]).unwrap_err().to_string();
    assert_eq!(problem, "token 61 is not in the vocabulary of 61 tokens");
    decoder.clear();
    let problem = decoder.prompts([&[1; 201][..]]).unwrap_err().to_string();
    assert_eq!(
        problem,
        "a sequence of 201 positions is longer than the model's 200 positions"
    );
    decoder.clear();
    let node = decoder.prompts([&[1, 2][..]]).unwrap()[0];
    assert!(decoder.logits(&[(node, 61)]).is_err() && decoder.logits(&[]).unwrap().is_empty());
    drop(decoder);
    // Nor is a model without its linear layers.
    let mut packed = model.clone();
    packed.keep_for_inference(InferencePrecision::Single);
    let program = Program::new(model.config(), model.layout(), Precision::F32).unwrap();
    let machine = Emulator::new(&program.source).unwrap();
    let engine = Engine::on(Box::new(machine), program, &packed, Precision::F32, false);
    let problem = engine.unwrap_err().to_string();
    assert!(problem.starts_with("model: was loaded for inference"), "{problem}");
    // Changed parameters are not those on the device.
    copy.values_mut()[0] += 1.0;
    assert!(copy.device().is_none());
}

/// Trains a masked language model on the CPU, on a device, and first on the device and then on the CPU.
fn check_runs(on: On, steps: u64) {
    let text: String = "甲乙丙丁戊己庚辛".chars().cycle().take(1500).collect();
    let documents = format!("== 1 ==\n{text}\n== 2 ==\n{text}\n");
    let mut builder = VocabularyBuilder::new();
    builder.count(&documents);
    let vocabulary = builder.build();
    let mut corpus = Corpus::default();
    corpus.read(documents.as_bytes(), &vocabulary).unwrap();
    let (training, held_out) = corpus.hold_out(2);
    let mlm = MlmSettings {
        length: 18,
        validate_on: 500,
        ..MlmSettings::default()
    };
    let task = MlmTask::new(mlm, vocabulary.special_tokens(), &training, &held_out).unwrap();
    let config = TransformerConfig {
        d_model: 32,
        layers: 2,
        heads: 2,
        d_ffn: 64,
        head: Head::DenseNorm,
        initializer: Initializer::truncated_normal(0.1, StdConvention::Effective),
        ..TransformerConfig::new(vocabulary.len())
    };
    let model = Model::new(config, &mut ChaCha8Rng::seed_from_u64(2)).unwrap();
    let settings = TrainSettings {
        steps,
        batch_size: 8,
        warmup: 4,
        learning_rate: 2e-3,
        average: 0.9,
        more_averages: vec![0.5],
        validate_every: steps / 4,
        groups: vec![
            SlotGroup::frozen("encoder.layer.0.attention.output.*".parse().unwrap()),
            SlotGroup::with_rate("embeddings.*".parse().unwrap(), 0.5),
        ],
        ..TrainSettings::default()
    };
    let run = |folder: &Path, is_on_device: bool, stop: bool| {
        let accelerator: Option<Box<dyn Accelerator<MlmTask<'_>>>> = match is_on_device {
            false => None,
            true => {
                let engine = on.engine(&model, Precision::F32)?;
                Some(Box::new(DeviceRun::on(engine, &settings).unwrap()))
            }
        };
        let interrupt = AtomicBool::new(stop);
        Some(train_on(accelerator, &task, model.clone(), &settings, folder, "", &interrupt).unwrap())
    };
    let [whole, device, mixed] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let Some(found) = run(device.path(), true, false) else {
        return;
    };
    let expected = run(whole.path(), false, false).unwrap();
    let losses = |records: &[Record]| -> Vec<f64> {
        records
            .iter()
            .filter_map(|record| record.values.get("loss").copied())
            .collect()
    };
    let pairs = losses(&found.records).into_iter().zip(losses(&expected.records));
    for (at, (found, expected)) in pairs.enumerate() {
        println!("record {at}: {found} {expected}");
        assert!(
            (found - expected).abs() < 1e-3,
            "record {at}: {found} instead of {expected}"
        );
    }
    assert_eq!(losses(&found.records).len(), losses(&expected.records).len());
    assert!(relative(found.model.values(), expected.model.values()) < 1e-2);
    // Frozen parameters stay.
    let frozen = model
        .layout()
        .slots()
        .iter()
        .find(|slot| slot.name == "encoder.layer.0.attention.output.dense.weight");
    let range = frozen.unwrap().range.clone();
    assert_eq!(found.model.values()[range.clone()], model.values()[range]);
    // From the device to the CPU.
    assert!(run(mixed.path(), true, true).unwrap().interrupted);
    let resumed = run(mixed.path(), false, false).unwrap();
    assert!(resumed.resumed == 1 && relative(resumed.model.values(), expected.model.values()) < 1e-2);
}

#[test]
fn a_run_on_the_emulator_is_that_of_the_processor() {
    check_runs(On::Emulator, 4);
}

#[test]
fn a_run_on_a_gpu_is_that_of_the_processor() {
    check_runs(On::Gpu, 100);
}

/// Fine-tunes with every method on the CPU and on a device.
fn check_tuning(on: On, steps: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let mut example = |_| {
        let length = random.random_range(3..20);
        Encoded {
            tokens: (0..length).map(|_| random.random_range(0..61)).collect(),
            second: length / 2,
            target: Some(random.random_range(0..3) as f32),
        }
    };
    let examples = Dataset {
        examples: (0..16).map(&mut example).collect(),
        cut: 0,
    };
    let labels = Labels::Classes(["a", "b", "c"].map(str::to_owned).to_vec());
    let folder = tempfile::tempdir().unwrap();
    let child = ChildSettings {
        mask_file: folder.path().join("mask.safetensors"),
        undivided: false,
        masked_decay: true,
    };
    for (positions, methods) in [
        (
            Positions::Learned,
            &["none", "child-f:0.3", "update-dropout:0.5", "r-drop:4+fgm:0.5"][..],
        ),
        (Positions::Rotary, &["child-d:0.3+layer-lr:0.8"]),
    ] {
        let Case { model, .. } = case("BERT or RoFormer", |config| {
            config.norm_placement = NormPlacement::Post;
            config.positions = positions;
            config.max_positions = if positions == Positions::Learned { 20 } else { 0 };
            config.token_types = 2;
        });
        let classifier = Classifier::new(&Pretrained::new(model), 3, &mut ChaCha8Rng::seed_from_u64(1));
        let mask = BitMask::from_fn(classifier.slots().size(), |at| at % 3 == 0);
        std::fs::write(&child.mask_file, mask.save(classifier.slots()).unwrap()).unwrap();
        if let Some(engine) = on.engine(classifier.model(), Precision::F32) {
            let task = TuneTask {
                training: &examples,
                held_out: &examples,
                labels: &labels,
                measures: &[Measure::Accuracy],
                method: Method::default(),
                has_segments: true,
            };
            let mut random = ChaCha8Rng::seed_from_u64(0);
            let mut samples = (0..examples.examples.len()).map(|at| task.batch(&[at], 0, &mut random).unwrap());
            let found = fisher_on(engine, &task, &classifier, &mut samples).unwrap();
            let expected = fisher(&task, &classifier, FisherKind::Samples, 1, 1.0, 0);
            assert_eq!(found.gradients(), expected.gradients());
            let differs = relative_length(&found.diagonal(), &expected.diagonal());
            println!("Fisher information differs by {differs:.1e}");
            assert!(differs < 1e-4);
        }
        for text in methods {
            let method: Method = text.parse().unwrap();
            let task = TuneTask {
                training: &examples,
                held_out: &examples,
                labels: &labels,
                measures: &[Measure::Accuracy],
                method,
                has_segments: true,
            };
            let mut settings = TrainSettings {
                steps,
                batch_size: 8,
                shards: 3,
                warmup: 2,
                learning_rate: 2e-3,
                max_gradient_norm: 0.1,
                validate_every: 1,
                ..TrainSettings::default()
            };
            // Frozen parameters move the positions of those after them in masks.
            settings.groups = vec![SlotGroup::frozen("encoder.layer.0.attention.output.*".parse().unwrap())];
            if text.starts_with("child-d") {
                settings.groups.clear();
            }
            let settings = method.settings(&settings, classifier.model().config(), &child);
            let run = |is_on_device: bool| {
                let folder = tempfile::tempdir().unwrap();
                let accelerator: Option<Box<dyn Accelerator<TuneTask<'_>>>> = match is_on_device {
                    false => None,
                    true => {
                        let engine = on.engine(classifier.model(), Precision::F32)?;
                        let run = DeviceRun::on(engine, &settings).unwrap();
                        Some(Box::new(ClassifierRun::of(run, &classifier)))
                    }
                };
                let interrupt = AtomicBool::new(false);
                let model = classifier.clone();
                Some(train_on(accelerator, &task, model, &settings, folder.path(), "", &interrupt).unwrap())
            };
            let Some(found) = run(true) else {
                return;
            };
            let expected = run(false).unwrap();
            for (found, expected) in found.records.iter().zip(&expected.records) {
                for name in ["loss", "divergence", "adversarial_loss", "held_out_loss"] {
                    let pair = [found, expected].map(|record| record.values.get(name).copied().unwrap_or(0.0));
                    assert!((pair[0] - pair[1]).abs() < 1e-3, "{text}, {name}: {pair:?}");
                }
            }
            // The gradient of the keys' bias is 0 except for rounding, which Adam turns into whole steps.
            let slots = classifier.slots().iter();
            let ranges: Vec<_> = slots
                .filter(|slot| !slot.name.ends_with("self.key.bias"))
                .map(|slot| slot.range.clone())
                .collect();
            let values = |of: &Classifier| -> Vec<f32> {
                let parts = ranges
                    .iter()
                    .flat_map(|range| of.values()[range.clone()].iter().copied());
                parts.collect()
            };
            let [start, found, expected] = [&classifier, &found.model, &expected.model].map(values);
            let moved = relative_length(&start, &expected);
            let differs = relative_length(&found, &expected);
            println!("{text}: parameters differ by {differs:.1e} after moving by {moved:.1e}");
            assert!(differs < 1e-2 * moved, "{text}: {differs} after {moved}");
        }
    }
}

#[test]
fn fine_tuning_on_the_emulator_is_that_of_the_processor() {
    check_tuning(On::Emulator, 3);
}

#[test]
fn fine_tuning_on_a_gpu_is_that_of_the_processor() {
    check_tuning(On::Gpu, 30);
}

#[test]
fn what_a_gpu_does_not_offer_is_named() {
    let refused = |change: &dyn Fn(&mut TransformerConfig)| {
        let mut config = TransformerConfig::new(30);
        change(&mut config);
        let layout = kexue_nn::Layout::new(&config);
        Program::new(&config, &layout, Precision::F32).unwrap_err().to_string()
    };
    assert!(
        refused(&|config| (config.d_model, config.heads) = (6, 1)).starts_with("d_model: 6 is not a multiple of 4")
    );
    assert!(refused(&|config| config.d_ffn = 7).starts_with("d_ffn: 7"));
    assert!(refused(&|config| config.heads = 1).starts_with("heads: heads of width 256 are wider than 192"));
}

#[test]
fn kernels_compile_where_nvrtc_is() {
    if !crate::compile::is_there() {
        eprintln!("skipped: libnvrtc was not found");
        return;
    }
    for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
        for Case { name, model } in cases() {
            let program = Program::new(model.config(), model.layout(), precision).unwrap();
            let code =
                crate::compile::compile_anew(&program.source, (9, 0)).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(code.starts_with(b"\x7fELF"));
        }
    }
}
