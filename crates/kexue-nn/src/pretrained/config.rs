//! Conversion of Hugging Face's `config.json` to our configuration, and back.

use crate::{
    Activation, AttentionScale, ConfigError, Distribution, Head, Initializer, LogitScale, NormKind, NormPlacement,
    Parametrization, Positions, Precision, TransformerConfig,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// The models of `transformers` that a [`TransformerConfig`] can represent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Learned positions (arXiv 1810.04805).
    Bert,
    /// Rotary positions (arXiv 2104.09864).
    RoFormer,
}

impl Family {
    /// The family of a configuration.
    pub fn of(config: &TransformerConfig) -> Self {
        match config.positions {
            Positions::Learned => Self::Bert,
            Positions::Rotary => Self::RoFormer,
        }
    }

    /// `model_type`, which is also the prefix of names in a file with a head.
    pub(crate) fn model_type(self) -> &'static str {
        match self {
            Self::Bert => "bert",
            Self::RoFormer => "roformer",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Bert => "Bert",
            Self::RoFormer => "RoFormer",
        }
    }
}

/// A field of `config.json` that cannot be used.
pub(crate) struct FieldError {
    pub field: String,
    pub problem: String,
}

fn refuse<T>(field: &str, problem: impl Into<String>) -> Result<T, FieldError> {
    Err(FieldError {
        field: field.to_owned(),
        problem: problem.into(),
    })
}

/// The settings of a `config.json`.
pub(crate) struct ConfigFile {
    pub family: Family,
    /// With the head of a masked language model. Only the weights show whether there is one.
    pub config: TransformerConfig,
    /// `max_position_embeddings`.
    pub positions: usize,
    /// Whether the softmax uses the embedding's weights, regardless of other stored weights.
    pub tied: bool,
}

struct Fields(Map<String, Value>);

impl Fields {
    /// A field, or the default of `transformers`.
    fn get<T: DeserializeOwned>(&self, name: &str, default: T) -> Result<T, FieldError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(value) => T::deserialize(value).or_else(|error| refuse(name, error.to_string())),
        }
    }

    /// Checks that a field is missing or has this value.
    fn only(&self, name: &str, value: Value, instead: &str) -> Result<(), FieldError> {
        match self.0.get(name) {
            Some(found) if !found.is_null() && *found != value => {
                refuse(name, format!("{found}: only {value} can be represented; {instead}"))
            }
            _ => Ok(()),
        }
    }
}

/// Fields that would make a different model, their supported value, and what to do instead.
const UNREPRESENTABLE: [(&str, Value, &str); 7] = [
    (
        "is_decoder",
        Value::Bool(false),
        "set it to false and give sequences a causal mask",
    ),
    (
        "add_cross_attention",
        Value::Bool(false),
        "cross-attention is not supported",
    ),
    ("rotary_value", Value::Bool(false), "values are not rotated here"),
    ("use_bias", Value::Bool(true), "linear layers always have biases here"),
    (
        "quantization_config",
        Value::Null,
        "store the weights as float32, float16 or bfloat16",
    ),
    (
        "pruned_heads",
        Value::Null,
        "all layers have the same number of heads here",
    ),
    (
        "rope_scaling",
        Value::Null,
        "rotary positions are as in the RoFormer paper here",
    ),
];

