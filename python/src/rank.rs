//! [`kexue_rank`] for Python: a table as CSV or files in, results as JSON out.

use crate::errors::{KexueError, Raise, raise_rank};
use kexue_rank::flips::flips;
use kexue_rank::ranking::{rank_by, rank_by_three};
use kexue_rank::resample::{self, BootstrapOptions};
use kexue_rank::scores::{Averaging, Flip, Metrics, Unranked};
use kexue_rank::vote::{self, Rule};
use kexue_rank::{Columns, Mean, Selection, Table, check, join, present, read};
use pyo3::prelude::*;
use serde::Deserialize;
use std::path::PathBuf;

/// Which cells of a table are used, and how.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Choice {
    system: Vec<String>,
    columns: Option<Vec<String>>,
    common: bool,
    without: Vec<String>,
    claims: Vec<String>,
    lower: Vec<String>,
    higher: Vec<String>,
    systems: Vec<String>,
    head: Option<usize>,
    drop_unranked: bool,
    drop_rows: bool,
    metrics: Option<String>,
    merge: Vec<(String, Vec<String>)>,
    groups: Vec<(String, Vec<String>)>,
    weights: Vec<(String, f64)>,
    macro_average: bool,
    lower_as: Option<String>,
    lower_total: Option<f64>,
}

fn unknown(field: &str, found: &str, expected: &str) -> PyErr {
    KexueError::new_err(format!("{field} must be {expected}; found `{found}`"))
}

/// One of the named values.
fn named<T: Copy>(field: &str, found: &str, values: &[(&str, T)]) -> PyResult<T> {
    let value = values
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(found))
        .map(|&(_, value)| value);
    value.ok_or_else(|| {
        let names: Vec<&str> = values.iter().map(|&(name, _)| name).collect();
        unknown(field, found, &format!("one of {}", names.join(", ")))
    })
}

impl Choice {
    fn is_merged(&self, name: &String) -> bool {
        self.merge.iter().any(|(merged, _)| merged == name)
    }

    fn read_options(&self) -> read::Options {
        let mut tasks = Vec::new();
        if let Some(names) = &self.columns {
            tasks.extend(names.iter().filter(|name| !self.is_merged(name)).cloned());
            tasks.extend(self.merge.iter().flat_map(|(_, members)| members.iter().cloned()));
        }
        read::Options {
            system: self.system.clone(),
            tasks,
            ignore: self
                .without
                .iter()
                .filter(|name| !self.is_merged(name))
                .cloned()
                .collect(),
            claims: self.claims.clone(),
            lower: self.lower.clone(),
            higher: self.higher.clone(),
            ..read::Options::default()
        }
    }

    fn selection(&self, table: &Table) -> PyResult<Selection> {
        Ok(Selection {
            columns: match &self.columns {
                _ if self.common => Columns::Common,
                Some(names) => Columns::Named(names.clone()),
                None => Columns::All,
            },
            // The others were not read at all.
            without: (self.without.iter())
                .filter(|name| self.is_merged(name) || !table.has_heading(name))
                .cloned()
                .collect(),
            systems: self.systems.clone(),
            head: self.head,
            unranked: if self.drop_unranked {
                Unranked::Drop
            } else {
                Unranked::Keep
            },
            drop_rows: self.drop_rows,
            metrics: match &self.metrics {
                None => Metrics::default(),
                Some(name) => named(
                    "metrics",
                    name,
                    &[
                        ("average", Metrics::Average),
                        ("split", Metrics::Split),
                        ("first", Metrics::First),
                        ("last", Metrics::Last),
                    ],
                )?,
            },
            merge: self.merge.clone(),
            groups: self.groups.clone(),
            weights: self.weights.clone(),
            averaging: if self.macro_average {
                Averaging::Macro
            } else {
                Averaging::Micro
            },
            flip: match &self.lower_as {
                None => None,
                Some(name) => Some(named(
                    "lower_as",
                    name,
                    &[
                        ("complement", Flip::Complement(self.lower_total.unwrap_or(100.0))),
                        ("reciprocal", Flip::Reciprocal),
                    ],
                )?),
            },
        })
    }
}

/// A table and what is used of it.
#[pyclass(frozen, module = "kexue._kexue")]
pub(crate) struct Results {
    table: Table,
    choice: Choice,
}

fn mean(text: &str) -> PyResult<Mean> {
    text.parse().map_err(raise_rank)
}

