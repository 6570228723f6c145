//! Laws that chains obey, on random gradients.

use kexue_optim::{
    Adafactor, AdafactorConfig, Adam, AdamConfig, Chain, ChainError, ChainSettings, Group, LearningRate, Link, Lion,
    LionConfig, Masked, Momentum, MomentumConfig, Partition, Pattern, Place, Role, Schedule, SlotGroup, Slots,
    Transformation, TrustRatio,
};
use proptest::prelude::*;

fn slots() -> Slots {
    let mut slots = Slots::default();
    for (name, shape) in [
        ("embeddings.word.weight", &[4, 3][..]),
        ("encoder.layer.0.dense.weight", &[3, 3]),
        ("encoder.layer.0.dense.bias", &[3]),
        ("encoder.layer.1.dense.weight", &[2, 3]),
        ("embeddings.norm.weight", &[3]),
    ] {
        slots.add(name, Role::Weight, Place::Unspecified, shape);
    }
    slots
}

fn pattern(text: &str) -> Pattern {
    text.parse().unwrap()
}

/// Every optimiser, between a clip and a decay where those belong.
fn links(kind: usize) -> Vec<Link> {
    let moments = match kind {
        0 => Link::Adam(AdamConfig::default()),
        1 => Link::Lion(LionConfig::default()),
        2 => Link::Adafactor(AdafactorConfig::default()),
        _ => Link::Momentum(MomentumConfig::default()),
    };
    vec![
        Link::Clip { max: 1.0 },
        moments,
        Link::Decay {
            rate: 0.1,
            on: Vec::new(),
            masked: false,
        },
        Link::TrustRatio {},
        Link::Rate {
            peak: 0.1,
            warmup: 2,
            decay: Default::default(),
        },
    ]
}

fn settings(kind: usize, groups: Vec<SlotGroup>) -> ChainSettings {
    ChainSettings {
        links: links(kind),
        groups,
        seed: 0,
    }
}

fn gradients() -> impl Strategy<Value = Vec<Vec<f32>>> {
    let size = slots().size();
    proptest::collection::vec(proptest::collection::vec(-10f32..10.0, size), 1..8)
}

fn start() -> Vec<f32> {
    (0..slots().size()).map(|at| (at as f32 * 0.7).sin()).collect()
}

fn run(chain: &mut Chain, gradients: &[Vec<f32>]) -> Vec<f32> {
    let mut parameters = start();
    for (step, gradient) in gradients.iter().enumerate() {
        chain.step(&mut parameters, &mut gradient.clone(), step as u64);
    }
    parameters
}

proptest! {
    #[test]
    fn frozen_parameters_never_move_and_count_in_no_norm(gradients in gradients(), kind in 0usize..4) {
        let slots = slots();
        let frozen = vec![SlotGroup::frozen(pattern("embeddings.*"))];
        let mut chain = settings(kind, frozen).build(&slots, 10).unwrap();
        let moved = run(&mut chain, &gradients);
        let start = start();
        for slot in slots.iter().filter(|slot| slot.name.starts_with("embeddings.")) {
            prop_assert_eq!(&moved[slot.range.clone()], &start[slot.range.clone()]);
        }
        // The others move as if the frozen ones were not there.
        let rest = slots.matching(&[pattern("encoder.*")]);
        let mut alone = settings(kind, Vec::new()).build(rest.slots(), 10).unwrap();
        let gather = |values: &[f32]| {
            let mut part = Vec::new();
            rest.gather(values, &mut part);
            part
        };
        let mut parameters = gather(&start);
        for (step, gradient) in gradients.iter().enumerate() {
            alone.step(&mut parameters, &mut gather(gradient), step as u64);
        }
        prop_assert_eq!(parameters, gather(&moved));
    }

    #[test]
    fn a_partition_of_one_group_and_a_mask_of_everything_are_the_plain_chain(gradients in gradients(), kind in 0usize..4) {
        let slots = slots();
        let build = || settings(kind, Vec::new()).build(&slots, 10).unwrap();
        let plain = run(&mut build(), &gradients);
        let whole = || slots.subset(|_| true);
        let group = Group { name: "all".to_owned(), subset: whole(), chain: Some(build()) };
        prop_assert_eq!(&run(&mut Chain::new().then(Partition::new(vec![group])), &gradients), &plain);
        prop_assert_eq!(&run(&mut Chain::new().then(Masked::new(whole(), build())), &gradients), &plain);
        let one = vec![SlotGroup::with_rate(pattern("*"), 1.0)];
        prop_assert_eq!(&run(&mut settings(kind, one).build(&slots, 10).unwrap(), &gradients), &plain);
    }

    #[test]
    fn groups_apart_are_the_chains_of_their_parts(gradients in gradients(), kind in 0usize..4) {
        let slots = slots();
        let parts: Vec<_> = ["embeddings.*", "encoder.*"].map(|text| slots.matching(&[pattern(text)])).into();
        let groups = parts.iter().map(|part| Group {
            name: String::new(),
            subset: part.clone(),
            chain: Some(settings(kind, Vec::new()).build(part.slots(), 10).unwrap()),
        });
        let together = run(&mut Chain::new().then(Partition::new(groups.collect())), &gradients);
        for part in &parts {
            let chain = settings(kind, Vec::new()).build(part.slots(), 10).unwrap();
            let mut alone = Masked::new(part.clone(), chain);
            let mut parameters = start();
            for (step, gradient) in gradients.iter().enumerate() {
                alone.step(&mut parameters, &mut gradient.clone(), step as u64);
            }
            for range in part.ranges() {
                prop_assert_eq!(&parameters[range.clone()], &together[range.clone()]);
            }
        }
    }

    #[test]
    fn a_factor_on_the_rate_is_that_rate(gradients in gradients()) {
        let slots = slots();
        let run_with = |peak: f32, groups: Vec<SlotGroup>| {
            let links = vec![Link::Adam(AdamConfig::default()), Link::Rate { peak, warmup: 0, decay: Default::default() }];
            run(&mut ChainSettings { links, groups, seed: 0 }.build(&slots, 10).unwrap(), &gradients)
        };
        let halved = run_with(0.5, vec![SlotGroup::with_rate(pattern("encoder.layer.0.*"), 0.5)]);
        for slot in slots.iter() {
            let peak = if slot.name.starts_with("encoder.layer.0.") { 0.25 } else { 0.5 };
            let expected = run_with(peak, Vec::new());
            prop_assert_eq!(&halved[slot.range.clone()], &expected[slot.range.clone()], "{}", slot.name);
        }
    }
}

