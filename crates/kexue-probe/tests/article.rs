//! What article 8747 says of initialisation and norms, on models small enough for a test; docs/probe.md has the longer runs.

use kexue_nn::{Distribution, Head, NormPlacement, StdConvention};
use kexue_probe::{
    Architecture, Data, Ending, GradientFlow, Objective, OptimizerKind, Preset, Probe, ProbeSettings, Source, fresh,
    probe, run_trial, weight_stds,
};
use kexue_text::{Corpus, SpecialTokens, TextEncoder, Vocabulary};
use std::sync::atomic::AtomicBool;

const SPECIAL: SpecialTokens = SpecialTokens {
    cls: 1,
    sep: 2,
    mask: 3,
    ordinary: 4..200,
};

static RUNNING: AtomicBool = AtomicBool::new(false);

/// BERT's architecture, narrow, with rotary positions.
fn narrow(layers: usize, width: usize) -> Architecture {
    let mut architecture = Preset::Roformer.architecture(SPECIAL.ordinary.end as usize);
    let model = &mut architecture.model;
    (model.layers, model.d_model, model.heads, model.d_ffn) = (layers, width, 2, 4 * width);
    architecture
}

fn random(sequences: usize, length: usize) -> Data<'static> {
    let source = Source::Random { special: &SPECIAL };
    Data::new(source, Objective::Masked, sequences, length).unwrap()
}

fn probed(architecture: &Architecture, data: &Data<'_>, settings: &ProbeSettings) -> Probe {
    probe(architecture, None, data, settings, &RUNNING).unwrap()
}

#[test]
fn berts_deviation_is_0_0176_and_xaviers_0_0361() {
    let mut bert = Preset::Bert.architecture(SPECIAL.ordinary.end as usize);
    (bert.model.layers, bert.model.d_ffn) = (1, 768);
    let weights = weight_stds(&fresh(&bert, 0).unwrap());
    for role in &weights {
        let off = (role.measured - 0.017_593).abs();
        assert!(off < 4.0 * role.standard_error + 5e-7, "{role:?}");
        assert_eq!(role.nominal.map(|std| (std * 1e6).round()), Some(20_000.0));
    }
    let query = weights.iter().find(|role| role.role == "Query").unwrap();
    assert!((query.xavier.unwrap() - 0.036_084).abs() < 5e-7);
    let text = probed(&bert, &random(1, 8), &ProbeSettings::default()).to_text();
    assert!(text.contains("0.017593") && text.contains("0.036084"), "{text}");
}

/// The weight of the identity path at the top, of branches scaled to σ² = 1.
fn calibrated(placement: NormPlacement, seeds: u64) -> Probe {
    let settings = ProbeSettings {
        seeds,
        branch_variance: Some(1.0),
        ..ProbeSettings::default()
    };
    probed(&narrow(12, 64).with_placement(placement), &random(32, 12), &settings)
}

#[test]
fn post_norm_keeps_half_to_the_twelfth_after_24_branches_of_variance_1() {
    let probe = calibrated(NormPlacement::Post, 6);
    let expected = 0.5f64.powi(12);
    assert_eq!(probe.mean.sublayers.len(), 24);
    assert!(
        probe
            .mean
            .sublayers
            .iter()
            .all(|sublayer| (sublayer.branch_variance - 1.0).abs() < 0.01)
    );
    let [predicted, regression, jacobian] = probe.identity();
    assert!((predicted.mean / expected - 1.0).abs() < 0.02, "{predicted:?}");
    assert!((regression.mean / expected - 1.0).abs() < 0.1, "{regression:?}");
    // A norm's derivative leaves nothing along the stream: one direction of 64 less at each of 24 branches.
    let jacobian_expected = expected * (1.0f64 - 1.0 / 64.0).powi(24);
    assert!(
        (jacobian.mean - jacobian_expected).abs() < 3.0 * jacobian.standard_error,
        "{jacobian:?}, expected {jacobian_expected}"
    );
    assert!(probe.verdict.identity_vanishes);
}

