//! `subject ⇥ relation ⇥ object`, one triple a line.
//!
//! Nothing is quoted or escaped. White space around a field belongs to it, but for the carriage return of a Windows line. Empty lines are
//! passed over.

use super::header;
use super::lines::utf8;
use crate::batch::Batch;

pub(super) fn parse(block: Vec<u8>, first: u64, batch: &mut Batch) {
    batch.entries.reserve(block.len() / 48);
    // The whole block is looked at once; where it is not UTF-8, each line is, to name it.
    let whole = simdutf8::basic::from_utf8(&block).ok();
    let (mut start, mut number) = (0, first);
    // That of the triple added last.
    let mut subject = "";
    while start < block.len() {
        let end = memchr::memchr(b'\n', &block[start..]).map_or(block.len(), |length| start + length);
        let mut stop = end;
        if stop > start && block[stop - 1] == b'\r' {
            stop -= 1;
        }
        if stop > start {
            let line = match whole {
                // A line break is one byte, so that lines of UTF-8 are UTF-8.
                Some(text) => Ok(&text[start..stop]),
                None => utf8(&block[start..stop]),
            };
            match line.and_then(|line| fields(line, start)) {
                Ok((triple, starts)) => {
                    if first == 1 && batch.is_empty() && batch.problems.is_empty() {
                        header::note(batch, number, triple);
                    }
                    let before = batch.entries.len();
                    batch.add_at(number, triple, starts, before > 0 && triple[0] == subject);
                    if batch.entries.len() > before {
                        subject = triple[0];
                    }
                }
                Err(problem) => batch.problem(number, problem),
            }
        }
        start = end + 1;
        number += 1;
    }
    batch.text = block;
}

fn fields(line: &str, start: usize) -> Result<([&str; 3], [usize; 3]), String> {
    let mut tabs = memchr::memchr_iter(b'\t', line.as_bytes());
    match (tabs.next(), tabs.next(), tabs.next()) {
        (Some(one), Some(two), None) => Ok((
            [&line[..one], &line[one + 1..two], &line[two + 1..]],
            [start, start + one + 1, start + two + 1],
        )),
        _ => {
            let found = line.split('\t').count();
            Err(format!(
                "expected subject, relation and object with tabs between them, found {found} field{}",
                if found == 1 { "" } else { "s" }
            ))
        }
    }
}
