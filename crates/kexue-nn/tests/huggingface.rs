//! Folders of Hugging Face's BERT and RoFormer: loaded, computed, saved, and refused.
//!
//! `benches/peers/nn/huggingface.py` writes `huggingface.json` with `transformers`: configurations, names and shapes of tensors as it saves
//! them, and what its models compute from padded batches in double precision. The weights are a hash that both sides compute.

mod common;

use common::{close, uniform};
use kexue_nn::{
    AttentionScale, Head, HeadTape, Mask, Model, NormPlacement, PackedBatch, Precision, Pretrained, Tape, Token,
    TransformerConfig,
};
use rand::{Rng, SeedableRng};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

#[derive(Deserialize)]
struct Goldens {
    /// Tokens and their segments.
    inputs: Vec<(Vec<Token>, Vec<u8>)>,
    logit_tokens: Vec<usize>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    class: String,
    config: Value,
    /// In alphabetical order, which numbers the streams of the hash.
    tensors: Vec<(String, Vec<usize>)>,
    /// `[tokens, hidden_size]`.
    hidden: Vec<f64>,
    /// `[tokens, logit_tokens]`.
    logits: Option<Vec<f64>>,
}

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn goldens() -> Goldens {
    serde_json::from_str(include_str!("huggingface.json")).unwrap()
}

/// The first case of a class.
fn case(class: &str) -> Case {
    goldens().cases.into_iter().find(|case| case.class == class).unwrap()
}

impl Case {
    fn tensors(&self) -> Tensors {
        let tensors = self.tensors.iter().enumerate().map(|(stream, (name, shape))| {
            let (size, norm) = (shape.iter().product(), name.ends_with("LayerNorm.weight"));
            let width = if shape.len() == 2 { 0.5 } else { 0.25 };
            let mut values: Vec<f32> = uniform(stream, size)
                .map(|u| (f64::from(u8::from(norm)) + width * u) as f32)
                .collect();
            if name.ends_with("embed_positions.weight") {
                let half = shape[1] / 2;
                for (i, value) in values.iter_mut().enumerate() {
                    let (position, column) = (i / shape[1], i % shape[1]);
                    let angle = position as f64 / 10_000f64.powf((column % half) as f64 / half as f64);
                    *value = if column < half { angle.sin() } else { angle.cos() } as f32;
                }
            }
            (name.clone(), (shape.clone(), values))
        });
        tensors.collect()
    }

    fn folder(&self) -> TempDir {
        folder(&self.config, &self.tensors())
    }
}

fn folder(config: &Value, tensors: &Tensors) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    write(&folder.path().join("model.safetensors"), tensors);
    folder
}

fn write(path: &Path, tensors: &Tensors) {
    let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            (
                name,
                shape,
                values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            )
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn names_and_shapes(path: &Path) -> BTreeMap<String, Vec<usize>> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    file.tensors()
        .into_iter()
        .map(|(name, tensor)| (name, tensor.shape().to_vec()))
        .collect()
}

fn run(model: &Model, inputs: &[(Vec<Token>, Vec<u8>)]) -> (Vec<f32>, Vec<f32>) {
    let (mut batch, mut tape) = (PackedBatch::default(), Tape::default());
    for (tokens, types) in inputs {
        let first = types.iter().take_while(|&&segment| segment == 0).count();
        batch.push_pair(&tokens[..first], &tokens[first..], Mask::BIDIRECTIONAL);
    }
    model.forward(&batch, &mut tape, None);
    let rows: Vec<usize> = (0..batch.len()).collect();
    let logits = model.token_logits(tape.hidden(), &rows, &mut HeadTape::default());
    (tape.hidden().to_vec(), logits)
}

fn largest_difference(found: &[f32], expected: &[f64]) -> f64 {
    let differences = found.iter().zip(expected).map(|(&a, &b)| (f64::from(a) - b).abs());
    differences.fold(0.0, f64::max)
}

fn message(folder: &TempDir) -> String {
    Pretrained::load(folder.path()).unwrap_err().to_string()
}