#[test]
fn pre_norm_keeps_everything() {
    // σ² = 1 at each branch of a stream that grows: its share halves every second branch, but the weight does not fall.
    let probe = calibrated(NormPlacement::Pre, 6);
    let [_, regression, jacobian] = probe.identity();
    for (measured, what) in [(regression, "regression"), (jacobian, "jacobian")] {
        assert!(measured.standard_error < 0.3, "{what}: {measured:?}");
        assert!(
            (measured.mean - 1.0).abs() < 3.0 * measured.standard_error,
            "{what}: {measured:?}"
        );
    }
    let top = probe.mean.last().unwrap();
    let expected = 0.5f64.powi(12);
    assert!(
        (top.identity.share / expected - 1.0).abs() < 0.3,
        "{}",
        top.identity.share
    );
    let growth = probe.mean.embedding_rms / top.rms;
    assert!((growth / expected - 1.0).abs() < 0.3, "{growth}");
    assert!(!probe.verdict.identity_vanishes);
    // The gradient of a stream that doubles its variance at each branch falls as it grows, which is no explosion.
    assert!(probe.mean.token_gradient_ratio() > 10.0);
    assert_eq!(probe.verdict.gradients, GradientFlow::Even);
    // Branches of one size, as initialisers make them: the share falls as the root of their number.
    let probe = probed(
        &narrow(12, 64).with_placement(NormPlacement::Pre),
        &random(8, 12),
        &ProbeSettings::default(),
    );
    let top = probe.mean.last().unwrap();
    let growth = (top.rms / probe.mean.embedding_rms).recip();
    assert!(
        (top.identity.share / growth - 1.0).abs() < 0.3,
        "{} {growth}",
        top.identity.share
    );
}

#[test]
fn berts_initialisation_keeps_the_input() {
    let probe = probed(&narrow(12, 64), &random(8, 16), &ProbeSettings::default());
    let [predicted, regression, _] = probe.identity();
    assert!(predicted.mean > 0.99 && (predicted.mean - regression.mean).abs() < 1e-3);
    assert!(!probe.verdict.identity_vanishes && probe.verdict.suggestions.is_empty());
}

#[test]
fn gradients_of_single_tokens_decay_to_the_input_of_post_norm_only() {
    let mut post = narrow(12, 64);
    post.model.initializer.weights = Distribution::Xavier;
    let settings = ProbeSettings {
        seeds: 3,
        ..ProbeSettings::default()
    };
    let of = |architecture: &Architecture| probed(architecture, &random(8, 32), &settings);
    let (post, pre) = (of(&post), of(&post.with_placement(NormPlacement::Pre)));
    assert!(
        post.mean.token_gradient_ratio() < 0.2,
        "{}",
        post.mean.token_gradient_ratio()
    );
    assert!(
        pre.mean.token_gradient_ratio() > 1.0,
        "{}",
        pre.mean.token_gradient_ratio()
    );
    assert_eq!(
        (post.verdict.gradients, pre.verdict.gradients),
        (GradientFlow::Vanishes, GradientFlow::Even)
    );
    // The verdict names what was probed as alternatives to it.
    assert!(post.verdict.identity_vanishes);
    assert!(
        post.verdict
            .suggestions
            .iter()
            .any(|change| change.to_string().starts_with("norm_placement = deep_norm"))
    );
    let std = post
        .alternatives
        .iter()
        .find(|other| other.change.setting == "initializer.weights.std")
        .unwrap();
    assert!((std.identity.predicted - 0.5).abs() < 0.1, "{std:?}");
}

/// A text in which every letter says what the next one is.
fn cycle() -> (Vocabulary, Corpus) {
    let vocabulary = Vocabulary::new("abcdefgh".chars(), false);
    let mut corpus = Corpus::default();
    corpus.read("abcdefgh".repeat(200).as_bytes(), &vocabulary).unwrap();
    (vocabulary, corpus)
}

