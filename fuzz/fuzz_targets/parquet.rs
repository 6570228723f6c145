//! Damaged files of Apache Parquet.
#![no_main]

#[path = "../../crates/kexue-kg/tests/common/parquet.rs"]
mod file;

libfuzzer_sys::fuzz_target!(
    init: {
        // Of a damaged file the reader panics, which the importer catches; libFuzzer's hook would end the program before. What is not caught still
        // ends it.
        std::panic::set_hook(Box::new(|_| ()));
    },
    |input: &[u8]| file::damaged(input)
);