#[test]
fn hidden_states_and_logits_are_those_of_transformers() {
    let Goldens {
        inputs,
        logit_tokens,
        cases,
    } = goldens();
    assert_eq!(cases.len(), 6);
    for case in &cases {
        let loaded = Pretrained::load(case.folder().path()).unwrap();
        let (hidden, logits) = run(&loaded.model, &inputs);
        close(&hidden, &case.hidden, 1e-5, &case.class);
        assert_eq!(
            loaded.model.config().head == Head::DenseNorm,
            case.logits.is_some(),
            "{}",
            case.class
        );
        if let Some(expected) = &case.logits {
            let rows = logits.chunks_exact(31);
            let logits: Vec<f32> = rows
                .flat_map(|row| logit_tokens.iter().map(|&token| row[token]))
                .collect();
            close(&logits, expected, 1e-5, &case.class);
        }
    }
}

#[test]
fn another_model_is_another_figure() {
    let inputs = goldens().inputs;
    for case in goldens().cases {
        let difference = |change: &dyn Fn(&mut Value, &mut Tensors)| {
            let (mut config, mut tensors) = (case.config.clone(), case.tensors());
            change(&mut config, &mut tensors);
            let loaded = Pretrained::load(folder(&config, &tensors).path()).unwrap();
            largest_difference(&run(&loaded.model, &inputs).0, &case.hidden)
        };
        assert!(difference(&|_, _| ()) < 1e-4);
        let act = if case.config["hidden_act"] == "gelu_new" {
            "gelu"
        } else {
            "gelu_new"
        };
        assert!(
            difference(&|config, _| config["hidden_act"] = json!(act)) > 1e-4,
            "{}",
            case.class
        );
        assert!(difference(&|config, _| config["layer_norm_eps"] = json!(1e-2)) > 1e-3);
        let swapped = difference(&|_, tensors| {
            let named = |part: &str| {
                case.tensors
                    .iter()
                    .find(|(name, _)| name.ends_with(part))
                    .unwrap()
                    .0
                    .clone()
            };
            let (query, value) = (
                named("0.attention.self.query.weight"),
                named("0.attention.self.value.weight"),
            );
            let (a, b) = (tensors[&query].clone(), tensors[&value].clone());
            tensors.extend([(query, b), (value, a)]);
        });
        assert!(swapped > 1e-2, "{}", case.class);
    }
}

#[test]
fn reports_what_is_absent_and_what_is_not_used() {
    let load = |class| Pretrained::load(case(class).folder().path()).unwrap();
    let masked = load("BertForMaskedLM");
    assert_eq!(masked.absent(), ["pooler"]);
    assert!(masked.unused.is_empty());
    let pre_training = load("BertForPreTraining");
    assert!(pre_training.absent().is_empty());
    assert_eq!(
        pre_training.unused,
        ["cls.seq_relationship.bias", "cls.seq_relationship.weight"]
    );
    let bare = load("BertModel");
    assert_eq!(bare.absent(), ["masked-language-model head"]);
    assert_eq!(bare.pooler.unwrap().bias.len(), 24);
    assert_eq!(load("RoFormerModel").absent(), ["masked-language-model head"]);
    assert_eq!(load("RoFormerForMaskedLM").positions, 20);
}

#[test]
fn a_saved_folder_has_the_tensors_that_transformers_saves() {
    for case in goldens().cases.iter().filter(|case| case.class != "BertForPreTraining") {
        let loaded = Pretrained::load(case.folder().path()).unwrap();
        let saved = tempfile::tempdir().unwrap();
        loaded.save(saved.path().join("new"), Precision::Single).unwrap();
        let saved = saved.path().join("new");
        let expected: BTreeMap<_, _> = case.tensors.iter().cloned().collect();
        assert_eq!(
            names_and_shapes(&saved.join("model.safetensors")),
            expected,
            "{}",
            case.class
        );
        // Fields that both `transformers` and we write are equal, except for the dropout that is not implemented here.
        let config: Value = serde_json::from_str(&fs::read_to_string(saved.join("config.json")).unwrap()).unwrap();
        for (field, value) in config.as_object().unwrap() {
            if field != "attention_probs_dropout_prob" {
                close_value(value, &case.config[field], field);
            }
        }
        let again = Pretrained::load(&saved).unwrap();
        assert_eq!(again.model.values(), loaded.model.values());
        assert_eq!(again.model.config(), loaded.model.config());
        assert_eq!(again.pooler, loaded.pooler);
    }
}