#[test]
fn a_run_learns_and_one_without_bounds_ends_where_it_diverges() {
    let (vocabulary, corpus) = cycle();
    let special = vocabulary.special_tokens();
    let source = Source::Text {
        corpus: &corpus,
        special: &special,
    };
    let mut architecture = narrow(2, 32);
    architecture.model.vocab_size = vocabulary.len();
    architecture.objective = Objective::Causal;
    (architecture.optimizer.learning_rate, architecture.optimizer.warmup) = (3e-3, 10);
    let data = Data::new(source, Objective::Causal, 8, 16).unwrap();
    let settings = ProbeSettings {
        steps: 60,
        snapshots: 3,
        ..ProbeSettings::default()
    };
    let learned = probed(&architecture, &data, &settings);
    assert!((learned.plateau - 8f64.ln()).abs() < 1e-3);
    assert_eq!(learned.runs.len(), 2, "with warm-up and without");
    for runs in &learned.runs {
        assert!(runs.final_loss().unwrap().mean < 0.8 * learned.plateau, "{}", runs.name);
        let snapshots = &runs.runs[0].snapshots;
        assert_eq!(snapshots.first().unwrap().step, 0);
        assert_eq!(snapshots.last().unwrap().step, 59);
        assert!(snapshots.iter().all(|snapshot| {
            snapshot
                .sublayers
                .iter()
                .all(|sublayer| sublayer.update_ratio > Some(0.0))
        }));
    }
    assert_eq!(
        probed(&architecture, &data, &settings).runs,
        learned.runs,
        "a function of the seed"
    );

    // Without a norm anywhere, and with steps a million times too large.
    architecture.model.norm_placement = NormPlacement::None;
    architecture.optimizer.kind = OptimizerKind::Sgd;
    architecture.optimizer.learning_rate = 1e6;
    let diverged = probed(&architecture, &data, &settings);
    assert_eq!(diverged.verdict.endings[0], [Ending::Diverged]);
    assert!(diverged.runs[0].runs[0].losses.len() < 60);
    assert!(
        diverged
            .verdict
            .sentences
            .iter()
            .any(|sentence| sentence.contains("1 of 1 diverged, at step"))
    );
    assert!(
        !diverged
            .verdict
            .sentences
            .iter()
            .any(|sentence| sentence.contains("needs no changes"))
    );
    diverged.to_page("diverged").to_html();
    serde_json::to_string(&diverged).unwrap();
}

#[test]
fn a_deep_post_norm_model_learns_with_warm_up_or_deep_norm_and_not_without() {
    let (vocabulary, corpus) = cycle();
    let special = vocabulary.special_tokens();
    let source = Source::Text {
        corpus: &corpus,
        special: &special,
    };
    let mut architecture = narrow(12, 16);
    architecture.model.vocab_size = vocabulary.len();
    architecture.model.initializer = architecture.model.initializer.with_std(0.125, StdConvention::Effective);
    architecture.objective = Objective::Causal;
    (architecture.optimizer.learning_rate, architecture.optimizer.warmup) = (1.5e-2, 100);
    let data = Data::new(source, Objective::Causal, 8, 16).unwrap();
    let settings = ProbeSettings {
        seeds: 2,
        steps: 150,
        snapshots: 2,
        compare: vec![NormPlacement::DeepNorm],
        ..ProbeSettings::default()
    };
    let probe = probed(&architecture, &data, &settings);
    let losses = |at: usize| -> Vec<f64> {
        let runs = probe.runs[at].runs.iter();
        runs.map(|run| run.final_loss().unwrap()).collect()
    };
    let (without, with, deep) = (losses(0), losses(1), losses(2));
    for seed in 0..2 {
        // Where it stalls it knows how often the eight letters occur, and no more.
        assert!((without[seed] - probe.plateau).abs() < 0.1, "{without:?}");
        assert!(
            with[seed] < 0.25 * probe.plateau && deep[seed] < 0.25 * probe.plateau,
            "{with:?} {deep:?}"
        );
    }
    assert_eq!(probe.verdict.endings[0], [Ending::Stalled; 2]);
    assert_eq!(probe.verdict.needs_warmup, Some(true));

    // The page follows sub-layers along the steps, with warm-up and without.
    let page = probe.to_page("warm-up").to_html();
    for title in [
        "RMS of the stream after a sub-layer",
        "σ² of a branch",
        "what is left of the input, predicted",
        "what is left of the input, measured",
        "gradient of the parameters of a sub-layer",
        "update divided by weights",
        "γ of the norm of a sub-layer",
        "γ of the norms",
    ] {
        assert!(page.contains(title), "{title}");
    }
    for sublayer in ["0 attention", "6 attention", "11 feed-forward"] {
        for run in ["no warm-up", "100 steps of warm-up"] {
            let legend = format!("</i>{sublayer}: post, {run}");
            assert_eq!(page.matches(&legend).count(), 7, "{legend}");
        }
    }
}

