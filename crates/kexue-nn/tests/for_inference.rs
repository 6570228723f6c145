//! Models loaded for inference compute what models with all parameters do, and nothing else.
use kexue_nn::{
    Classifier, ClassifierTape, Encoder, Head, InferencePrecision, Mask, Model, NormPlacement, PackedBatch,
    Parametrization, Positions, Precision, Pretrained, Tape, TransformerConfig,
};
use kexue_optim::Parameters as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use tempfile::TempDir;

const PRECISIONS: [InferencePrecision; 3] = [
    InferencePrecision::Single,
    InferencePrecision::Half,
    InferencePrecision::Int8,
];

fn config(positions: Positions) -> TransformerConfig {
    TransformerConfig {
        d_model: 24,
        layers: 2,
        heads: 2,
        d_ffn: 40,
        positions,
        max_positions: if positions == Positions::Learned { 32 } else { 0 },
        token_types: 2,
        norm_placement: NormPlacement::Post,
        head: Head::DenseNorm,
        ..TransformerConfig::new(30)
    }
}

/// A model with random numbers everywhere, also in norms and biases.
fn model(positions: Positions) -> Model {
    let mut generator = ChaCha8Rng::seed_from_u64(5);
    let mut model = Model::new(config(positions), &mut generator).unwrap();
    for value in model.values_mut() {
        *value += generator.random_range(-0.3..0.3);
    }
    model
}

fn saved(model: &Model, precision: Precision) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    Pretrained::new(model.clone()).save(folder.path(), precision).unwrap();
    folder
}

fn batch() -> PackedBatch {
    let mut batch = PackedBatch::default();
    for length in [5, 1, 9, 17] {
        let tokens: Vec<u32> = (0..length).map(|at| (at * 7 + length) % 30).collect();
        batch.push(&tokens, Mask::BIDIRECTIONAL);
    }
    batch
}

fn run(model: &Model) -> Vec<f32> {
    Encoder::new(2).run(model, &batch()).unwrap().to_vec()
}

#[test]
fn it_computes_the_same_bits_as_the_whole_model() {
    for positions in [Positions::Learned, Positions::Rotary] {
        let folder = saved(&model(positions), Precision::Single);
        for precision in PRECISIONS {
            let mut whole = Pretrained::load(folder.path()).unwrap().model;
            whole.set_inference_precision(precision);
            let only = Pretrained::load_for_inference(folder.path(), precision).unwrap().model;
            assert!(only.is_for_inference() && !whole.is_for_inference());
            assert_eq!(run(&only), run(&whole), "{positions:?} {precision:?}");
            // The linear layers of the blocks are not in memory twice.
            let blocks = 2 * (4 * 24 * 24 + 4 * 24 + 2 * 24 * 40 + 40 + 24);
            assert_eq!(only.values().len() + blocks, whole.values().len());
            assert_eq!(only.embedding(7), whole.embedding(7));
            // One that was loaded with all of them becomes the same.
            let expected = run(&whole);
            whole.keep_for_inference(precision);
            assert!(whole.is_for_inference());
            assert_eq!(whole.values(), only.values());
            assert_eq!(run(&whole), expected);
        }
    }
}

#[test]
fn the_training_pass_runs_forward() {
    let model = model(Positions::Learned);
    let folder = saved(&model, Precision::Single);
    let only = Pretrained::load_for_inference(folder.path(), InferencePrecision::Single)
        .unwrap()
        .model;
    let (mut a, mut b) = (Tape::default(), Tape::default());
    model.forward(&batch(), &mut a, None);
    only.forward(&batch(), &mut b, None);
    for (a, b) in a.hidden().iter().zip(b.hidden()) {
        assert!((a - b).abs() < 1e-5);
    }
}

/// A file of 16 bits is loaded without rounding anything again.
#[test]
fn sixteen_bits_from_a_file_of_sixteen_bits_lose_nothing() {
    let folder = saved(&model(Positions::Learned), Precision::Half);
    let load = |precision| Pretrained::load_for_inference(folder.path(), precision).unwrap().model;
    assert_eq!(
        run(&load(InferencePrecision::Half)),
        run(&load(InferencePrecision::Single))
    );
}