impl ConfigFile {
    /// Parses the text of a `config.json`.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let fields = match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Fields(map),
            Ok(_) => return refuse("", "not a JSON object"),
            Err(error) => return refuse("", format!("not JSON: {error}")),
        };
        let family = fields.family()?;
        for (name, value, instead) in UNREPRESENTABLE {
            if !matches!(fields.0.get(name), Some(Value::Object(map)) if map.is_empty()) {
                fields.only(name, value, instead)?;
            }
        }
        fields.only(
            "norm_type",
            json!("layer_norm"),
            "`transformers` has no format for RoFormer V2's norms",
        )?;
        fields.only(
            "position_embedding_type",
            json!("absolute"),
            "relative positions are not supported",
        )?;
        let d_model = fields.get("hidden_size", 768)?;
        if family == Family::RoFormer {
            fields.only(
                "embedding_size",
                json!(d_model),
                "embeddings must have the width `hidden_size`",
            )?;
        }
        let act: String = fields.get("hidden_act", "gelu".to_owned())?;
        let Some(&(_, activation)) = ACTIVATIONS.iter().find(|(name, _)| *name == act) else {
            let known = ACTIVATIONS.map(|(name, _)| name).join(", ");
            return refuse("hidden_act", format!("{act:?} is not one of {known}"));
        };
        let (vocabulary, longest) = match family {
            Family::Bert => (30522, 512),
            Family::RoFormer => (50000, 1536),
        };
        let positions = fields.get("max_position_embeddings", longest)?;
        if !(1..=1 << 20).contains(&positions) {
            return refuse(
                "max_position_embeddings",
                format!("{positions} is not within 1 and 1048576"),
            );
        }
        let drawn = Distribution::Normal {
            std: fields.get("initializer_range", 0.02)?,
        };
        let (learned, kind) = match family {
            Family::Bert => (positions, Positions::Learned),
            Family::RoFormer => (0, Positions::Rotary),
        };
        let config = TransformerConfig {
            d_model,
            layers: fields.get("num_hidden_layers", 12)?,
            heads: fields.get("num_attention_heads", 12)?,
            d_ffn: fields.get("intermediate_size", 3072)?,
            positions: kind,
            max_positions: learned,
            token_types: fields.get("type_vocab_size", 2)?,
            norm_placement: NormPlacement::Post,
            activation,
            head: Head::DenseNorm,
            dropout: fields.get("hidden_dropout_prob", 0.1)?,
            norm_epsilon: fields.get("layer_norm_eps", 1e-12)?,
            initializer: Initializer {
                weights: drawn,
                embeddings: drawn,
                ..Initializer::default()
            },
            ..TransformerConfig::new(fields.get("vocab_size", vocabulary)?)
        };
        config.validate().or_else(|ConfigError { field, problem }| {
            let theirs = NAMES.iter().find(|(ours, _)| *ours == field);
            refuse(theirs.map_or(field, |(_, theirs)| theirs), problem)
        })?;
        Ok(Self {
            family,
            config,
            positions,
            tied: fields.get("tie_word_embeddings", true)?,
        })
    }

    /// The `config.json` of a model that `transformers` can compute.
    pub fn to_json(&self, precision: Precision) -> Result<String, FieldError> {
        let config = &self.config;
        let only = |field: &str, good: bool, what: &str| match good {
            true => Ok(()),
            false => refuse(field, format!("`transformers` computes only {what}")),
        };
        only(
            "norm_placement",
            config.norm_placement == NormPlacement::Post,
            "norms after the branches",
        )?;
        only("norm", config.norm == NormKind::LayerNorm, "layer norms")?;
        only("gate", config.gate.is_none(), "branches without gates")?;
        only(
            "attention_scale",
            config.attention_scale == AttentionScale::Ordinary,
            "the ordinary scale",
        )?;
        only(
            "head",
            config.head != Head::Bias,
            "models without a head, or with one of a dense layer and a norm",
        )?;
        only("logit_scale", config.logit_scale == LogitScale::One, "unscaled logits")?;
        only(
            "parametrization",
            config.parametrization == Parametrization::Standard,
            "the standard parametrization",
        )?;
        let class = match config.head {
            Head::None | Head::Bias => "Model",
            Head::DenseNorm => "ForMaskedLM",
        };
        let activation = ACTIVATIONS
            .iter()
            .find(|(_, activation)| *activation == config.activation);
        let drawn = match config.initializer.weights {
            Distribution::Normal { std } => f64::from(std),
            other => other.effective_std(config.d_model, config.d_model),
        };
        let mut fields = json!({
            "architectures": [format!("{}{class}", self.family.class())],
            // Attention probabilities have no dropout here.
            "attention_probs_dropout_prob": 0.0,
            "dtype": match precision {
                Precision::Single => "float32",
                Precision::Half => "float16",
            },
            "hidden_act": activation.map(|(name, _)| name),
            "hidden_dropout_prob": shortest(config.dropout),
            "hidden_size": config.d_model,
            "initializer_range": drawn,
            "intermediate_size": config.d_ffn,
            "layer_norm_eps": shortest(config.norm_epsilon),
            "max_position_embeddings": self.positions,
            "model_type": self.family.model_type(),
            "num_attention_heads": config.heads,
            "num_hidden_layers": config.layers,
            "tie_word_embeddings": true,
            "type_vocab_size": config.token_types.max(1),
            "vocab_size": config.vocab_size,
        });
        if self.family == Family::RoFormer {
            fields["embedding_size"] = json!(config.d_model);
            fields["rotary_value"] = json!(false);
        }
        serde_json::to_string_pretty(&fields)
            .map(|text| text + "\n")
            .or_else(|error| refuse("", error.to_string()))
    }
}