#[test]
fn a_probe_that_is_cut_short_has_what_it_measured() {
    let settings = ProbeSettings {
        seeds: 3,
        steps: 60,
        ..ProbeSettings::default()
    };
    let (architecture, data) = (narrow(1, 8), random(2, 8));
    let cut = probe(&architecture, None, &data, &settings, &AtomicBool::new(true)).unwrap();
    assert!(cut.interrupted);
    assert_eq!(
        (cut.initial.len(), cut.alternatives.len()),
        (1, 0),
        "the first seed alone"
    );
    assert!(
        cut.verdict
            .endings
            .iter()
            .flatten()
            .all(|ending| *ending == Ending::Interrupted)
    );
    assert!(cut.to_text().contains("the runs were cut short"));
    cut.to_page("cut").to_html();
    assert!(!probed(&architecture, &data, &settings).interrupted);
}

#[test]
fn updates_of_adam_do_not_depend_on_the_size_of_the_gradient_and_sgds_do() {
    let ratios = |kind: OptimizerKind, std: f32| -> (f64, f64) {
        let mut architecture = narrow(4, 32);
        architecture.optimizer.kind = kind;
        architecture.model.initializer.embeddings = Distribution::TruncatedNormal {
            std,
            means: StdConvention::Effective,
        };
        let probe = probed(&architecture, &random(8, 16), &ProbeSettings::default());
        let first = &probe.mean.sublayers[1];
        (first.gradient, first.update_ratio.unwrap())
    };
    // A tied embedding of a tenth of the size makes gradients of about a tenth.
    let (large, small) = (ratios(OptimizerKind::Adam, 0.02), ratios(OptimizerKind::Adam, 0.002));
    assert!(large.0 / small.0 > 5.0);
    assert!((large.1 / small.1 - 1.0).abs() < 0.01);
    let (large, small) = (ratios(OptimizerKind::Sgd, 0.02), ratios(OptimizerKind::Sgd, 0.002));
    assert!(((large.1 / small.1) / (large.0 / small.0) - 1.0).abs() < 0.01 && large.1 / small.1 > 5.0);
    // LAMB's are the learning rate.
    assert!((ratios(OptimizerKind::Lamb, 0.02).1 / 1e-3 - 1.0).abs() < 0.01);
}

#[test]
fn alternatives_are_compared_with_the_seed_they_have() {
    let architecture = narrow(2, 16);
    let of_seeds = |seeds: u64| {
        let settings = ProbeSettings {
            seeds,
            ..ProbeSettings::default()
        };
        let text = probed(&architecture, &random(2, 8), &settings).to_text();
        let table = text.split("\n\n").find(|part| part.contains("\nas given"));
        let update = text.lines().find(|line| line.starts_with("The first update"));
        (table.unwrap().to_owned(), update.unwrap().to_owned())
    };
    let ((one, single), (three, update)) = (of_seeds(1), of_seeds(3));
    assert!(one.contains("norm_placement = pre") && one == three, "{one}\n{three}");
    assert!(!single.contains('±') && update.matches('±').count() == 2, "{update}");
}

