//! Everything that changes files that last, one call each: a test ends the program at every one of them.

use std::fs::File;
use std::io::{Result, Seek, SeekFrom, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// A new file in the folder of the one that it is to become.
#[derive(Debug)]
pub(crate) struct NewFile(NamedTempFile);

impl NewFile {
    pub fn beside(path: &Path) -> Result<Self> {
        point();
        let file = tempfile::Builder::new()
            .prefix(".kexue-kg-")
            .tempfile_in(folder(path))?;
        Ok(Self(file))
    }

    /// Gives the finished file its name, readable as other files are, in the place of one that has it.
    pub fn publish(self, path: &Path) -> Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            point();
            self.0
                .as_file()
                .set_permissions(std::fs::Permissions::from_mode(0o644))?;
        }
        point();
        self.0.as_file().sync_all()?;
        point();
        self.0.persist(path).map_err(|error| error.error)?;
        sync_folder(path)
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        torn(self.0.as_file_mut(), bytes);
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

/// Writes at the file's place, and waits until it is on disk.
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

pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes a rename in a file's folder last.
fn sync_folder(path: &Path) -> Result<()> {
    point();
    File::open(folder(path))?.sync_all()
}

#[cfg(not(test))]
fn point() {}

#[cfg(not(test))]
fn torn(_: &mut File, _: &[u8]) {}

#[cfg(test)]
use tests::{point, torn};

#[cfg(test)]
mod tests {
    use crate::log::log_path;
    use crate::{BuildOptions, Change, Fact, GraphBuilder, GraphWriter, KnowledgeGraph};
    use std::fs::File;
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
    pub(super) fn torn(file: &mut File, bytes: &[u8]) {
        if ends() {
            let _ = file.write_all(&bytes[..bytes.len() / 2]);
            std::process::abort();
        }
    }

    /// What is done to the graph; nothing is a compaction.
    fn script() -> Vec<Option<Change>> {
        let name = |text: &str| text.to_owned();
        vec![
            Some(Change::Add {
                subject: name("甲（子）"),
                relation: name("父"),
                object: name("乙"),
            }),
            Some(Change::Pin {
                question: name("甲的父亲？"),
                subject: name("甲（子）"),
                relation: name("父"),
            }),
            Some(Change::Replace {
                subject: name("丁"),
                relation: name("色"),
                objects: vec![name("红"), name("绿")],
            }),
            None,
            Some(Change::Remove {
                subject: name("丁"),
                relation: Some(name("色")),
                object: Some(name("红")),
            }),
            Some(Change::Unpin {
                question: name("甲的父亲"),
            }),
            Some(Change::Remove {
                subject: name("丙"),
                relation: None,
                object: None,
            }),
            None,
            Some(Change::Add {
                subject: name("丙"),
                relation: name("母"),
                object: name("甲"),
            }),
        ]
    }

    fn run(path: &Path, change: Option<&Change>) {
        let mut writer = GraphWriter::open(path).unwrap();
        match change {
            Some(change) => assert!(writer.apply(change).unwrap()),
            None => drop(writer.compact(None).unwrap()),
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
        for (number, change) in script().iter().enumerate() {
            run(Path::new(&path), change.as_ref());
            std::fs::write(format!("{path}.acknowledged"), (number + 1).to_string()).unwrap();
        }
    }

    #[test]
    fn ended_at_any_write_a_graph_has_every_acknowledged_change_and_no_half_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = fresh(folder.path());
        let mut states = vec![state(&path)];
        for change in &script() {
            run(&path, change.as_ref());
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
                assert!(at > 50, "only {at} points were passed");
                break;
            }
            let found = state(&path);
            // The change that was being made is there or not.
            assert!(
                found == states[done] || found == states[done + 1],
                "ended at {at} after {done}"
            );
            let next = if found == states[done] { done } else { done + 1 };
            for (number, change) in script().iter().enumerate().skip(next) {
                run(&path, change.as_ref());
                assert_eq!(state(&path), states[number + 1], "ended at {at}, gone on with {number}");
            }
        }
    }
}
