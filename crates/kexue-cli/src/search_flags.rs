//! The flags of a search, shared by all commands that answer.

use crate::output::Usage;
use clap::{Args, ValueEnum};
use kexue_qa::{LookAhead, MentionUse, SearchOptions};

/// How to decode; what is not given is the model's own setting.
#[derive(Args, Clone)]
#[command(next_help_heading = "Decoding")]
pub struct SearchFlags {
    /// Hypotheses kept.
    #[arg(long)]
    beam: Option<usize>,
    /// The look-ahead of article 8802.
    #[arg(long, value_enum)]
    look_ahead: Option<LookAheadFlag>,
    /// Use of subjects that occur in the question.
    #[arg(long, value_enum)]
    mentions: Option<MentionsFlag>,
    /// Logit added to mentioned subjects with `--mentions prior`; 3 by default.
    #[arg(long)]
    prior: Option<f32>,
    /// What each token of gain adds to a logit with `--look-ahead added`; 1 by default.
    #[arg(long)]
    gain_weight: Option<f32>,
    /// Once the subjects are found: go on with the beam, score all their facts exactly, or also weigh those scores with spelling as learned
    /// (the default of models that have a reranker.toml, unless --look-ahead is given).
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
    /// The options with the given flags in place of theirs.
    ///
    /// # Errors
    /// When learned rescoring is asked of a model without it, or a flag needs another.
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
                return Err(Usage(format!("--{flag} does nothing without --{other}")));
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
                let problem = "--rescore learned needs the model's reranker.toml, which `kexue qa fit` writes";
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
        options.validate().map_err(Usage)?;
        Ok(options)
    }
}
