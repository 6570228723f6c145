//! The order of the parts of a key.

use std::fmt;
use std::str::FromStr;

/// The order of the parts of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FactOrder {
    /// Subject, relation, sense: decode first what the question determines (article 8802).
    #[default]
    SubjectRelationSense,
    /// Subject, sense, relation: the ablation.
    SubjectSenseRelation,
}

impl fmt::Display for FactOrder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::SubjectRelationSense => "spm",
            Self::SubjectSenseRelation => "smp",
        })
    }
}

impl FromStr for FactOrder {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "spm" => Ok(Self::SubjectRelationSense),
            "smp" => Ok(Self::SubjectSenseRelation),
            _ => Err(format!("expected `spm` or `smp`, found `{text}`")),
        }
    }
}
