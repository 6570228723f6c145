//! Fine-tuning from end to end on a toy task: it learns, resumes exactly, and each method does what it says.

use kexue_nn::{Classifier, InferencePrecision, Model, NormPlacement, Positions, Pretrained, TransformerConfig};
use kexue_optim::{BitMask, Parameters};
use kexue_text::{PretrainedTokenizer, Vocabulary};
use kexue_train::{Loss, Task, TrainSettings, generator};
use kexue_tune::{
    Columns, Cpu, Dataset, Example, Examples, FisherKind, Format, Labels, Masking, Measure, Method, Start, TuneConfig,
    TuneResult, TuneSettings, TuneTask, TuneWorkspace, Tuned, child, fisher, kept_shares, logits, measure, tune,
};
use std::path::Path;
use std::sync::atomic::AtomicBool;

fn start() -> Start {
    let vocabulary = Vocabulary::new("abcdefgh".chars(), false);
    let config = TransformerConfig {
        d_model: 16,
        layers: 2,
        heads: 2,
        d_ffn: 32,
        dropout: 0.1,
        norm_placement: NormPlacement::Post,
        positions: Positions::Learned,
        max_positions: 16,
        token_types: 2,
        ..TransformerConfig::new(vocabulary.len())
    };
    let model = Model::new(config, &mut generator(7, 0, 0)).unwrap();
    Start {
        pretrained: Pretrained::new(model),
        tokenizer: PretrainedTokenizer::try_from(&vocabulary).unwrap(),
    }
}

/// Pairs of letters. The label says whether the first comes before the second.
fn examples(file: &str) -> Examples {
    let letters = ["a", "b", "c", "d"];
    let pairs = letters.iter().flat_map(|a| letters.iter().map(move |b| (*a, *b)));
    let example = |(at, (a, b)): (usize, (&str, &str))| Example {
        line: at + 1,
        text: a.to_owned(),
        second: Some(b.to_owned()),
        label: Some(if a < b { "less" } else { "not" }.to_owned()),
    };
    Examples {
        file: file.to_owned(),
        label: "label".to_owned(),
        examples: pairs.enumerate().map(example).collect(),
    }
}

fn data(start: &Start) -> (Labels, Dataset) {
    let examples = examples("train.tsv");
    let labels = Labels::classes_of(&examples).unwrap();
    let dataset = Dataset::encode(&examples, &labels, &start.tokenizer, 16).unwrap();
    (labels, dataset)
}

fn config(start: &Start, labels: &Labels, method: &str, steps: u64) -> TuneConfig {
    TuneConfig {
        version: "1".to_owned(),
        model: start.pretrained.model.config().clone(),
        train: TrainSettings {
            steps,
            batch_size: 8,
            shards: 2,
            learning_rate: 5e-3,
            warmup: 5,
            average: 0.0,
            validate_every: steps.div_ceil(4),
            ..TrainSettings::default()
        },
        finetune: TuneSettings {
            start: "model".to_owned(),
            training: "train.tsv".to_owned(),
            held_out: None,
            hold_out: 10,
            columns: Columns {
                format: Some(Format::Tsv),
                header: true,
                text: "a".to_owned(),
                second: Some("b".to_owned()),
                label: "label".to_owned(),
                unlabelled: None,
            },
            labels: labels.names().to_vec(),
            measures: vec![Measure::Accuracy, Measure::F1],
            length: 16,
            method: method.parse().unwrap(),
            fisher: FisherKind::Samples,
            fisher_samples: 1000,
            masked_decay: true,
        },
    }
}

fn run(start: &Start, config: &TuneConfig, data: &Dataset, folder: &Path, interrupt: bool) -> Option<TuneResult> {
    tune(start, config, data, data, folder, &Cpu, &AtomicBool::new(interrupt)).unwrap()
}

