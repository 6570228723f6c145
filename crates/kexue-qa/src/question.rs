//! A question and its right answer.

/// The right answer, as a file gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gold {
    /// A fact.
    Fact {
        /// The subject, with its sense in brackets if it has one.
        subject: String,
        /// The relation.
        relation: String,
        /// The object, if the file gives it.
        object: Option<String>,
    },
    /// The objects of a fact whose relation is not given.
    Answers {
        /// The entity that the question is about.
        entity: String,
        /// All answers.
        answers: Vec<String>,
    },
    /// No answer is given: the question can only be asked, not scored.
    Unknown,
}

/// A question of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its line in the file, from 1.
    pub line: usize,
    /// Its number in the file; if the file gives none, its line counted from 0.
    pub id: u64,
    /// The text.
    pub text: String,
    /// The right answer.
    pub gold: Gold,
}
