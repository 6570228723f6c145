//! Files of weights with fewer bits.
use kexue_nn::{FewerBits, Model, Precision, TransformerConfig, WeightsError, shrink};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;

fn model() -> Model {
    let config = TransformerConfig {
        d_model: 24,
        layers: 2,
        heads: 2,
        d_ffn: 40,
        ..TransformerConfig::new(30)
    };
    let mut generator = ChaCha8Rng::seed_from_u64(5);
    let mut model = Model::new(config, &mut generator).unwrap();
    for value in model.values_mut() {
        *value += generator.random_range(-0.3..0.3);
    }
    model
}

/// The bytes of a file with fewer bits.
fn shrunk(bytes: &[u8], bits: FewerBits) -> Result<Vec<u8>, WeightsError> {
    let folder = tempfile::tempdir().unwrap();
    let [from, to] = ["large", "small"].map(|name| folder.path().join(name));
    std::fs::write(&from, bytes).unwrap();
    shrink(&from, &to, bits)?;
    Ok(std::fs::read(to).unwrap())
}

fn tensor(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let view = TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
    safetensors::serialize([("x", view)], None).unwrap()
}

#[test]
fn eight_bits_are_within_half_a_step() {
    let model = model();
    let metadata: HashMap<String, String> = [("format".to_owned(), "pt".to_owned())].into();
    let large = model.to_safetensors(Precision::Single, metadata.clone()).unwrap();
    let small = shrunk(&large, FewerBits::Eight).unwrap();
    // Matrices of 24 columns: a byte for each number and four for each row, and no more in the header than before twice.
    assert!(
        small.len() < large.len() * 45 / 100,
        "{} of {}",
        small.len(),
        large.len()
    );
    assert_eq!(
        SafeTensors::read_metadata(&small).unwrap().1.metadata(),
        &Some(metadata)
    );
    let read = Model::from_safetensors(model.config().clone(), &small).unwrap();
    for slot in model.layout().slots().iter() {
        let (before, after) = (&model.values()[slot.range.clone()], &read.values()[slot.range.clone()]);
        let [_, columns] = slot.shape[..] else {
            assert_eq!(before, after, "{}", slot.name);
            continue;
        };
        for (before, after) in before.chunks(columns).zip(after.chunks(columns)) {
            let step = before.iter().fold(0.0, |most: f32, x| most.max(x.abs())) / 127.0;
            let close = before.iter().zip(after).all(|(x, y)| (x - y).abs() <= 0.5001 * step);
            assert!(close, "{}: {before:?} {after:?}", slot.name);
        }
    }
    assert!(
        matches!(shrunk(&small, FewerBits::Sixteen), Err(WeightsError::Format(problem)) if problem.contains("of eight bits already"))
    );
}

#[test]
fn sixteen_bits_are_those_of_saving() {
    let model = model();
    let large = model.to_safetensors(Precision::Single, HashMap::new()).unwrap();
    let half = model.to_safetensors(Precision::Half, HashMap::new()).unwrap();
    let small = shrunk(&large, FewerBits::Sixteen).unwrap();
    let read = |bytes: &[u8]| Model::from_safetensors(model.config().clone(), bytes).unwrap();
    assert_eq!(read(&small).values(), read(&half).values());
    assert_eq!(shrunk(&small, FewerBits::Sixteen).unwrap(), small);
}

#[test]
fn files_have_the_bytes_of_the_library_and_the_mode_of_new_files() {
    let large = model().to_safetensors(Precision::Half, HashMap::new()).unwrap();
    assert_eq!(shrunk(&large, FewerBits::Sixteen).unwrap(), large);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["large", "small"].map(|name| folder.path().join(name));
        std::fs::write(&from, large).unwrap();
        shrink(&from, &to, FewerBits::Eight).unwrap();
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&to), mode(&from));
    }
}

#[test]
fn what_is_no_number_to_round_stays() {
    let integers = tensor(Dtype::I64, &[2, 3], &[7; 48]);
    for bits in [FewerBits::Sixteen, FewerBits::Eight] {
        assert_eq!(shrunk(&integers, bits).unwrap(), integers);
    }
    // A row of zeros has steps of size 0.
    let zeros = shrunk(&tensor(Dtype::F32, &[2, 3], &[0; 24]), FewerBits::Eight).unwrap();
    let file = SafeTensors::deserialize(&zeros).unwrap();
    assert_eq!(file.tensor("x.steps").unwrap().data(), [0; 8]);
}

#[test]
fn what_cannot_be_rounded_is_named() {
    let of = |x: f32| tensor(Dtype::F32, &[1, 1], &x.to_le_bytes());
    for (bytes, bits, problem) in [
        (of(f32::NAN), FewerBits::Eight, "tensor `x` holds NaN"),
        (of(f32::INFINITY), FewerBits::Sixteen, "tensor `x` holds inf"),
        (of(1e5), FewerBits::Sixteen, "tensor `x` holds 100000"),
        (
            of(1.0)[..60].to_vec(),
            FewerBits::Eight,
            "not a readable file of weights",
        ),
    ] {
        let error = shrunk(&bytes, bits).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
    assert!(shrunk(&of(1e5), FewerBits::Eight).is_ok());
}

#[test]
fn eight_bits_without_their_steps_are_refused() {
    let model = model();
    let large = model.to_safetensors(Precision::Single, HashMap::new()).unwrap();
    let small = shrunk(&large, FewerBits::Eight).unwrap();
    let file = SafeTensors::deserialize(&small).unwrap();
    let name = "encoder.layer.0.attention.self.query.weight";
    let without = |left_out: &str| {
        let tensors = file.tensors().into_iter().filter(|(name, _)| name != left_out);
        safetensors::serialize(tensors, None).unwrap()
    };
    let error = Model::from_safetensors(model.config().clone(), &without(&format!("{name}.steps"))).unwrap_err();
    let expected = format!("tensor `{name}` is of eight bits, but there is no `{name}.steps` of 24 numbers of 32 bits");
    assert!(error.to_string().contains(&expected), "{error}");
    assert!(Model::from_safetensors(model.config().clone(), &without(name)).is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_no_regular_file_is_written_and_not_replaced() {
    use std::io::Read as _;
    use std::os::unix::fs::FileTypeExt as _;
    let folder = tempfile::tempdir().unwrap();
    let [from, pipe] = ["large", "pipe"].map(|name| folder.path().join(name));
    let bytes = tensor(Dtype::F32, &[2, 3], &[0; 24]);
    std::fs::write(&from, &bytes).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let mut read = Vec::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| shrink(&from, &pipe, FewerBits::Eight).unwrap());
        std::fs::File::open(&pipe).unwrap().read_to_end(&mut read).unwrap();
        writer.join().unwrap();
    });
    assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(read, shrunk(&bytes, FewerBits::Eight).unwrap());
}