#[test]
fn it_learns_and_the_saved_model_says_the_same_again() {
    let start = start();
    let (labels, data) = data(&start);
    let folder = tempfile::tempdir().unwrap();
    let config = config(&start, &labels, "none", 160);
    let result = run(&start, &config, &data, folder.path(), false).unwrap();
    assert!(result.best["accuracy"] > 90.0, "{result:?}");
    assert_eq!(result.curve.len(), 4);

    let tuned = Tuned::open(folder.path(), InferencePrecision::Single).unwrap();
    let found = measure(
        &logits(&tuned.model, &data.examples).unwrap(),
        &data.examples,
        &labels,
        &config.finetune.measures,
    );
    for metric in &found {
        assert_eq!(metric.value, result.best[&metric.name], "{}", metric.name);
    }
    // A finished run is not trained again.
    let bytes = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    assert_eq!(run(&start, &config, &data, folder.path(), false).unwrap(), result);
    assert_eq!(std::fs::read(folder.path().join("model.safetensors")).unwrap(), bytes);
    // The files for `transformers` exist.
    let text = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
    for expected in [
        "BertForSequenceClassification",
        "\"less\": 0",
        "single_label_classification",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(folder.path().join("tokenizer.json").exists());
}

#[test]
fn every_method_resumes_as_if_it_had_not_been_interrupted() {
    let start = start();
    let (labels, data) = data(&start);
    for method in [
        "child-f:0.3",
        "child-d:0.3",
        "update-dropout:0.5",
        "r-drop:1+fgm:0.5+layer-lr:0.9",
    ] {
        let config = config(&start, &labels, method, 8);
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let whole = run(&start, &config, &data, folders[0].path(), false).unwrap();
        // Interrupted after every step.
        let mut steps = 0;
        while run(&start, &config, &data, folders[1].path(), steps < 7).is_none() {
            steps += 1;
        }
        let parts = run(&start, &config, &data, folders[1].path(), false).unwrap();
        assert_eq!(parts, whole, "{method}");
        for name in ["model.safetensors", "metrics.jsonl", "config.toml"] {
            let [a, b] = folders
                .each_ref()
                .map(|folder| std::fs::read(folder.path().join(name)).unwrap());
            assert!(a == b, "{method}: {name}");
        }
        // The mask is in the checkpoint, so the training continues with the same mask without its file.
        assert_eq!(
            folders[0].path().join("mask.safetensors").exists(),
            method.starts_with("child-d")
        );
    }
}

#[test]
fn child_d_moves_what_its_mask_keeps_and_nothing_else() {
    let start = start();
    let (labels, data) = data(&start);
    let folder = tempfile::tempdir().unwrap();
    let config = config(&start, &labels, "child-d:0.3", 12);
    let result = run(&start, &config, &data, folder.path(), false).unwrap();
    let bytes = std::fs::read(folder.path().join("mask.safetensors")).unwrap();
    let mut random = generator(0, kexue_train::streams::WEIGHTS, 0);
    let fresh = Classifier::new(&start.pretrained, 2, &mut random);
    let mask = BitMask::load(&bytes, fresh.slots()).unwrap();
    let mut tuned = fresh.clone();
    tuned
        .load(&std::fs::read(folder.path().join("model.safetensors")).unwrap())
        .unwrap();
    let pairs = tuned.values().iter().zip(fresh.values());
    let moved: Vec<bool> = pairs.map(|(a, b)| a != b).collect();
    for (at, moved) in moved.iter().enumerate() {
        assert!(!moved || mask.keeps(at), "{at}");
    }
    assert!(moved.iter().filter(|moved| **moved).count() * 10 > mask.count() * 9);
    let kept: usize = result.kept.iter().map(|share| share.kept).sum();
    assert_eq!((kept, result.kept.len()), (mask.count(), 2 + 2 * 2));
    assert_eq!(result.kept, kept_shares(&mask, &tuned));
}

/// Fisher information, sample by sample, is the mean of the squares of gradients that are computed one by one.
#[test]
fn fisher_information_is_that_of_single_gradients() {
    let start = start();
    let (labels, data) = data(&start);
    let model = Classifier::new(&start.pretrained, 2, &mut generator(3, 0, 0));
    let task = |data| TuneTask {
        training: data,
        held_out: data,
        labels: &labels,
        measures: &[],
        method: Method {
            r_drop: 3.0,
            fgm: 1.0,
            ..Method::default()
        },
        has_segments: true,
    };
    let information = fisher(&task(&data), &model, FisherKind::Samples, 4, 1.0, 0);
    assert_eq!(information.gradients(), 16);
    let found = information.diagonal();
    // Without dropout, and without the method's additions to the loss.
    let mut config = start.pretrained.model.config().clone();
    config.dropout = 0.0;
    let plain = Model::with_values(config, start.pretrained.model.values().to_vec())
        .unwrap()
        .unwrap();
    let plain = Classifier::new(&Pretrained::new(plain), 2, &mut generator(3, 0, 0));
    let mut expected = vec![0.0f64; found.len()];
    let single = TuneTask {
        method: Method::default(),
        ..task(&data)
    };
    for example in 0..16 {
        let mut gradient = vec![0.0; found.len()];
        let mut random = generator(0, 0, 0);
        let batch = single.batch(&[example], 0, &mut random).unwrap();
        single
            .loss(
                &plain,
                &batch,
                &mut random,
                &mut TuneWorkspace::default(),
                &mut gradient,
            )
            .unwrap();
        expected
            .iter_mut()
            .zip(gradient)
            .for_each(|(sum, g)| *sum += f64::from(g).powi(2) / 16.0);
    }
    for (found, expected) in found.iter().zip(&expected) {
        assert!(
            (f64::from(*found) - expected).abs() <= 1e-5 * expected + 1e-12,
            "{found} {expected}"
        );
    }
    // The authors' variant: four batches, whose gradients have norms of at most 1. The embeddings do not compete.
    let theirs = fisher(&task(&data), &model, FisherKind::Authors, 4, 1.0, 0);
    assert_eq!(theirs.gradients(), 4);
    assert!(theirs.diagonal().iter().map(|&square| f64::from(square)).sum::<f64>() <= 1.0 + 1e-5);
    let shares = kept_shares(&child(&theirs, FisherKind::Authors, 0.3, &model), &model);
    let share = |part: &str| {
        let share = shares.iter().find(|share| share.part == part).unwrap();
        share.kept as f64 / share.parameters as f64
    };
    assert_eq!((share("embeddings"), share("head")), (1.0, 1.0));
    assert!(share("layer 0 attention") < 1.0);
    let ours = child(&information, FisherKind::Samples, 0.3, &model);
    assert_eq!(ours.count(), (0.3f32 as f64 * found.len() as f64).round() as usize);
}

/// The gradients of R-Drop and FGM are those of the losses that they minimise.
#[test]
fn gradients_of_the_switches_agree_with_finite_differences() {
    let start = start();
    let (labels, data) = data(&start);
    for (method, r_drop) in [("r-drop:2", 2.0), ("none", 0.0)] {
        let task = TuneTask {
            training: &data,
            held_out: &data,
            labels: &labels,
            measures: &[],
            method: method.parse().unwrap(),
            has_segments: true,
        };
        let mut model = Classifier::new(&start.pretrained, 2, &mut generator(3, 0, 0));
        // Initial heads are small.
        let head = model.head();
        model.values_mut()[head].iter_mut().for_each(|value| *value *= 5.0);
        let of = |model: &Classifier, gradient: &mut [f32]| -> f64 {
            let mut random = generator(1, 2, 3);
            let batch = task.batch(&[0, 5, 7], 0, &mut random).unwrap();
            let Loss { sum, also, .. } = task
                .loss(model, &batch, &mut random, &mut TuneWorkspace::default(), gradient)
                .unwrap();
            sum + r_drop * also.iter().map(|(_, sum, _)| sum).sum::<f64>()
        };
        let size = model.slots().size();
        let mut gradient = vec![0.0; size];
        of(&model, &mut gradient);
        for slot in model.slots().to_vec() {
            let part = &gradient[slot.range.clone()];
            let squares: f64 = part.iter().map(|&g| f64::from(g).powi(2)).sum();
            let length = squares.sqrt();
            if length < 1e-3 {
                continue;
            }
            let moved = |step: f64| {
                let mut model = model.clone();
                let values = model.values_mut()[slot.range.clone()].iter_mut();
                values
                    .zip(part)
                    .for_each(|(value, g)| *value += (step * f64::from(*g) / length) as f32);
                of(&model, &mut vec![0.0; size])
            };
            let numeric = (moved(2e-3) - moved(-2e-3)) / 4e-3;
            assert!(
                (numeric / length - 1.0).abs() < 2e-2,
                "{method} {}: {numeric}, not {length}",
                slot.name
            );
        }
    }
}

#[test]
fn fgm_looks_where_the_loss_is_larger() {
    let start = start();
    let (labels, data) = data(&start);
    let model = Classifier::new(&start.pretrained, 2, &mut generator(3, 0, 0));
    let losses = |fgm: f32| {
        let task = TuneTask {
            training: &data,
            held_out: &data,
            labels: &labels,
            measures: &[],
            method: Method {
                fgm,
                ..Method::default()
            },
            has_segments: true,
        };
        let mut random = generator(1, 2, 3);
        let batch = task.batch(&[0, 5, 7, 9], 0, &mut random).unwrap();
        let mut gradient = vec![0.0; model.slots().size()];
        let loss = task
            .loss(
                &model,
                &batch,
                &mut random,
                &mut TuneWorkspace::default(),
                &mut gradient,
            )
            .unwrap();
        let adversarial = loss
            .also
            .iter()
            .find(|(name, ..)| name == "adversarial_loss")
            .map(|(_, sum, _)| *sum);
        (loss.sum, adversarial, gradient)
    };
    let (plain, none, gradient) = losses(0.0);
    let (same, adversarial, both) = losses(2.0);
    assert_eq!((plain, none), (same, None));
    assert!(adversarial.unwrap() > plain && both != gradient);
}

#[test]
fn a_folder_of_something_else_is_told() {
    let start = start();
    let (labels, data) = data(&start);
    let folder = tempfile::tempdir().unwrap();
    let error = || {
        Tuned::open(folder.path(), InferencePrecision::Single)
            .unwrap_err()
            .to_string()
    };
    assert!(error().contains("holds no config.toml; give the folder of a run of kexue finetune train"));
    let config = config(&start, &labels, "none", 2);
    run(&start, &config, &data, folder.path(), false).unwrap();
    for (name, expected) in [
        ("model.safetensors", "model.safetensors: "),
        ("tokenizer.json", "tokenizer.json: "),
        ("config.toml", "config.toml: "),
    ] {
        let path = folder.path().join(name);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(error().contains(expected), "{name}: {}", error());
        std::fs::write(&path, bytes).unwrap();
    }
    Tuned::open(folder.path(), InferencePrecision::Single).unwrap();
    assert_eq!(
        "child-d:0.3".parse::<Method>().unwrap().masking,
        Masking::TaskDriven(0.3)
    );
}
