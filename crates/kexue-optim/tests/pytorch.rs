//! Optimisers against PyTorch's, over 100 steps. `benches/peers/optim/goldens.py` writes the figures.

use kexue_optim::{ChainSettings, Place, Role, Slots};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Goldens {
    steps: u64,
    after: BTreeMap<String, Vec<f64>>,
}

/// Numbers within −1 and 1: the finisher of SplitMix64 over a counter.
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

const RATE: &str = "[[optimizer]]\nkind = \"rate\"\npeak = 1e-2\ndecay = \"constant\"\n";
const DECAY: &str = "[[optimizer]]\nkind = \"decay\"\nrate = 0.1\n";
const ADAM: &str = "[[optimizer]]\nkind = \"adam\"\nbeta2 = 0.98\n";

/// The chain that is to equal PyTorch's optimiser.
fn chain(name: &str) -> String {
    match name {
        "adamw" => [ADAM, DECAY, RATE].concat(),
        "adamw_clipped" => ["[[optimizer]]\nkind = \"clip\"\nmax = 2.0\n", ADAM, RATE].concat(),
        "adafactor" => ["[[optimizer]]\nkind = \"adafactor\"\n", DECAY, RATE].concat(),
        "adafactor_inverse_root" => [
            "[[optimizer]]\nkind = \"adafactor\"\n",
            "[[optimizer]]\nkind = \"rate\"\npeak = 0.5\ndecay = \"inverse_root\"\n",
        ]
        .concat(),
        "lion" => ["[[optimizer]]\nkind = \"lion\"\n", DECAY, RATE].concat(),
        "momentum" => ["[[optimizer]]\nkind = \"momentum\"\n", RATE].concat(),
        "nesterov" => ["[[optimizer]]\nkind = \"momentum\"\nnesterov = true\n", RATE].concat(),
        other => panic!("no chain for {other}"),
    }
}

#[test]
fn chains_move_parameters_as_pytorchs_optimizers_do() {
    let goldens: Goldens = serde_json::from_str(include_str!("pytorch.json")).unwrap();
    assert_eq!((goldens.steps, goldens.after.len()), (100, 7));
    let mut slots = Slots::default();
    for (name, role, shape) in [
        ("weight", Role::Weight, &[6, 5][..]),
        ("bias", Role::Bias, &[6]),
        ("kernel", Role::Weight, &[2, 3, 4]),
    ] {
        slots.add(name, role, Place::Unspecified, shape);
    }
    for (name, expected) in &goldens.after {
        let settings: ChainSettings = toml::from_str(&chain(name)).unwrap();
        let mut chain = settings.build(&slots, goldens.steps).unwrap();
        let made = |first: u64| {
            slots
                .iter()
                .zip(first..)
                .flat_map(|(slot, stream)| uniform(stream, slot.range.len()))
        };
        let mut parameters: Vec<f32> = made(0).collect();
        for step in 0..goldens.steps {
            let noise = made(10 * (step + 1));
            let mut gradient: Vec<f32> = noise.zip(&parameters).map(|(noise, p)| noise + 0.3 * p).collect();
            chain.step(&mut parameters, &mut gradient, step);
        }
        assert_eq!(parameters.len(), expected.len());
        for (at, (found, expected)) in parameters.iter().zip(expected).enumerate() {
            let error = (f64::from(*found) - expected).abs();
            assert!(
                error < 2e-5 * (1.0 + expected.abs()),
                "{name}, number {at}: {found} instead of {expected}"
            );
        }
    }
}
