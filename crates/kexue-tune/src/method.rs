//! Methods of fine-tuning: what is masked, and the other techniques that are used.

use kexue_nn::TransformerConfig;
use kexue_optim::{Link, Pattern, SlotGroup};
use kexue_train::TrainSettings;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The part of a step that is masked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Masking {
    /// Nothing.
    #[default]
    None,
    /// ChildTuning-F: gradients, with a new random mask at every step.
    TaskFree(f32),
    /// ChildTuning-D: the gradients of the parameters with small Fisher information.
    TaskDriven(f32),
    /// Elements of the update, with a new random mask at every step.
    UpdateDropout(f32),
}

/// A method of fine-tuning: `none`, or parts joined by `+`, such as `child-f:0.3+fgm:1`.
///
/// ```
/// use kexue_tune::{Masking, Method};
///
/// let method: Method = "child-d:0.3+r-drop:4".parse()?;
/// assert_eq!((method.masking, method.r_drop), (Masking::TaskDriven(0.3), 4.0));
/// assert_eq!(method.to_string(), "child-d:0.3+r-drop:4");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Method {
    /// The part of a step that is masked.
    pub masking: Masking,
    /// The factor of the learning rate.
    pub rate: f32,
    /// The weight of R-Drop's divergence between two passes with different dropout (arXiv 2106.14448); 0 for none.
    pub r_drop: f32,
    /// The length of FGM's perturbation of each sequence's embeddings (arXiv 1605.07725); 0 for none.
    pub fgm: f32,
    /// The ratio of the learning rates of a layer and the layer above it (arXiv 1801.06146); 1 for equal rates.
    pub layer_rate: f32,
}

impl Default for Method {
    fn default() -> Self {
        Self {
            masking: Masking::None,
            rate: 1.0,
            r_drop: 0.0,
            fgm: 0.0,
            layer_rate: 1.0,
        }
    }
}

/// The parts of a method and their numbers.
const PARTS: &str =
    "none, child-f:P, child-d:P, update-dropout:P (0 < P ≤ 1), lr:FACTOR, r-drop:WEIGHT, fgm:LENGTH, layer-lr:FACTOR";

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut method = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for part in text.split('+').map(str::trim) {
            let (name, number) = part.split_once(':').unwrap_or((part, ""));
            let refuse = |problem: &str| Err(format!("`{part}` {problem}; a method is parts joined by +: {PARTS}"));
            let masks = ["child-f", "child-d", "update-dropout"];
            if seen.contains(&name) || masks.contains(&name) && seen.iter().any(|other| masks.contains(other)) {
                return refuse("duplicates or conflicts with another part");
            }
            seen.push(name);
            if name == "none" {
                if part != text || !number.is_empty() {
                    return refuse("must be the only part, without a number");
                }
                continue;
            }
            let value = number
                .parse::<f32>()
                .ok()
                .filter(|value| value.is_finite() && *value > 0.0);
            let Some(value) = value else {
                return refuse("needs a positive number after a colon");
            };
            if (masks.contains(&name) || name == "layer-lr") && value > 1.0 {
                return refuse("must have a number of at most 1");
            }
            match name {
                "child-f" => method.masking = Masking::TaskFree(value),
                "child-d" => method.masking = Masking::TaskDriven(value),
                "update-dropout" => method.masking = Masking::UpdateDropout(value),
                "lr" => method.rate = value,
                "r-drop" => method.r_drop = value,
                "fgm" => method.fgm = value,
                "layer-lr" => method.layer_rate = value,
                _ => return refuse("is not known"),
            }
        }
        Ok(method)
    }
}

impl TryFrom<String> for Method {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Method> for String {
    fn from(method: Method) -> Self {
        method.to_string()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match self.masking {
            Masking::None => {}
            Masking::TaskFree(p) => parts.push(format!("child-f:{p}")),
            Masking::TaskDriven(p) => parts.push(format!("child-d:{p}")),
            Masking::UpdateDropout(p) => parts.push(format!("update-dropout:{p}")),
        }
        for (name, value, nothing) in [
            ("lr", self.rate, 1.0),
            ("r-drop", self.r_drop, 0.0),
            ("fgm", self.fgm, 0.0),
            ("layer-lr", self.layer_rate, 1.0),
        ] {
            if value != nothing {
                parts.push(format!("{name}:{value}"));
            }
        }
        match parts.is_empty() {
            true => f.write_str("none"),
            false => f.write_str(&parts.join("+")),
        }
    }
}

impl Method {
    /// The control of ChildTuning-F that its paper lacks: the same method without masks, and with the learning rate multiplied by √p, which is the effect of
    /// the masks under Adam.
    pub fn control(&self) -> Option<Self> {
        match self.masking {
            // Three digits are enough, and give a name that can be typed.
            Masking::TaskFree(p) if p < 1.0 => Some(Self {
                masking: Masking::None,
                rate: ((self.rate * p.sqrt()) * 1000.0).round() / 1000.0,
                ..*self
            }),
            _ => None,
        }
    }

