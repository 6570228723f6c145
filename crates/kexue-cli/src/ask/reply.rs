//! What people are told: the answer, or that it is not known, and the facts around it.

use crate::ask::reasons::compare;
use crate::language::Language;
use anyhow::Result;
use kexue_kg::KnowledgeGraph;
use kexue_qa::{Answer, Candidate, Composite};
use std::fmt::Write as _;

/// Minimum probability that the graph lacks the answer for the reply to name it as the reason.
const DOUBTFUL: f64 = 0.25;

/// Minimum probability of a fact to be shown beside an answer.
const NEGLIGIBLE: f64 = 0.0005;

/// Number of names to suggest for one that is not found.
const MOST_NAMES: usize = 3;

/// How to print answers.
pub struct Reply<'g> {
    pub graph: &'g KnowledgeGraph,
    pub language: Language,
    pub explain: bool,
}

impl Reply<'_> {
    /// The whole reply to a question.
    pub fn text(&self, answer: &Answer) -> Result<String> {
        let mut text = String::new();
        if answer.parts.is_empty() {
            self.describe(answer, &mut text)?;
            return Ok(text);
        }
        let parts = answer.parts.len();
        let several = self
            .language
            .pick(format!("{parts} questions in one:"), format!("这里有 {parts} 个问题："));
        writeln!(text, "{several}")?;
        for part in &answer.parts {
            writeln!(text, "{}", part.question)?;
            self.describe(part, &mut text)?;
        }
        Ok(text)
    }

    /// The answer that one fact gives.
    fn describe(&self, answer: &Answer, text: &mut String) -> Result<()> {
        let language = self.language;
        let composite = answer.composite.map(|composite| reason(composite, language));
        let best = answer.candidates.first();
        match best {
            Some(best) if answer.known => {
                writeln!(text, "{}", best.objects.join("; "))?;
                if let Some(reason) = composite {
                    let doubt = language.pick(
                        format!("the question {reason}: this fact alone may not answer it"),
                        format!("这个问题{reason}，只凭这一条事实可能答不全"),
                    );
                    writeln!(text, "{doubt}")?;
                }
                self.readings(answer, text)?;
                for candidate in &answer.candidates {
                    if self.explain || candidate.probability >= NEGLIGIBLE {
                        self.fact(candidate, answer.pinned && candidate == best, text)?;
                    }
                }
            }
            _ => self.unknown(answer, composite, text)?,
        }
        if self.explain {
            explain(answer, language, text)?;
        }
        Ok(())
    }

    fn unknown(&self, answer: &Answer, composite: Option<&str>, text: &mut String) -> Result<()> {
        let language = self.language;
        let mentioned = &answer.mentions;
        let related: Vec<&Candidate> = (answer.candidates.iter())
            .filter(|candidate| {
                let subject = self.graph.vocabulary().encode(&candidate.subject);
                mentioned.iter().any(|mention| mention.subject == subject)
            })
            .collect();
        let dont_know = language.pick("I don't know", "不知道");
        let why = match composite {
            Some(reason) => language.pick(
                format!(": the question {reason}; one fact cannot answer it"),
                format!("：这个问题{reason}，一条事实回答不了"),
            ),
            None if mentioned.is_empty() => language.pick(
                ": the question has no name that is in the graph".to_owned(),
                "：问句里没有图谱认识的名称".to_owned(),
            ),
            None if answer.lacking >= DOUBTFUL => {
                let lacking = 100.0 * answer.lacking;
                language.pick(
                    format!(": the graph lacks the answer with a probability of {lacking:.1} %"),
                    format!("：图谱里没有答案的概率是 {lacking:.1} %"),
                )
            }
            None => String::new(),
        };
        writeln!(text, "{dont_know}{why}")?;
        if related.is_empty() {
            let names = self.graph.similar_names(answer.question.trim(), MOST_NAMES)?;
            if !names.is_empty() {
                let meant = language.pick(
                    format!("did you mean {}?", names.join(", or ")),
                    format!("是不是想问：{}？", names.join("、")),
                );
                writeln!(text, "{meant}")?;
            }
            return Ok(());
        }
        self.readings(answer, text)?;
        writeln!(
            text,
            "{}",
            language.pick("closest facts, not answers:", "相近的事实，不是答案：")
        )?;
        for candidate in related {
            self.fact(candidate, false, text)?;
        }
        Ok(())
    }

    /// The names that the question spells differently.
    fn readings(&self, answer: &Answer, text: &mut String) -> Result<()> {
        for reading in &answer.readings {
            if (answer.candidates.first()).is_some_and(|best| best.subject == reading.subject) {
                let (words, subject) = (&reading.words, &reading.subject);
                let taken = self.language.pick(
                    format!("  (took “{words}” for {subject})"),
                    format!("  （把“{words}”当作“{subject}”）"),
                );
                writeln!(text, "{taken}")?;
            }
        }
        Ok(())
    }

    fn fact(&self, candidate: &Candidate, pinned: bool, text: &mut String) -> Result<()> {
        let how = match pinned {
            true => self.language.pick(" (pinned)", "（指定的答案）"),
            false => "",
        };
        writeln!(
            text,
            "  {} · {} · {}  {:.1} %{how}",
            candidate.full_subject(),
            candidate.relation,
            candidate.objects.join("; "),
            100.0 * candidate.probability
        )?;
        Ok(())
    }
}

