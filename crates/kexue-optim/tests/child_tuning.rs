//! ChildTuning: its laws on random gradients, and PyTorch's figures. `benches/peers/optim/child_tuning.py` writes those.

use kexue_optim::{
    Adam, AdamConfig, BitMask, Chain, ChainError, ChainSettings, ChildTuning, ClipGlobalNorm, LearningRate, Mask,
    Masked, Momentum, MomentumConfig, Place, Role, Schedule, Slots, Transformation, UpdateDropout, WeightDecay,
};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Normally distributed numbers, by the Box–Muller transform of a counter's hash.
fn normal(counter: u64) -> f64 {
    let hash = |counter: u64| {
        let mut z = counter.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let uniform = |counter: u64| ((hash(counter) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let (a, b) = (uniform(2 * counter), uniform(2 * counter + 1));
    (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}

/// So many samples of a normal distribution.
fn samples(mean: f64, deviation: f64, stream: u64, count: usize) -> Vec<f32> {
    let sample = |at: u64| (mean + deviation * normal((stream << 32) + at)) as f32;
    (0..count as u64).map(sample).collect()
}

fn mean_and_variance(values: &[f32]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let squares = values
        .iter()
        .map(|&value| (f64::from(value) - mean).powi(2))
        .sum::<f64>();
    (mean, squares / count)
}

/// The mean stays, and for gradient descent the variance grows to σ² + (1−p)/p·(μ²+σ²).
#[test]
fn mean_and_variance_of_masked_gradients() {
    let (mean, deviation, size) = (1.5, 0.7, 400_000);
    for p in [0.1f32, 0.3, 0.5, 0.9, 1.0] {
        let mut update = samples(mean, deviation, 0, size);
        ChildTuning::task_free(p, 3).apply(&mut update, &vec![0.0; size], 5);
        let p = f64::from(Mask::random(p, 3).share());
        let expected = deviation.powi(2) + (1.0 - p) / p * (mean.powi(2) + deviation.powi(2));
        let (found_mean, found) = mean_and_variance(&update);
        let error = (expected / size as f64).sqrt();
        assert!((found_mean - mean).abs() < 4.0 * error, "p = {p}: mean {found_mean}");
        assert!(
            (found / expected - 1.0).abs() < 0.02,
            "p = {p}: {found}, not {expected}"
        );
    }
}

/// What Adam subtracts per step in the long run: for each parameter the mean over the steps, and the variance within the steps.
fn long_run(p: f32, means: &[f64], steps: u64) -> (Vec<f32>, f64) {
    let size = means.len();
    let mut chain = Chain::new()
        .then(ChildTuning::task_free(p, 11))
        .then(Adam::new(AdamConfig::default(), size));
    // The second moments need a few thousand steps.
    let settled = 4000;
    let (mut sums, mut squares) = (vec![0.0f64; size], 0.0);
    let noise = samples(0.0, 1.0, 1, 1 << 16);
    for step in 0..settled + steps {
        // Another stretch of the same noise at every step.
        let start = step.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48;
        let noise = noise.iter().cycle().skip(start as usize);
        let mut update: Vec<f32> = means
            .iter()
            .zip(noise)
            .map(|(mean, noise)| *mean as f32 + noise)
            .collect();
        chain.apply(&mut update, &vec![0.0; size], step);
        if step >= settled {
            for (sum, u) in sums.iter_mut().zip(&update) {
                *sum += f64::from(*u);
                squares += f64::from(*u).powi(2);
            }
        }
    }
    let mean: Vec<f32> = sums.iter().map(|sum| (sum / steps as f64) as f32).collect();
    let mean_square = mean.iter().map(|&mean| f64::from(mean).powi(2)).sum::<f64>() / size as f64;
    (mean, squares / (steps * size as u64) as f64 - mean_square)
}

/// Under Adam the long-run update is √p times that without masks: ChildTuning-F is a smaller learning rate.
#[test]
fn under_adam_the_long_run_update_shrinks_by_the_root_of_p() {
    // A mean as large as the deviation: the update itself, 1/√2 without masks, is no small number.
    let means = vec![1.0; 2500];
    let total = |p: f32| {
        let (updates, variance) = long_run(p, &means, 6000);
        (mean_and_variance(&updates).0, variance)
    };
    let (plain, _) = total(1.0);
    assert!((plain - 0.5f64.sqrt()).abs() < 0.01, "{plain}");
    // Of independent steps, the momentum leaves (1−β₁)/(1+β₁) of the variance.
    let damping = 0.1 / 1.9;
    for p in [0.1f32, 0.3, 0.5, 0.9] {
        let (update, within) = total(p);
        let (ratio, root) = (update / plain, f64::from(p).sqrt());
        assert!((ratio / root - 1.0).abs() < 0.01, "p = {p}: {ratio}, not {root}");
        // A single update is not calmer: its second moment is 1 whatever p is, so less mean is more variance.
        let expected = damping * (1.0 - 0.5 * f64::from(p));
        assert!(
            (within / expected - 1.0).abs() < 0.05,
            "p = {p}: variance {within}, not {expected}"
        );
    }
}

/// The variance of the long-run update among parameters falls by p: that of gradient descent does not.
#[test]
fn under_adam_the_variance_of_the_long_run_update_falls() {
    let means: Vec<f64> = (0..1500).map(|at| normal(at + 99)).collect();
    let variance = |p: f32| mean_and_variance(&long_run(p, &means, 3000).0).1;
    let plain = variance(1.0);
    for p in [0.3f32, 0.5] {
        let squares: f64 = means.iter().map(|mean| mean * mean / (1.0 + mean * mean)).sum();
        // What the noise of so many steps adds.
        let noise = (1.0 - f64::from(p) * squares / means.len() as f64) / 3000.0;
        let ratio = (variance(p) - noise) / plain;
        assert!((ratio / f64::from(p) - 1.0).abs() < 0.02, "p = {p}: {ratio}");
    }
}

fn adamw(size: usize, child: Option<ChildTuning>, dropout: Option<UpdateDropout>) -> Chain {
    let mut chain = Chain::new().then(ClipGlobalNorm { max_norm: 2.0 });
    if let Some(child) = child {
        chain = chain.then(child);
    }
    let decay = WeightDecay::new(0.1, std::iter::once(0..size).collect());
    chain = chain.then(Adam::new(AdamConfig::default(), size)).then(decay);
    if let Some(dropout) = dropout {
        chain = chain.then(dropout);
    }
    chain.then(LearningRate(Schedule::constant(0.01)))
}

fn run(chain: &mut Chain, size: usize, steps: std::ops::Range<u64>, from: Vec<f32>) -> Vec<f32> {
    let mut parameters = from;
    for step in steps {
        let mut gradient = samples(0.2, 1.0, step + 2, size);
        chain.step(&mut parameters, &mut gradient, step);
    }
    parameters
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn to_keep_everything_is_the_identity_bit_for_bit() {
    let size = 40_000;
    let start = samples(0.0, 1.0, 0, size);
    let plain = run(&mut adamw(size, None, None), size, 0..5, start.clone());
    let all = || BitMask::from_fn(size, |_| true);
    for (child, dropout) in [
        (Some(ChildTuning::task_free(1.0, 5)), None),
        (Some(ChildTuning::task_driven(all())), None),
        (Some(ChildTuning::task_driven(all()).undivided()), None),
        (None, Some(UpdateDropout::new(1.0, 5))),
    ] {
        let masked = run(&mut adamw(size, child, dropout), size, 0..5, start.clone());
        assert_eq!(bits(&masked), bits(&plain));
    }
}

#[test]
fn masks_are_the_same_for_any_number_of_threads_and_in_a_resumed_run() {
    let size = 70_001;
    let start = samples(0.0, 1.0, 0, size);
    let chain = || {
        adamw(
            size,
            Some(ChildTuning::task_free(0.3, 5)),
            Some(UpdateDropout::new(0.6, 6)),
        )
    };
    let whole = run(&mut chain(), size, 0..6, start.clone());
    for threads in [1, 2, 5] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let again = pool.install(|| run(&mut chain(), size, 0..6, start.clone()));
        assert_eq!(bits(&again), bits(&whole), "{threads} threads");
    }
    let mut first = chain();
    let half = run(&mut first, size, 0..3, start);
    let mut resumed = chain();
    for ((_, to), (_, from)) in resumed.state().into_iter().zip(first.state()) {
        to.copy_from_slice(from);
    }
    assert_eq!(bits(&run(&mut resumed, size, 3..6, half)), bits(&whole));
}

/// D keeps its weights where they are if the decay is masked too, with momentum and without; plain decoupled decay moves them.
#[test]
fn a_fixed_mask_moves_nothing_else_if_the_decay_is_masked() {
    let size = 5000;
    let mask = BitMask::from_fn(size, |at| at % 3 == 1);
    let start = samples(0.0, 1.0, 0, size);
    let decayed = |is_masked: bool, with_momentum: bool| {
        let child = ChildTuning::task_driven(mask.clone());
        let decay = WeightDecay::new(0.1, std::iter::once(0..size).collect());
        let decay = match is_masked {
            true => decay.masked(child.mask().clone()),
            false => decay,
        };
        let chain = Chain::new().then(ClipGlobalNorm { max_norm: 1.0 }).then(child);
        let mut chain = match with_momentum {
            true => chain.then(Momentum::new(MomentumConfig::default(), size)),
            false => chain.then(Adam::new(AdamConfig::default(), size)),
        }
        .then(decay)
        .then(LearningRate(Schedule::constant(0.01)));
        run(&mut chain, size, 0..10, start.clone())
    };
    for with_momentum in [true, false] {
        let (masked, plain) = (decayed(true, with_momentum), decayed(false, with_momentum));
        for at in 0..size {
            let moved = |values: &[f32]| values[at] != start[at];
            assert_eq!(moved(&masked), mask.keeps(at));
            assert!(moved(&plain));
        }
    }
}

/// After clipping, a mask divides by p and leaves a longer gradient than the bound; before it, it does not.
#[test]
fn to_clip_and_mask_is_not_to_mask_and_clip() {
    let child = || ChildTuning::task_driven(BitMask::from_fn(2, |at| at == 0));
    let clip = ClipGlobalNorm { max_norm: 1.0 };
    let update = |mut chain: Chain| {
        let mut update = [3.0, 4.0];
        chain.apply(&mut update, &[0.0; 2], 0);
        update
    };
    assert_eq!(update(Chain::new().then(clip).then(child())), [1.2, 0.0]);
    assert_eq!(update(Chain::new().then(child()).then(clip)), [1.0, 0.0]);
    assert_eq!(update(Chain::new().then(clip).then(child().undivided())), [0.6, 0.0]);
}

/// A gradient that is masked is no update that is masked: Adam's momentum goes on.
#[test]
fn update_dropout_stops_what_a_gradient_mask_does_not() {
    let size = 2000;
    let moved = |chain: &mut Chain| {
        let (mut parameters, mut count) = (vec![0.0; size], 0);
        for step in 0..2 {
            let before = parameters.clone();
            chain.step(&mut parameters, &mut vec![1.0; size], step);
            count = parameters.iter().zip(before).filter(|(a, b)| *a != b).count();
        }
        count
    };
    let adam = || Adam::new(AdamConfig::default(), size);
    let gradient = moved(&mut Chain::new().then(ChildTuning::task_free(0.5, 1)).then(adam()));
    let update = moved(&mut Chain::new().then(adam()).then(UpdateDropout::new(0.5, 1)));
    assert!(
        (1400..1600).contains(&gradient),
        "{gradient}: three quarters had a gradient once"
    );
    assert!((900..1100).contains(&update), "{update}");
}

#[derive(Deserialize)]
struct Goldens {
    steps: u64,
    after: BTreeMap<String, Vec<f64>>,
}

/// The numbers of `uniform` in `benches/peers/nn/goldens.py`.
fn uniform(stream: u64, count: usize) -> impl Iterator<Item = f32> {
    (0..count as u64).map(move |at| {
        let mut z = ((stream << 32) + at)
            .wrapping_add(1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        ((z >> 44) as f64 / f64::from(1 << 19) - 1.0) as f32
    })
}

#[test]
fn steps_are_those_of_pytorchs_adamw_with_the_authors_masking() {
    let goldens: Goldens = serde_json::from_str(include_str!("child_tuning.json")).unwrap();
    assert_eq!((goldens.steps, goldens.after.len()), (20, 5));
    let sizes = [30, 6, 24];
    let size = sizes.iter().sum();
    for (name, expected) in &goldens.after {
        let fixed = || BitMask::from_fn(size, |at| at % 3 == 0);
        let child = match name.as_str() {
            "task_free" => Some(ChildTuning::task_free(0.3, 7)),
            "task_driven_undivided" => Some(ChildTuning::task_driven(fixed()).undivided()),
            "update_dropout" => None,
            _ => Some(ChildTuning::task_driven(fixed())),
        };
        let mut decay = WeightDecay::new(0.1, std::iter::once(0..size).collect());
        if name == "task_driven_masked_decay" {
            decay = decay.masked(Mask::fixed(fixed()));
        }
        let mut chain = Chain::new().then(ClipGlobalNorm { max_norm: 2.0 });
        if let Some(child) = child {
            chain = chain.then(child);
        }
        let config = AdamConfig {
            beta2: 0.98,
            ..AdamConfig::default()
        };
        chain = chain.then(Adam::new(config, size)).then(decay);
        if name == "update_dropout" {
            chain = chain.then(UpdateDropout::new(0.3, 7));
        }
        chain = chain.then(LearningRate(Schedule::constant(0.01)));
        let made = |first: u64| {
            sizes
                .iter()
                .zip(first..)
                .flat_map(|(&size, stream)| uniform(stream, size))
        };
        let mut parameters: Vec<f32> = made(0).collect();
        for step in 0..goldens.steps {
            let noise = made(10 * (step + 1));
            let mut gradient: Vec<f32> = noise.zip(&parameters).map(|(noise, p)| noise + 0.3 * p).collect();
            chain.step(&mut parameters, &mut gradient, step);
        }
        for (at, (found, expected)) in parameters.iter().zip(expected).enumerate() {
            let error = (f64::from(*found) - expected).abs();
            assert!(
                error < 1e-6 * (1.0 + expected.abs()),
                "{name}, number {at}: {found} instead of {expected}"
            );
        }
    }
}

fn slots() -> Slots {
    let mut slots = Slots::default();
    for (name, shape) in [
        ("embeddings", &[20, 3][..]),
        ("layer.0", &[30, 3]),
        ("layer.1", &[30, 3]),
        ("bias", &[7]),
    ] {
        slots.add(name, Role::Weight, Place::Unspecified, shape);
    }
    slots
}

#[test]
fn masks_can_be_written_in_a_file_and_follow_the_seed_of_the_run() {
    let text = r#"
        [[optimizer]]
        kind = "child_tuning"
        p = 0.25
        [[optimizer]]
        kind = "adam"
        [[optimizer]]
        kind = "decay"
        rate = 0.1
        masked = true
        [[optimizer]]
        kind = "update_dropout"
        p = 0.5
        divide = false
        [[optimizer]]
        kind = "rate"
        peak = 0.01
        decay = "constant"
    "#;
    let settings: ChainSettings = toml::from_str(text).unwrap();
    let again: ChainSettings = toml::from_str(&toml::to_string(&settings).unwrap()).unwrap();
    assert_eq!(again, settings, "round trip");
    let slots = slots();
    let build = |seed: u64| {
        ChainSettings {
            seed,
            ..settings.clone()
        }
        .build(&slots, 10)
        .unwrap()
    };
    assert_eq!(
        build(0).to_string(),
        "random child 0.25 → adam → decay 0.1 on matrices, masked → update dropout, keeping 0.5, undivided → rate 0.01"
    );
    let moved = |seed: u64| run(&mut build(seed), slots.size(), 0..3, vec![1.0; slots.size()]);
    assert_eq!(moved(1), moved(1));
    assert_ne!(moved(1), moved(2));
}

#[test]
fn groups_of_parameters_have_masks_of_their_own() {
    let group = r#"{ on = ["NAME"], chain = [{ kind = "child_tuning", p = 0.5 }] }"#;
    let groups: Vec<String> = ["layer.0", "layer.1"].map(|name| group.replace("NAME", name)).into();
    let text = format!(
        "[[optimizer]]\nkind = \"partition\"\ngroups = [{}]\n",
        groups.join(", ")
    );
    let slots = slots();
    let kept = |text: &str| {
        let mut chain = toml::from_str::<ChainSettings>(text)
            .unwrap()
            .build(&slots, 10)
            .unwrap();
        let mut update = vec![1.0; slots.size()];
        chain.apply(&mut update, &vec![0.0; slots.size()], 0);
        update
    };
    let update = kept(&text);
    assert_eq!(update[..60], vec![0.0; 60], "in no group: frozen");
    assert_ne!(
        update[60..150],
        update[150..240],
        "the same positions, but another group"
    );
    // A mask on some parameters leaves the others alone.
    let masked =
        kept("[[optimizer]]\nkind = \"masked\"\non = [\"layer.*\"]\nchain = [{ kind = \"child_tuning\", p = 0.5 }]\n");
    assert!(masked[..60].iter().all(|&u| u == 1.0) && masked[60..].contains(&2.0) && masked[60..240].contains(&0.0));
    let code = Masked::new(
        slots.subset(|slot| slot.name == "bias"),
        Chain::new().then(ChildTuning::task_driven(BitMask::from_fn(7, |at| at == 2)).undivided()),
    );
    let mut update = vec![1.0; slots.size()];
    Chain::new().then(code).apply(&mut update, &vec![0.0; slots.size()], 0);
    assert_eq!(update[240..], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn a_mask_file_is_read_by_name_and_kept_in_the_state() {
    let slots = slots();
    let mask = BitMask::from_fn(slots.size(), |at| at % 5 == 0);
    let path = std::env::temp_dir().join(format!("kexue-mask-{}.safetensors", std::process::id()));
    std::fs::write(&path, mask.save(&slots).unwrap()).unwrap();
    let text = format!("[[optimizer]]\nkind = \"child_tuning\"\np = 0.2\nmask = {path:?}\n");
    let settings: ChainSettings = toml::from_str(&text).unwrap();
    let mut chain = settings.build(&slots, 10).unwrap();
    let mut update = vec![1.0; slots.size()];
    chain.apply(&mut update, &vec![0.0; slots.size()], 0);
    let expected: Vec<f32> = (0..slots.size())
        .map(|at| if at % 5 == 0 { 5.0 } else { 0.0 })
        .collect();
    assert_eq!(update, expected);
    let state: Vec<(String, usize)> = chain
        .state()
        .into_iter()
        .map(|(name, values)| (name, values.len()))
        .collect();
    assert_eq!(
        state,
        [("child_tuning.mask".to_owned(), slots.size().div_ceil(32))],
        "one bit a parameter"
    );

    std::fs::write(&path, b"nothing").unwrap();
    let error = settings.build(&slots, 10).err().unwrap().to_string();
    assert!(
        error.starts_with("child_tuning: ") && error.contains("not a readable mask"),
        "{error}"
    );
    std::fs::remove_file(&path).unwrap();
    assert!(
        settings
            .build(&slots, 10)
            .err()
            .unwrap()
            .to_string()
            .contains("No such file")
    );
}

#[test]
fn what_cannot_be_is_named() {
    let error = |text: &str| {
        let settings: ChainSettings = toml::from_str(&format!("[[optimizer]]\n{text}\n")).unwrap();
        settings.build(&slots(), 10).err()
    };
    for p in ["0.0", "1.5", "nan"] {
        for kind in ["child_tuning", "update_dropout"] {
            let message = error(&format!("kind = \"{kind}\"\np = {p}")).unwrap().to_string();
            assert!(message.starts_with(&format!("{kind}: p is ")) && message.contains("more than 0 and at most 1"));
        }
    }
    assert_eq!(
        error("kind = \"decay\"\nrate = 0.1\nmasked = true"),
        Some(ChainError::NoMask)
    );
}
