//! JSON Lines: `{"subject": …, "relation": …, "object": …}` or `[subject, relation, object]`; the object may be an array of strings.

use super::lines::lines;
use crate::batch::{Batch, Problem};
use crate::remedy::Remedy;
use serde_json::Value;

const FIELDS: [&str; 3] = ["subject", "relation", "object"];

pub(super) fn parse(block: &[u8], first: u64, columns: Option<&[String; 3]>, batch: &mut Batch) {
    let names: [&str; 3] = match columns {
        Some(columns) => [&columns[0], &columns[1], &columns[2]],
        None => FIELDS,
    };
    for (number, line) in lines(block, first) {
        let problem = |problem| Problem {
            line: number,
            problem,
            remedy: None,
        };
        let parsed = line.and_then(|line| {
            serde_json::from_str::<Value>(line).map_err(|error| {
                // The parser's own position counts lines from this one.
                let message = error.to_string();
                let what = message.split(" at line ").next().unwrap_or(&message);
                format!("column {}: {what}; expected one JSON value", error.column())
            })
        });
        let added = parsed.map_err(problem).and_then(|value| {
            let fields = fields(&value, names, number)?;
            let text = |value, field| text(value, field).map_err(problem);
            let (subject, relation) = (text(fields[0], 0)?, text(fields[1], 1)?);
            match fields[2] {
                Value::Array(objects) if objects.is_empty() => Err(problem("the object is an empty array".into())),
                Value::Array(objects) => {
                    let objects: Vec<&str> = objects.iter().map(|object| text(object, 2)).collect::<Result<_, _>>()?;
                    for object in objects {
                        batch.add(number, [subject, relation, object]);
                    }
                    Ok(())
                }
                object => {
                    batch.add(number, [subject, relation, text(object, 2)?]);
                    Ok(())
                }
            }
        });
        batch.problems.extend(added.err());
    }
}

fn fields<'a>(value: &'a Value, names: [&str; 3], line: u64) -> Result<[&'a Value; 3], Problem> {
    let failed = |problem, remedy| Problem { line, problem, remedy };
    match value {
        Value::Array(parts) => match parts.as_slice() {
            [subject, relation, object] => Ok([subject, relation, object]),
            _ => {
                let problem = format!(
                    "expected an array of subject, relation and object, found {} values",
                    parts.len()
                );
                Err(failed(problem, None))
            }
        },
        Value::Object(map) => {
            let mut fields = [value; 3];
            for (field, name) in fields.iter_mut().zip(names) {
                *field = map
                    .get(name)
                    .ok_or_else(|| failed(format!("there is no field `{name}`"), Some(Remedy::Columns)))?;
            }
            Ok(fields)
        }
        other => {
            let problem = format!("expected an object or an array, found {}", kind(other));
            Err(failed(problem, None))
        }
    }
}

fn text(value: &Value, field: usize) -> Result<&str, String> {
    value
        .as_str()
        .ok_or_else(|| format!("the {} is {}; expected a string", FIELDS[field], kind(value)))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
