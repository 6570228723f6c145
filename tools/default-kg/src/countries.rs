//! Countries, their capitals and currencies.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use iso_currency::Currency;
use keshvar::{Continent, Country, CountryIterator};

use crate::cldr::Names;
use crate::graph::Graph;
use crate::table;

/// Not members of the United Nations, but asked for: Hong Kong, Macao, Palestine, Taiwan, the Vatican.
const ALSO: [&str; 5] = ["HK", "MO", "PS", "TW", "VA"];

/// Names for which CLDR's short form is the usual one.
const SHORT: [&str; 4] = ["HK", "MO", "PS", "MM"];

/// Names that CLDR writes with a city, a full-width bracket or without its article: code, English, Chinese.
const RENAMED: [(&str, &str, &str); 3] = [
    ("CD", "Democratic Republic of the Congo", "刚果民主共和国"),
    ("CG", "Republic of the Congo", "刚果共和国"),
    ("VC", "Saint Vincent and the Grenadines", "圣文森特和格林纳丁斯"),
];

/// Official languages where the crate's list is not the law: corrected here, or left out where it is empty.
const LANGUAGES: &[(&str, &[&str])] = &[
    ("AF", &[]),
    ("AR", &["es"]),
    ("AZ", &["az"]),
    ("BF", &[]),
    ("BI", &["rn", "fr", "en"]),
    ("BW", &["en"]),
    ("BZ", &["en"]),
    ("CD", &["fr"]),
    ("CG", &["fr"]),
    ("CY", &["el", "tr"]),
    ("DZ", &[]),
    ("ER", &[]),
    ("ET", &[]),
    ("FJ", &[]),
    ("GN", &["fr"]),
    ("GQ", &["es", "fr", "pt"]),
    ("IL", &["he"]),
    ("IQ", &["ar", "ku"]),
    ("KI", &["en", "gil"]),
    ("KM", &[]),
    ("KP", &[]),
    ("LB", &["ar"]),
    ("LS", &[]),
    ("MA", &["ar", "zgh"]),
    ("ME", &[]),
    ("MK", &["mk", "sq"]),
    ("ML", &[]),
    ("MR", &["ar"]),
    ("MW", &["en"]),
    ("MY", &["ms"]),
    ("NA", &["en"]),
    ("NE", &[]),
    ("NO", &["no"]),
    ("NZ", &["en", "mi"]),
    ("PE", &["es", "qu", "ay"]),
    ("PG", &["en", "tpi", "ho"]),
    ("PH", &["fil", "en"]),
    ("PS", &["ar"]),
    ("PW", &["pau", "en"]),
    ("RW", &["rw", "en", "fr", "sw"]),
    ("SC", &["crs", "en", "fr"]),
    ("SG", &["en", "ms", "zh", "ta"]),
    ("SS", &["en"]),
    ("TJ", &["tg"]),
    ("TL", &["pt", "tet"]),
    ("TN", &["ar"]),
    ("TV", &["tvl", "en"]),
    (
        "ZA",
        &["af", "en", "nr", "nso", "ss", "st", "tn", "ts", "ve", "xh", "zu"],
    ),
    ("ZW", &[]),
];

/// Currencies where the crates are wrong or disagree; none where several are legal tender side by side.
const CURRENCIES: [(&str, Option<&str>); 4] = [("TL", Some("USD")), ("NA", Some("NAD")), ("ZW", None), ("PS", None)];

/// Calling codes that the crate states as a code no one dials.
const CALLING_CODES: [(&str, Option<&str>); 3] = [
    ("VA", None),
    ("DO", Some("+1 809, +1 829, +1 849")),
    ("JM", Some("+1 876, +1 658")),
];

/// A country under its two names.
struct Named {
    country: Country,
    code: String,
    english: String,
    chinese: String,
}

