//! KgCLUE's JSON Lines: questions in, predictions out.

use crate::Result;
use crate::question::{Gold, Question};
use crate::state::SearchResult;
use kexue_kg::{Fact, KnowledgeGraph};
use serde::Deserialize;

/// A line of a question file.
#[derive(Deserialize)]
struct Line {
    id: Option<u64>,
    question: String,
    answer: Option<String>,
}

/// The number, text and answer of a line `{"id": …, "question": …, "answer": "S ||| P ||| O"}`; `id` and `answer` may be missing.
pub(crate) fn parse(line: &str) -> std::result::Result<(Option<u64>, String, Gold), String> {
    let line: Line = serde_json::from_str(line)
        .map_err(|error| format!("expected a JSON object with a text `question` and, if there is one, a number `id` and a text `answer`: {error}"))?;
    let gold = line.answer.as_deref().map_or(Ok(Gold::Unknown), parse_answer)?;
    Ok((line.id, line.question, gold))
}

fn parse_answer(answer: &str) -> std::result::Result<Gold, String> {
    let fields: Vec<&str> = answer.splitn(3, "|||").map(str::trim).collect();
    let [subject, relation, object] = fields[..] else {
        return Err(format!("field `answer`: expected `S ||| P ||| O`, found `{answer}`"));
    };
    for (name, value) in [("subject", subject), ("relation", relation)] {
        if value.is_empty() {
            return Err(format!("field `answer`: the {name} is empty in `{answer}`"));
        }
    }
    Ok(Gold::Fact {
        subject: subject.to_owned(),
        relation: relation.to_owned(),
        object: Some(object.to_owned()),
    })
}

/// Predictions in KgCLUE's submission format: one line `{"id": …, "answer": "S ||| P ||| O"}` for each question, with the most probable fact.
/// A question for which nothing was found gets no line.
///
/// # Errors
/// If the graph is damaged.
pub fn kgclue_predictions(graph: &KnowledgeGraph, questions: &[Question], results: &[SearchResult]) -> Result<String> {
    let mut lines = String::new();
    for (question, result) in questions.iter().zip(results) {
        let Some(best) = result.found.first() else { continue };
        lines += &prediction(question.id, &graph.fact(best.key)?);
        lines.push('\n');
    }
    Ok(lines)
}

fn prediction(id: u64, fact: &Fact) -> String {
    let subject = fact.full_subject();
    let object = fact.objects.first().map_or("", String::as_str);
    let answer = serde_json::Value::from(format!("{subject} ||| {} ||| {object}", fact.relation));
    format!("{{\"id\":{id},\"answer\":{answer}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_reads_back_as_its_fact() {
        let mut fact = Fact {
            subject: "周迅".to_owned(),
            sense: Some("\"演员\"".to_owned()),
            relation: "代表作".to_owned(),
            objects: vec!["苏州河".to_owned(), "如果·爱".to_owned()],
        };
        let line = prediction(7, &fact);
        assert_eq!(line, r#"{"id":7,"answer":"周迅（\"演员\"） ||| 代表作 ||| 苏州河"}"#);
        let gold = |line: &str| parse(&line.replacen('{', r#"{"question":"Q","#, 1)).unwrap();
        let expected = Gold::Fact {
            subject: "周迅（\"演员\"）".to_owned(),
            relation: "代表作".to_owned(),
            object: Some("苏州河".to_owned()),
        };
        assert_eq!(gold(&line), (Some(7), "Q".to_owned(), expected));
        (fact.sense, fact.objects) = (None, Vec::new());
        assert_eq!(prediction(0, &fact), r#"{"id":0,"answer":"周迅 ||| 代表作 ||| "}"#);
    }
}
