//! Transformations, one after another.

use crate::chunk::{BLOCK, CHUNK};
use crate::vectors::subtract;
use rayon::prelude::*;
use std::fmt;

/// The effect of an elementwise transformation on a piece of the update. It is called for one block of the piece after another, each once and in order,
/// with the update and the parameters of the block.
pub type Piece<'a> = Box<dyn FnMut(&mut [f32], &[f32]) + Send + 'a>;

/// Transforms a gradient into an update. This is the extension point of the crate.
///
/// ```
/// use kexue_optim::{Chain, LearningRate, Schedule, Transformation};
///
/// /// Replaces every number with its sign.
/// struct Sign;
///
/// impl Transformation for Sign {
///     fn name(&self) -> &'static str {
///         "sign"
///     }
///
///     fn apply(&mut self, update: &mut [f32], _parameters: &[f32], _step: u64) {
///         update.iter_mut().for_each(|u| *u = u.signum());
///     }
/// }
///
/// let mut chain = Chain::new().then(Sign).then(LearningRate(Schedule::constant(0.1)));
/// assert_eq!(chain.to_string(), "sign → rate 0.1");
/// let mut parameters = [1.0, 1.0];
/// chain.step(&mut parameters, &mut [5.0, -0.01], 0);
/// assert_eq!(parameters, [0.9, 1.1]);
/// ```
pub trait Transformation: Send {
    /// A word for messages; it also names the transformation's state in a checkpoint.
    fn name(&self) -> &'static str;

    /// Changes `update` in place. `parameters` are those before the step, `step` counts from 0.
    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64);

    /// Whether each number of the update depends on nothing but itself, its parameter and its own state. If so, [`pieces`](Self::pieces)
    /// must be implemented; a chain then runs neighbouring transformations of this kind in a single pass over memory.
    fn is_elementwise(&self) -> bool {
        false
    }

    /// The same as [`apply`](Self::apply), as one function for each piece of `size` numbers (the last may be shorter), in order.
    fn pieces(&mut self, _pieces: usize, _size: usize, _step: u64) -> Vec<Piece<'_>> {
        Vec::new()
    }

    /// Its state between steps, by name; none by default.
    fn state(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        Vec::new()
    }

    /// The learning rate of a step, if it sets one.
    fn learning_rate(&self, _step: u64) -> Option<f32> {
        None
    }

    /// A few words: what it is and its settings.
    fn describe(&self) -> String {
        self.name().to_owned()
    }
}

/// Applies an elementwise transformation on its own.
pub(crate) fn apply_pieces(transformation: &mut dyn Transformation, update: &mut [f32], parameters: &[f32], step: u64) {
    let pieces = transformation.pieces(update.len().div_ceil(CHUNK), CHUNK, step);
    update
        .par_chunks_mut(CHUNK)
        .zip(parameters.par_chunks(CHUNK))
        .zip(pieces)
        .for_each(|((update, parameters), mut piece)| piece(update, parameters));
}

/// The size of a piece, which is the work of one thread.
const PIECE: usize = 1 << 15;

/// A list of transformations that are applied in order. A chain is itself a transformation.
#[derive(Default)]
pub struct Chain {
    links: Vec<Box<dyn Transformation>>,
}

impl Chain {
    /// The empty chain: gradient descent with a learning rate of 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a transformation at the end.
    pub fn then(mut self, transformation: impl Transformation + 'static) -> Self {
        self.links.push(Box::new(transformation));
        self
    }

    /// One step: `gradient` becomes the update, which is subtracted from `parameters`.
    pub fn step(&mut self, parameters: &mut [f32], gradient: &mut [f32], step: u64) {
        let fused = self.run(gradient, parameters, step);
        let mut passes = pieces(&mut self.links[fused..], gradient.len(), step);
        let pieces: Vec<Vec<Piece<'_>>> = transpose(&mut passes, gradient.len());
        parameters
            .par_chunks_mut(PIECE)
            .zip(gradient.par_chunks_mut(PIECE))
            .zip(pieces)
            .for_each(|((parameters, update), mut pieces)| {
                for (parameters, update) in parameters.chunks_mut(BLOCK).zip(update.chunks_mut(BLOCK)) {
                    pieces.iter_mut().for_each(|piece| piece(update, parameters));
                    subtract(parameters, update);
                }
            });
    }

    /// Applies all but the elementwise transformations at the end; returns where those begin.
    fn run(&mut self, update: &mut [f32], parameters: &[f32], step: u64) -> usize {
        let mut start = 0;
        loop {
            let elementwise = self.links[start..]
                .iter()
                .take_while(|link| link.is_elementwise())
                .count();
            let end = start + elementwise;
            if end == self.links.len() {
                return start;
            }
            in_one_pass(&mut self.links[start..end], update, parameters, step);
            self.links[end].apply(update, parameters, step);
            start = end + 1;
        }
    }
}

/// Takes the next numbers of the state of a piece, as many as a block has.
pub(crate) fn next<'a>(rest: &mut &'a mut [f32], count: usize) -> &'a mut [f32] {
    rest.split_off_mut(..count).unwrap_or_default()
}

/// The pieces of each of some elementwise transformations.
fn pieces(links: &mut [Box<dyn Transformation>], length: usize, step: u64) -> Vec<std::vec::IntoIter<Piece<'_>>> {
    let count = length.div_ceil(PIECE);
    links
        .iter_mut()
        .map(|link| link.pieces(count, PIECE, step).into_iter())
        .collect()
}

