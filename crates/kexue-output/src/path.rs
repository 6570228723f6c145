//! Paths of outputs.

use std::path::{Path, PathBuf};

/// Maximum number of symbolic links to follow; Linux has the same limit.
const MOST_LINKS: usize = 40;

/// Resolves a path through symbolic links. The target need not exist.
///
/// Only links in the last component are followed. A path that is not a link is returned unchanged.
pub fn real_path(path: &Path) -> PathBuf {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        if descriptor(&path).is_some() {
            break;
        }
        let Ok(target) = std::fs::read_link(&path) else { break };
        path.set_file_name(target);
    }
    path
}

/// The folder of a file; `.` if the path has a single component.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The file descriptor that a path names: 1 for `/proc/self/fd/1`, the target of `/dev/stdout`.
pub(crate) fn descriptor(path: &Path) -> Option<u32> {
    let number = path.file_name()?.to_str()?.parse().ok()?;
    let folder = folder_of(path).canonicalize().ok()?;
    let is_open_files = |known: &str| Path::new(known).canonicalize().is_ok_and(|known| known == folder);
    (is_open_files("/proc/self/fd") || is_open_files("/dev/fd")).then_some(number)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_recognised_through_links() {
        for path in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
            assert_eq!(descriptor(&real_path(Path::new(path))), Some(1), "{path}");
        }
        assert_eq!(descriptor(Path::new("1")), None);
        assert_eq!(descriptor(Path::new("/dev/null")), None);
    }

    #[test]
    fn relative_links_are_resolved_in_their_own_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("elsewhere/target", at("link")).unwrap();
        assert_eq!(real_path(&at("link")), at("elsewhere/target"));
        assert_eq!(real_path(&at("no link")), at("no link"));
        assert_eq!(folder_of(Path::new("file")), Path::new("."));
    }
}