#[test]
fn the_moments_of_frozen_parameters_take_no_memory() {
    let slots = slots();
    let mut chain = settings(0, vec![SlotGroup::frozen(pattern("embeddings.*"))])
        .build(&slots, 10)
        .unwrap();
    let frozen = 15;
    assert!(
        chain
            .state()
            .iter()
            .all(|(_, vector)| vector.len() == slots.size() - frozen)
    );
}

#[test]
fn a_group_has_its_own_decay() {
    let slots = slots();
    let group = SlotGroup {
        decay: Some(0.5),
        ..SlotGroup::with_rate(pattern("*.bias"), 1.0)
    };
    let decay = Link::Decay {
        rate: 0.1,
        on: Vec::new(),
        masked: false,
    };
    let chain = ChainSettings {
        links: vec![decay],
        groups: vec![group.clone()],
        seed: 0,
    };
    let mut chain = chain.build(&slots, 10).unwrap();
    assert_eq!(chain.to_string(), "decay 0.1 on matrices, 0.5 on *.bias");
    let mut parameters = vec![1.0; slots.size()];
    let mut gradient = vec![0.0; slots.size()];
    chain.step(&mut parameters, &mut gradient, 0);
    for slot in slots.iter() {
        let expected = match slot.name.as_str() {
            "embeddings.norm.weight" => 1.0,
            name if name.ends_with(".bias") => 0.5,
            _ => 0.9,
        };
        assert!(
            parameters[slot.range.clone()].iter().all(|&p| p == expected),
            "{}",
            slot.name
        );
    }
    let none = ChainSettings {
        links: Vec::new(),
        groups: vec![group],
        seed: 0,
    };
    assert_eq!(
        none.build(&slots, 10).err(),
        Some(ChainError::NoDecay(pattern("*.bias")))
    );
}

#[test]
fn chains_are_told_in_one_line() {
    let text = r#"
        [[optimizer]]
        kind = "clip"
        max = 1.0
        [[optimizer]]
        kind = "adam"
        [[optimizer]]
        kind = "decay"
        rate = 0.01
        [[optimizer]]
        kind = "rate"
        peak = 1e-3
        warmup = 300
        decay = "cosine"
        [[group]]
        on = "embeddings.*"
        frozen = true
        [[group]]
        on = "encoder.layer.0.*"
        rate = 0.5
    "#;
    let mut settings: ChainSettings = toml::from_str(text).unwrap();
    assert_eq!(
        settings.build(&slots(), 1000).unwrap().to_string(),
        "[embeddings.*: frozen | others: clip 1 → adam → decay 0.01 on matrices → rate 0.001, warmup 300, cosine → ×0.5 on encoder.layer.0.*]"
    );
    let again: ChainSettings = toml::from_str(&toml::to_string(&settings).unwrap()).unwrap();
    assert_eq!(again, settings, "round trip");
    settings.groups.clear();
    let line = settings.build(&slots(), 1000).unwrap().to_string();
    assert_eq!(
        line,
        "clip 1 → adam → decay 0.01 on matrices → rate 0.001, warmup 300, cosine"
    );
}

