//! Transformations, one after another.

/// Turns a gradient into something better to subtract.
pub trait Transformation: Send {
    /// Changes `update` in place. `parameters` are those before the step, `step` counts from 0.
    fn apply(&mut self, update: &mut [f32], parameters: &[f32], step: u64);

    /// What the transformation remembers from step to step, for a checkpoint; nothing by default.
    fn state(&mut self) -> Vec<&mut Vec<f32>> {
        Vec::new()
    }
}

/// A list of transformations, applied in order.
#[derive(Default)]
pub struct Chain {
    transformations: Vec<Box<dyn Transformation>>,
}

impl Chain {
    /// The empty chain: gradient descent with a learning rate of 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a transformation at the end.
    pub fn then(mut self, transformation: impl Transformation + 'static) -> Self {
        self.transformations.push(Box::new(transformation));
        self
    }

    /// One step: `gradient` becomes the update, which is subtracted from `parameters`.
    pub fn step(&mut self, parameters: &mut [f32], gradient: &mut [f32], step: u64) {
        for transformation in &mut self.transformations {
            transformation.apply(gradient, parameters, step);
        }
        for (parameter, update) in parameters.iter_mut().zip(gradient) {
            *parameter -= *update;
        }
    }

    /// Everything that the transformations remember, in order, for a checkpoint.
    pub fn state(&mut self) -> Vec<&mut Vec<f32>> {
        self.transformations
            .iter_mut()
            .flat_map(|transformation| transformation.state())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Double;
    impl Transformation for Double {
        fn apply(&mut self, update: &mut [f32], _: &[f32], _: u64) {
            update.iter_mut().for_each(|u| *u *= 2.0);
        }
    }

    struct AddStep;
    impl Transformation for AddStep {
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
}
