//! Why a fact was preferred, in sentences.

use crate::language::Language;
use anyhow::Result;
use kexue_qa::{Answer, Candidate};
use std::fmt::Write as _;

/// Groups of pieces of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Theme {
    Model,
    Name,
    Spelling,
    Facts,
    Words,
    Unanswerable,
}

const THEMES: [Theme; 6] = [
    Theme::Model,
    Theme::Name,
    Theme::Spelling,
    Theme::Facts,
    Theme::Words,
    Theme::Unanswerable,
];

impl Theme {
    /// The theme of a piece of evidence, by its name.
    fn of(evidence: &str) -> Self {
        match evidence {
            "subject_log_probability" | "fact_log_probability" => Self::Model,
            "mention_length" | "mention_length_squared" | "mention_position" => Self::Name,
            "sense" | "log_facts" => Self::Facts,
            "new_words"
            | "unexplained_information"
            | "word_association"
            | "least_association"
            | "strange_words"
            | "log_questions"
            | "phrasing"
            | "phrasing_of_a_word"
            | "better_phrasing" => Self::Words,
            "unanswerable_association" | "most_unanswerable_association" | "unanswerable_wording" => Self::Unanswerable,
            _ => Self::Spelling,
        }
    }

    /// The evidence for or against a fact, in words.
    fn told(self, candidate: &Candidate, shared: &str, language: Language) -> String {
        let Candidate { subject, relation, .. } = candidate;
        match self {
            Self::Model => language.pick(
                "the model's own probability".to_owned(),
                "模型自己给出的概率".to_owned(),
            ),
            Self::Name => language.pick(
                format!("how much of the question the name {subject} takes up, and where it stands"),
                format!("“{subject}”在问句中的长度和位置"),
            ),
            Self::Spelling if shared.chars().count() < 2 => language.pick(
                format!("the relation's name “{relation}” shares nothing with the question"),
                format!("关系名“{relation}”与问句没有共同的字词"),
            ),
            Self::Spelling => language.pick(
                format!("the relation's name “{relation}” shares “{shared}” with the question"),
                format!("关系名“{relation}”与问句共有“{shared}”"),
            ),
            Self::Facts => language.pick(
                format!("the number of facts about {subject}"),
                format!("关于“{subject}”的事实有多少"),
            ),
            Self::Words => language.pick(
                format!("how often the training questions for “{relation}” have the question's words"),
                format!("训练问句里问“{relation}”时用这些词的多少"),
            ),
            Self::Unanswerable => language.pick(
                "how much the words are those of questions that the graph cannot answer".to_owned(),
                "用词像不像图谱答不了的问题".to_owned(),
            ),
        }
    }
}

/// Smaller differences are not mentioned.
const SMALLEST: f64 = 0.1;

/// Why the best candidate is ranked above the second: the evidence for and against it, by weight. Empty if no rescoring was learned.
pub fn compare(answer: &Answer, language: Language, text: &mut String) -> Result<()> {
    let [best, second, ..] = &answer.candidates[..] else {
        return Ok(());
    };
    if best.evidence.is_empty() || second.evidence.is_empty() {
        return Ok(());
    }
    let weight = |candidate: &Candidate, theme: Theme| -> f64 {
        let of_theme = candidate
            .evidence
            .iter()
            .filter(|reason| Theme::of(reason.name) == theme);
        of_theme.map(|reason| reason.logit).sum()
    };
    let mut differences: Vec<(Theme, f64)> = THEMES
        .iter()
        .map(|&theme| (theme, weight(best, theme) - weight(second, theme)))
        .filter(|(_, difference)| difference.abs() >= SMALLEST)
        .collect();
    differences.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    if differences.is_empty() {
        return Ok(());
    }
    let name = |candidate: &Candidate| format!("{} · {}", candidate.full_subject(), candidate.relation);
    let (best_name, second_name) = (name(best), name(second));
    writeln!(
        text,
        "{}",
        language.pick(
            format!("Why {best_name} comes before {second_name}:"),
            format!("“{best_name}”排在“{second_name}”之前的原因：")
        )
    )?;
    let shared = longest_shared(&best.relation, &answer.question);
    for (theme, difference) in differences {
        let side = match difference > 0.0 {
            true => language.pick("for", "支持"),
            false => language.pick("against", "反对"),
        };
        let told = theme.told(best, &shared, language);
        writeln!(
            text,
            "  {:.1} {side}{} {told}",
            difference.abs(),
            language.pick(":", "：")
        )?;
    }
    let unit = language.pick(
        "  (natural logarithms of odds: 0.7 doubles the odds of one fact against the other, 2.3 makes them tenfold)",
        "  （数字是几率的自然对数：0.7 使两者的几率之比加倍，2.3 使它成为十倍）",
    );
    writeln!(text, "{unit}")?;
    Ok(())
}

/// The longest common substring, ignoring case.
fn longest_shared(relation: &str, question: &str) -> String {
    let question = question.to_lowercase();
    let relation = relation.to_lowercase();
    let ends: Vec<usize> = relation
        .char_indices()
        .map(|(at, _)| at)
        .chain([relation.len()])
        .collect();
    let mut longest = "";
    for (place, &start) in ends.iter().enumerate() {
        for &end in &ends[place + 1..] {
            let part = relation[start..end].trim();
            if part.len() > longest.len() && question.contains(part) {
                longest = part;
            }
        }
    }
    longest.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kexue_qa::EVIDENCE;

    #[test]
    fn every_piece_of_evidence_has_its_theme() {
        for theme in THEMES {
            assert!(EVIDENCE.iter().any(|name| Theme::of(name) == theme), "{theme:?}");
        }
        // What is not named is about spelling, and says so by its name.
        for name in EVIDENCE.iter().filter(|name| Theme::of(name) == Theme::Spelling) {
            assert!(
                ["relation", "common", "shared"].iter().any(|word| name.contains(word)),
                "{name}"
            );
        }
    }

    #[test]
    fn the_longest_shared_text_is_found() {
        assert_eq!(longest_shared("首都", "法国的首都是哪里？"), "首都");
        assert_eq!(
            longest_shared("Boiling point", "boiling temperature of water"),
            "boiling"
        );
        assert_eq!(longest_shared("首都", "who"), "");
    }
}