#[test]
fn every_kind_can_be_written_nested_and_told() {
    let text = r#"
        [[optimizer]]
        kind = "clip_value"
        max = 5.0
        [[optimizer]]
        kind = "clip_each"
        max = 1.0
        [[optimizer]]
        kind = "accumulate"
        steps = 2
        [[optimizer]]
        kind = "partition"
        groups = [
            { on = ["*.bias", "*norm*"], chain = [{ kind = "momentum" }] },
            { on = ["encoder.*"], chain = [{ kind = "adafactor" }, { kind = "masked", on = ["*.1.*"], chain = [{ kind = "lion" }] }] },
        ]
        [[optimizer]]
        kind = "trust_ratio"
        [[optimizer]]
        kind = "scale"
        factor = 2.0
        on = ["encoder.*"]
    "#;
    let settings: ChainSettings = toml::from_str(text).unwrap();
    let mut chain = settings.build(&slots(), 100).unwrap();
    assert_eq!(
        chain.to_string(),
        "clip values 5 → clip each parameter's norm 1 → mean of 2 gradients → [*.bias, *norm*: momentum 0.9 | encoder.*: adafactor → (lion) on \
         encoder.layer.1.dense.weight | others: frozen] → trust ratio → ×2 on encoder.*"
    );
    let moved = run(&mut chain, &vec![vec![1.0; slots().size()]; 4]);
    assert_eq!(moved[..12], start()[..12], "the words are in no group");
    assert!(moved[12..].iter().zip(&start()[12..]).all(|(a, b)| a != b));
}

#[test]
fn what_cannot_be_is_named() {
    let error = |links: Vec<Link>, groups: Vec<SlotGroup>| {
        let built = ChainSettings { links, groups, seed: 0 }.build(&slots(), 10);
        built.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(
        error(vec![], vec![SlotGroup::frozen(pattern("embedings.*"))]),
        "no parameter's name matches `embedings.*`; there are, for example, embeddings.word.weight, encoder.layer.0.dense.weight, \
         encoder.layer.0.dense.bias"
    );
    assert!(error(vec![], vec![SlotGroup::frozen(pattern("*"))]).contains("nothing to train"));
    for value in [0.0, -1.0, f32::NAN] {
        assert!(error(vec![Link::Clip { max: value }], vec![]).starts_with("clip: max is "));
    }
    assert_eq!(error(vec![Link::Clip { max: f32::INFINITY }], vec![]), "", "no bound");
    let lion = LionConfig {
        beta1: 1.0,
        ..LionConfig::default()
    };
    assert_eq!(
        error(vec![Link::Lion(lion)], vec![]),
        "lion: beta1 is 1; it must be 0 or more and less than 1"
    );
    assert!(error(vec![Link::Accumulate { steps: 0 }], vec![]).starts_with("accumulate: steps is 0"));
    for text in ["kind = \"sdg\"", "kind = \"clip\"", "kind = \"adam\"\nbeta = 0.1"] {
        assert!(
            toml::from_str::<ChainSettings>(&format!("[[optimizer]]\n{text}\n")).is_err(),
            "{text}"
        );
    }
}

#[test]
fn chains_in_code_are_those_of_settings() {
    let slots = slots();
    let gradients: Vec<Vec<f32>> = (0..5).map(|step| vec![step as f32 - 1.5; slots.size()]).collect();
    let mut code = Chain::new()
        .then(Adafactor::new(AdafactorConfig::default(), &slots))
        .then(Adam::new(AdamConfig::default(), slots.size()))
        .then(Lion::new(LionConfig::default(), slots.size()))
        .then(Momentum::new(MomentumConfig::default(), slots.size()))
        .then(TrustRatio::new(&slots))
        .then(LearningRate(Schedule::constant(0.1)));
    let links = vec![
        Link::Adafactor(AdafactorConfig::default()),
        Link::Adam(AdamConfig::default()),
        Link::Lion(LionConfig::default()),
        Link::Momentum(MomentumConfig::default()),
        Link::TrustRatio {},
        Link::Rate {
            peak: 0.1,
            warmup: 0,
            decay: kexue_optim::Decay::Constant,
        },
    ];
    let settings = ChainSettings {
        links,
        groups: Vec::new(),
        seed: 0,
    };
    let mut built = settings.build(&slots, 10).unwrap();
    assert_eq!(run(&mut code, &gradients), run(&mut built, &gradients));
}