/// The kind of question, as a phrase after "the question".
fn reason(composite: Composite, language: Language) -> &'static str {
    let chinese = match composite {
        Composite::SeveralSubjects => "提到了几个对象",
        Composite::SeveralRelations => "问了几件事",
        Composite::Chain => "问的是另一件事的答案的属性",
        Composite::Negation => "问的是不成立的",
        Composite::Comparison => "要作比较",
        Composite::Superlative => "问的是最大或最小",
        Composite::Count => "问的是数目",
    };
    language.pick(composite.reason(), chinese)
}

/// Maximum number of choices to list.
const SHOWN: usize = 8;

/// Choices after less probable prefixes are only counted.
const TOLD: f64 = 0.01;

/// How the answer was found: the meaning of the percentages, why the first fact is ranked above the second, and the steps of decoding.
fn explain(answer: &Answer, language: Language, text: &mut String) -> Result<()> {
    let confidence = 100.0 * answer.confidence;
    let lacking = 100.0 * answer.lacking;
    let percentages = language.pick(
        format!(
            "A fact's percentage is its probability if one fact of the graph is the answer. The graph lacks the answer with a probability of\n\
             {lacking:.1} %. Both together make the confidence, {confidence:.1} %; from --min-confidence on the answer is given."
        ),
        format!(
            "每条事实后面的百分数，是在图谱含有答案的前提下它就是答案的概率。图谱里没有答案的概率是 {lacking:.1} %。\n\
             两者合起来是置信度，{confidence:.1} %；达到 --min-confidence 才给出答案。"
        ),
    );
    writeln!(text, "\n{percentages}")?;
    compare(answer, language, text)?;
    let (told, untold): (Vec<_>, Vec<_>) = answer
        .choices
        .iter()
        .partition(|choice| choice.prefix_probability >= TOLD);
    if told.is_empty() {
        return Ok(());
    }
    let spelling = language.pick(
        "How the model spelt the facts, where the graph left it a choice ([SEP] ends a name):",
        "模型逐字拼出事实的过程，只列出图谱留有选择的地方（[SEP] 表示名称结束）：",
    );
    writeln!(text, "{spelling}")?;
    for choice in told {
        let prefix = if choice.prefix.is_empty() {
            language.pick("(start)", "（开头）")
        } else {
            &choice.prefix
        };
        let (probability, allowed) = (100.0 * choice.prefix_probability, choice.allowed.len());
        let head = language.pick(
            format!("after {prefix} ({probability:.1} %), {allowed} allowed:"),
            format!("{prefix}（{probability:.1} %）之后允许 {allowed} 种："),
        );
        write!(text, "  {head}")?;
        for (name, probability, gain) in choice.allowed.iter().take(SHOWN) {
            write!(text, "  {name} {:.1} %", 100.0 * probability)?;
            if *gain > 0 {
                write!(text, " (+{gain})")?;
            }
        }
        writeln!(text, "{}", if allowed > SHOWN { "  …" } else { "" })?;
    }
    if !untold.is_empty() {
        let (rest, least) = (untold.len(), 100.0 * TOLD);
        let rest = language.pick(
            format!("  and {rest} choices after what has less than {least:.0} %"),
            format!("  另有 {rest} 处选择，其前缀的概率不到 {least:.0} %"),
        );
        writeln!(text, "{rest}")?;
    }
    if answer
        .choices
        .iter()
        .flat_map(|choice| &choice.allowed)
        .any(|(_, _, gain)| *gain > 0)
    {
        let gain = language.pick(
            "  (+2): that letter leads to a fact that shares 2 more letters with the question",
            "  (+2)：选这个字可以通向与问句多共有 2 个字的事实",
        );
        writeln!(text, "{gain}")?;
    }
    Ok(())
}
