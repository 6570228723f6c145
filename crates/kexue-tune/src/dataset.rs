//! Examples as tokens and targets.

use crate::reader::{Example, Examples};
use kexue_nn::{Mask, PackedBatch, Token};
use kexue_text::PretrainedTokenizer;
use kexue_train::TrainError;
use rayon::prelude::*;
use std::collections::BTreeSet;

/// The kind of labels: named classes, or numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labels {
    /// The names of the classes, in order.
    Classes(Vec<String>),
    /// A number.
    Number,
}

impl Labels {
    /// The classes of a training file, in numeric order if all labels are numbers, else in alphabetical order.
    ///
    /// # Errors
    /// If there is only one class.
    pub fn classes_of(examples: &Examples) -> Result<Self, TrainError> {
        let names = examples.examples.iter().filter_map(|example| example.label.clone());
        let mut names: Vec<String> = names.collect::<BTreeSet<String>>().into_iter().collect();
        if let Ok(numbers) = names.iter().map(|name| name.parse()).collect::<Result<Vec<i64>, _>>() {
            let mut pairs: Vec<(i64, String)> = numbers.into_iter().zip(names).collect();
            pairs.sort();
            names = pairs.into_iter().map(|(_, name)| name).collect();
        }
        if names.len() < 2 {
            let problem = format!(
                "column `{}` holds {}: classification needs at least two labels",
                examples.label,
                names
                    .first()
                    .map_or("no label".to_owned(), |name| format!("only the label {name:?}"))
            );
            return Err(TrainError::file(&examples.file, problem));
        }
        Ok(Self::Classes(names))
    }

    /// Labels with the class names of a configuration; numbers if there are no names.
    pub fn named(names: &[String]) -> Self {
        match names {
            [] => Self::Number,
            names => Self::Classes(names.to_vec()),
        }
    }

    /// The names of the classes; empty for numbers.
    pub fn names(&self) -> &[String] {
        match self {
            Self::Classes(names) => names,
            Self::Number => &[],
        }
    }

    /// Number of logits.
    pub fn logits(&self) -> usize {
        self.names().len().max(1)
    }

    /// The index of a class, or the number.
    fn target(&self, examples: &Examples, example: &Example) -> Result<Option<f32>, TrainError> {
        let Some(label) = &example.label else {
            return Ok(None);
        };
        match self {
            Self::Classes(names) => match names.iter().position(|name| name == label) {
                Some(index) => Ok(Some(index as f32)),
                None => {
                    let shown: Vec<String> = names.iter().take(8).map(|name| format!("{name:?}")).collect();
                    let more = if names.len() > shown.len() { ", …" } else { "" };
                    let problem = format!(
                        "label {label:?} is not a label of the training examples: {}{more}",
                        shown.join(", ")
                    );
                    Err(examples.label_problem(example, problem))
                }
            },
            Self::Number => match label.trim().parse::<f32>() {
                Ok(number) if number.is_finite() => Ok(Some(number)),
                _ => Err(examples.label_problem(example, format!("{label:?} is not a number"))),
            },
        }
    }
}

/// An example as input of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// Its tokens, including special tokens.
    pub tokens: Vec<Token>,
    /// Start of the second text; the number of tokens if there is none.
    pub second: usize,
    /// The index of its class, or its number; `None` if it is unknown.
    pub target: Option<f32>,
}

impl Encoded {
    /// Adds the example to a batch, in segments if the model has them.
    pub(crate) fn push(&self, batch: &mut PackedBatch, has_segments: bool) {
        let (first, second) = self.tokens.split_at(self.second);
        match has_segments && !second.is_empty() {
            true => batch.push_pair(first, second, Mask::BIDIRECTIONAL),
            false => batch.push(&self.tokens, Mask::BIDIRECTIONAL),
        };
    }
}

/// The examples of a file as tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// The examples, in the order of the file.
    pub examples: Vec<Encoded>,
    /// Number of examples that were truncated.
    pub cut: usize,
}

