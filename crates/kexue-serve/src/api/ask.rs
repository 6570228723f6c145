//! `POST /v1/ask`: answers questions.

use crate::app::App;
use crate::around::Asked;
use crate::batcher::{Reply, Wanted};
use crate::body::{Json, present, whole};
use crate::fault::Fault;
use crate::reply::json_line;
use crate::store::Snapshot;
use axum::extract::State;
use axum::response::Response;
use kexue_qa::{Answer, MAX_QUESTION_TOKENS};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Maximum number of facts returned for a question.
const MOST_FACTS: usize = 100;
/// The shortest deadline, in milliseconds. Even an idle service might miss a shorter one.
const SHORTEST: u64 = 50;

/// The body of a request: one question, or several.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskRequest {
    /// One question. The response is an answer.
    #[serde(default, deserialize_with = "present")]
    question: Option<String>,
    /// Several questions. The response is an object with a list of answers.
    #[serde(default, deserialize_with = "present")]
    questions: Option<Vec<String>>,
    /// Number of facts to return, including the best one.
    #[serde(default, deserialize_with = "whole")]
    top: Option<u64>,
    /// The lowest confidence of an answer that is given.
    #[serde(default, deserialize_with = "present")]
    min_confidence: Option<f64>,
    /// Whether to return the choices made during decoding.
    #[serde(default)]
    explain: bool,
    /// Maximum time for the response, in milliseconds.
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
        return Err(Fault::out_of_range("min_confidence", 0, 1));
    }
    if !(1..=MOST_FACTS).contains(&wanted.top) {
        return Err(Fault::out_of_range("top", 1, MOST_FACTS as u64));
    }
    let most = settings.deadline.as_millis() as u64;
    let deadline = match request.deadline_ms {
        None => settings.deadline,
        Some(time) if (SHORTEST..=most.max(SHORTEST)).contains(&time) => Duration::from_millis(time),
        Some(_) => return Err(Fault::out_of_range("deadline_ms", SHORTEST, most.max(SHORTEST))),
    };
    let is_one = request.question.is_some();
    let questions = match (request.question, request.questions) {
        (Some(question), None) => vec![question],
        (None, Some(questions)) if (1..=settings.questions).contains(&questions.len()) => questions,
        (None, Some(_)) => {
            return Err(Fault::invalid(
                "questions",
                format!("must hold 1 to {} questions", settings.questions),
                format!("须含 1 至 {} 个问题", settings.questions),
            ));
        }
        _ => {
            return Err(Fault::BadBody("expected either `question` or `questions`".to_owned()));
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
    let mut response = match (is_one, answers.pop()) {
        (true, Some(answer)) => json_line(&answer)?,
        (_, last) => {
            answers.extend(last);
            json_line(&Answers { answers })?
        }
    };
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

/// Refuses a question that is empty or too long for any model.
fn check(snapshot: &Snapshot, question: &str, field: impl Fn() -> String) -> Result<(), Fault> {
    let question = question.trim();
    if question.is_empty() {
        return Err(Fault::invalid(field(), "is empty", "不能为空"));
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
            format!(
                "is longer than {MAX_QUESTION_TOKENS} tokens; a token is a character that the model knows, or a byte of another one"
            ),
            format!("超过 {MAX_QUESTION_TOKENS} 个词元；模型认识的字符各为一个词元，其他字符每字节一个"),
        )),
    }
}
