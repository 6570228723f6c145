//! Chemical elements.
//!
//! Two crates of different origin are held against each other: where they differ the fact is left out.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use mendeleev::{AtomicWeight, Element, Kelvin, YearDiscovered};
use periodic_table_on_an_enum::{Element as Other, GroupBlock};

use crate::graph::Graph;
use crate::table;

/// Relative difference up to which two sources of a temperature agree.
const TOLERANCE: f64 = 0.01;
/// Above this atomic number, bulk properties are predictions.
const MEASURED: u32 = 98;
/// Above this atomic number, the chemistry is not known.
const CLASSIFIED: u32 = 108;
/// Helium does not freeze at ordinary pressure; carbon and arsenic sublime.
const NO_MELTING: [u32; 3] = [2, 6, 33];
/// Carbon and arsenic sublime.
const NO_BOILING: [u32; 2] = [6, 33];

/// Both sources date these by their compounds, or by a claim that is disputed.
const NO_YEAR: [u32; 6] = [9, 12, 13, 14, 20, 44];

/// Adds the facts about the elements.
pub fn add(graph: &mut Graph, tables: &Path) -> Result<()> {
    let names = table::read(&tables.join("elements.tsv"), 3)?;
    ensure!(
        names.len() == 118,
        "elements.tsv: expected 118 elements, found {}",
        names.len()
    );
    for (element, row) in Element::iter().zip(&names) {
        let number = element.atomic_number();
        ensure!(
            row[0] == number.to_string(),
            "elements.tsv: expected {number}, found {}",
            row[0]
        );
        let other = Other::from_atomic_number(number as usize).context("118 elements")?;
        ensure!(
            other.get_symbol() == element.symbol(),
            "{number}: the sources name different elements"
        );
        let (zh, en) = (row[1].as_str(), element.name());
        let mut both = |relation_zh: &str, relation_en: &str, object: String| {
            graph.add(zh, relation_zh, object.clone());
            graph.add(en, relation_en, object);
        };
        both("元素符号", "symbol", element.symbol().to_owned());
        both("原子序数", "atomic number", number.to_string());
        both("原子量", "atomic mass", weight(&element.atomic_weight()));
        let melting = agreed(element.melting_point(), other.get_melting_point());
        if let Some(melting) = melting.filter(|_| number <= MEASURED && !NO_MELTING.contains(&number)) {
            both("熔点", "melting point", temperature(melting));
        }
        let boiling = agreed(element.boiling_point(), other.get_boiling_point());
        if let Some(boiling) = boiling.filter(|_| number <= MEASURED && !NO_BOILING.contains(&number)) {
            both("沸点", "boiling point", temperature(boiling));
        }
        if let Some(density) = element.density().filter(|_| number <= MEASURED) {
            both("密度", "density", format!("{} g/cm³", density.0));
        }
        let electronegativity = other.get_electronegativity();
        if electronegativity > 0.0 {
            both("电负性", "electronegativity", electronegativity.to_string());
        }
        graph.add(zh, "周期", format!("第{}周期", element.period()));
        graph.add(en, "period", element.period().to_string());
        if let Some(group) = element.group() {
            graph.add(zh, "族", format!("第{}族", group.group_number()));
            graph.add(en, "group", group.group_number().to_string());
        }
        match (element.year_discovered(), other.get_year_discovered()) {
            _ if NO_YEAR.contains(&number) => {}
            (YearDiscovered::Ancient, 0) => {
                graph.add(zh, "发现年份", "古代");
                graph.add(en, "year of discovery", "known since ancient times");
            }
            (YearDiscovered::Known(year), other) if year == other => {
                graph.add(zh, "发现年份", format!("{year}年"));
                graph.add(en, "year of discovery", year.to_string());
            }
            _ => {}
        }
        if number <= CLASSIFIED {
            let (category_zh, category_en) = category(other.get_group());
            graph.add(zh, "元素类别", category_zh);
            graph.add(en, "category", category_en);
        }
        graph.add(zh, "拼音", row[2].clone());
        graph.add(zh, "英文名", en);
        graph.add(en, "Chinese name", zh);
    }
    Ok(())
}

/// The first source's temperature, if the second has one within the tolerance.
fn agreed(first: Option<Kelvin>, second: f32) -> Option<f64> {
    let first = first?.0;
    ((first - f64::from(second)).abs() <= TOLERANCE * first).then_some(first)
}

/// A temperature in degrees Celsius and in kelvins.
fn temperature(kelvin: f64) -> String {
    let celsius = kelvin - 273.15;
    let digits = if celsius.abs() < 300.0 { 100.0 } else { 1.0 };
    format!(
        "{} °C ({} K)",
        (celsius * digits).round() / digits,
        (kelvin * digits).round() / digits
    )
}

/// The standard atomic weight; in square brackets the mass number, where there is none.
fn weight(weight: &AtomicWeight) -> String {
    match weight {
        AtomicWeight::Interval { conventional, .. } => conventional.to_string(),
        AtomicWeight::Uncertainty { weight, .. } => weight.to_string(),
        AtomicWeight::MassNumber { number } => format!("[{number}]"),
    }
}

fn category(group: GroupBlock) -> (&'static str, &'static str) {
    match group {
        GroupBlock::AlkaliMetal => ("碱金属", "alkali metal"),
        GroupBlock::AlkalineEarthMetal => ("碱土金属", "alkaline earth metal"),
        GroupBlock::Lanthanide => ("镧系元素", "lanthanide"),
        GroupBlock::Actinide => ("锕系元素", "actinide"),
        GroupBlock::TransitionMetal => ("过渡金属", "transition metal"),
        GroupBlock::PostTransitionMetal => ("后过渡金属", "post-transition metal"),
        GroupBlock::Metalloid => ("类金属", "metalloid"),
        GroupBlock::NonMetal => ("非金属", "nonmetal"),
        GroupBlock::Halogen => ("卤素", "halogen"),
        GroupBlock::NobleGas => ("稀有气体", "noble gas"),
    }
}
