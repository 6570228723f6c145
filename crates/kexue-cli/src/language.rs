//! The language that people are answered in.

pub use kexue_serve::Language;
use std::sync::OnceLock;

/// The language of the environment: Chinese where the first of `LC_ALL`, `LC_MESSAGES` and `LANG` that is set begins with `zh`.
pub fn of_environment() -> Language {
    static LANGUAGE: OnceLock<Language> = OnceLock::new();
    *LANGUAGE.get_or_init(|| {
        let set = ["LC_ALL", "LC_MESSAGES", "LANG"].iter().filter_map(std::env::var_os);
        of_locale(
            set.map(|value| value.to_string_lossy().into_owned())
                .find(|value| !value.is_empty()),
        )
    })
}

fn of_locale(locale: Option<String>) -> Language {
    match locale {
        Some(locale) if locale.to_ascii_lowercase().starts_with("zh") => Language::Chinese,
        _ => Language::English,
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
            assert_eq!(of_locale(locale.map(str::to_owned)), language);
        }
    }
}