fn close_value(found: &Value, expected: &Value, field: &str) {
    match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{field}: {found}"),
        _ => assert_eq!(found, expected, "{field}"),
    }
}

#[test]
fn half_precision_and_models_without_segments_can_be_saved() {
    let config = TransformerConfig {
        d_model: 8,
        layers: 1,
        heads: 2,
        d_ffn: 12,
        norm_placement: NormPlacement::Post,
        ..TransformerConfig::new(10)
    };
    let model = Model::new(config, &mut rand_chacha::ChaCha8Rng::seed_from_u64(0)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    Pretrained::new(model.clone())
        .save(folder.path(), Precision::Half)
        .unwrap();
    let loaded = Pretrained::load(folder.path()).unwrap();
    assert_eq!(loaded.model.config().token_types, 1, "`transformers` always has one");
    let inputs = [(vec![1, 2, 3], vec![0; 3])];
    let (a, b) = (run(&model, &inputs).0, run(&loaded.model, &inputs).0);
    let differences = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
    let largest = differences.fold(0.0, f32::max);
    assert!(largest > 0.0 && largest < 5e-3, "{largest}");
}

#[test]
fn old_names_shards_and_pytorchs_files_are_the_same_model() {
    let case = case("BertForMaskedLM");
    let expected = Pretrained::load(case.folder().path()).unwrap().model;
    let same = |folder: &TempDir| {
        let loaded = Pretrained::load(folder.path()).unwrap();
        assert_eq!(loaded.model.values(), expected.values());
        assert!(loaded.unused.is_empty(), "{:?}", loaded.unused);
    };
    // The names of TensorFlow's norms, the softmax's bias under its other name, no prefix.
    let mut old: Tensors = case
        .tensors()
        .into_iter()
        .map(|(name, tensor)| {
            let name = name.replace("LayerNorm.weight", "LayerNorm.gamma");
            let name = name.replace("LayerNorm.bias", "LayerNorm.beta").replace("bert.", "");
            (name.replace("predictions.bias", "predictions.decoder.bias"), tensor)
        })
        .collect();
    same(&folder(&case.config, &old));

    let sharded = folder(&case.config, &Tensors::new());
    fs::remove_file(sharded.path().join("model.safetensors")).unwrap();
    let mut map = BTreeMap::new();
    for part in 0..3 {
        let file = format!("model-{part}.safetensors");
        let tensors: Tensors = case.tensors().into_iter().skip(part).step_by(3).collect();
        map.extend(tensors.keys().map(|name| (name.clone(), file.clone())));
        write(&sharded.path().join(file), &tensors);
    }
    let index = sharded.path().join("model.safetensors.index.json");
    fs::write(&index, json!({"metadata": {}, "weight_map": map}).to_string()).unwrap();
    same(&sharded);
    fs::write(
        &index,
        json!({"weight_map": {"a": "../model-0.safetensors"}}).to_string(),
    )
    .unwrap();
    assert!(message(&sharded).contains("index.json: weight_map: \"../model-0.safetensors\" is not the name of a file"));

    let pytorch = folder(&case.config, &Tensors::new());
    fs::remove_file(pytorch.path().join("model.safetensors")).unwrap();
    fs::write(
        pytorch.path().join("pytorch_model.bin"),
        include_bytes!("pytorch_model.bin"),
    )
    .unwrap();
    same(&pytorch);

    let twice = old["embeddings.LayerNorm.gamma"].clone();
    old.insert("bert.embeddings.LayerNorm.weight".to_owned(), twice);
    assert!(message(&folder(&case.config, &old)).contains("are the same parameter"));
}

#[test]
fn a_git_lfs_pointer_is_named() {
    const POINTER: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let case = case("BertModel");
    for name in ["model.safetensors", "pytorch_model.bin"] {
        let folder = case.folder();
        fs::remove_file(folder.path().join("model.safetensors")).unwrap();
        fs::write(folder.path().join(name), POINTER).unwrap();
        let found = message(&folder);
        assert!(
            found.contains(name) && found.contains("this is a Git LFS pointer"),
            "{found}"
        );
    }
    let folder = case.folder();
    fs::write(folder.path().join("config.json"), POINTER).unwrap();
    assert!(message(&folder).contains("config.json: this is a Git LFS pointer"));
    let config = kexue_nn::TransformerConfig::new(300);
    let error = kexue_nn::Model::from_safetensors(config, POINTER.as_bytes()).unwrap_err();
    assert!(error.to_string().contains("git lfs pull"), "{error}");
}

#[test]
fn a_softmax_of_its_own_is_refused() {
    let mut case = case("BertForMaskedLM");
    let mut tensors = case.tensors();
    let embedding = tensors["bert.embeddings.word_embeddings.weight"].clone();
    tensors.insert("cls.predictions.decoder.weight".to_owned(), embedding);
    case.config["tie_word_embeddings"] = json!(false);
    assert!(
        Pretrained::load(folder(&case.config, &tensors).path()).is_ok(),
        "tied in effect"
    );
    tensors.get_mut("cls.predictions.decoder.weight").unwrap().1[5] += 1.0;
    assert!(
        message(&folder(&case.config, &tensors))
            .contains("`cls.predictions.decoder.weight` differs from `embeddings.word_embeddings.weight`")
    );
    case.config["tie_word_embeddings"] = json!(true);
    // `transformers` silently uses the embedding, although either of the two may be the trained one.
    let refused = message(&folder(&case.config, &tensors));
    assert!(
        refused.contains("although config.json says that they are tied"),
        "{refused}"
    );
}

#[test]
fn names_file_and_field_that_cannot_be_represented() {
    let refused = |class: &str, field: &str, value: Value| {
        let mut case = case(class);
        case.config[field] = value.clone();
        let message = message(&case.folder());
        assert!(
            message.contains(&format!("config.json: {field}: ")),
            "{value}: {message}"
        );
        message
    };
    refused("RoFormerForMaskedLM", "embedding_size", json!(12));
    refused("RoFormerForMaskedLM", "rotary_value", json!(true));
    refused("RoFormerForMaskedLM", "norm_type", json!("rms_norm"));
    refused("RoFormerForMaskedLM", "use_bias", json!(false));
    refused("BertModel", "position_embedding_type", json!("relative_key_query"));
    refused("BertModel", "is_decoder", json!(true));
    refused("BertModel", "hidden_act", json!("silu"));
    refused("BertModel", "quantization_config", json!({"bits": 4}));
    refused("BertModel", "hidden_size", json!("wide"));
    refused("BertModel", "num_attention_heads", json!(5));
    refused("BertModel", "num_hidden_layers", json!(-1));
    refused("BertModel", "intermediate_size", json!(1u64 << 40));
    refused("BertModel", "layer_norm_eps", json!(0));
    let message = refused("BertModel", "model_type", json!("gpt2"));
    assert!(message.contains("\"gpt2\"; expected \"bert\" or \"roformer\""));

    let mut old = case("BertModel");
    old.config.as_object_mut().unwrap().remove("model_type");
    assert!(Pretrained::load(old.folder().path()).is_ok(), "known by its class");
}

#[test]
fn names_file_tensor_and_shapes_that_do_not_fit() {
    let case = case("RoFormerForMaskedLM");
    let with = |change: &dyn Fn(&mut Value, &mut Tensors)| {
        let (mut config, mut tensors) = (case.config.clone(), case.tensors());
        change(&mut config, &mut tensors);
        let message = message(&folder(&config, &tensors));
        assert!(message.contains("model.safetensors: "), "{message}");
        message
    };
    let words = with(&|config, _| config["vocab_size"] = json!(32));
    assert!(words.contains(
        "`embeddings.word_embeddings.weight` is F32 of shape [31, 24]; this configuration needs shape [32, 24]"
    ));
    let deeper = with(&|config, _| config["num_hidden_layers"] = json!(3));
    assert!(deeper.contains("no tensor `encoder.layer.2.attention.self.query.weight` of shape [24, 24]"));
    let half_a_head = with(&|_, tensors| drop(tensors.remove("cls.predictions.transform.dense.bias")));
    assert!(half_a_head.contains("no tensor `cls.predictions.transform.dense.bias` of shape [24]"));
    let other_rotation = with(&|_, tensors| {
        tensors
            .get_mut("roformer.encoder.embed_positions.weight")
            .unwrap()
            .1
            .reverse()
    });
    assert!(other_rotation.contains("`encoder.embed_positions.weight` is not RoFormer's table"));
    let longer = with(&|config, _| config["max_position_embeddings"] = json!(21));
    assert!(longer.contains("is F32 of shape [20, 8]; this configuration needs shape [21, 8]"));

    let empty = tempfile::tempdir().unwrap();
    assert!(message(&empty).contains("config.json"));
    fs::write(empty.path().join("config.json"), case.config.to_string()).unwrap();
    assert!(message(&empty).contains("found none of model.safetensors, "));
}

#[test]
fn models_that_transformers_cannot_compute_are_not_saved() {
    let good = TransformerConfig {
        d_model: 8,
        layers: 1,
        heads: 2,
        d_ffn: 12,
        norm_placement: NormPlacement::Post,
        ..TransformerConfig::new(10)
    };
    let folder = tempfile::tempdir().unwrap();
    let save = |change: &dyn Fn(&mut TransformerConfig)| {
        let mut config = good.clone();
        change(&mut config);
        let model = Model::new(config, &mut rand_chacha::ChaCha8Rng::seed_from_u64(0)).unwrap();
        Pretrained::new(model)
            .save(folder.path(), Precision::Single)
            .map_err(|error| error.to_string())
    };
    let refused = |field: &str, change: &dyn Fn(&mut TransformerConfig)| {
        let message = save(change).unwrap_err();
        assert!(message.contains(&format!("config.json: {field}: ")), "{message}");
    };
    refused("norm_placement", &|config| config.norm_placement = NormPlacement::Pre);
    refused("attention_scale", &|config| {
        config.attention_scale = AttentionScale::EntropyInvariant { base: 512.0 }
    });
    refused("head", &|config| config.head = Head::Bias);
    refused("gate", &|config| config.gate = Some(1.0));
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is left behind"
    );
    assert_eq!(save(&|_| ()), Ok(()));
}

