//! Names of countries, languages and currencies in Chinese and English, from the CLDR data compiled into ICU4X.

use anyhow::{Context, Result};
use icu_experimental::dimension::provider::currency::displayname::CurrencyDisplaynameV1;
use icu_experimental::displaynames::multi::{LanguageDisplayNames, RegionDisplayNames};
use icu_experimental::displaynames::{DisplayNamesOptions, Style};
use icu_experimental::provider::Baked;
use icu_locale_core::{Locale, locale};
use icu_provider::prelude::*;

/// The names in one language.
pub struct Names {
    locale: Locale,
    regions: RegionDisplayNames,
    short_regions: RegionDisplayNames,
    languages: LanguageDisplayNames,
}

impl Names {
    /// Simplified Chinese.
    pub fn chinese() -> Result<Self> {
        Self::of(locale!("zh"))
    }

    /// American English.
    pub fn english() -> Result<Self> {
        Self::of(locale!("en"))
    }

    fn of(locale: Locale) -> Result<Self> {
        let mut short = DisplayNamesOptions::default();
        short.style = Some(Style::Short);
        Ok(Self {
            regions: RegionDisplayNames::try_new(locale.clone().into(), Default::default())?,
            short_regions: RegionDisplayNames::try_new(locale.clone().into(), short)?,
            languages: LanguageDisplayNames::try_new(locale.clone().into(), Default::default())?,
            locale,
        })
    }

    /// The name of a country or territory by its ISO 3166 code.
    pub fn region(&self, code: &str, short: bool) -> Result<String> {
        let names = if short { &self.short_regions } else { &self.regions };
        let name = names
            .of(code.parse()?)
            .with_context(|| format!("no name for the region {code}"))?;
        Ok(name.replace('’', "'").replace('&', "and"))
    }

    /// The name of a language by its BCP 47 code.
    pub fn language(&self, code: &str) -> Result<String> {
        let name = self
            .languages
            .of(code.parse()?)
            .with_context(|| format!("no name for the language {code}"))?;
        Ok(name.to_owned())
    }

    /// The name of a currency by its ISO 4217 code.
    pub fn currency(&self, code: &str) -> Result<String> {
        let locale = DataLocale::from(self.locale.id.clone());
        let attributes = DataMarkerAttributes::try_from_str(code)
            .ok()
            .context("a currency code is three letters")?;
        let id = DataIdentifierBorrowed::for_marker_attributes_and_locale(attributes, &locale);
        let request = DataRequest {
            id,
            ..Default::default()
        };
        let response: DataResponse<CurrencyDisplaynameV1> = Baked
            .load(request)
            .with_context(|| format!("no name for the currency {code}"))?;
        Ok(response.payload.get().replace('ʻ', "'").replace('&', "and"))
    }
}
