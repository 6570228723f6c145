//! Every importer on any bytes.
#![no_main]

#[allow(dead_code)] // one target each
#[path = "../../crates/kexue-kg/tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|input: &[u8]| common::importers(input));
