//! Predictions of tokens from hidden states: BERT's masked-language-model head and the tied softmax, forward and backward.

use crate::kernels::{
    ADD, SET, Shape, activate, activate_backward, add, gather, linear, linear_backward, log_of, matmul, resize, softmax,
};
use crate::model::Model;
use crate::training::{NormTape, two};
use kexue_text::Token;

/// A token to be predicted at a row of the hidden states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// Row of the hidden states.
    pub row: usize,
    /// The correct token.
    pub token: Token,
}

/// Working memory of the head. Reuse it from batch to batch.
#[derive(Debug, Default)]
pub struct HeadTape {
    /// The hidden states of the current rows, `[rows, d_model]`.
    states: Vec<f32>,
    dense: Vec<f32>,
    activated: Vec<f32>,
    norm: NormTape,
    /// The states that are multiplied by the embeddings, `[rows, d_model]`.
    outputs: Vec<f32>,
    logits: Vec<f32>,
    gradient: Vec<f32>,
    d_states: Vec<f32>,
}

/// Number of rows whose logits are computed at once, which bounds the memory for large vocabularies.
const ROWS: usize = 256;

impl Model {
    /// The logits of the whole vocabulary at some rows of `hidden`, `[rows, vocab_size]`.
    ///
    /// # Panics
    /// If a row is out of range.
    pub fn token_logits(&self, hidden: &[f32], rows: &[usize], tape: &mut HeadTape) -> Vec<f32> {
        let mut logits = Vec::with_capacity(rows.len() * self.config().vocab_size);
        for rows in rows.chunks(ROWS) {
            gather(&mut tape.states, hidden, self.config().d_model, rows.iter().copied());
            logits.extend_from_slice(self.logits_of(rows.len(), tape));
        }
        logits
    }

    /// The summed cross-entropy of predictions, and how many are correct, given the hidden states `[tokens, d_model]`.
    ///
    /// # Panics
    /// If a row or a token is out of range.
    pub fn prediction_score(&self, hidden: &[f32], predictions: &[Prediction], tape: &mut HeadTape) -> (f64, usize) {
        let (mut loss, mut right) = (0.0, 0);
        for predictions in predictions.chunks(ROWS) {
            let (more, right_here) = self.predict(hidden, predictions, tape);
            loss += more;
            right += right_here;
        }
        (loss, right)
    }

    /// Like [`Model::prediction_score`], but also adds the derivative of the loss with respect to the hidden states to `d_hidden`, and that with
    /// respect to the parameters to `gradient`.
    ///
    /// # Panics
    /// If a row or a token is out of range.
    pub fn prediction_loss(
        &self,
        hidden: &[f32],
        predictions: &[Prediction],
        tape: &mut HeadTape,
        d_hidden: &mut [f32],
        gradient: &mut [f32],
    ) -> (f64, usize) {
        let d = self.config().d_model;
        let (mut loss, mut right) = (0.0, 0);
        for predictions in predictions.chunks(ROWS) {
            let (more, right_here) = self.predict(hidden, predictions, tape);
            loss += more;
            right += right_here;
            self.logits_backward(predictions.len(), tape, gradient);
            for (prediction, d_state) in predictions.iter().zip(tape.d_states.chunks_exact(d)) {
                add(&mut d_hidden[prediction.row * d..][..d], d_state);
            }
        }
        (loss, right)
    }

    /// The loss of at most [`ROWS`] predictions. Overwrites the logits with the derivative of the loss.
    fn predict(&self, hidden: &[f32], predictions: &[Prediction], tape: &mut HeadTape) -> (f64, usize) {
        let rows = predictions.iter().map(|prediction| prediction.row);
        gather(&mut tape.states, hidden, self.config().d_model, rows);
        let logits = self.logits_of(predictions.len(), tape);
        let (mut loss, mut right) = (0.0, 0);
        for (row, prediction) in logits.chunks_exact_mut(self.config().vocab_size).zip(predictions) {
            let target = prediction.token as usize;
            right += usize::from(row.iter().all(|&logit| logit <= row[target]));
            softmax(row);
            loss -= log_of(row[target]);
            row[target] -= 1.0;
        }
        (loss, right)
    }

