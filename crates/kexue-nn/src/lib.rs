//! Transformer parts with a choice of attention scale and norm placement.