/// The functions to apply to each piece, in the order of the transformations.
fn transpose<'a>(passes: &mut [std::vec::IntoIter<Piece<'a>>], length: usize) -> Vec<Vec<Piece<'a>>> {
    (0..length.div_ceil(PIECE))
        .map(|_| passes.iter_mut().filter_map(Iterator::next).collect())
        .collect()
}

fn in_one_pass(links: &mut [Box<dyn Transformation>], update: &mut [f32], parameters: &[f32], step: u64) {
    if links.is_empty() {
        return;
    }
    let mut passes = pieces(links, update.len(), step);
    let pieces = transpose(&mut passes, update.len());
    update
        .par_chunks_mut(PIECE)
        .zip(parameters.par_chunks(PIECE))
        .zip(pieces)
        .for_each(|((update, parameters), mut pieces)| {
            for (update, parameters) in update.chunks_mut(BLOCK).zip(parameters.chunks(BLOCK)) {
                pieces.iter_mut().for_each(|piece| piece(update, parameters));
            }
        });
}

impl Transformation for Chain {
    fn name(&self) -> &'static str {
        "chain"
    }

    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64) {
        let fused = self.run(update, parameters, step);
        in_one_pass(&mut self.links[fused..], update, parameters, step);
    }

    /// `adam.first`. The second transformation of the same name gets a number: `adam.2.first`.
    fn state(&mut self) -> Vec<(String, &mut Vec<f32>)> {
        let names: Vec<&'static str> = self.links.iter().map(|link| link.name()).collect();
        let mut all = Vec::new();
        for (at, link) in self.links.iter_mut().enumerate() {
            let name = names[at];
            let earlier = names[..at].iter().filter(|other| **other == name).count();
            let name = match earlier {
                0 => name.to_owned(),
                _ => format!("{name}.{}", earlier + 1),
            };
            all.extend(
                link.state()
                    .into_iter()
                    .map(|(part, vector)| (format!("{name}.{part}"), vector)),
            );
        }
        all
    }

    fn learning_rate(&self, step: u64) -> Option<f32> {
        self.links
            .iter()
            .filter_map(|link| link.learning_rate(step))
            .reduce(|a, b| a * b)
    }

    fn describe(&self) -> String {
        let words: Vec<String> = self.links.iter().map(|link| link.describe()).collect();
        words.join(" → ")
    }
}

/// The chain in one line: `clip 1 → adam → decay 0.01 on matrices → warmup 300, cosine`.
impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, AdamConfig, ClipGlobalNorm, LearningRate, Schedule, Slots, WeightDecay};

    struct Double;
    impl Transformation for Double {
        fn name(&self) -> &'static str {
            "double"
        }

        fn apply(&mut self, update: &mut [f32], _: &[f32], _: u64) {
            update.iter_mut().for_each(|u| *u *= 2.0);
        }
    }

    struct AddStep;
    impl Transformation for AddStep {
        fn name(&self) -> &'static str {
            "add step"
        }

        fn apply(&mut self, update: &mut [f32], _: &[f32], step: u64) {
            update.iter_mut().for_each(|u| *u += step as f32);
        }
    }

    #[test]
    fn transformations_run_in_the_order_given() {
        let mut parameters = [10.0];
        Chain::new()
            .then(Double)
            .then(AddStep)
            .step(&mut parameters, &mut [1.0], 3);
        assert_eq!(parameters, [5.0]);
        let mut parameters = [10.0];
        Chain::new()
            .then(AddStep)
            .then(Double)
            .step(&mut parameters, &mut [1.0], 3);
        assert_eq!(parameters, [2.0]);
    }

    #[test]
    fn one_pass_gives_what_each_gives_on_its_own() {
        let size = 3 * PIECE + 17;
        let slots = Slots::flat(size);
        let parts = || -> Vec<Box<dyn Transformation>> {
            vec![
                Box::new(ClipGlobalNorm { max_norm: 1.0 }),
                Box::new(Adam::new(AdamConfig::default(), size)),
                Box::new(WeightDecay::new(0.1, slots.subset(|_| true).ranges().to_vec())),
                Box::new(Double),
                Box::new(LearningRate(Schedule::constant(0.01))),
            ]
        };
        let number = |at: usize, step: u64| ((at as f32 + step as f32 * 0.7) * 0.37).sin();
        let mut fused = Chain { links: parts() };
        let mut single = parts();
        let mut a: Vec<f32> = (0..size).map(|at| number(at, 9)).collect();
        let mut b = a.clone();
        for step in 0..5 {
            let gradient: Vec<f32> = (0..size).map(|at| number(at, step)).collect();
            fused.step(&mut a, &mut gradient.clone(), step);
            let mut update = gradient;
            single.iter_mut().for_each(|link| link.apply(&mut update, &b, step));
            b.iter_mut().zip(update).for_each(|(b, u)| *b -= u);
            assert!(a == b, "step {step}");
        }
    }

    #[test]
    fn state_goes_by_name() {
        let adam = || Adam::new(AdamConfig::default(), 1);
        let mut chain = Chain::new()
            .then(adam())
            .then(Double)
            .then(Chain::new().then(adam()))
            .then(adam());
        let names: Vec<String> = chain.state().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "adam.first",
                "adam.second",
                "chain.adam.first",
                "chain.adam.second",
                "adam.2.first",
                "adam.2.second"
            ]
        );
    }
}