#[pymethods]
impl Results {
    /// From a table as CSV, which messages call `name`, or from files; `choice` is JSON.
    #[new]
    fn new(name: &str, csv: Option<&[u8]>, paths: Vec<PathBuf>, choice: &str) -> PyResult<Self> {
        let choice: Choice = serde_json::from_str(choice).raise()?;
        let options = choice.read_options();
        let table = match csv {
            Some(csv) => {
                let format = Some(read::Format::Csv);
                let options = read::Options {
                    format,
                    delimiter: Some(b','),
                    ..options
                };
                let table = read::read_bytes(name, csv, &options).and_then(|table| join::join(vec![table], None));
                let table = table.map_err(raise_rank)?;
                for names in [&choice.system, &choice.claims, &choice.lower, &choice.higher] {
                    table.require_headings(names).map_err(raise_rank)?;
                }
                table
            }
            None => read::read_paths(&paths, &options, None).map_err(raise_rank)?,
        };
        Ok(Self { table, choice })
    }

    fn show(&self, py: Python<'_>, means: Vec<String>) -> PyResult<String> {
        let scores = self
            .table
            .select(&self.choice.selection(&self.table)?)
            .map_err(raise_rank)?;
        let means: Vec<Mean> = means.iter().map(|text| mean(text)).collect::<PyResult<_>>()?;
        let ranking = py
            .detach(|| {
                if means.is_empty() {
                    rank_by_three(&scores)
                } else {
                    rank_by(&scores, &means)
                }
            })
            .map_err(raise_rank)?;
        Ok(present::ranking_json(&self.table, &scores, &ranking).to_string())
    }

    fn flips(
        &self,
        py: Python<'_>,
        between: (String, String),
        resamples: usize,
        seed: u64,
        level: f64,
    ) -> PyResult<String> {
        if resamples == 0 || !(level > 0.0 && level < 1.0) {
            return Err(KexueError::new_err(
                "resamples must be above 0, and level between 0 and 1",
            ));
        }
        let between = [mean(&between.0)?, mean(&between.1)?];
        let scores = self
            .table
            .select(&self.choice.selection(&self.table)?)
            .map_err(raise_rank)?;
        let most = resample::MOST_RANKS / scores.systems.len().max(1);
        if resamples > most {
            return Err(KexueError::new_err(format!(
                "resamples must be at most {most} with {} systems; found {resamples}",
                scores.systems.len()
            )));
        }
        let options = BootstrapOptions {
            resamples,
            seed,
            level,
            ..BootstrapOptions::default()
        };
        let results = py
            .detach(|| {
                Ok(present::FlipResults {
                    flips: flips(&scores, between)?,
                    bootstrap: resample::bootstrap(&scores, between[0], options)?,
                    left_out: resample::leave_one_out(&scores, between[0])?,
                })
            })
            .map_err(raise_rank)?;
        Ok(present::flips_json(&self.table, &scores, &results).to_string())
    }

    fn vote(&self, py: Python<'_>, rules: Vec<String>, ties: &str, missing: &str) -> PyResult<String> {
        let partial = (self.table.select_partial(&self.choice.selection(&self.table)?)).map_err(raise_rank)?;
        let all = Rule::ALL.map(|rule| (rule.name(), rule));
        let rules: Vec<Rule> = match rules.as_slice() {
            [] => Rule::ALL.to_vec(),
            names => names
                .iter()
                .map(|name| named("rules", name, &all))
                .collect::<PyResult<_>>()?,
        };
        let options = vote::Options {
            ties: named(
                "ties",
                ties,
                &[
                    ("share", vote::Ties::Share),
                    ("best", vote::Ties::Best),
                    ("worst", vote::Ties::Worst),
                    ("votenrank", vote::Ties::Votenrank),
                ],
            )?,
            missing: named(
                "missing",
                missing,
                &[
                    ("refuse", vote::Missing::Refuse),
                    ("pairwise", vote::Missing::Pairwise),
                    ("last", vote::Missing::Last),
                ],
            )?,
            ..vote::Options::default()
        };
        let outcomes = py
            .detach(|| vote::vote(&partial, &rules, options))
            .map_err(raise_rank)?;
        Ok(present::votes_json(&self.table, &partial.scores, &outcomes).to_string())
    }

    fn check(&self, py: Python<'_>, means: Vec<String>, digits: Option<u8>) -> PyResult<String> {
        let rows = Selection {
            systems: self.choice.systems.clone(),
            head: self.choice.head,
            unranked: if self.choice.drop_unranked {
                Unranked::Drop
            } else {
                Unranked::Keep
            },
            ..Selection::default()
        };
        let table = self.table.with_rows(&rows).map_err(raise_rank)?;
        let means: Vec<Mean> = means.iter().map(|text| mean(text)).collect::<PyResult<_>>()?;
        let options = check::Options {
            means: if means.is_empty() {
                check::Options::default().means
            } else {
                means
            },
            decimals: digits,
            weights: self.choice.weights.clone(),
            groups: self.choice.groups.clone(),
            ..check::Options::default()
        };
        let found = py.detach(|| check::check(&table, &options)).map_err(raise_rank)?;
        Ok(present::check_json(&table, &found).to_string())
    }
}
