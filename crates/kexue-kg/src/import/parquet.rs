//! Apache Parquet: three columns of strings, identified by their names.

use super::source::BEGINNING;
use crate::batch::Batch;
use crate::error::KgError;
use crate::remedy::Remedy;
use kexue_output::git_lfs_problem;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Reads to the end and passes batches of about `size` bytes of text to `give`, until it returns false. A row's number is its line.
pub(super) fn read(
    path: &Path,
    columns: Option<&[String; 3]>,
    size: usize,
    give: &mut dyn FnMut(Batch) -> bool,
) -> Result<(), KgError> {
    let file = super::source::name(path);
    let io = |source| KgError::Io {
        path: file.clone().into(),
        source,
    };
    let defaults = ["subject", "relation", "object"].map(str::to_owned);
    let columns = columns.unwrap_or(&defaults);
    // The reader may panic on a damaged file.
    let read = catch_unwind(AssertUnwindSafe(|| {
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map_err(io)?;
            rows(bytes::Bytes::from(bytes), &file, columns, size, give)
        } else {
            rows(File::open(path).map_err(io)?, &file, columns, size, give)
        }
    }));
    read.unwrap_or_else(|_| {
        Err(KgError::Input {
            file,
            problem: "the file is damaged; write it again".into(),
        })
    })
}

fn rows<R: ChunkReader + 'static>(
    source: R,
    file: &str,
    columns: &[String; 3],
    size: usize,
    give: &mut dyn FnMut(Batch) -> bool,
) -> Result<(), KgError> {
    let failed = |problem: String| KgError::Input {
        file: file.into(),
        problem,
    };
    let damaged = |error: ParquetError| failed(format!("{error}; expected a file of Apache Parquet"));
    let beginning = source.get_bytes(0, BEGINNING.min(source.len() as usize));
    if let Some(problem) = beginning.ok().and_then(|bytes| git_lfs_problem(&bytes)) {
        return Err(failed(problem.into()));
    }
    let reader = SerializedFileReader::new(source).map_err(damaged)?;
    let schema = reader.metadata().file_metadata().schema();
    let mut fields = Vec::new();
    for column in columns {
        let field = schema.get_fields().iter().find(|field| field.name() == column);
        fields.push(field.cloned().ok_or_else(|| {
            let found: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
            KgError::Setting {
                file: file.into(),
                problem: format!("there is no column `{column}`, found `{}`", found.join("`, `")),
                remedy: Remedy::Columns,
            }
        })?);
    }
    let projection = Type::group_type_builder(schema.name())
        .with_fields(fields)
        .build()
        .map_err(damaged)?;
    let mut batch = Batch::default();
    for (line, row) in (1..).zip(reader.get_row_iter(Some(projection)).map_err(damaged)?) {
        let row = row.map_err(damaged)?;
        match triple(&row, columns) {
            Ok(triple) => batch.add(line, triple),
            Err(problem) => batch.problem(line, problem),
        }
        if batch.is_full(size) && !give(std::mem::take(&mut batch)) {
            return Ok(());
        }
    }
    give(batch);
    Ok(())
}

fn triple<'a>(row: &'a Row, columns: &[String; 3]) -> Result<[&'a str; 3], String> {
    let mut triple = [""; 3];
    for (text, column) in triple.iter_mut().zip(columns) {
        let field = row
            .get_column_iter()
            .find(|(name, _)| *name == column)
            .map(|(_, field)| field);
        *text = match field {
            Some(Field::Str(text)) => text,
            Some(Field::Bytes(bytes)) => std::str::from_utf8(bytes.data())
                .map_err(|_| format!("column `{column}` is not UTF-8; expected text in UTF-8"))?,
            other => return Err(format!("column `{column}` is {}; expected a string", kind(other))),
        };
    }
    Ok(triple)
}

fn kind(field: Option<&Field>) -> &'static str {
    match field {
        None | Some(Field::Null) => "null",
        Some(Field::Bool(_)) => "a truth value",
        Some(Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_)) => "nested",
        Some(_) => "a number or a date",
    }
}