#[test]
fn sixteen_bits_are_close() {
    let mut model = model(Positions::Rotary);
    let exact = run(&model);
    model.set_inference_precision(InferencePrecision::Half);
    let size = |numbers: &[f32]| numbers.iter().map(|x| x * x).sum::<f32>().sqrt();
    let rounded = run(&model);
    let differences: Vec<f32> = exact.iter().zip(&rounded).map(|(a, b)| a - b).collect();
    let relative = size(&differences) / size(&exact);
    assert!(relative > 1e-7 && relative < 1e-3, "{relative}");
}

/// A factor of the weights, which is not in the file.
#[test]
fn the_parametrization_is_applied() {
    let ntk = TransformerConfig {
        parametrization: Parametrization::Ntk,
        head: Head::None,
        ..config(Positions::Rotary)
    };
    let mut model = Model::new(ntk.clone(), &mut ChaCha8Rng::seed_from_u64(1)).unwrap();
    let classifier =
        |model: &Model| Classifier::new(&Pretrained::new(model.clone()), 2, &mut ChaCha8Rng::seed_from_u64(2));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    // A classifier's file, because `config.json` cannot say this parametrization.
    std::fs::write(&path, weights(&classifier(&model))).unwrap();
    for precision in PRECISIONS {
        model.set_inference_precision(precision);
        let only = Classifier::load_for_inference(ntk.clone(), 2, &path, precision).unwrap();
        assert_eq!(run(only.model()), run(&model));
    }
}

fn weights(classifier: &Classifier) -> Vec<u8> {
    classifier.save(HashMap::new()).unwrap()
}

fn logits(classifier: &Classifier) -> Vec<f32> {
    let mut tape = ClassifierTape::default();
    let hidden = Encoder::new(1).run(classifier.model(), &batch()).unwrap().to_vec();
    classifier.head_forward(&batch(), &hidden, &mut tape, None);
    tape.logits().to_vec()
}

#[test]
fn classifiers_of_both_families_predict_the_same() {
    for positions in [Positions::Learned, Positions::Rotary] {
        let mut classifier = Classifier::new(&Pretrained::new(model(positions)), 3, &mut ChaCha8Rng::seed_from_u64(2));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        std::fs::write(&path, weights(&classifier)).unwrap();
        for precision in PRECISIONS {
            classifier.set_inference_precision(precision);
            let only = Classifier::load_for_inference(config(positions), 3, &path, precision).unwrap();
            assert_eq!(only.labels(), 3);
            assert_eq!(logits(&only), logits(&classifier), "{positions:?} {precision:?}");
        }
        let load = |labels| Classifier::load_for_inference(config(positions), labels, &path, PRECISIONS[0]);
        let error = load(4).unwrap_err().to_string();
        assert!(
            error.contains("model.safetensors") && error.contains("[4, 24]"),
            "{error}"
        );
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(load(3).unwrap_err().to_string().contains("cut off or damaged"));
        std::fs::remove_file(&path).unwrap();
        assert!(load(3).is_err());
    }
}

fn only() -> Model {
    let folder = saved(&model(Positions::Learned), Precision::Single);
    Pretrained::load_for_inference(folder.path(), InferencePrecision::Int8)
        .unwrap()
        .model
}

#[test]
#[should_panic(expected = "loaded for inference")]
fn it_cannot_be_changed() {
    only().values_mut();
}

#[test]
#[should_panic(expected = "loaded for inference")]
fn it_cannot_be_saved() {
    let _ = only().to_safetensors(Precision::Single, HashMap::new());
}

#[test]
#[should_panic(expected = "loaded for inference")]
fn it_cannot_be_trained() {
    let (model, batch, mut tape) = (only(), batch(), Tape::default());
    model.forward(&batch, &mut tape, None);
    let mut d_hidden = vec![0.0; batch.len() * 24];
    model.backward(&batch, &mut tape, &mut d_hidden, &mut vec![0.0; model.values().len()]);
}

#[test]
#[should_panic(expected = "loaded for inference")]
fn it_does_not_start_a_classifier() {
    Classifier::new(&Pretrained::new(only()), 2, &mut ChaCha8Rng::seed_from_u64(2));
}
