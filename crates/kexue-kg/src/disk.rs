//! All operations that change permanent files, one function each. A test ends the program at each of them.

use kexue_output::OutputError;
use std::fs::File;
use std::io::{Result, Seek, SeekFrom, Write};
use std::path::Path;

/// [`kexue_output::NewFile`] with points where tests end the program.
#[derive(Debug)]
pub(crate) struct NewFile(kexue_output::NewFile);

impl NewFile {
    pub fn create(path: &Path) -> std::result::Result<Self, OutputError> {
        point();
        kexue_output::NewFile::create(path).map(Self)
    }

    /// Renames the finished file to its final name.
    pub fn commit(self) -> std::result::Result<(), OutputError> {
        self.0.commit_in_steps(point)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        torn(&mut self.0, bytes);
        self.0.write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush()
    }
}

impl Seek for NewFile {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.0.seek(to)
    }
}

/// Writes at the current position of the file, and waits until the data is on disk.
pub(crate) fn write_synced(file: &mut File, bytes: &[u8]) -> Result<()> {
    torn(file, bytes);
    file.write_all(bytes)?;
    point();
    file.sync_data()
}

pub(crate) fn cut(file: &File, length: u64) -> Result<()> {
    point();
    file.set_len(length)
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    point();
    std::fs::remove_file(path)
}

#[cfg(not(test))]
fn point() {}

#[cfg(not(test))]
fn torn(_: &mut impl Write, _: &[u8]) {}

#[cfg(test)]
use tests::{point, torn};

#[cfg(test)]
mod tests {
    use crate::log::log_path;
    use crate::{BuildOptions, Change, Fact, GraphBuilder, GraphWriter, KnowledgeGraph};
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::sync::atomic::{AtomicU64, Ordering};

    const AT: &str = "KEXUE_TEST_END_AT";
    const PATH: &str = "KEXUE_TEST_INDEX";
    static PASSED: AtomicU64 = AtomicU64::new(0);

    /// Whether the program is to end here: at the point whose number the parent has set.
    fn ends() -> bool {
        let Ok(at) = std::env::var(AT) else { return false };
        Some(PASSED.fetch_add(1, Ordering::Relaxed)) == at.parse().ok()
    }

    pub(super) fn point() {
        if ends() {
            std::process::abort();
        }
    }

    /// A write of which half is done when the program ends.
    pub(super) fn torn(file: &mut impl Write, bytes: &[u8]) {
        if ends() {
            let _ = file.write_all(&bytes[..bytes.len() / 2]);
            std::process::abort();
        }
    }

    /// What is done to the graph.
    enum Step {
        Change(Change),
        Compact(Option<u64>),
        /// A new index in the place of one whose log was folded in and is still there.
        Rebuild,
    }

    fn script() -> Vec<Step> {
        let name = |text: &str| text.to_owned();
        vec![
            Step::Change(Change::Add {
                subject: name("甲（子）"),
                relation: name("父"),
                object: name("乙"),
            }),
            Step::Change(Change::Pin {
                question: name("甲的父亲？"),
                subject: name("甲（子）"),
                relation: name("父"),
            }),
            Step::Change(Change::Replace {
                subject: name("丁"),
                relation: name("色"),
                objects: vec![name("红"), name("绿")],
            }),
            Step::Compact(None),
            Step::Change(Change::Remove {
                subject: name("丁"),
                relation: Some(name("色")),
                object: Some(name("红")),
            }),
            Step::Change(Change::Unpin {
                question: name("甲的父亲"),
            }),
            Step::Change(Change::Remove {
                subject: name("丙"),
                relation: None,
                object: None,
            }),
            Step::Compact(Some(1 << 20)),
            Step::Change(Change::Add {
                subject: name("丙"),
                relation: name("母"),
                object: name("甲"),
            }),
            Step::Rebuild,
            Step::Change(Change::Add {
                subject: name("戊"),
                relation: name("色"),
                object: name("白"),
            }),
        ]
    }

    fn run(path: &Path, step: &Step) {
        let mut writer = GraphWriter::open(path).unwrap();
        match step {
            Step::Change(change) => assert!(writer.apply(change).unwrap()),
            Step::Compact(memory) => drop(writer.compact(*memory).unwrap()),
            Step::Rebuild => {
                let log = std::fs::read(log_path(path)).unwrap();
                writer.compact(None).unwrap();
                std::fs::write(log_path(path), log).unwrap();
                let mut builder = GraphBuilder::new(BuildOptions::default());
                builder.add("戊", "色", "黑").unwrap();
                builder.finish(path).unwrap();
            }
        }
    }

    type State = (Vec<Fact>, Vec<(String, String, String)>);

    fn state(path: &Path) -> State {
        let graph = KnowledgeGraph::open(path).unwrap();
        graph.verify(&|_| ()).unwrap();
        let facts = (0..graph.index().len()).map(|key| graph.fact(key).unwrap()).collect();
        let pins = graph
            .pins()
            .map(|(one, two, three)| (one.into(), two.into(), three.into()));
        (facts, pins.collect())
    }

    fn fresh(folder: &Path) -> PathBuf {
        let path = folder.join("graph.idx");
        let _ = std::fs::remove_file(log_path(&path));
        let mut builder = GraphBuilder::new(BuildOptions::default());
        for (subject, object) in [("丙", "黄"), ("丁", "蓝")] {
            builder.add(subject, "色", object).unwrap();
        }
        builder.finish(&path).unwrap();
        path
    }

    /// Not a test by itself: the writer that the next one ends.
    #[test]
    fn writer_to_be_ended() {
        let Ok(path) = std::env::var(PATH) else { return };
        for (number, step) in script().iter().enumerate() {
            run(Path::new(&path), step);
            std::fs::write(format!("{path}.acknowledged"), (number + 1).to_string()).unwrap();
        }
    }

    #[test]
    fn ended_at_any_write_a_graph_has_every_acknowledged_change_and_no_half_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = fresh(folder.path());
        let mut states = vec![state(&path)];
        for step in &script() {
            run(&path, step);
            states.push(state(&path));
        }
        for at in 0.. {
            let path = fresh(folder.path());
            let acknowledged = folder.path().join("graph.idx.acknowledged");
            std::fs::write(&acknowledged, "0").unwrap();
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "disk::tests::writer_to_be_ended"])
                .env(PATH, &path)
                .env(AT, at.to_string())
                .output()
                .unwrap()
                .status;
            let done: usize = std::fs::read_to_string(&acknowledged).unwrap().parse().unwrap();
            if status.success() {
                assert_eq!(done, script().len());
                assert!(at > 70, "only {at} points were passed");
                break;
            }
            let found = state(&path);
            // The change that was being made is there or not.
            assert!(
                found == states[done] || found == states[done + 1],
                "ended at {at} after {done}"
            );
            let next = if found == states[done] { done } else { done + 1 };
            for (number, step) in script().iter().enumerate().skip(next) {
                run(&path, step);
                assert_eq!(state(&path), states[number + 1], "ended at {at}, gone on with {number}");
            }
            // Of the file that was being written, whoever writes it next leaves nothing behind.
            GraphWriter::open(&path).unwrap().compact(None).unwrap();
            drop(GraphWriter::open(&path).unwrap());
            let names = std::fs::read_dir(folder.path()).unwrap();
            let left: Vec<_> = (names.map(|entry| entry.unwrap().file_name()))
                .filter(|name| name.to_string_lossy().contains(".kexue-"))
                .collect();
            assert!(left.is_empty(), "ended at {at}: {left:?}");
        }
    }
}
