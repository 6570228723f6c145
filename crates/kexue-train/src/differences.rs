//! Settings by name, and the settings in which two runs differ.

use toml::Value;

/// The settings of a `config.toml` by their path, each as it is written.
pub(crate) fn values(text: &str) -> Vec<(String, String)> {
    let mut values = Vec::new();
    flatten("", &Value::Table(text.parse().unwrap_or_default()), &mut values);
    values
}

/// Maximum number of differences to list.
const LISTED: usize = 5;

/// The settings in which two configurations differ: `: train.seed is 0 there and 1 here`. Empty if they cannot be read or do not differ.
pub(crate) fn differences(there: &str, here: &str) -> String {
    let (there, here) = (values(there), values(here));
    let of = |values: &[(String, String)], name: &str| {
        let found = values.iter().find(|(other, _)| other == name);
        found.map_or_else(|| "not set".to_owned(), |(_, value)| value.clone())
    };
    let mut names: Vec<&String> = here.iter().chain(&there).map(|(name, _)| name).collect();
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(*name) && of(&there, name) != of(&here, name));
    let mut all: Vec<String> = names
        .iter()
        .take(LISTED)
        .map(|name| format!("{name} is {} there and {} here", of(&there, name), of(&here, name)))
        .collect();
    if names.len() > LISTED {
        all.push(format!("{} more", names.len() - LISTED));
    }
    match all.is_empty() {
        true => String::new(),
        false => format!(": {}", all.join(", ")),
    }
}

/// Collects the numbers and texts of a TOML value by their path.
fn flatten(path: &str, value: &Value, all: &mut Vec<(String, String)>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{name}"), value, all);
            }
        }
        // Most numbers have single precision; they are printed with as many digits as that has.
        Value::Float(number) if f64::from(*number as f32) == *number => {
            all.push((path.to_owned(), (*number as f32).to_string()));
        }
        other => all.push((path.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_differ_are_named_and_no_more_than_five() {
        assert_eq!(
            differences("a = 1\n[b]\nc = \"x\"\n", "[b]\nc = \"y\"\n"),
            ": b.c is \"x\" there and \"y\" here, a is 1 there and not set here"
        );
        let many = |value: i32| (0..9).map(|at| format!("s{at} = {value}\n")).collect::<String>();
        assert!(differences(&many(1), &many(2)).ends_with("s4 is 1 there and 2 here, 4 more"));
    }
}
