//! What is said to people who do not ask yet: greetings, and calls for help.

use crate::language::Language;
use anyhow::Result;
use kexue_kg::KnowledgeGraph;
use kexue_nn::Model;
use kexue_qa::{AskOptions, ask};
use std::fmt::Write as _;

/// Texts that greet or call for help, in lower case and without punctuation at the end.
const GREETINGS: [&str; 40] = [
    "hello",
    "hi",
    "hey",
    "hello there",
    "hi there",
    "good morning",
    "good afternoon",
    "good evening",
    "help",
    "help me",
    "thanks",
    "thank you",
    "who are you",
    "what are you",
    "what can you do",
    "what can i ask",
    "what do you know",
    "how are you",
    "test",
    "?",
    "你好",
    "您好",
    "你好啊",
    "嗨",
    "哈喽",
    "早上好",
    "下午好",
    "晚上好",
    "在吗",
    "帮助",
    "谢谢",
    "你是谁",
    "你是什么",
    "你会什么",
    "你能做什么",
    "你知道什么",
    "可以问什么",
    "我能问什么",
    "怎么用",
    "测试",
];

/// Questions that the embedded graph answers, in both languages.
pub const EMBEDDED_EXAMPLES: [&str; 3] = [
    "What is the capital of France?",
    "铁的熔点是多少？",
    "Which element has the symbol Na?",
];

/// Whether a text is a greeting or a call for help, but not a name of the graph.
pub fn is_greeting(graph: &KnowledgeGraph, text: &str) -> Result<bool> {
    let text = text.trim().to_lowercase();
    let plain = text.trim_end_matches(|character: char| " .!?~。！？～".contains(character));
    let plain = if plain.is_empty() { text.as_str() } else { plain };
    Ok(GREETINGS.contains(&plain) && !graph.has_subject(plain)?)
}

/// Number of facts to try as examples.
const TRIED: u64 = 24;

/// Questions that a graph and its model answer: up to three, of different relations.
pub fn examples(graph: &KnowledgeGraph, model: &Model, options: &AskOptions) -> Result<Vec<String>> {
    let facts = graph.index().len();
    let mut tried = Vec::new();
    for place in 0..TRIED.min(facts) {
        let fact = graph.fact(place * facts / TRIED.min(facts))?;
        let is_chinese = fact.relation.contains(|character: char| character >= '\u{2e80}');
        let question = match is_chinese {
            true => format!("{}的{}", fact.subject, fact.relation),
            false => format!("{} of {}", fact.relation, fact.subject),
        };
        tried.push((question, fact));
    }
    let questions: Vec<&str> = tried.iter().map(|(question, _)| question.as_str()).collect();
    let mut relations: Vec<&str> = Vec::new();
    let mut good = Vec::new();
    for (answer, (question, fact)) in ask(graph, model, options, &questions)?.iter().zip(&tried) {
        let is_right = answer.known
            && (answer.candidates.first())
                .is_some_and(|best| best.relation == fact.relation && best.subject == fact.subject);
        if is_right && good.len() < 3 && !relations.contains(&fact.relation.as_str()) {
            relations.push(&fact.relation);
            good.push(question.clone());
        }
    }
    Ok(good)
}

/// A list of what can be asked.
pub fn welcome(is_embedded: bool, examples: &[String], language: Language) -> String {
    let mut text = match is_embedded {
        true => language.pick(
            "Ask for a fact about a country or a chemical element, in English or Chinese.",
            "可以用中文或英文询问国家和化学元素的事实。",
        ),
        false => language.pick("Ask for a fact of the graph.", "可以询问图谱里的事实。"),
    }
    .to_owned();
    text.push('\n');
    if !examples.is_empty() {
        text += language.pick("For example:\n", "例如：\n");
    }
    for example in examples {
        let _ = writeln!(text, "  {example}");
    }
    text
}

/// The commands of the prompt.
pub fn prompt_help(language: Language) -> &'static str {
    language.pick(
        "One question a line. Tab completes a name, the arrow keys bring back earlier questions.\n\
         `help` shows this, `quit` or an empty line ends.\n",
        "每行一个问题。Tab 键补全名称，上下键找回问过的问题。\n输入 help 显示本说明，输入 quit 或空行结束。\n",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use kexue_qa::embedded;

    #[test]
    fn the_examples_are_answered() {
        let (graph, trained) = embedded().unwrap();
        let options = AskOptions::new(trained.config.search.clone());
        for answer in ask(&graph, &trained.model, &options, &EMBEDDED_EXAMPLES).unwrap() {
            assert!(answer.known, "{}", answer.question);
        }
        let found = examples(&graph, &trained.model, &options).unwrap();
        assert_eq!(found.len(), 3, "{found:?}");
        for answer in ask(&graph, &trained.model, &options, &[&*found[0], &found[1], &found[2]]).unwrap() {
            assert!(answer.known, "{}", answer.question);
        }
    }

    #[test]
    fn a_greeting_is_told_from_a_question() {
        let (graph, _) = embedded().unwrap();
        for (text, greets) in [
            ("Hello!", true),
            ("你好", true),
            ("?", true),
            ("help", true),
            ("法国", false),
            ("capital of France", false),
            ("He", false),
        ] {
            assert_eq!(is_greeting(&graph, text).unwrap(), greets, "{text}");
        }
    }
}
