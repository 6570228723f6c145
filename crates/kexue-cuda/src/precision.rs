//! The precision of matrix products.

use crate::machine::Number;
use std::fmt;
use std::str::FromStr;

/// The number type of the operands of matrix products. Sums, parameters and moments are always in single precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Single precision, of which products use 10 bits of the fraction.
    Tf32,
    /// The upper half of single precision.
    Bf16,
}

impl Precision {
    pub(crate) fn operand(self) -> Number {
        match self {
            Self::F32 | Self::Tf32 => Number::F32,
            Self::Bf16 => Number::Bf16,
        }
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f32" => Ok(Self::F32),
            "tf32" => Ok(Self::Tf32),
            "bf16" => Ok(Self::Bf16),
            _ => Err(format!("`{text}` is not a precision: expected f32, tf32 or bf16")),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_precisions_are_read() {
        for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
            assert_eq!(precision.to_string().parse::<Precision>(), Ok(precision));
        }
        assert!(
            "f16"
                .parse::<Precision>()
                .unwrap_err()
                .contains("expected f32, tf32 or bf16")
        );
    }
}