/// Adds the facts about countries, capitals and currencies.
pub fn add(graph: &mut Graph, tables: &Path) -> Result<()> {
    let (english, chinese) = (Names::english()?, Names::chinese()?);
    let mut countries = Vec::new();
    for country in CountryIterator::new() {
        let code = country.alpha2().to_string().to_uppercase();
        if country.un_member() || ALSO.contains(&code.as_str()) {
            let short = SHORT.contains(&code.as_str());
            let renamed = RENAMED.iter().find(|(other, ..)| *other == code);
            let english = match renamed {
                Some((_, name, _)) => (*name).to_owned(),
                None => english
                    .region(&code, short)?
                    .replace('&', "and")
                    .replace("St. ", "Saint "),
            };
            let chinese = match renamed {
                Some((.., name)) => (*name).to_owned(),
                None => chinese.region(&code, short)?,
            };
            countries.push(Named {
                country,
                code,
                english,
                chinese,
            });
        }
    }
    countries.sort_by(|a, b| a.code.cmp(&b.code));

    let capitals = table::read(&tables.join("capitals.tsv"), 3)?;
    for row in &capitals {
        ensure!(
            countries.iter().any(|named| named.code == row[0]),
            "capitals.tsv: no country has the code {}",
            row[0]
        );
    }
    let mut users: BTreeMap<&str, Vec<&Named>> = BTreeMap::new();
    for named in &countries {
        let Named {
            country,
            code,
            english: en,
            chinese: zh,
        } = named;
        for row in capitals.iter().filter(|row| row[0] == *code) {
            graph.add(zh, "首都", crate::graph::name(&row[2]));
            graph.add(en, "capital", crate::graph::name(&row[1]));
        }
        if let Some(currency) = currency(country, code) {
            graph.add(zh, "货币", chinese.currency(currency)?);
            graph.add(en, "currency", english.currency(currency)?);
            users.entry(currency).or_default().push(named);
        }
        if let Some(calling_code) = calling_code(country, code) {
            graph.add(zh, "电话区号", calling_code.clone());
            graph.add(en, "calling code", calling_code);
        }
        let (continent_zh, continent_en) = continent(country, code)?;
        graph.add(zh, "所属洲", continent_zh);
        graph.add(en, "continent", continent_en);
        let corrected = LANGUAGES
            .iter()
            .find(|(other, _)| other == code)
            .map(|(_, languages)| *languages);
        for language in corrected.or(country.maybe_official_language_list()).unwrap_or_default() {
            graph.add(zh, "官方语言", chinese.language(language)?);
            graph.add(en, "official language", english.language(language)?);
        }
        let iso = format!("{code} / {}", country.alpha3().to_string().to_uppercase());
        graph.add(zh, "ISO代码", iso.clone());
        graph.add(en, "ISO code", iso);
        // The United Kingdom is the one country whose domain is not its ISO 3166 code.
        let domain = if code == "GB" {
            ".uk".to_owned()
        } else {
            format!(".{}", code.to_lowercase())
        };
        graph.add(zh, "顶级域名", domain.clone());
        graph.add(en, "internet domain", domain);
        if let Some(population) = country.maybe_population() {
            let population = grouped(population);
            graph.add(zh, "人口", format!("{population}（2022年）"));
            graph.add(en, "population", format!("{population} (2022)"));
        }
        graph.add(zh, "英文名", en.clone());
        graph.add(en, "Chinese name", zh.clone());
    }

    for row in &capitals {
        let Some(named) = countries.iter().find(|named| named.code == row[0]) else {
            continue;
        };
        graph.add(&row[2], "所属国家", named.chinese.clone());
        graph.add(&row[1], "country", named.english.clone());
        graph.add(&row[2], "英文名", crate::graph::name(&row[1]));
        graph.add(&row[1], "Chinese name", crate::graph::name(&row[2]));
    }
    for (code, users) in users {
        let (zh, en) = (chinese.currency(code)?, english.currency(code)?);
        graph.add(&zh, "货币代码", code);
        graph.add(&en, "currency code", code);
        for named in users {
            graph.add(&zh, "使用国家", named.chinese.clone());
            graph.add(&en, "used in", named.english.clone());
        }
    }
    Ok(())
}

/// The currency, unless the two crates disagree about it.
fn currency(country: &Country, code: &str) -> Option<&'static str> {
    if let Some((_, corrected)) = CURRENCIES.iter().find(|(other, _)| *other == code) {
        return *corrected;
    }
    let currency = Currency::from_code(&format!("{:?}", country.currency_code()))?;
    if !currency.used_by().iter().any(|user| format!("{user:?}") == code) {
        eprintln!(
            "{code}: the sources disagree whether {} is the currency: left out",
            currency.code()
        );
        return None;
    }
    Some(currency.code())
}

fn calling_code(country: &Country, code: &str) -> Option<String> {
    if let Some((_, corrected)) = CALLING_CODES.iter().find(|(other, _)| *other == code) {
        return corrected.map(str::to_owned);
    }
    // Members of the North American plan share +1; three digits, written after it, tell them apart.
    let code = country.country_code();
    Some(match country.maybe_nanp_prefix() {
        Some(prefix) => format!("+1 {}", prefix.strip_prefix('1').unwrap_or(prefix)),
        None => format!("+{code}"),
    })
}

fn continent(country: &Country, code: &str) -> Result<(&'static str, &'static str)> {
    if code == "TR" {
        return Ok(("亚洲", "Asia"));
    }
    Ok(match country.continent() {
        Continent::Africa => ("非洲", "Africa"),
        Continent::Asia => ("亚洲", "Asia"),
        Continent::Europe => ("欧洲", "Europe"),
        Continent::NorthAmerica => ("北美洲", "North America"),
        Continent::SouthAmerica => ("南美洲", "South America"),
        Continent::Australia => ("大洋洲", "Oceania"),
        other => anyhow::bail!("{code}: no country lies in {other:?}"),
    })
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
