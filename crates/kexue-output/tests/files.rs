//! Outputs that are replaced, created, written through or refused.
#![cfg(unix)]

use kexue_output::{Lock, NewFile, OutputError, check_folder, check_output, write_file};
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn with(&self, name: &str, content: &str) -> PathBuf {
        fs::write(self.at(name), content).unwrap();
        self.at(name)
    }

    /// The names of everything in it, hidden files included.
    fn names(&self) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(self.0.path()).unwrap().map(name).collect();
        names.sort();
        names
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn problem(result: Result<(), OutputError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_new_file_gets_what_the_umask_allows() {
    let folder = Folder::new();
    let plain = folder.with("plain", "");
    write_file(&folder.at("new"), b"content").unwrap();
    assert_eq!(fs::read(folder.at("new")).unwrap(), b"content");
    assert_eq!(mode(&folder.at("new")), mode(&plain));
    assert_eq!(folder.names(), ["new", "plain"]);
}

#[test]
fn a_replaced_file_keeps_its_mode_and_its_neighbours() {
    let folder = Folder::new();
    let path = folder.with("X", "old");
    folder.with("X.partial", "the user's");
    for bits in [0o600, 0o640, 0o755, 0o666] {
        fs::set_permissions(&path, fs::Permissions::from_mode(bits)).unwrap();
        write_file(&path, b"new").unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap()), (bits, b"new".to_vec()));
    }
    assert_eq!(fs::read(folder.at("X.partial")).unwrap(), b"the user's");
    assert_eq!(folder.names(), ["X", "X.partial"]);
}

#[test]
fn the_owner_is_kept_where_root_replaces_a_file() {
    let folder = Folder::new();
    let path = folder.with("file", "old");
    if std::os::unix::fs::chown(&path, Some(1234), Some(1234)).is_err() {
        return;
    }
    write_file(&path, b"new").unwrap();
    let found = fs::metadata(&path).unwrap();
    assert_eq!((found.uid(), found.gid()), (1234, 1234));
}

#[test]
fn links_stay_and_what_they_lead_to_is_replaced() {
    let folder = Folder::new();
    fs::create_dir(folder.at("far")).unwrap();
    let file = folder.with("far/file", "old");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("far/file", folder.at("near")).unwrap();
    symlink("near", folder.at("nearest")).unwrap();
    symlink("far/not yet", folder.at("dangling")).unwrap();
    for name in ["nearest", "dangling"] {
        check_output(&folder.at(name), [&folder.at("input")]).unwrap();
        write_file(&folder.at(name), b"new").unwrap();
        assert!(folder.at(name).is_symlink() && folder.at("near").is_symlink());
    }
    assert_eq!((fs::read(&file).unwrap(), mode(&file)), (b"new".to_vec(), 0o640));
    assert_eq!(fs::read(folder.at("far/not yet")).unwrap(), b"new");
    assert!(
        problem(check_output(&folder.at("nearest"), [&file]))
            .ends_with("this would overwrite an input; name another file")
    );

    symlink("nowhere/file", folder.at("lost")).unwrap();
    let lost = problem(check_output(&folder.at("lost"), [&file]));
    assert!(
        lost.contains("there is no folder") && lost.contains("nowhere"),
        "{lost}"
    );
    symlink("circle", folder.at("circle")).unwrap();
    assert!(write_file(&folder.at("circle"), b"").is_err() && folder.at("circle").is_symlink());
}

#[test]
fn pipes_are_written_through() {
    let folder = Folder::new();
    let pipe = folder.at("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    check_output(&pipe, [&folder.at("input")]).unwrap();
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read(pipe).unwrap()
    });
    write_file(&pipe, b"content").unwrap();
    assert_eq!(reader.join().unwrap(), b"content");
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(folder.names(), ["pipe"]);
}

