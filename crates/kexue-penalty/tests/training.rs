//! Small training runs with penalties.

use kexue_grad::Activation;
use kexue_grad::inequality::MatrixNorm;
use kexue_nn::Distribution;
use kexue_optim::{Decay, Parameters};
use kexue_penalty::examples::Examples;
use kexue_penalty::network::{NetworkSettings, in_double};
use kexue_penalty::samples::{Summary, sides};
use kexue_penalty::survey::survey;
use kexue_penalty::task::{PenaltyConfig, PenaltySettings, PenaltyTask};
use kexue_train::{BatchSettings, Learner, Regularizer, TrainSettings, prepare, train};
use std::path::Path;
use std::sync::atomic::AtomicBool;

fn config(regularizer: Option<Regularizer>, by_differences: bool) -> PenaltyConfig {
    PenaltyConfig {
        version: "test".to_owned(),
        model: NetworkSettings {
            hidden: vec![12, 10],
            activation: Activation::Tanh,
            initial: Distribution::Xavier,
        },
        train: TrainSettings {
            steps: 30,
            batch_size: 8,
            shards: 1,
            learning_rate: 0.01,
            warmup: 0,
            decay: Decay::Constant,
            average: 0.0,
            validate_every: 10,
            ..TrainSettings::default()
        },
        penalty: PenaltySettings {
            data: "random".to_owned(),
            train_examples: 40,
            inputs: 6,
            classes: 3,
            measured: 10,
            regularizer,
            by_differences,
        },
    }
}

fn gradient(config: &PenaltyConfig, examples: &Examples, shards: usize) -> Vec<f32> {
    let network = config.model.build(examples.size(), examples.classes(), 1);
    let task = PenaltyTask::new(&config.penalty, examples, examples, &network).unwrap();
    let batches = BatchSettings {
        seed: 1,
        size: 8,
        shards,
    };
    let mut learner = Learner::new(&task, network, Vec::new(), batches);
    learner.gradient(0, true).unwrap();
    learner.last_gradient().to_vec()
}

#[test]
fn penalties_by_differences_agree_with_the_exact_ones() {
    let examples = Examples::random(40, 6, 3, 1);
    let plain = gradient(&config(None, false), &examples, 1);
    for regularizer in [
        Regularizer::InputGradient { weight: 0.5 },
        Regularizer::ParameterGradient { weight: 0.5 },
    ] {
        let exact = gradient(&config(Some(regularizer), false), &examples, 1);
        let differences = gradient(&config(Some(regularizer), true), &examples, 1);
        let largest = exact
            .iter()
            .zip(&plain)
            .fold(0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(largest > 1e-3);
        for (exact, differences) in exact.iter().zip(&differences) {
            assert!(
                (exact - differences).abs() <= 2e-3 * largest,
                "{regularizer}: {exact} {differences}"
            );
        }
    }
}

/// Threads that share nodes of Burn's graph lose steps of it now and then, so this is tried often.
#[test]
fn shards_are_differentiated_side_by_side() {
    let examples = Examples::random(40, 6, 3, 1);
    for regularizer in [None, Some(Regularizer::InputGradient { weight: 0.5 })] {
        let config = config(regularizer, false);
        let whole = gradient(&config, &examples, 1);
        for _ in 0..30 {
            for (whole, shards) in whole.iter().zip(gradient(&config, &examples, 8)) {
                assert!((whole - shards).abs() < 1e-5, "{whole} {shards}");
            }
        }
    }
}

#[test]
fn a_run_is_resumed_exactly_and_measures_both_sides() {
    let examples = Examples::random(40, 6, 3, 1);
    let config = config(Some(Regularizer::InputGradient { weight: 0.1 }), false);
    let run = |folder: &Path, interrupted: bool| {
        let network = config.model.build(6, 3, 0);
        let task = PenaltyTask::new(&config.penalty, &examples, &examples, &network).unwrap();
        assert_eq!(task.start().violations, 0);
        let description = prepare(folder, &config, &[]).unwrap();
        train(
            &task,
            network,
            &config.train,
            folder,
            &description,
            &AtomicBool::new(interrupted),
        )
        .unwrap()
    };
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let outcome = run(whole.path(), false);
    for _ in 0..3 {
        assert!(run(parts.path(), true).interrupted);
    }
    run(parts.path(), false);
    for name in ["model.safetensors", "checkpoint.bin", "metrics.jsonl", "report.html"] {
        let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(name)).unwrap();
        assert!(read(&whole) == read(&parts), "{name}");
    }
    let last = |name: &str| {
        outcome
            .records
            .iter()
            .rev()
            .find_map(|record| record.values.get(name))
            .copied()
    };
    assert_eq!(last("inequality.violations"), Some(0.0));
    assert!(last("inequality.slack").unwrap() >= 1.0);
    // The network that is checked is the one that was trained.
    let double = in_double(&outcome.model).unwrap();
    let summary = Summary::of(&sides(&double, &examples, 10, MatrixNorm::Spectral).unwrap());
    assert!((summary.input_gradient_square - last("gradient.input_square").unwrap()).abs() < 1e-9);
    assert_eq!((summary.layers.len(), outcome.model.slots().len()), (3, 6));
}

#[test]
fn frobenius_norms_are_looser_and_nothing_is_violated() {
    let spectral = survey(540, 4, MatrixNorm::Spectral).unwrap();
    let frobenius = survey(540, 4, MatrixNorm::Frobenius).unwrap();
    assert_eq!(spectral.len(), 54);
    for (spectral, frobenius) in spectral.iter().zip(&frobenius) {
        assert_eq!((spectral.violations, frobenius.violations), (0, 0));
        if let (Some(tight), Some(loose)) = (spectral.slack, frobenius.slack) {
            assert!(tight.median <= loose.median * (1.0 + 1e-9));
        }
    }
}
