//! The common training loop around a Burn module: the example `two_moons`, interrupted and resumed.

#[path = "../examples/two_moons.rs"]
mod two_moons;

use two_moons::run;

#[test]
fn a_burn_module_trains_and_resumes_bit_for_bit() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let outcome = run(whole.path(), 0).unwrap();
    assert!(!outcome.interrupted);
    assert!(outcome.best.unwrap().0 > 0.95, "{:?}", outcome.best);

    assert!(run(parts.path(), 2).unwrap().interrupted);
    assert!(!run(parts.path(), 0).unwrap().interrupted);
    for name in ["model.safetensors", "checkpoint.bin", "metrics.jsonl"] {
        let read = |folder: &std::path::Path| std::fs::read(folder.join(name)).unwrap();
        assert!(read(whole.path()) == read(parts.path()), "{name} differs");
    }
}
