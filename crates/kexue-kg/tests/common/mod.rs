//! What is fuzzed, by libFuzzer (`fuzz/`) and for a moment by the tests: any input gives an answer or an error.

use kexue_kg::{
    BuildOptions, Change, CsvEscape, Format, GraphBuilder, GraphWriter, ImportOptions, KnowledgeGraph, import_reader,
    log_path, parse_block,
};
use kexue_trie::{Allowed, Container, ContainerWriter, PrefixIndex, Trie, TrieBuilder};
use std::io::Cursor;
use std::ops::{ControlFlow, Range};
use std::path::PathBuf;
use std::sync::OnceLock;
use xxhash_rust::xxh3::xxh3_64;

/// A sound index file with every kind of row, and records of several objects.
pub fn index_file() -> Vec<u8> {
    let mut builder = GraphBuilder::new(BuildOptions {
        inverse: true,
        ..BuildOptions::default()
    });
    for number in 0..150 {
        let sense = match number % 3 {
            0 => String::new(),
            other => format!("（义{}{}）", other, number % 11),
        };
        builder
            .add(
                &format!("主题{}{sense}", number % 17),
                &format!("关系{}", number % 7),
                &format!("对象{number}"),
            )
            .unwrap();
    }
    builder.finish_bytes().unwrap().1
}

fn visit_some() -> impl FnMut() -> ControlFlow<()> {
    let mut left = 5_000;
    move || {
        left -= 1;
        if left > 0 {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}

/// Asks an index everything there is to ask, a bounded number of times.
fn ask_index(index: &dyn PrefixIndex) {
    let mut more = visit_some();
    let _ = index.completions(index.root(), &mut |_, _| more());
    let mut allowed = Allowed::default();
    let mut places = vec![index.root()];
    for _ in 0..300 {
        let Some(at) = places.pop() else { break };
        let _ = index.count(at);
        let mut more = visit_some();
        let _ = index.completions(at, &mut |_, _| more());
        if index.allowed(at, &mut allowed).is_ok() {
            for &token in allowed.tokens.iter().take(8) {
                if let Ok(Some(next)) = index.step(at, token) {
                    places.push(next);
                }
            }
        }
    }
}

/// Asks a graph everything.
pub fn ask_everything(graph: &KnowledgeGraph) {
    let index = graph.index();
    ask_index(index);
    for key in (0..index.len().min(1000)).step_by(37).chain([u64::MAX]) {
        let _ = graph.fact(key);
    }
    for question in ["主题1主题12对象3义1", "主題１ or St. Jhon's"] {
        let _ = graph.mentions(question);
    }
    let question = graph.vocabulary().encode("主题1主题12对象3义1");
    let _ = graph.occurrences(&question, &mut |_, _| ());
    let _ = index.find(&question);
    let mut more = visit_some();
    let _ = graph.subjects(&mut |_, _| more());
    let _ = graph.report();
}

/// Where the sections of a file stand: between the header and the table, which are guarded by checksums when it is opened.
pub fn sections(file: &[u8]) -> Range<usize> {
    let table = u64::from_le_bytes(file[16..24].try_into().unwrap());
    64..table as usize
}

/// A sound file with edits put into it: three bytes each, where and what.
fn edited(sound: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    let sections = sections(sound);
    for edit in edits.as_chunks::<3>().0 {
        let place = usize::from(edit[0]) << 8 | usize::from(edit[1]);
        bytes[sections.start + place % sections.len()] = edit[2];
    }
    bytes
}

/// A damaged index file.
pub fn index(edits: &[u8]) {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    if let Ok(graph) = KnowledgeGraph::from_bytes(edited(SOUND.get_or_init(index_file), edits)) {
        ask_everything(&graph);
    }
}

/// A damaged trie of any sequences, its tails shared or not.
pub fn trie(edits: &[u8]) {
    static SOUND: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let sound = SOUND.get_or_init(|| {
        [false, true].map(|share_tails| {
            let mut builder = TrieBuilder::new().share_tails(share_tails);
            for number in 0..200u32 {
                let sequence = [number / 50, number % 50, 7, 7, 300, 9, number % 3];
                builder.push(&sequence[..3 + number as usize % 5]).unwrap();
            }
            let mut out = ContainerWriter::new(Cursor::new(Vec::new())).unwrap();
            builder.write("t.", &mut out).unwrap();
            out.finish().unwrap().into_inner()
        })
    });
    let Some((&choice, edits)) = edits.split_first() else {
        return;
    };
    let bytes = edited(&sound[usize::from(choice % 2)], edits);
    if let Ok(trie) = Container::open(bytes.into()).and_then(|container| Trie::read(&container, "t.")) {
        ask_index(&trie);
    }
}

/// A log beside an index: raw, or of records whose checksums are right.
pub fn log(input: &[u8]) {
    static PLACE: OnceLock<(tempfile::TempDir, PathBuf, Vec<u8>)> = OnceLock::new();
    let (_, path, header) = PLACE.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.idx");
        std::fs::write(&path, index_file()).unwrap();
        let mut writer = GraphWriter::open(&path).unwrap();
        let unpin = Change::Unpin { question: "甲".into() };
        writer.apply(&unpin).unwrap();
        let header = std::fs::read(log_path(&path)).unwrap()[..16].to_vec();
        (folder, path, header)
    });
    let Some((&choice, rest)) = input.split_first() else {
        return;
    };
    let mut bytes = header.clone();
    match choice % 3 {
        0 => bytes = rest.to_vec(),
        1 => bytes.extend(rest),
        _ => {
            for payload in rest.split(|&byte| byte == b'\n') {
                let mut head = (payload.len() as u32).to_le_bytes().to_vec();
                head.extend(xxh3_64(payload).to_le_bytes());
                head.extend(xxh3_64(&head).to_le_bytes());
                bytes.extend(head);
                bytes.extend(payload);
            }
        }
    }
    std::fs::write(log_path(path), bytes).unwrap();
    if let Ok(graph) = KnowledgeGraph::open(path) {
        ask_everything(&graph);
    }
}

