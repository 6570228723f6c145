//! Import of Apache Parquet.
#![cfg(feature = "parquet")]

#[path = "common/parquet.rs"]
mod file;

use file::{ROWS, write, write_packed};
use kexue_kg::{BuildOptions, GraphBuilder, ImportOptions, KgError, KnowledgeGraph, import};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::path::Path;

fn read(path: &Path, columns: [&str; 3], skip_bad: bool) -> Result<(KnowledgeGraph, u64), KgError> {
    let options = ImportOptions {
        columns: Some(columns.map(str::to_owned)),
        skip_bad,
        ..ImportOptions::default()
    };
    let mut builder = GraphBuilder::new(BuildOptions::default());
    let report = import(&[path.to_path_buf()], &options, &mut builder, &|_| ())?;
    Ok((KnowledgeGraph::from_bytes(builder.finish_bytes()?.1)?, report.skipped))
}

#[test]
fn columns_are_read_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("facts.parquet");
    write(&path, ROWS);
    let (graph, skipped) = read(&path, ["s", "o_of", "o"], true).unwrap();
    assert_eq!(skipped, 1);
    let expected: Vec<_> = ROWS.iter().filter_map(|row| Some((row.0, row.1, row.2?))).collect();
    let expected = KnowledgeGraph::from_triples(expected, &BuildOptions::default()).unwrap();
    assert_eq!(graph.index().len(), 3);
    for key in 0..3 {
        assert_eq!(graph.fact(key).unwrap(), expected.fact(key).unwrap());
    }
    let problem = |columns, skip_bad| {
        let problem = read(&path, columns, skip_bad).unwrap_err().to_string();
        problem.replace(&path.display().to_string(), "facts.parquet")
    };
    insta::assert_snapshot!(problem(["s", "o_of", "o"], false), @"facts.parquet:4: column `o` is null; expected a string");
    insta::assert_snapshot!(problem(["s", "p", "o"], false), @"facts.parquet: there is no column `p`, found `id`, `o_of`, `s`, `o`");
    insta::assert_snapshot!(problem(["id", "o_of", "o"], false), @"facts.parquet:1: column `id` is a number or a date; expected a string");
}

#[test]
fn every_packing_is_unpacked() {
    use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("facts.parquet");
    for compression in [
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        write_packed(&path, ROWS, compression);
        let (graph, skipped) = read(&path, ["s", "o_of", "o"], true).unwrap();
        assert_eq!((graph.index().len(), skipped), (3, 1), "{compression:?}");
    }
    std::fs::write(
        &path,
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 930\n",
    )
    .unwrap();
    let problem = read(&path, ["s", "p", "o"], false).unwrap_err().to_string();
    assert!(problem.contains("is a Git LFS pointer"), "{problem}");
}

#[test]
#[ignore = "needs the shared data"]
fn the_file_of_another_writer_is_read() {
    let path = Path::new("../../../shared/data/faults/parquet_lz4.parquet");
    let (graph, skipped) = read(path, ["subject", "relation", "object"], false).unwrap();
    assert!(!graph.index().is_empty() && skipped == 0);
}

#[test]
fn damage_is_survived() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("facts.parquet");
    write(&path, ROWS);
    let sound = std::fs::read(&path).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let rounds = std::env::var("KEXUE_FUZZ_ROUNDS").map_or(300, |rounds| rounds.parse().unwrap());
    for _ in 0..rounds {
        let mut bytes = sound.clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..3) {
                0 => bytes[at] = random.random(),
                1 => bytes[at] ^= 1 << random.random_range(0..8),
                _ => drop(bytes.drain(at..(at + random.random_range(1..9)).min(bytes.len()))),
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        let _ = read(&path, ["s", "o_of", "o"], true);
    }
}