#[test]
fn devices_stay_devices() {
    let null = Path::new("/dev/null");
    check_output(null, [null.with_file_name("zero")]).unwrap();
    write_file(null, b"content").unwrap();
    assert!(fs::symlink_metadata(null).unwrap().file_type().is_char_device());
    let folder = Folder::new();
    symlink(null, folder.at("link")).unwrap();
    write_file(&folder.at("link"), b"content").unwrap();
    assert!(folder.at("link").is_symlink() && fs::metadata(null).unwrap().file_type().is_char_device());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_device_is_an_error_that_names_it() {
    let message = problem(write_file(Path::new("/dev/full"), &[0; 1 << 20]));
    assert!(message.starts_with("/dev/full: "), "{message}");
}

/// A shell has opened the file: what it wrote before and writes after must stay.
#[test]
#[cfg(target_os = "linux")]
fn an_open_file_is_continued() {
    use std::os::fd::AsRawFd;
    let folder = Folder::new();
    let mut open = fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(folder.at("log"))
        .unwrap();
    open.write_all(b"before ").unwrap();
    write_file(Path::new(&format!("/dev/fd/{}", open.as_raw_fd())), b"output ").unwrap();
    open.write_all(b"after").unwrap();
    assert_eq!(fs::read(folder.at("log")).unwrap(), b"before output after");
}

#[test]
fn what_is_not_committed_leaves_nothing() {
    let folder = Folder::new();
    let path = folder.with("file", "old");
    let mut file = NewFile::create(&path).unwrap();
    file.write_all(b"half").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(folder.names().len(), 2);
    drop(file);
    assert_eq!(
        (fs::read(&path).unwrap(), folder.names()),
        (b"old".to_vec(), vec!["file".to_owned()])
    );
    // The place was taken meanwhile.
    let file = NewFile::create(&folder.at("new")).unwrap();
    fs::create_dir(folder.at("new")).unwrap();
    let message = problem(file.commit());
    assert!(
        message.starts_with(&folder.at("new").display().to_string()),
        "{message}"
    );
    assert_eq!(folder.names(), ["file", "new"]);
}

#[test]
fn a_writer_can_go_back() {
    let folder = Folder::new();
    let path = folder.at("file");
    let mut file = NewFile::create(&path).unwrap();
    file.write_all(b"....content").unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.write_all(b"head").unwrap();
    file.commit().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "headcontent");
}

#[test]
fn what_killed_processes_left_is_removed() {
    let folder = Folder::new();
    folder.with(".file.kexue-aB3dE6", "half");
    let living = folder.with(".file.kexue-aB3dE7", "its writer lives");
    let lock = fs::File::open(&living).unwrap();
    lock.lock().unwrap();
    let others = [
        ".file.kexue-backups",
        ".file.kexue-a.b.c.",
        ".other.kexue-aB3dE6",
        "file.kexue-aB3dE6",
    ];
    others.iter().for_each(|name| drop(folder.with(name, "another's")));
    write_file(&folder.at("file"), b"content").unwrap();
    let names = folder.names();
    assert!(!names.iter().any(|name| name == ".file.kexue-aB3dE6"));
    assert_eq!(names.len(), 2 + others.len(), "{names:?}");
    drop(lock);
    write_file(&folder.at("file"), b"content").unwrap();
    assert!(!living.exists());
}

#[test]
fn many_writers_of_one_file_leave_one_whole_file() {
    let folder = Folder::new();
    let path = folder.at("file");
    std::thread::scope(|scope| {
        for letter in b'a'..b'i' {
            let path = &path;
            scope.spawn(move || (0..20).for_each(|_| write_file(path, &[letter; 10_000]).unwrap()));
        }
    });
    let content = fs::read(&path).unwrap();
    assert!(content.len() == 10_000 && content.iter().all(|&byte| byte == content[0]));
    assert_eq!(folder.names(), ["file"]);
}

#[test]
fn names_may_be_as_long_as_the_system_allows() {
    let folder = Folder::new();
    for length in [236, 237, 240, 255] {
        let path = folder.at(&"n".repeat(length));
        write_file(&path, b"content").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
    }
    assert_eq!(folder.names().len(), 4);
}