/// Any bytes as triples; the first chooses the format. What is read makes a sound index.
pub fn importers(input: &[u8]) {
    let formats = [Format::Tsv, Format::JsonLines, Format::NTriples, Format::Csv];
    let Some((&choice, text)) = input.split_first() else {
        return;
    };
    let format = formats[usize::from(choice) % formats.len()];
    let columns = (choice & 64 == 64).then(|| ["a", "b", "c"].map(str::to_owned));
    if format != Format::Csv {
        let _ = parse_block(format, columns.as_ref(), text.to_vec(), 1);
    }
    let options = ImportOptions {
        columns,
        header: choice & 16 == 16,
        skip_bad: true,
        csv_escape: if choice & 8 == 8 {
            CsvEscape::Backslash
        } else {
            CsvEscape::Quote
        },
        ..ImportOptions::default()
    };
    let mut builder = GraphBuilder::new(BuildOptions {
        fold_case: choice & 128 == 128,
        inverse: choice & 32 == 32,
        ..BuildOptions::default()
    });
    let read = import_reader(text, format, "input", &options, &mut builder);
    if read.is_ok() && !builder.is_empty() {
        let graph = KnowledgeGraph::from_bytes(builder.finish_bytes().unwrap().1).unwrap();
        graph.verify(&|_| ()).unwrap();
    }
}

/// What takes any input.
pub type Target = fn(&[u8]);

/// Inputs to begin with, by target.
#[allow(dead_code)] // libFuzzer has its own
pub const SEEDS: &[(Target, &[&[u8]])] = &[
    (index, &[b"\x01\x02\x03\x04\x05\x06", b"\x10\x80\xff"]),
    (trie, &[b"\x00\x01\x02\xff", b"\x01\x01\x02\xff"]),
    (
        log,
        &[
            b"\x00kexuelg2\x00\x00\x00\x00\x00\x00\x00\x00",
            b"\x01\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00{}",
            "\x02{\"add\":{\"subject\":\"主题1（义10）\",\"relation\":\"关系1\",\"object\":\"甲\"}}\n{\"remove\":{\"subject\":\"主题3\"}}\n{\"pin\":{\"question\":\"？\",\"subject\":\"主题4\",\"relation\":\"关系4\"}}".as_bytes(),
            "\x02{\"replace\":{\"subject\":\"主题2\",\"relation\":\"关系2\",\"objects\":[\"甲\",\"乙\"]}}\n{\"unpin\":{\"question\":\"？\"}}".as_bytes(),
        ],
    ),
    (
        importers,
        &[
            "\x00甲（乙）\t丙\t丁\r\n甲\t丙\t戊\n甲\t丙\t戊\n".as_bytes(),
            "\x01{\"subject\":\"甲（乙（丙））\",\"relation\":\"丁\",\"object\":[\"戊\",\"\\u4e00\"]}\n[\"a\",\"B\",\"c\"]\n".as_bytes(),
            "\x02<http://a/甲> <b> \"c\\u4e00\\\"\"@zh .\n_:x <b> <c> . # end\n".as_bytes(),
            "\x03\"甲\"\"（乙）\",丙,\"丁\n戊\"\n".as_bytes(),
            b"\x43x,a,b,c\n1,2,3,4\n",
            b"\x10\r\n\ns\tp\to\na\tb\tc\n",
            b"\x13\n\r\ns,p,o\r\na,\"b\nB\",c\r\n\r\nx\n",
            "\x61{\"a\":\"甲\",\"b\":\"Bb\",\"c\":\"CC\"}\n".as_bytes(),
        ],
    ),
];