#[test]
fn runs_that_are_cut_short_say_nothing_of_warm_up() {
    let settings = ProbeSettings {
        steps: 3,
        ..ProbeSettings::default()
    };
    let probe = probe(&narrow(1, 16), None, &random(2, 8), &settings, &AtomicBool::new(true)).unwrap();
    assert!(probe.runs.iter().flat_map(|runs| &runs.runs).all(|run| run.interrupted));
    assert_eq!(probe.verdict.needs_warmup, None);
    let text = probe.to_text();
    assert!(
        text.contains("is unknown: the runs were cut short") && !text.contains("inf"),
        "{text}"
    );
}

#[test]
fn of_numbers_that_are_none_nothing_is_said_but_that() {
    for architecture in [narrow(1, 16), narrow(1, 16).with_placement(NormPlacement::Pre)] {
        let data = random(2, 8);
        for weight in [f32::NAN, f32::INFINITY, 0.0] {
            let mut model = fresh(&architecture, 0).unwrap();
            model.values_mut().fill(weight);
            let settings = ProbeSettings {
                steps: 3,
                ..ProbeSettings::default()
            };
            let probe = probe(&architecture, Some(&model), &data, &settings, &RUNNING).unwrap();
            let verdict = &probe.verdict;
            assert_eq!((verdict.sentences.len(), verdict.needs_warmup), (1, None), "{weight}");
            assert!(
                verdict.sentences[0].starts_with("The numbers are not finite"),
                "{verdict:?}"
            );
            assert!(verdict.suggestions.is_empty());
        }
    }
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let data = random(2, 16);
    let message = |change: &dyn Fn(&mut Architecture, &mut ProbeSettings)| {
        let (mut architecture, mut settings) = (Preset::Bert.architecture(200), ProbeSettings::default());
        (
            architecture.model.layers,
            architecture.model.d_model,
            architecture.model.heads,
        ) = (1, 16, 2);
        change(&mut architecture, &mut settings);
        probe(&architecture, None, &data, &settings, &RUNNING)
            .unwrap_err()
            .to_string()
    };
    assert!(message(&|architecture, _| architecture.model.max_positions = 8).starts_with("length: 16 is more than"));
    assert!(message(&|architecture, _| architecture.model.heads = 3).starts_with("model: heads"));
    assert!(
        message(&|architecture, _| architecture.optimizer.learning_rate = f32::NAN)
            .starts_with("optimizer.learning_rate")
    );
    assert!(message(&|_, settings| settings.seeds = 0).starts_with("seeds"));
    assert!(message(&|_, settings| settings.branch_variance = Some(-1.0)).starts_with("branch_variance"));
}

#[test]
fn the_norm_before_the_softmax_grows_most() {
    // What meets the small embeddings is scaled up first: by the encoder's last norm, or by the head's where there is one (article 8747).
    let (vocabulary, corpus) = cycle();
    let special = vocabulary.special_tokens();
    let source = Source::Text {
        corpus: &corpus,
        special: &special,
    };
    let data = Data::new(source, Objective::Masked, 8, 16).unwrap();
    let largest = |head: Head, seed: u64| {
        let mut architecture = narrow(3, 32);
        architecture.model.vocab_size = vocabulary.len();
        architecture.model.head = head;
        architecture.optimizer.learning_rate = 2e-3;
        let model = fresh(&architecture, seed).unwrap();
        let (run, _) = run_trial(model, &architecture, &data, 0, (60, 1), seed, &RUNNING).unwrap();
        let norms = &run.snapshots.last().unwrap().norms;
        norms
            .iter()
            .max_by(|a, b| a.mean.total_cmp(&b.mean))
            .unwrap()
            .name
            .clone()
    };
    for seed in 0..3 {
        assert_eq!(largest(Head::None, seed), "encoder.layer.2.output.LayerNorm");
        assert_eq!(largest(Head::DenseNorm, seed), "cls.predictions.transform.LayerNorm");
    }
}
