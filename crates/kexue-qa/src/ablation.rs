//! Ways of decoding to compare, each adding one part to the one before.

use crate::options::{LookAhead, MentionUse, SearchOptions};

/// Names and options of the ways: plain beam search, then look-ahead, exact rescoring and mentions added one after another, the last without
/// look-ahead, and learned rescoring if `chosen` has it.
pub fn ablation(chosen: &SearchOptions) -> Vec<(&'static str, SearchOptions)> {
    let plain = SearchOptions {
        look_ahead: LookAhead::Off,
        rescore: false,
        reranker: None,
        mentions: MentionUse::Off,
        ..chosen.clone()
    };
    let looking = SearchOptions {
        look_ahead: match chosen.look_ahead {
            LookAhead::Off => LookAhead::Allowed,
            chosen => chosen,
        },
        ..plain.clone()
    };
    let rescored = SearchOptions {
        rescore: true,
        ..looking.clone()
    };
    let mentioned = SearchOptions {
        mentions: MentionUse::Only,
        ..rescored.clone()
    };
    let without_look_ahead = SearchOptions {
        look_ahead: LookAhead::Off,
        ..mentioned.clone()
    };
    let learned = chosen.reranker.is_some().then(|| SearchOptions {
        rescore: true,
        ..chosen.clone()
    });
    let rows = [
        ("beam", plain),
        ("+ look-ahead", looking),
        ("+ exact rescoring", rescored),
        ("+ mentions", mentioned),
        ("the last without look-ahead", without_look_ahead),
    ];
    let learned = learned.map(|options| ("learned rescoring", options));
    rows.into_iter().chain(learned).collect()
}
