//! Regularised gradients of a learner, on a loss whose derivatives are known.

use kexue_optim::{Chain, Parameters, Place, Role, Slots};
use kexue_train::{BatchSettings, Learner, Loss, Metric, ParameterGroup, Regularizer, Task, TrainError};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// `½·Σ aᵢzᵢ²` plus the same random linear term at every evaluation of a batch.
struct Quadratic;

const CURVATURES: [f32; 4] = [1.0, 2.0, 3.0, 0.5];

struct Model {
    slots: Slots,
    values: Vec<f32>,
}

impl Model {
    fn new(embedding: Role) -> Self {
        let mut slots = Slots::default();
        slots.add("embeddings.weight", embedding, Place::Unspecified, &[2, 1]);
        slots.add("weight", Role::Weight, Place::Unspecified, &[2, 1]);
        Self {
            slots,
            values: vec![0.5, -0.3, 0.8, 1.1],
        }
    }
}

impl Parameters for Model {
    fn slots(&self) -> &Slots {
        &self.slots
    }
    fn values(&self) -> &[f32] {
        &self.values
    }
    fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }
}

impl Task for Quadratic {
    type Model = Model;
    type Batch = usize;
    type Workspace = ();

    fn examples(&self) -> usize {
        10
    }

    fn workspace(&self, _: &Model) {}

    fn batch(&self, examples: &[usize], _: u64, _: &mut ChaCha8Rng) -> Result<usize, TrainError> {
        Ok(examples.len())
    }

    fn loss(
        &self,
        model: &Model,
        batch: &usize,
        random: &mut ChaCha8Rng,
        (): &mut (),
        gradient: &mut [f32],
    ) -> Result<Loss, TrainError> {
        let count = *batch as f32;
        let mut sum = 0.0;
        for (place, gradient) in gradient.iter_mut().enumerate() {
            let noise = random.random_range(-0.1..0.1);
            let (z, a) = (model.values[place], CURVATURES[place]);
            sum += count * (0.5 * a * z * z + noise * z);
            *gradient += count * (a * z + noise);
        }
        Ok(Loss {
            sum: f64::from(sum),
            terms: f64::from(count),
            items: *batch,
            also: Vec::new(),
        })
    }

    fn validate(&self, _: &Model) -> Result<Vec<Metric>, TrainError> {
        Ok(Vec::new())
    }
}

fn gradient(regularizer: Option<Regularizer>) -> Vec<f32> {
    let model = Model::new(Role::Embedding);
    let before = model.values.clone();
    let groups = vec![ParameterGroup::whole(model.slots(), Chain::new())];
    let batches = BatchSettings {
        seed: 1,
        size: 6,
        shards: 3,
    };
    let mut learner = Learner::new(&Quadratic, model, groups, batches)
        .regularized(regularizer)
        .unwrap();
    learner.gradient(0, true).unwrap();
    assert_eq!(learner.model().values(), before, "the parameters are as before");
    learner.last_gradient().to_vec()
}

#[test]
fn the_regularised_gradient_is_of_the_same_batch_with_the_same_noise() {
    let plain = gradient(None);
    for (regularizer, places) in [
        (Regularizer::InputGradient { weight: 0.3 }, 0..2),
        (Regularizer::ParameterGradient { weight: 0.3 }, 0..4),
    ] {
        let found = gradient(Some(regularizer));
        for place in 0..4 {
            // ∂(w·Σg²)/∂z = 2w·a·g: were the noise another one, the difference of gradients would be off by 0.1/STEP.
            let penalty = if places.contains(&place) {
                0.6 * CURVATURES[place] * plain[place]
            } else {
                0.0
            };
            let expected = plain[place] + penalty;
            assert!((found[place] - expected).abs() < 1e-3, "{regularizer} {place}");
        }
    }
    let length = plain.iter().map(|g| g * g).sum::<f32>().sqrt();
    let sam = gradient(Some(Regularizer::Sam { radius: 0.1 }));
    for place in 0..4 {
        let expected = plain[place] + 0.1 * CURVATURES[place] * plain[place] / length;
        assert!((sam[place] - expected).abs() < 1e-5);
    }
}

#[test]
fn inputs_without_embeddings_are_refused() {
    let model = Model::new(Role::Weight);
    let groups = vec![ParameterGroup::whole(model.slots(), Chain::new())];
    let batches = BatchSettings {
        seed: 1,
        size: 6,
        shards: 1,
    };
    let learner = Learner::new(&Quadratic, model, groups, batches).regularized(Some(Regularizer::Fgm { radius: 1.0 }));
    let error = learner.err().unwrap().to_string();
    assert!(
        error.contains("fgm:1 perturbs embeddings, and the model has none"),
        "{error}"
    );
}
