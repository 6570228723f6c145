//! Git LFS pointers: small text files that a clone without Git LFS leaves in place of large ones.

/// How every pointer begins, as <https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md> says.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1";

/// What to say of a file that begins with these bytes if it is a Git LFS pointer; nothing if it is none. Readers of large files ask this
/// before they call a file damaged.
pub fn git_lfs_problem(beginning: &[u8]) -> Option<&'static str> {
    beginning
        .starts_with(POINTER)
        .then_some("this is a Git LFS pointer, not the file itself; fetch the file with `git lfs pull`, or download it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_recognised() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        assert!(git_lfs_problem(pointer).is_some_and(|problem| problem.contains("git lfs pull")));
        for other in [&b""[..], b"version https://git-lfs", b"PK\x03\x04"] {
            assert_eq!(git_lfs_problem(other), None);
        }
    }
}