/// Cuts and changes every file in many places: the result is an error or a model, never a panic.
#[test]
fn no_damaged_file_panics() {
    let mut generator = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let case = case("BertForMaskedLM");
    let folder = case.folder();
    let mut damage = |name: &str, times: usize| {
        let path = folder.path().join(name);
        let bytes = fs::read(&path).unwrap();
        for _ in 0..times {
            let mut damaged = bytes.clone();
            // Half of the changes are within the first thousand bytes or the last: headers and directories.
            let near = |generator: &mut rand_chacha::ChaCha8Rng| match generator.random_range(0..4) {
                0 => generator.random_range(0..bytes.len().min(1000)),
                1 => bytes.len() - 1 - generator.random_range(0..bytes.len().min(1000)),
                _ => generator.random_range(0..bytes.len()),
            };
            for _ in 0..generator.random_range(1..4) {
                let at = near(&mut generator);
                damaged[at] = generator.random();
            }
            if generator.random_bool(0.2) {
                damaged.truncate(near(&mut generator));
            }
            fs::write(&path, damaged).unwrap();
            if let Err(error) = Pretrained::load(folder.path()) {
                assert!(error.to_string().contains(folder.path().to_str().unwrap()), "{error}");
            }
        }
        fs::write(&path, bytes).unwrap();
    };
    damage("model.safetensors", 200);
    damage("config.json", 300);
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    fs::write(
        folder.path().join("pytorch_model.bin"),
        include_bytes!("pytorch_model.bin"),
    )
    .unwrap();
    damage("pytorch_model.bin", 400);

    let values = [
        json!(null),
        json!(-1),
        json!(0),
        json!(1e300),
        json!(u64::MAX),
        json!("x"),
        json!([]),
        json!({}),
        json!(true),
    ];
    for field in case.config.as_object().unwrap().keys() {
        for value in &values {
            let mut config = case.config.clone();
            config[field] = value.clone();
            fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
            let _ = Pretrained::load(folder.path());
        }
    }
}
