//! The language that people are answered in.

use std::sync::OnceLock;

/// A language of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    Chinese,
}

impl Language {
    /// The language of the environment: Chinese where the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set begins with `zh`.
    pub fn of_environment() -> Self {
        static LANGUAGE: OnceLock<Language> = OnceLock::new();
        *LANGUAGE.get_or_init(|| {
            let set = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().filter_map(std::env::var_os);
            Self::of_locale(
                set.map(|value| value.to_string_lossy().into_owned())
                    .find(|value| !value.is_empty()),
            )
        })
    }

    fn of_locale(locale: Option<String>) -> Self {
        match locale {
            Some(locale) if locale.to_ascii_lowercase().starts_with("zh") => Self::Chinese,
            _ => Self::English,
        }
    }

    /// One of two texts that say the same.
    pub fn pick<T>(self, english: T, chinese: T) -> T {
        match self {
            Self::English => english,
            Self::Chinese => chinese,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales_tell_the_language() {
        for (locale, language) in [
            (Some("zh_CN.UTF-8"), Language::Chinese),
            (Some("zh"), Language::Chinese),
            (Some("en_GB.UTF-8"), Language::English),
            (Some("C"), Language::English),
            (None, Language::English),
        ] {
            assert_eq!(Language::of_locale(locale.map(str::to_owned)), language);
        }
    }
}
