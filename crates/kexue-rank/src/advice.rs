//! Advice that names settings, so that a program can name them in its own way.

use std::fmt;

/// A setting of this crate's options, with or without a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The name of the field.
    pub name: String,
    /// The value to give it.
    pub value: Option<String>,
}

/// Writes the setting as a field: `` `columns` `` or `` `columns = common` ``.
impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(formatter, "`{} = {value}`", self.name),
            None => write!(formatter, "`{}`", self.name),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Setting(Setting),
}

/// What to do about an error. It names settings by their fields; [`Advice::naming`] names them in another way, for example by flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice(Vec<Part>);

impl Advice {
    /// Advice about `subject`, which replaces each `{}` of the template. Settings are written as in [`Advice::from`].
    pub(crate) fn about(template: &'static str, subject: &str) -> Self {
        let mut advice = Self::from(template);
        for part in &mut advice.0 {
            match part {
                Part::Text(text) => *text = text.replace("{}", subject),
                Part::Setting(Setting { value: Some(value), .. }) => *value = value.replace("{}", subject),
                Part::Setting(_) => {}
            }
        }
        advice
    }

    /// The text, with each setting named by `name`.
    pub fn naming(&self, name: impl Fn(&Setting) -> String) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Setting(setting) => name(setting),
        };
        self.0.iter().map(text).collect()
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.naming(Setting::to_string))
    }
}

impl From<&'static str> for Advice {
    /// Reads a text in which `<name>` and `<name value>` are settings.
    fn from(template: &'static str) -> Self {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((before, (setting, after))) = rest
            .split_once('<')
            .and_then(|(before, after)| Some((before, after.split_once('>')?)))
        {
            parts.push(Part::Text(before.to_owned()));
            let (name, value) = match setting.split_once(' ') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (setting, None),
            };
            parts.push(Part::Setting(Setting {
                name: name.to_owned(),
                value,
            }));
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Self(parts)
    }
}

impl From<String> for Advice {
    /// A text that names no settings.
    fn from(text: String) -> Self {
        Self(vec![Part::Text(text)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_named_by_the_caller() {
        let advice = Advice::about("say <lower '{}'> for {}, or choose <columns>", "a<b>");
        assert_eq!(advice.to_string(), "say `lower = 'a<b>'` for a<b>, or choose `columns`");
        let flag = |setting: &Setting| format!("--{}", setting.name);
        assert_eq!(advice.naming(flag), "say --lower for a<b>, or choose --columns");
        assert_eq!(Advice::from("a <b>".to_owned()).to_string(), "a <b>");
        assert_eq!(Advice::from("1 < 2").to_string(), "1 < 2");
    }
}