impl Dataset {
    /// Encodes examples, truncated to `length` tokens. Of a pair, the longer text is truncated first.
    ///
    /// # Errors
    /// If a label is unknown or a text cannot be tokenized. The error names file, line and column.
    pub fn encode(
        examples: &Examples,
        labels: &Labels,
        tokenizer: &PretrainedTokenizer,
        length: usize,
    ) -> Result<Self, TrainError> {
        let mut short = tokenizer.clone();
        short.truncate(length).map_err(TrainError::task)?;
        let encode = |example: &Example| {
            let tokens = |tokenizer: &PretrainedTokenizer| match &example.second {
                Some(second) => tokenizer.encode_pair(&example.text, second),
                None => tokenizer.encode(&example.text),
            };
            let problem = |error| TrainError::file(format!("{}:{}", examples.file, example.line), error);
            let mut found = tokens(tokenizer).map_err(problem)?;
            let is_cut = found.ids.len() > length;
            if is_cut {
                found = tokens(&short).map_err(problem)?;
            }
            let encoded = Encoded {
                second: found
                    .types
                    .iter()
                    .position(|&segment| segment > 0)
                    .unwrap_or(found.ids.len()),
                tokens: found.ids,
                target: labels.target(examples, example)?,
            };
            Ok((encoded, is_cut))
        };
        // Reports the first problem of the file, not the first one that a thread finds.
        let encoded: Vec<_> = examples.examples.par_iter().map(encode).collect();
        let encoded = encoded.into_iter().collect::<Result<Vec<_>, TrainError>>()?;
        Ok(Self {
            cut: encoded.iter().filter(|(_, is_cut)| *is_cut).count(),
            examples: encoded.into_iter().map(|(encoded, _)| encoded).collect(),
        })
    }

    /// The length of the longest example.
    pub fn longest(&self) -> usize {
        self.examples
            .iter()
            .map(|example| example.tokens.len())
            .max()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kexue_text::Vocabulary;

    fn examples(labels: &[&str]) -> Examples {
        let example = |(at, label): (usize, &&str)| Example {
            line: at + 2,
            text: "abc".to_owned(),
            second: Some("d".to_owned()),
            label: Some((*label).to_owned()),
        };
        Examples {
            file: "dev.tsv".to_owned(),
            label: "class".to_owned(),
            examples: labels.iter().enumerate().map(example).collect(),
        }
    }

    #[test]
    fn classes_are_in_the_order_of_their_numbers_or_letters() {
        let classes = |labels: &[&str]| Labels::classes_of(&examples(labels)).unwrap();
        assert_eq!(classes(&["10", "9", "10"]).names(), ["9", "10"]);
        assert_eq!(classes(&["b", "10", "a"]).names(), ["10", "a", "b"]);
        let error = Labels::classes_of(&examples(&["a", "a"])).unwrap_err().to_string();
        assert!(
            error.starts_with("dev.tsv: column `class` holds only the label \"a\""),
            "{error}"
        );
    }

    #[test]
    fn labels_that_the_training_has_not_are_named_with_their_place() {
        let tokenizer = PretrainedTokenizer::try_from(&Vocabulary::new("abcd".chars(), false)).unwrap();
        let classes = Labels::classes_of(&examples(&["no", "yes"])).unwrap();
        let encode = |labels: &[&str], kind: &Labels| Dataset::encode(&examples(labels), kind, &tokenizer, 5);
        let error = encode(&["yes", "maybe"], &classes).unwrap_err().to_string();
        let expected =
            "dev.tsv:3: column `class`: label \"maybe\" is not a label of the training examples: \"no\", \"yes\"";
        assert_eq!(error, expected);
        let error = encode(&["1.5", "x"], &Labels::Number).unwrap_err().to_string();
        assert_eq!(error, "dev.tsv:3: column `class`: \"x\" is not a number");
        // [CLS] a b c [SEP] d [SEP] is seven tokens long.
        let cut = encode(&["yes"], &classes).unwrap();
        assert_eq!((cut.cut, cut.longest()), (1, 5));
        assert_eq!((cut.examples[0].second, cut.examples[0].target), (3, Some(1.0)));
        let whole = Dataset::encode(&examples(&["no"]), &classes, &tokenizer, 7).unwrap();
        assert_eq!((whole.cut, whole.examples[0].second), (0, 5));
    }
}
