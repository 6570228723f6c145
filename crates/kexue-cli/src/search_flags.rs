//! The flags of a search, shared by all commands that answer.

use crate::output::Usage;
use crate::setting_flags::refused;
use clap::{Args, ValueEnum};
use kexue_qa::{LookAhead, MentionUse, SearchOptions};
use kexue_train::TrainError;

/// How to decode. The model's own settings are the defaults.
#[derive(Args, Clone)]
#[command(next_help_heading = "Decoding")]
pub struct SearchFlags {
    /// Number of hypotheses to keep.
    #[arg(long)]
    beam: Option<usize>,
    /// The look-ahead of article 8802.
    #[arg(long, value_enum)]
    look_ahead: Option<LookAheadFlag>,
    /// How to use the subjects that the question mentions.
    #[arg(long, value_enum)]
    mentions: Option<MentionsFlag>,
    /// Weight added to the logits of mentioned subjects with `--mentions prior` [default: 3].
    #[arg(long)]
    prior: Option<f32>,
    /// Weight added to a logit for each token of gain with `--look-ahead added` [default: 1].
    #[arg(long)]
    gain_weight: Option<f32>,
    /// After the subjects are found: continue the beam search, score all their facts exactly, or also weigh these scores with spelling as
    /// learned (the default for models with a reranker.txt, unless --look-ahead is given).
    #[arg(long, value_enum)]
    rescore: Option<RescoreFlag>,
}

#[derive(Clone, Copy, ValueEnum)]
enum LookAheadFlag {
    Off,
    /// Over the allowed tokens.
    Allowed,
    /// Over the whole vocabulary, as in the article.
    Vocabulary,
    /// Added to the logits, as in training with --lexical-prior.
    Added,
}

#[derive(Clone, Copy, ValueEnum)]
enum MentionsFlag {
    Off,
    Prior,
    Only,
}

#[derive(Clone, Copy, ValueEnum)]
enum RescoreFlag {
    Off,
    Exact,
    Learned,
}

impl SearchFlags {
    /// Overrides options with the flags that were given.
    ///
    /// # Errors
    /// If learned rescoring is requested but the model has none, or a flag is given without the one that it needs.
    pub fn apply(&self, mut options: SearchOptions) -> Result<SearchOptions, Usage> {
        for (given, needed, flags) in [
            (
                self.prior,
                matches!(self.mentions, Some(MentionsFlag::Prior)),
                ["prior", "mentions prior"],
            ),
            (
                self.gain_weight,
                matches!(self.look_ahead, Some(LookAheadFlag::Added)),
                ["gain-weight", "look-ahead added"],
            ),
        ] {
            if given.is_some() && !needed {
                let [flag, other] = flags;
                return Err(Usage(format!("--{flag} needs --{other}")));
            }
        }
        if let Some(beam) = self.beam {
            options.beam = beam;
        }
        if let Some(look_ahead) = self.look_ahead {
            options.look_ahead = match look_ahead {
                LookAheadFlag::Off => LookAhead::Off,
                LookAheadFlag::Allowed => LookAhead::Allowed,
                LookAheadFlag::Vocabulary => LookAhead::Vocabulary,
                LookAheadFlag::Added => LookAhead::Added(self.gain_weight.unwrap_or(1.0)),
            };
        }
        if let Some(mentions) = self.mentions {
            options.mentions = match mentions {
                MentionsFlag::Off => MentionUse::Off,
                MentionsFlag::Prior => MentionUse::Prior(self.prior.unwrap_or(3.0)),
                MentionsFlag::Only => MentionUse::Only,
            };
        }
        match self.rescore {
            Some(RescoreFlag::Learned) if options.reranker.is_none() => {
                let problem = "--rescore learned needs the model's reranker.txt, which `kexue qa fit` writes";
                return Err(Usage(problem.to_owned()));
            }
            Some(RescoreFlag::Learned) => options.rescore = true,
            Some(rescore) => {
                options.rescore = matches!(rescore, RescoreFlag::Exact);
                options.reranker = None;
            }
            None if self.look_ahead.is_some() => options.reranker = None,
            None => {}
        }
        match options.validate() {
            Ok(()) => Ok(options),
            Err(TrainError::Setting { field, problem }) => Err(refused(field, &problem)),
            Err(error) => Err(Usage(error.to_string())),
        }
    }
}
