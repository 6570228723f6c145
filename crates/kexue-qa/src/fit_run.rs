//! Fitting the rescoring of a run: which questions it is fitted on, and where the weights are stored.

use crate::evaluate::Case;
use crate::fit::{Fit, FitQuestions, fit};
use crate::questions::{questions_for, read_unanswerable};
use crate::rerank::{OLD_FILE, RERANKER_FILE};
use crate::run::{QaConfig, Trained};
use crate::split::Split;
use crate::{Error, Question, Result};
use kexue_kg::KnowledgeGraph;
use kexue_output::{Lock, write_file};
use kexue_train::TrainError;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// The files that a rescoring is fitted on.
#[derive(Clone, Copy, Debug)]
pub struct FitFiles<'a> {
    /// Questions with their answers: those that the model was trained on and validated with, or others.
    pub questions: &'a [PathBuf],
    /// Fit on one line in so many of each question file; 0 for all lines. If `None`, what the training held out.
    pub hold_out: Option<usize>,
    /// Questions that the model was trained on. If empty, the lines of `questions` that are not fitted on.
    pub known: &'a [PathBuf],
    /// Questions to fit on that the graph cannot answer.
    pub unanswerable: &'a [PathBuf],
    /// Questions that the graph cannot answer whose words are counted.
    pub known_unanswerable: &'a [PathBuf],
}

/// The questions of [`FitFiles`].
#[derive(Clone, Debug)]
pub struct FitData {
    known: Vec<Case>,
    known_unanswerable: Vec<Question>,
    cases: Vec<Case>,
    unanswerable: Vec<Question>,
}

impl FitFiles<'_> {
    /// Reads the files.
    ///
    /// # Errors
    /// If a file is invalid, or the settings leave nothing to fit on, or no questions that the model was trained on.
    pub fn read(&self, graph: &KnowledgeGraph, config: &QaConfig) -> Result<FitData> {
        let setting = |field, problem: &str| {
            Error::Train(TrainError::Setting {
                field,
                problem: problem.to_owned(),
            })
        };
        let every = match (self.hold_out, config.hold_out) {
            (Some(every), _) => every,
            (None, 0) => {
                let problem = "the training held out no lines: give questions that it did not use, and set this to 0 to fit on all of them";
                return Err(setting("hold_out", problem));
            }
            (None, every) => every,
        };
        let (mut questions, mut known) = (Vec::new(), Vec::new());
        for path in self.questions {
            let split = Split::read(graph, path, every)?;
            if every == 0 {
                questions.extend(split.kept);
            } else {
                questions.extend(split.held_out);
                known.extend(split.kept);
            }
        }
        if !self.known.is_empty() {
            known = read_all(self.known, |path| questions_for(graph, path, false))?;
        }
        if known.is_empty() {
            let problem = "all lines are fitted on: give the questions that the model was trained on";
            return Err(setting("known", problem));
        }
        let unanswerable = |path: &Path| Ok(read_unanswerable(graph, path)?.0);
        Ok(FitData {
            known: Case::prepare(graph, known)?,
            known_unanswerable: read_all(self.known_unanswerable, unanswerable)?,
            cases: Case::prepare(graph, questions)?,
            unanswerable: read_all(self.unanswerable, unanswerable)?,
        })
    }
}

impl FitData {
    /// The questions.
    pub fn questions(&self) -> FitQuestions<'_> {
        FitQuestions {
            known: &self.known,
            known_unanswerable: &self.known_unanswerable,
            cases: &self.cases,
            unanswerable: &self.unanswerable,
        }
    }
}

fn read_all(paths: &[PathBuf], read: impl Fn(&Path) -> Result<Vec<Question>>) -> Result<Vec<Question>> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(read(path)?);
    }
    Ok(all)
}

/// Fits the weights of rescoring and stores them in the run's folder. Weights that do not predict held-out questions better than the model
/// alone ([`Fit::is_better`]) are not stored, and the file of an earlier fit is deleted, since nothing shows that it is better. Returns `None`
/// if `interrupt` was set; the folder is then unchanged.
///
/// # Errors
/// As [`fit`]; also if another process trains or fits in the folder, or the file cannot be written or deleted.
pub fn fit_and_store(
    graph: &KnowledgeGraph,
    trained: &Trained,
    folder: &Path,
    questions: FitQuestions<'_>,
    interrupt: &AtomicBool,
) -> Result<Option<Fit>> {
    let _lock = Lock::of_folder(folder).map_err(TrainError::from)?;
    let Some(fitted) = fit(graph, &trained.model, &trained.config.search, questions, interrupt)? else {
        return Ok(None);
    };
    let path = folder.join(RERANKER_FILE);
    if fitted.is_better() {
        write_file(&path, fitted.reranker.to_text().as_bytes()).map_err(TrainError::from)?;
    } else {
        remove(path)?;
    }
    // Whether or not there is a new file: a folder with the old one only is refused.
    remove(folder.join(OLD_FILE))?;
    Ok(Some(fitted))
}

/// Deletes a file, if it exists.
fn remove(path: PathBuf) -> Result<()> {
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(Error::Io { path, source }),
        _ => Ok(()),
    }
}
