//! `subject ⇥ relation ⇥ object`, one triple a line.
//!
//! Nothing is quoted or escaped. White space around a field belongs to it, but for the carriage return of a Windows line. Empty lines are
//! passed over.

use super::{Sink, Stop};
use std::io::BufRead;

pub(super) fn read(mut source: impl BufRead, sink: &mut Sink<'_>) -> Result<(), Stop> {
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        if source.read_until(b'\n', &mut line).map_err(Stop::Io)? == 0 {
            return Ok(());
        }
        number += 1;
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if !text.is_empty() {
            sink.triple(number, parse(text))?;
        }
    }
}

fn parse(line: &[u8]) -> Result<[&str; 3], String> {
    let line = std::str::from_utf8(line).map_err(|error| {
        format!(
            "byte {} is not UTF-8; convert the file to UTF-8",
            error.valid_up_to() + 1
        )
    })?;
    let mut fields = line.split('\t');
    match (fields.next(), fields.next(), fields.next(), fields.next()) {
        (Some(subject), Some(relation), Some(object), None) => Ok([subject, relation, object]),
        _ => Err(format!(
            "expected subject, relation and object with tabs between them, found {} field{}",
            line.split('\t').count(),
            if line.contains('\t') { "s" } else { "" }
        )),
    }
}