    /// The factor of the states before they become logits.
    fn head_factor(&self) -> f32 {
        // Without a dense layer, the last hidden state already has the factor.
        self.config().logit_factor() / self.config().hidden_factor()
    }

    fn logits_of<'t>(&self, rows: usize, tape: &'t mut HeadTape) -> &'t mut [f32] {
        let (config, layout) = (self.config(), self.layout());
        let d = config.d_model;
        let outputs = resize(&mut tape.outputs, rows * d);
        match &layout.head_dense {
            None => outputs.copy_from_slice(&tape.states),
            Some(at) => {
                let dense = resize(&mut tape.dense, rows * d);
                linear(dense, &tape.states, self.linear(&at.dense), rows);
                let activated = resize(&mut tape.activated, rows * d);
                activate(config.activation, activated, dense);
                self.norm(outputs, &mut tape.norm, activated, &at.norm);
            }
        }
        let logits = resize(&mut tape.logits, rows * config.vocab_size);
        match &layout.head_bias {
            None => logits.fill(0.0),
            Some(bias) => logits
                .chunks_exact_mut(config.vocab_size)
                .for_each(|row| row.copy_from_slice(self.at(bias))),
        }
        matmul(
            logits,
            Shape::dense(rows, config.vocab_size),
            outputs,
            Shape::dense(rows, d),
            self.at(&layout.embedding),
            Shape::dense(config.vocab_size, d).t(),
            ADD.times(self.head_factor()),
        );
        logits
    }

    /// Computes `d_states` and the gradient from the derivative with respect to the logits, which has replaced them.
    fn logits_backward(&self, rows: usize, tape: &mut HeadTape, gradient: &mut [f32]) {
        let (config, layout) = (self.config(), self.layout());
        let (d, vocabulary, factor) = (config.d_model, config.vocab_size, self.head_factor());
        let d_logits = &tape.logits[..rows * vocabulary];
        let (logits_shape, states_shape) = (Shape::dense(rows, vocabulary), Shape::dense(rows, d));
        if let Some(bias) = &layout.head_bias {
            let d_bias = &mut gradient[bias.clone()];
            d_logits.chunks_exact(vocabulary).for_each(|row| add(d_bias, row));
        }
        matmul(
            &mut gradient[layout.embedding.clone()],
            Shape::dense(vocabulary, d),
            d_logits,
            logits_shape.t(),
            &tape.outputs,
            states_shape,
            ADD.times(factor),
        );
        let d_outputs = resize(&mut tape.gradient, rows * d);
        matmul(
            d_outputs,
            states_shape,
            d_logits,
            logits_shape,
            self.at(&layout.embedding),
            Shape::dense(vocabulary, d),
            SET.times(factor),
        );
        tape.d_states.clear();
        tape.d_states.resize(rows * d, 0.0);
        let Some(at) = &layout.head_dense else {
            tape.d_states.copy_from_slice(d_outputs);
            return;
        };
        // The derivative of the activation overwrites its input.
        let d_activated = resize(&mut tape.activated, rows * d);
        d_activated.fill(0.0);
        self.norm_backward(d_activated, gradient, d_outputs, &tape.norm, &at.norm);
        activate_backward(config.activation, d_activated, &tape.dense[..rows * d]);
        linear_backward(
            &mut tape.d_states,
            two(gradient, &at.dense),
            d_activated,
            &tape.states,
            self.linear(&at.dense),
            rows,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Head, Initializer, LogitScale, StdConvention, TransformerConfig};
    use rand::SeedableRng;

    fn model(head: Head) -> Model {
        let config = TransformerConfig {
            d_model: 8,
            layers: 1,
            heads: 2,
            d_ffn: 8,
            head,
            logit_scale: LogitScale::InverseRootWidth,
            initializer: Initializer::truncated_normal(0.5, StdConvention::Effective),
            ..TransformerConfig::new(30)
        };
        Model::new(config, &mut rand_chacha::ChaCha8Rng::seed_from_u64(4)).unwrap()
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let mut hidden: Vec<f32> = (0..24).map(|i| (i as f32 * 1.3).sin()).collect();
        let predictions = [
            Prediction { row: 0, token: 7 },
            Prediction { row: 2, token: 29 },
            Prediction { row: 2, token: 0 },
        ];
        for head in [Head::None, Head::Bias, Head::DenseNorm] {
            let mut model = model(head);
            let length = model.layout().len();
            let (mut d_hidden, mut gradient) = (vec![0.0; 24], vec![0.0; length]);
            let mut tape = HeadTape::default();
            let (loss, _) = model.prediction_loss(&hidden, &predictions, &mut tape, &mut d_hidden, &mut gradient);
            let mut again = |model: &Model, hidden: &[f32]| {
                let mut gradient = vec![0.0; length];
                model
                    .prediction_loss(hidden, &predictions, &mut tape, &mut [0.0; 24], &mut gradient)
                    .0
            };
            assert!(loss > 0.0);
            for i in 0..24 {
                let kept = hidden[i];
                hidden[i] = kept + 1e-2;
                let up = again(&model, &hidden);
                hidden[i] = kept - 1e-2;
                let down = again(&model, &hidden);
                hidden[i] = kept;
                let numeric = (up - down) / 2e-2;
                assert!((numeric - f64::from(d_hidden[i])).abs() < 2e-3, "{head:?} hidden {i}");
            }
            let slots = model.layout().slots().to_vec();
            for slot in slots
                .iter()
                .filter(|slot| slot.name.starts_with("cls") || slot.name.contains("word"))
            {
                for at in slot.range.clone().step_by(7) {
                    let kept = model.values()[at];
                    model.values_mut()[at] = kept + 1e-2;
                    let up = again(&model, &hidden);
                    model.values_mut()[at] = kept - 1e-2;
                    let down = again(&model, &hidden);
                    model.values_mut()[at] = kept;
                    let numeric = (up - down) / 2e-2;
                    assert!(
                        (numeric - f64::from(gradient[at])).abs() < 2e-3,
                        "{head:?} {} {at}",
                        slot.name
                    );
                }
            }
        }
    }

    #[test]
    fn many_rows_are_few_rows_put_together() {
        let model = model(Head::DenseNorm);
        let hidden: Vec<f32> = (0..8 * 600).map(|i| (i as f32 * 0.7).sin()).collect();
        let rows: Vec<usize> = (0..600).collect();
        let mut tape = HeadTape::default();
        let all = model.token_logits(&hidden, &rows, &mut tape);
        for row in [0, 255, 256, 599] {
            let alone = model.token_logits(&hidden, &[row], &mut tape);
            let differences = all[row * 30..].iter().zip(&alone).map(|(a, b)| (a - b).abs());
            assert!(differences.fold(0.0, f32::max) < 1e-5, "row {row}");
        }
        let best =
            |row: usize| (0..30u32).max_by(|&a, &b| all[row * 30 + a as usize].total_cmp(&all[row * 30 + b as usize]));
        let predictions: Vec<Prediction> = rows
            .iter()
            .map(|&row| Prediction {
                row,
                token: best(row).unwrap(),
            })
            .collect();
        let mut gradient = vec![0.0; model.layout().len()];
        let mut d_hidden = vec![0.0; hidden.len()];
        let (_, right) = model.prediction_loss(&hidden, &predictions, &mut tape, &mut d_hidden, &mut gradient);
        assert_eq!(right, 600);
    }
    #[test]
    fn the_loss_of_numbers_that_are_none_is_none() {
        let predictions = [Prediction { row: 0, token: 7 }];
        for head in [Head::None, Head::Bias, Head::DenseNorm] {
            let mut model = model(head);
            let loss = |model: &Model, hidden: f32| {
                let hidden: Vec<f32> = (0..8).map(|at| hidden * (at + 1) as f32).collect();
                model
                    .prediction_score(&hidden, &predictions, &mut HeadTape::default())
                    .0
            };
            assert!(loss(&model, 1.0).is_finite());
            assert!(
                loss(&model, f32::NAN).is_nan() && loss(&model, f32::INFINITY).is_nan(),
                "{head:?}"
            );
            model.values_mut().fill(f32::NAN);
            assert!(loss(&model, 1.0).is_nan());
        }
    }
}