#[test]
fn outputs_that_cannot_be_are_refused_before_the_work() {
    let folder = Folder::new();
    let input = folder.with("input", "");
    let refusals = [
        ("", "this is a folder; name a file to write"),
        ("new/", "this is a folder; name a file to write"),
        ("..", "this is a folder; name a file to write"),
        (".", "this is a folder; name a file to write"),
        ("input", "this would overwrite an input; name another file"),
        ("./../{}/input", "this would overwrite an input; name another file"),
        ("input/file", "Not a directory (os error 20)"),
    ];
    let own = folder.0.path().file_name().unwrap().to_str().unwrap();
    for (name, expected) in refusals {
        let message = problem(check_output(&folder.at(&name.replace("{}", own)), [&input]));
        assert!(message.ends_with(expected), "{name}: {message}");
    }
    let message = problem(check_output(&folder.at("no/file"), [&input]));
    assert!(message.ends_with("no; create it first"), "{message}");
    assert!(problem(check_output(Path::new(""), [&input])).contains("the name of the output is empty"));
    assert_eq!(folder.names(), ["input"]);
    let _socket = std::os::unix::net::UnixListener::bind(folder.at("socket")).unwrap();
    assert!(problem(check_output(&folder.at("socket"), [&input])).ends_with("this is a socket; name a file to write"));
    // Root may write everywhere but here.
    if cfg!(target_os = "linux") {
        let message = problem(check_output(Path::new("/proc/kexue"), [&input]));
        assert!(
            message.starts_with("/proc/kexue: no file can be created in the folder /proc ("),
            "{message}"
        );
        assert!(
            problem(check_folder(Path::new("/proc/kexue/run")))
                .contains("no file can be created in the folder /proc (")
        );
    }
}

#[test]
fn what_the_user_has_protected_is_not_written() {
    let folder = Folder::new();
    let file = folder.with("file", "old");
    fs::create_dir(folder.at("folder")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(folder.at("folder"), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::OpenOptions::new().write(true).open(&file).is_ok() {
        // Root is not bound by modes; the mode is still kept.
        write_file(&file, b"new").unwrap();
        assert_eq!(mode(&file), 0o444);
        return;
    }
    assert!(problem(check_output(&file, [&folder.at("input")])).contains("write-protected"));
    assert!(write_file(&file, b"new").is_err() && fs::read(&file).unwrap() == b"old");
    for refused in [
        check_output(&folder.at("folder/new"), [&file]),
        check_folder(&folder.at("folder")),
        check_folder(&folder.at("folder/a/b")),
        write_file(&folder.at("folder/new"), b"new"),
    ] {
        problem(refused);
    }
}

#[test]
fn a_folder_is_there_or_can_be_made() {
    let folder = Folder::new();
    let file = folder.with("file", "");
    check_folder(folder.0.path()).unwrap();
    check_folder(&folder.at("run/of/today")).unwrap();
    assert!(problem(check_folder(&file)).contains("this is not a folder"));
    let message = problem(check_folder(&file.join("run")));
    assert!(message.contains("file is not a folder"), "{message}");
    symlink("nowhere", folder.at("dangling")).unwrap();
    problem(check_folder(&folder.at("dangling")));
    assert!(problem(check_folder(Path::new(""))).contains("empty"));
    assert_eq!(folder.names(), ["dangling", "file"]);
}

#[test]
fn a_folder_has_one_writer_at_a_time() {
    let folder = Folder::new();
    let lock = Lock::of_folder(folder.0.path()).unwrap();
    let busy = Lock::of_folder(folder.0.path()).unwrap_err();
    assert!(matches!(&busy, OutputError::Busy { path } if path == folder.0.path()));
    assert!(
        busy.to_string()
            .ends_with("another process is writing here; wait until it is done, or choose another folder")
    );
    drop(lock);
    Lock::of_folder(folder.0.path()).unwrap();
    assert!(Lock::of_folder(&folder.at("no folder")).is_err());
}