    /// The settings of a training run with this method, for a model like `model`: clip, mask the gradient, moments, weight decay, mask the update, learning rate.
    pub fn settings(&self, base: &TrainSettings, model: &TransformerConfig, child: &ChildSettings) -> TrainSettings {
        let rate = Link::Rate {
            peak: base.learning_rate * self.rate,
            warmup: base.warmup,
            decay: base.decay,
        };
        let decay = |masked: bool| {
            (base.weight_decay > 0.0).then(|| Link::Decay {
                rate: base.weight_decay,
                on: Vec::new(),
                masked,
            })
        };
        let clip = base.max_gradient_norm.is_finite().then_some(Link::Clip {
            max: base.max_gradient_norm,
        });
        let adam = Link::Adam(base.adam);
        let child_tuning = |p: f32, mask: Option<PathBuf>| Link::ChildTuning {
            p,
            divide: mask.is_none() || !child.undivided,
            mask,
            seed: 0,
        };
        let mut links: Vec<Link> = clip.into_iter().collect();
        match self.masking {
            Masking::None => {
                links.push(adam);
                links.extend(decay(false));
            }
            Masking::TaskFree(p) => {
                links.extend([child_tuning(p, None), adam]);
                links.extend(decay(child.masked_decay));
            }
            Masking::TaskDriven(p) => {
                links.extend([child_tuning(p, Some(child.mask_file.clone())), adam]);
                links.extend(decay(child.masked_decay));
            }
            Masking::UpdateDropout(p) => {
                let dropout = Link::UpdateDropout {
                    p,
                    divide: true,
                    seed: 0,
                };
                links.push(adam);
                match child.masked_decay {
                    true => links.extend(decay(false).into_iter().chain([dropout])),
                    false => links.extend([dropout].into_iter().chain(decay(false))),
                }
            }
        }
        links.push(rate);
        TrainSettings {
            optimizer: links,
            groups: base.groups.iter().cloned().chain(self.layer_rates(model)).collect(),
            ..base.clone()
        }
    }

    /// The head has the full rate, the last layer `layer_rate` times it, and so on down to the embeddings.
    fn layer_rates(&self, model: &TransformerConfig) -> Vec<SlotGroup> {
        if self.layer_rate == 1.0 {
            return Vec::new();
        }
        let layers = (0..model.layers).map(|layer| (format!("encoder.layer.{layer}.*"), model.layers - layer));
        let all = layers.chain([("embeddings.*".to_owned(), model.layers + 1)]);
        all.filter_map(|(pattern, depth)| {
            let pattern: Pattern = pattern.parse().ok()?;
            Some(SlotGroup::with_rate(pattern, self.layer_rate.powi(depth as i32)))
        })
        .collect()
    }
}

/// Settings of the masks besides the method.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChildSettings {
    /// The file of ChildTuning-D's mask.
    pub mask_file: PathBuf,
    /// Whether gradients are not divided by p.
    pub undivided: bool,
    /// Whether weight decay is masked as well.
    pub masked_decay: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_written_as_they_are_read() {
        for text in [
            "none",
            "child-f:0.3",
            "update-dropout:0.5+layer-lr:0.9",
            "child-d:0.3+lr:2+r-drop:4+fgm:1",
        ] {
            assert_eq!(text.parse::<Method>().unwrap().to_string(), text);
        }
        for (text, expected) in [
            ("child-f", "needs a positive number"),
            ("child-f:0", "needs a positive number"),
            ("child-f:1.1", "at most 1"),
            ("child-f:0.3+child-d:0.3", "duplicates or conflicts"),
            ("fgm:1+fgm:1", "duplicates or conflicts"),
            ("none+fgm:1", "must be the only part"),
            ("dropout:0.1", "is not known"),
            ("", "needs a positive number"),
        ] {
            let error = text.parse::<Method>().unwrap_err();
            assert!(
                error.contains(expected) && error.contains("child-d:P"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn the_control_of_f_is_the_root_of_p() {
        let control = |text: &str| {
            text.parse::<Method>()
                .unwrap()
                .control()
                .map(|method| method.to_string())
        };
        assert_eq!(control("child-f:0.3").as_deref(), Some("lr:0.548"));
        assert_eq!(control("child-f:0.25+fgm:1").as_deref(), Some("lr:0.5+fgm:1"));
        assert_eq!(
            control("child-f:1").or(control("child-d:0.3")).or(control("none")),
            None
        );
    }

    #[test]
    fn every_mask_stands_where_it_belongs() {
        let model = TransformerConfig::new(300);
        let line = |text: &str, masked_decay: bool| {
            let child = ChildSettings {
                masked_decay,
                ..ChildSettings::default()
            };
            let settings = text
                .parse::<Method>()
                .unwrap()
                .settings(&TrainSettings::default(), &model, &child);
            let kinds = settings.optimizer.iter().map(|link| match link {
                Link::Clip { .. } => "clip",
                Link::Adam(_) => "adam",
                Link::ChildTuning { .. } => "child",
                Link::UpdateDropout { .. } => "dropout",
                Link::Decay { masked: true, .. } => "masked decay",
                Link::Decay { .. } => "decay",
                Link::Rate { .. } => "rate",
                _ => "other",
            });
            kinds.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line("none", true), "clip adam decay rate");
        assert_eq!(line("child-f:0.3", false), "clip child adam decay rate");
        assert_eq!(line("child-d:0.3", true), "clip child adam masked decay rate");
        assert_eq!(line("update-dropout:0.3", false), "clip adam dropout decay rate");
        assert_eq!(line("update-dropout:0.3", true), "clip adam decay dropout rate");
        let method: Method = "layer-lr:0.5".parse().unwrap();
        let rates: Vec<f32> = method.layer_rates(&model).iter().map(|group| group.rate).collect();
        assert_eq!(rates, [0.0625, 0.125, 0.25, 0.5, 0.03125], "the embeddings last");
    }
}
