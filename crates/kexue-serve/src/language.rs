//! The language of messages.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;

/// A language that messages exist in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English, the default.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// The language with the highest weight in the header `Accept-Language` (RFC 9110, 12.5.4); the first of several.
    pub fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT_LANGUAGE).iter();
        let ranges = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let mut best = (0.0, Self::default());
        for range in ranges {
            let mut parts = range.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let language = match tag.split('-').next() {
                Some("zh") => Self::Chinese,
                Some("en" | "*") => Self::English,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality = quality.map_or(Some(1.0), |text| text.parse().ok());
            if let Some(quality) = quality.filter(|quality: &f32| *quality > best.0) {
                best = (quality, language);
            }
        }
        best.1
    }

    /// The language tag, for `Content-Language`.
    pub fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// The text in this language, of two.
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
    fn the_highest_weight_wins() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, axum::http::HeaderValue::from_static(value));
            Language::of(&headers)
        };
        assert_eq!(Language::of(&HeaderMap::new()), Language::English);
        assert_eq!(of("zh-CN,zh;q=0.9,en;q=0.8"), Language::Chinese);
        assert_eq!(of("de, en;q=0.5, zh;q=0.7"), Language::Chinese);
        assert_eq!(of("zh;q=0, en;q=0.1"), Language::English);
        assert_eq!(of("fr"), Language::English);
        assert_eq!(of("zh;q=high"), Language::English);
    }
}