impl ConfigFile {
    /// The `config.json` of a model with the head of a task: classes by name, or a number.
    pub fn classifier_json(&self, labels: &[String]) -> Result<String, FieldError> {
        let mut fields: Value =
            serde_json::from_str(&self.to_json(Precision::Single)?).or_else(|error| refuse("", error.to_string()))?;
        let (names, problem) = match labels {
            [] => (vec!["value".to_owned()], "regression"),
            labels => (labels.to_vec(), "single_label_classification"),
        };
        fields["architectures"] = json!([format!("{}ForSequenceClassification", self.family.class())]);
        fields["problem_type"] = json!(problem);
        let by_index = names.iter().enumerate().map(|(at, name)| (at.to_string(), json!(name)));
        fields["id2label"] = Value::Object(by_index.collect());
        let by_name = names.iter().enumerate().map(|(at, name)| (name.clone(), json!(at)));
        fields["label2id"] = Value::Object(by_name.collect());
        serde_json::to_string_pretty(&fields)
            .map(|text| text + "\n")
            .or_else(|error| refuse("", error.to_string()))
    }
}

/// The double that prints like the single: 0.1, not 0.10000000149.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// The names of `hidden_act`. Of several names for one function, the first is written.
const ACTIVATIONS: [(&str, Activation); 6] = [
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("relu", Activation::Relu),
];

/// Our names of fields, and Hugging Face's.
const NAMES: [(&str, &str); 9] = [
    ("vocab_size", "vocab_size"),
    ("d_model", "hidden_size"),
    ("layers", "num_hidden_layers"),
    ("heads", "num_attention_heads"),
    ("d_ffn", "intermediate_size"),
    ("max_positions", "max_position_embeddings"),
    ("token_types", "type_vocab_size"),
    ("dropout", "hidden_dropout_prob"),
    ("norm_epsilon", "layer_norm_eps"),
];

impl Fields {
    /// The family by `model_type`, or by `architectures` in older files.
    fn family(&self) -> Result<Family, FieldError> {
        let model_type: Option<String> = self.get("model_type", None)?;
        let architectures: Vec<String> = self.get("architectures", Vec::new())?;
        let families = [Family::Bert, Family::RoFormer];
        let known = match &model_type {
            Some(name) => families.into_iter().find(|family| family.model_type() == name),
            None => families
                .into_iter()
                .find(|family| architectures.iter().any(|class| class.starts_with(family.class()))),
        };
        known.map_or_else(
            || {
                let found = model_type.map_or("missing".to_owned(), |name| format!("{name:?}"));
                refuse("model_type", format!("{found}; expected \"bert\" or \"roformer\""))
            },
            Ok,
        )
    }
}
