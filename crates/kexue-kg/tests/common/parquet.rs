//! A file of Apache Parquet, and what it is fuzzed by: with edits put into it, it gives triples or an error.

use kexue_kg::{BuildOptions, GraphBuilder, ImportOptions, KnowledgeGraph, import};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A file of four columns, of which one is numbers; rows whose object is `None` have none.
pub fn write(path: &Path, rows: &[(&str, &str, Option<&str>)]) {
    write_packed(path, rows, Compression::UNCOMPRESSED);
}

/// The same, its columns packed.
pub fn write_packed(path: &Path, rows: &[(&str, &str, Option<&str>)], compression: Compression) {
    let schema = "message facts {
        REQUIRED INT64 id;
        REQUIRED BYTE_ARRAY o_of (UTF8);
        REQUIRED BYTE_ARRAY s (UTF8);
        OPTIONAL BYTE_ARRAY o (UTF8);
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut writer = SerializedFileWriter::new(std::fs::File::create(path).unwrap(), schema, properties).unwrap();
    for rows in rows.chunks(2) {
        let mut group = writer.next_row_group().unwrap();
        let mut number = 0;
        while let Some(mut column) = group.next_column().unwrap() {
            let text = |texts: Vec<&str>| texts.into_iter().map(ByteArray::from).collect::<Vec<_>>();
            match number {
                0 => {
                    let ids: Vec<i64> = (0..rows.len() as i64).collect();
                    column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap()
                }
                1 => {
                    let texts = text(rows.iter().map(|row| row.1).collect());
                    column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap()
                }
                2 => {
                    let texts = text(rows.iter().map(|row| row.0).collect());
                    column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap()
                }
                _ => {
                    let texts = text(rows.iter().filter_map(|row| row.2).collect());
                    let levels: Vec<i16> = rows.iter().map(|row| i16::from(row.2.is_some())).collect();
                    column
                        .typed::<ByteArrayType>()
                        .write_batch(&texts, Some(&levels), None)
                        .unwrap()
                }
            };
            column.close().unwrap();
            number += 1;
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

pub const ROWS: &[(&str, &str, Option<&str>)] = &[
    ("水（化合物）", "化学式", Some("H₂O")),
    ("水（歌曲）", "演唱", Some("甲")),
    ("水（歌曲）", "演唱", Some("乙")),
    ("火", "颜色", None),
    ("火", "颜色", Some("红")),
];

/// A damaged file: the first byte says how much of its end is cut off, of the others each three say where and what.
#[allow(dead_code)] // libFuzzer's
pub fn damaged(input: &[u8]) {
    static PLACE: OnceLock<(tempfile::TempDir, PathBuf, Vec<u8>)> = OnceLock::new();
    let (_, path, sound) = PLACE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("facts.parquet");
        write(&path, ROWS);
        let sound = std::fs::read(&path).unwrap();
        (folder, path, sound)
    });
    let Some((&cut, edits)) = input.split_first() else {
        return;
    };
    let mut bytes = sound.clone();
    // Without its end the file is refused at once: mostly it is whole.
    bytes.truncate(sound.len() - usize::from(cut.saturating_sub(200)));
    for edit in edits.as_chunks::<3>().0 {
        let place = usize::from(edit[0]) << 8 | usize::from(edit[1]);
        let length = bytes.len();
        bytes[place % length] = edit[2];
    }
    std::fs::write(path, &bytes).unwrap();
    let options = ImportOptions {
        columns: Some(["s", "o_of", "o"].map(str::to_owned)),
        skip_bad: true,
        ..ImportOptions::default()
    };
    let mut builder = GraphBuilder::new(BuildOptions::default());
    if import(std::slice::from_ref(path), &options, &mut builder, &|_| ()).is_ok() && !builder.is_empty() {
        let graph = KnowledgeGraph::from_bytes(builder.finish_bytes().unwrap().1).unwrap();
        graph.verify(&|_| ()).unwrap();
    }
}
