//! `POST /v1/ask`: questions in, answers out.

use crate::app::App;
use crate::around::Asked;
use crate::batcher::{Reply, Wanted};
use crate::body::{Json, present, whole};
use crate::fault::Fault;
use crate::store::Snapshot;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use kexue_qa::{Answer, MAX_QUESTION_TOKENS};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The most facts shown for a question.
const MOST_FACTS: usize = 100;
/// The shortest deadline, in milliseconds: a shorter one might not be met by an idle service.
const SHORTEST: u64 = 50;

/// The body of a request: a question, or several.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskRequest {
    /// One question, which is answered by an object.
    #[serde(default, deserialize_with = "present")]
    question: Option<String>,
    /// Several questions, which are answered by an object with a list.
    #[serde(default, deserialize_with = "present")]
    questions: Option<Vec<String>>,
    /// Facts shown, the answer included.
    #[serde(default, deserialize_with = "whole")]
    top: Option<u64>,
    /// The least confidence of an answer that is given.
    #[serde(default, deserialize_with = "present")]
    min_confidence: Option<f64>,
    /// Whether to tell the choices on the way.
    #[serde(default)]
    explain: bool,
    /// Milliseconds that the answer may take.
    #[serde(default, deserialize_with = "whole")]
    deadline_ms: Option<u64>,
}

/// Several answers.
#[derive(Serialize)]
struct Answers {
    answers: Vec<Answer>,
}

pub(crate) async fn ask(State(app): State<Arc<App>>, Json(request): Json<AskRequest>) -> Result<Response, Fault> {
    let start = Instant::now();
    let settings = &app.settings;
    let wanted = Wanted {
        min_confidence: request.min_confidence.unwrap_or(settings.min_confidence),
        top: request.top.map_or(3, |top| usize::try_from(top).unwrap_or(usize::MAX)),
        explain: request.explain,
    };
    if !(0.0..=1.0).contains(&wanted.min_confidence) {
        return Err(Fault::invalid(
            "min_confidence",
            "is not within 0 and 1",
            "不在 0 与 1 之间",
        ));
    }
    if !(1..=MOST_FACTS).contains(&wanted.top) {
        return Err(Fault::invalid(
            "top",
            format!("is not within 1 and {MOST_FACTS}"),
            format!("不在 1 与 {MOST_FACTS} 之间"),
        ));
    }
    let most = settings.deadline.as_millis() as u64;
    let deadline = match request.deadline_ms {
        None => settings.deadline,
        Some(time) if (SHORTEST..=most.max(SHORTEST)).contains(&time) => Duration::from_millis(time),
        Some(_) => {
            return Err(Fault::invalid(
                "deadline_ms",
                format!("is not within {SHORTEST} and {most}"),
                format!("不在 {SHORTEST} 与 {most} 之间"),
            ));
        }
    };
    let is_one = request.question.is_some();
    let questions = match (request.question, request.questions) {
        (Some(question), None) => vec![question],
        (None, Some(questions)) if (1..=settings.questions).contains(&questions.len()) => questions,
        (None, Some(_)) => {
            return Err(Fault::invalid(
                "questions",
                format!("must be 1 to {}", settings.questions),
                format!("须有 1 至 {} 个", settings.questions),
            ));
        }
        _ => {
            return Err(Fault::BadBody(
                "either `question` or `questions` is expected".to_owned(),
            ));
        }
    };
    let snapshot = app.store.current();
    for (number, question) in questions.iter().enumerate() {
        let field = || match is_one {
            true => "question".to_owned(),
            false => format!("questions[{number}]"),
        };
        check(&snapshot, question, field)?;
    }
    let asked = settings.log_questions.then(|| Asked(questions.as_slice().into()));
    let deadline = start + deadline;
    let replies = app.batcher.ask(questions, wanted, &snapshot, deadline)?;
    let answers = tokio::time::timeout_at(deadline.into(), all(replies)).await;
    let mut answers = answers.unwrap_or(Err(Fault::Late))?;
    app.metrics.questions.inc_by(answers.len() as u64);
    let body = match (is_one, answers.pop()) {
        (true, Some(answer)) => serde_json::to_vec(&answer),
        (_, last) => {
            answers.extend(last);
            serde_json::to_vec(&Answers { answers })
        }
    };
    let mut body = body.map_err(|_| Fault::Internal)?;
    body.push(b'\n');
    let mut response = body.into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(asked) = asked {
        response.extensions_mut().insert(asked);
    }
    Ok(response)
}

async fn all(replies: Vec<oneshot::Receiver<Reply>>) -> Result<Vec<Answer>, Fault> {
    let mut answers = Vec::with_capacity(replies.len());
    for reply in replies {
        answers.push(reply.await.unwrap_or(Err(Fault::Internal))?);
    }
    Ok(answers)
}

/// Refuses what no model can be asked.
fn check(snapshot: &Snapshot, question: &str, field: impl Fn() -> String) -> Result<(), Fault> {
    let question = question.trim();
    if question.is_empty() {
        return Err(Fault::invalid(field(), "is empty", "是空的"));
    }
    // A token has at most four bytes.
    let tokens = match question.len() {
        0..=MAX_QUESTION_TOKENS => return Ok(()),
        bytes if bytes > 16 * MAX_QUESTION_TOKENS => bytes / 4,
        _ => snapshot.graph.vocabulary().encode(question).len(),
    };
    match tokens > MAX_QUESTION_TOKENS {
        false => Ok(()),
        true => Err(Fault::invalid(
            field(),
            format!("is longer than {MAX_QUESTION_TOKENS} tokens, which are characters where the model knows them"),
            format!("超过 {MAX_QUESTION_TOKENS} 个词元（模型认识的字符各为一个词元）"),
        )),
    }
}
