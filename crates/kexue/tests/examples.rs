//! Every program in `examples/` runs.

#![allow(missing_docs)]

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A test for each example: its `main`.
macro_rules! run {
    ($($name:ident = $path:literal;)*) => {
        $(
            #[path = $path]
            #[allow(dead_code)]
            mod $name;
        )*
        mod run {
            use super::Outcome;
            $(
                #[test]
                fn $name() -> Outcome {
                    super::$name::main()
                }
            )*
        }
        /// The examples that are run.
        const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

run! {
    ask_a_graph = "../examples/ask_a_graph.rs";
    check_a_leaderboard = "../examples/check_a_leaderboard.rs";
    probe_your_model = "../examples/probe_your_model.rs";
    train_on_your_questions = "../examples/train_on_your_questions.rs";
    trie_in_your_decoder = "../examples/trie_in_your_decoder.rs";
}

#[test]
fn no_example_is_left_out() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            entry
                .unwrap()
                .file_name()
                .into_string()
                .unwrap()
                .strip_suffix(".rs")
                .map(str::to_owned)
        })
        .collect();
    files.sort();
    assert_eq!(files, NAMES);
}
