//! Short complete training runs.

use kexue_gan::data::Data;
use kexue_gan::normalizer::NormalizerSettings;
use kexue_gan::run::TrainedGan;
use kexue_gan::settings::{GanConfig, Preset};
use kexue_gan::task::GanTask;
use kexue_gan::toys::Toy;
use kexue_optim::Parameters;
use kexue_train::{RunConfig, Trainer, generator, prepare};
use std::path::Path;
use std::sync::atomic::AtomicBool;

fn config(normalizer: NormalizerSettings, steps: u64) -> GanConfig {
    let (mut model, mut gan) = (Preset::Mlp.model(), Preset::Mlp.gan());
    (model.width, model.layers) = (24, 2);
    (gan.critic_batch, gan.generator_batch, gan.samples) = (16, 24, 64);
    gan.critic_steps = 2;
    gan.normalizer = normalizer;
    GanConfig {
        version: "test".to_owned(),
        train: gan.train(3, steps, 10),
        model,
        gan,
    }
}

/// Trains in a folder; returns whether it was interrupted.
fn train(config: &GanConfig, folder: &Path, interrupted: bool) -> bool {
    config.validate().unwrap();
    let data = Data::of_toy(Toy::Ring);
    let task = GanTask::new(config, &data);
    let description = prepare(folder, config, &[]).unwrap();
    let groups = config.gan.groups();
    let trainer = Trainer::new(&task, task.model(), &config.train, &groups, folder, &description).unwrap();
    trainer.run(&AtomicBool::new(interrupted)).unwrap().interrupted
}

/// With the default settings, the samples reach the modes. With sixteen latents and a penalty of 10, they stay between them.
#[test]
#[ignore = "takes a minute"]
fn the_generator_reaches_the_modes_of_a_ring() {
    let mut gan = Preset::Mlp.gan();
    gan.normalizer = NormalizerSettings::GradientPenalty {
        weight: Preset::Mlp.penalty_weight(),
        one_sided: false,
    };
    let config = GanConfig {
        version: "test".to_owned(),
        train: gan.train(0, 2000, 2000),
        model: Preset::Mlp.model(),
        gan,
    };
    let folder = tempfile::tempdir().unwrap();
    assert!(!train(&config, folder.path(), false));
    let trained = TrainedGan::open(folder.path(), None).unwrap();
    let measured = kexue_gan::evaluate::evaluate(&trained, 2048, 0, None).unwrap();
    let (covered, modes) = measured.modes.unwrap();
    assert!(covered >= 6 && modes == 8, "{measured:?}");
}

#[test]
fn an_interrupted_training_ends_like_an_uninterrupted_one() {
    for normalizer in [
        NormalizerSettings::Gradient {},
        NormalizerSettings::Spectral {},
        NormalizerSettings::Clip { bound: 0.1 },
        NormalizerSettings::GradientPenalty {
            weight: 10.0,
            one_sided: true,
        },
    ] {
        let config = config(normalizer, 20);
        let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(!train(&config, whole.path(), false));
        // Interrupted after each of the first steps, both between the critic's steps and after the generator's.
        for _ in 0..7 {
            assert!(train(&config, parts.path(), true));
        }
        assert!(!train(&config, parts.path(), false));
        for name in ["model.safetensors", "checkpoint.bin", "metrics.jsonl", "report.html"] {
            let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(name)).unwrap();
            assert!(read(&whole) == read(&parts), "{normalizer:?}: {name}");
        }
        let report = std::fs::read_to_string(whole.path().join("report.html")).unwrap();
        for text in [
            "Samples (red)",
            "slope largest of pairs: last",
            "generator loss",
            "critic loss",
        ] {
            assert!(report.contains(text), "{text}");
        }
        let trained = TrainedGan::open(whole.path(), None).unwrap();
        let sample = |seed| trained.model.sample(10, &mut generator(seed, 0, 0));
        assert_eq!(sample(1), sample(1));
        assert_ne!(sample(1), sample(2));
        if let NormalizerSettings::Clip { bound } = normalizer {
            let critic = trained
                .model
                .slots()
                .iter()
                .filter(|slot| slot.name.starts_with("critic."));
            for slot in critic {
                assert!(
                    trained.model.values()[slot.range.clone()]
                        .iter()
                        .all(|v| v.abs() <= bound)
                );
            }
        }
    }
}

#[test]
fn shards_are_differentiated_side_by_side() {
    let mut config = config(NormalizerSettings::Gradient {}, 30);
    config.train.shards = 8;
    let weights = || {
        let folder = tempfile::tempdir().unwrap();
        assert!(!train(&config, folder.path(), false));
        std::fs::read(folder.path().join("model.safetensors")).unwrap()
    };
    assert!(weights() == weights());
}

#[test]
fn a_folder_that_is_no_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = |folder: &Path| TrainedGan::open(folder, None).err().unwrap().to_string();
    assert!(error(folder.path()).contains("config.toml"));
    let config = config(NormalizerSettings::Gradient {}, 2);
    train(&config, folder.path(), false);
    std::fs::write(folder.path().join("model.safetensors"), "damaged").unwrap();
    assert!(error(folder.path()).contains("model.safetensors"));
}
