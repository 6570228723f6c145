//! Every format, and what is said of every kind of bad input.

use kexue_kg::{
    BuildOptions, CsvEscape, Format, GraphBuilder, ImportOptions, ImportReport, KgError, KnowledgeGraph, Remedy,
    import, import_reader,
};
use proptest::prelude::*;
use std::io::{BufRead, BufReader, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;

fn read(text: &[u8], format: Format, options: &ImportOptions) -> Result<(Vec<String>, ImportReport), KgError> {
    let mut builder = GraphBuilder::new(BuildOptions::default());
    let report = import_reader(text, format, "in", options, &mut builder)?;
    if builder.is_empty() {
        return Ok((Vec::new(), report));
    }
    let graph = KnowledgeGraph::from_bytes(builder.finish_bytes()?.1)?;
    let mut facts = Vec::new();
    for key in 0..graph.index().len() {
        let fact = graph.fact(key)?;
        facts.push(format!(
            "{}|{}|{}|{}",
            fact.subject,
            fact.sense.unwrap_or_default(),
            fact.relation,
            fact.objects.join(",")
        ));
    }
    facts.sort();
    Ok((facts, report))
}

fn facts(text: &str, format: Format) -> Vec<String> {
    read(text.as_bytes(), format, &ImportOptions::default()).unwrap().0
}

fn problem(text: &[u8], format: Format) -> String {
    read(text, format, &ImportOptions::default()).unwrap_err().to_string()
}

#[test]
fn every_format_says_the_same() {
    let expected = ["水|化合物|化学式|H₂O", "水|歌曲|演唱|甲,乙 \"丙\""];
    assert_eq!(
        facts(
            "水（化合物）\t化学式\tH₂O\r\n\n水（歌曲）\t演唱\t甲\n水（歌曲）\t演唱\t乙 \"丙\"",
            Format::Tsv
        ),
        expected
    );
    assert_eq!(
        facts(
            "水（化合物）,化学式,H₂O\n水（歌曲）,演唱,甲\n水（歌曲）,演唱,\"乙 \"\"丙\"\"\"\n",
            Format::Csv
        ),
        expected
    );
    assert_eq!(
        facts(
            "{\"subject\":\"水（化合物）\",\"relation\":\"化学式\",\"object\":\"H\\u2082O\"}\n[\"水（歌曲）\",\"演唱\",[\"甲\",\"乙 \\\"丙\\\"\"]]\n",
            Format::JsonLines
        ),
        expected
    );
    assert_eq!(
        facts(
            "# comment\n<水（化合物）> <化学式> \"H\\u2082O\" .\n<水（歌曲）> <演唱> \"甲\"@zh . # more\n<水（歌曲）> <演唱> \"乙 \\\"丙\\\"\"^^<http://x/s>.\n",
            Format::NTriples
        ),
        expected
    );
    assert_eq!(facts("_:a <p> _:b.\n", Format::NTriples), ["_:a||p|_:b"]);
}

#[test]
fn columns_are_found_by_name() {
    let options = ImportOptions {
        columns: Some(["s", "p", "o"].map(String::from)),
        ..ImportOptions::default()
    };
    let (facts, _) = read(b"id,o,p,s\n1,c,b,a\n", Format::Csv, &options).unwrap();
    assert_eq!(facts, ["a||b|c"]);
    let (facts, _) = read(
        b"{\"s\":\"a\",\"p\":\"b\",\"o\":\"c\",\"id\":1}\n",
        Format::JsonLines,
        &options,
    )
    .unwrap();
    assert_eq!(facts, ["a||b|c"]);
    insta::assert_snapshot!(
        read(b"id,x\n", Format::Csv, &options).unwrap_err().to_string(),
        @"in:1: there is no column `s`, found `id`, `x`"
    );
}

#[test]
fn says_what_is_wrong_with_tsv() {
    insta::assert_snapshot!(problem(b"a\tb\tc\na\tb\n", Format::Tsv), @"in:2: expected subject, relation and object with tabs between them, found 2 fields");
    insta::assert_snapshot!(problem(b"a b c", Format::Tsv), @"in:1: expected subject, relation and object with tabs between them, found 1 field");
    insta::assert_snapshot!(problem(b"a\tb\tc\td\n", Format::Tsv), @"in:1: expected subject, relation and object with tabs between them, found 4 fields");
    insta::assert_snapshot!(problem(b"a\t\tc\n", Format::Tsv), @"in:1: the relation is empty");
    insta::assert_snapshot!(problem(b"a\tb\tc\n\na\tb\t\xff\n", Format::Tsv), @"in:3: byte 5 of the line is not UTF-8; expected text in UTF-8");
}

#[test]
fn says_what_is_wrong_with_csv() {
    insta::assert_snapshot!(problem(b"a,b,c\na,b\n", Format::Csv), @"in:2: expected the three columns subject, relation and object, found 2");
    insta::assert_snapshot!(problem(b"\"a\n\",b,\xff\n", Format::Csv), @"in:1: the object is not UTF-8; expected text in UTF-8");
    insta::assert_snapshot!(problem(b"\n\n,b,c\n", Format::Csv), @"in:3: the subject is empty");
    insta::assert_snapshot!(problem(b",b,c\n", Format::Csv), @"in:1: the subject is empty");
}

#[test]
fn a_quote_that_is_not_closed_does_not_swallow_the_rest() {
    let skipping = ImportOptions {
        skip_bad: true,
        ..ImportOptions::default()
    };
    // Where the quote stands does not matter, nor what lies behind it.
    for (before, record) in [
        ("", 1),
        ("a,b,c\n", 2),
        ("a,b,c\r\n\r\n", 3),
        ("\"a\nb\",c,\"d\n\ne\"\n", 5),
        ("a,\"b\nb\",", 1),
    ] {
        for (behind, left) in [
            ("", 0),
            ("x", 0),
            ("x,y,z\na,b,1\n", 1),
            ("x\"\"\na,b,1\nx,y,2", 2),
            ("\n\n\n", 0),
        ] {
            let text = format!("{before}\"{behind}");
            let line = before.matches('\n').count() + 1;
            let error = problem(text.as_bytes(), Format::Csv);
            assert!(
                error.starts_with(&format!("in:{record}: the quote that opens field ")),
                "{text:?} {error}"
            );
            assert!(
                error.contains(&format!(" in line {line} is not closed; close it")),
                "{text:?} {error}"
            );
            // The line where the record begins is left out, and no other.
            let (_, report) = read(text.as_bytes(), Format::Csv, &skipping).unwrap();
            let (_, whole) = read(before.as_bytes(), Format::Csv, &skipping).unwrap();
            if !before.ends_with(',') {
                assert_eq!((report.read, report.skipped), (whole.read + left, 1), "{text:?}");
            }
        }
    }
    let header = ImportOptions {
        header: true,
        ..ImportOptions::default()
    };
    let error = read(b"\"s,p,o\na,b,c\n", Format::Csv, &header).unwrap_err();
    assert!(
        error.to_string().starts_with("in:1: the quote that opens field 1"),
        "{error}"
    );
}

#[test]
fn a_record_that_is_not_in_rfc_4180_stops_there() {
    const SWALLOWS: &str = "甲,属性,值\n乙,描述,\"没有关\n丙,属性,值\n丁,属性,\"值二\"\n戊,属性,值\n";
    insta::assert_snapshot!(problem(SWALLOWS.as_bytes(), Format::Csv), @"in:2: text follows the quote that closes field 3 in line 4; expected a comma or the end of the line (a quote that belongs to a field is written as two, in a field in quotes)");
    const BEHIND: &str = "甲,属性,值\n乙,描述,\"5\" 屏幕\"\n丁,属性,\"值二\"\n";
    insta::assert_snapshot!(problem(BEHIND.as_bytes(), Format::Csv), @"in:2: text follows the quote that closes field 3 in line 2; expected a comma or the end of the line (a quote that belongs to a field is written as two, in a field in quotes)");
    insta::assert_snapshot!(problem(b"a,b,5\" screen\n", Format::Csv), @"in:1: a quote stands inside field 3, which does not begin with one (a quote that belongs to a field is written as two, in a field in quotes)");
    insta::assert_snapshot!(problem(b"a,b,c\rd,e,f\r", Format::Csv), @r"in:1: a carriage return stands inside field 3; expected a field with line breaks to be in quotes, and lines to end with \n or \r\n");
    let skipping = ImportOptions {
        skip_bad: true,
        ..ImportOptions::default()
    };
    for (text, left) in [
        (
            SWALLOWS,
            vec!["丁||属性|值二", "丙||属性|值", "戊||属性|值", "甲||属性|值"],
        ),
        (BEHIND, vec!["丁||属性|值二", "甲||属性|值"]),
    ] {
        let (found, report) = read(text.as_bytes(), Format::Csv, &skipping).unwrap();
        assert_eq!(
            (found, report.skipped),
            (left.into_iter().map(String::from).collect(), 1)
        );
        assert!(report.first_skipped.unwrap().starts_with("in:2: text follows"));
    }
}

#[test]
fn backslashes_escape_quotes_on_request() {
    let text = b"x,p,\"he said \\\"hi\\\" ok\"\ny,p,v\n";
    let error = read(text, Format::Csv, &ImportOptions::default()).unwrap_err();
    assert_eq!(error.remedies(), [Remedy::CsvEscape, Remedy::SkipBad]);
    let backslash = ImportOptions {
        csv_escape: CsvEscape::Backslash,
        ..ImportOptions::default()
    };
    assert_eq!(
        read(text, Format::Csv, &backslash).unwrap().0,
        ["x||p|he said \"hi\" ok", "y||p|v"]
    );
    // Backslashes, doubled quotes, and what a backslash does not change; outside of quotes it is a character like any other.
    let text = b"x,p,\"a\\\\\"\nx,q,\"b\"\"\\n\"\nx,r,C:\\\\d\n";
    assert_eq!(
        read(text, Format::Csv, &backslash).unwrap().0,
        ["x||p|a\\", "x||q|b\"\\n", "x||r|C:\\\\d"]
    );
}

#[test]
fn the_lines_of_csv_are_counted_behind_empty_and_broken_ones() {
    let skipping = ImportOptions {
        skip_bad: true,
        ..ImportOptions::default()
    };
    for before in ["", "\n", "a,b,c\n\n\n", "\n\n\"a\nb\",c,\"d\n\ne\"\n\n", "a,b,\"c\"\n"] {
        for behind in ["", "\n", "\n\na,b,c\n"] {
            for end in ["\n", "\r\n"] {
                let text = format!("{before}x,y{behind}").replace('\n', end);
                let (found, report) = read(text.as_bytes(), Format::Csv, &skipping).unwrap();
                let line = before.matches('\n').count() + 1;
                let first = report.first_skipped.unwrap();
                assert!(
                    first.starts_with(&format!("in:{line}: expected the three")),
                    "{text:?} {first}"
                );
                assert_eq!(report.skipped, 1, "{text:?}");
                // The end of a Windows line is no part of a field; line breaks in quotes are.
                for fact in found {
                    let expected = ["a||b|c".to_owned(), "a\nb||c|d\n\ne".replace('\n', end)];
                    assert!(expected.contains(&fact), "{text:?} {fact:?}");
                }
            }
        }
    }
    let columns = ImportOptions {
        columns: Some(["s", "p", "o"].map(String::from)),
        ..ImportOptions::default()
    };
    let (found, _) = read(b"\r\n\r\ns,p,o\r\na,b,c\r\n", Format::Csv, &columns).unwrap();
    assert_eq!(found, ["a||b|c"]);
    let error = read(b"\n\ns,p\n", Format::Csv, &columns).unwrap_err();
    insta::assert_snapshot!(error.to_string(), @"in:3: there is no column `o`, found `s`, `p`");
}

#[test]
fn a_record_without_end_is_not_kept() {
    let mut text = b"a,b,c\na,b,\"".to_vec();
    text.resize(70 << 20, b'x');
    insta::assert_snapshot!(problem(&text, Format::Csv), @"in:2: the record that begins here has more than 67108864 bytes; is a quote not closed?");
}

#[test]
fn a_header_is_passed_over_or_told() {
    let header = ImportOptions {
        header: true,
        ..ImportOptions::default()
    };
    for (text, format) in [
        ("Subject,Predicate,Object\na,b,c\nx\n", Format::Csv),
        ("Subject\tPredicate\tObject\na\tb\tc\nx\n", Format::Tsv),
    ] {
        let (found, report) = read(
            text.as_bytes(),
            format,
            &ImportOptions {
                skip_bad: true,
                ..header.clone()
            },
        )
        .unwrap();
        assert_eq!((found, report.likely_headers.len()), (vec!["a||b|c".to_owned()], 0));
        assert!(report.first_skipped.unwrap().starts_with("in:3: "));
        let whole = text.strip_suffix("x\n").unwrap();
        let (found, report) = read(whole.as_bytes(), format, &ImportOptions::default()).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(report.likely_headers, ["in:1: `Subject`, `Predicate`, `Object`"]);
    }
    for text in ["head\trelation\ttail\n", "s\tp\to", "头实体\t关系\t尾实体\n"] {
        let (_, report) = read(text.as_bytes(), Format::Tsv, &ImportOptions::default()).unwrap();
        assert_eq!(report.likely_headers.len(), 1, "{text}");
    }
    // It is the first line that is not empty.
    for (text, format) in [
        ("\n\ns,p,o\na,b,c\nx\n", Format::Csv),
        ("\n\ns\tp\to\na\tb\tc\nx\n", Format::Tsv),
        ("\u{feff}\n\ns\tp\to\na\tb\tc\nx\n", Format::Tsv),
    ] {
        for end in ["\n", "\r\n"] {
            let text = text.replace('\n', end);
            let skipping = ImportOptions {
                skip_bad: true,
                ..header.clone()
            };
            let (found, report) = read(text.as_bytes(), format, &skipping).unwrap();
            assert_eq!(found, ["a||b|c"], "{text:?}");
            assert!(report.first_skipped.unwrap().starts_with("in:5: "), "{text:?}");
            if !text.starts_with('\u{feff}') {
                let skipping = ImportOptions {
                    header: false,
                    ..skipping
                };
                let (_, report) = read(text.as_bytes(), format, &skipping).unwrap();
                assert_eq!(report.likely_headers, ["in:3: `s`, `p`, `o`"], "{text:?}");
            }
        }
    }
    for text in ["\n", "\n\r\n", "\u{feff}", "x"] {
        assert!(read(text.as_bytes(), Format::Tsv, &header).unwrap().0.is_empty());
    }
    // The names of two columns are no header, nor is a second line.
    for text in ["subject\tpredicate\tc\n", "a\tb\tc\ns\tp\to\n"] {
        let (_, report) = read(text.as_bytes(), Format::Tsv, &ImportOptions::default()).unwrap();
        assert!(report.likely_headers.is_empty(), "{text}");
    }
    // Nothing but a header, or nothing.
    for text in ["s,p,o", ""] {
        for format in [Format::Csv, Format::Tsv] {
            let text = if format == Format::Csv {
                text.to_owned()
            } else {
                text.replace(',', "\t")
            };
            assert!(read(text.as_bytes(), format, &header).unwrap().0.is_empty());
        }
    }
    insta::assert_snapshot!(
        read(b"a\tb\tc\n", Format::Tsv, &ImportOptions { columns: Some(["a", "b", "c"].map(String::from)), ..ImportOptions::default() }).unwrap_err().to_string(),
        @"in: the columns of this format have no names: they are subject, relation and object"
    );
}

#[test]
fn the_mark_of_utf_8_is_no_part_of_a_name() {
    for (text, format) in [
        ("\u{feff}a\tb\tc\n", Format::Tsv),
        ("\u{feff}a,b,c\n", Format::Csv),
        ("\u{feff}\"a\",b,c\n", Format::Csv),
        ("\u{feff}[\"a\",\"b\",\"c\"]\n", Format::JsonLines),
        ("\u{feff}<a> <b> <c> .\n", Format::NTriples),
    ] {
        assert_eq!(facts(text, format), ["a||b|c"], "{text}");
    }
}

#[test]
fn says_what_is_wrong_with_json_lines() {
    insta::assert_snapshot!(problem(b"[\"a\",\"b\",\"c\"]\n{\"subject\":", Format::JsonLines), @"in:2: column 11: EOF while parsing a value; expected one JSON value");
    insta::assert_snapshot!(problem(b"{\"subject\":\"a\",\"object\":\"c\"}", Format::JsonLines), @"in:1: there is no field `relation`");
    insta::assert_snapshot!(problem(b"[\"a\",\"b\",3]", Format::JsonLines), @"in:1: the object is a number; expected a string");
    insta::assert_snapshot!(problem(b"[\"a\",\"b\",[]]", Format::JsonLines), @"in:1: the object is an empty array");
    insta::assert_snapshot!(problem(b"[\"a\",\"b\"]", Format::JsonLines), @"in:1: expected an array of subject, relation and object, found 2 values");
    insta::assert_snapshot!(problem(b"true", Format::JsonLines), @"in:1: expected an object or an array, found a truth value");
}

#[test]
fn says_what_is_wrong_with_ntriples() {
    insta::assert_snapshot!(problem(b"<a> <b> <c>\n", Format::NTriples), @"in:1: column 12: expected ` .` at the end of the triple, found the end of the line");
    insta::assert_snapshot!(problem(b"a <b> <c> .\n", Format::NTriples), @"in:1: column 1: expected the subject: `<` or `_:`, found `a`");
    insta::assert_snapshot!(problem(b"<a> _:b <c> .\n", Format::NTriples), @"in:1: column 5: expected the relation: `<`, found `_`");
    insta::assert_snapshot!(problem("<a> <乙> \"c\\q\" .\n".as_bytes(), Format::NTriples), @r#"in:1: column 12: expected an escape: one of `t b n r f " ' \ u U`, found `q`"#);
    insta::assert_snapshot!(problem(b"<a> <b> \"c .\n", Format::NTriples), @r#"in:1: column 13: expected `"` at the end of a literal, found the end of the line"#);
    insta::assert_snapshot!(problem(b"<a> <b> <c\\uD800> .\n", Format::NTriples), @"in:1: column 13: expected 4 hexadecimal digits of a character, found `D`");
    insta::assert_snapshot!(problem(b"<a> <b> <c> . x\n", Format::NTriples), @"in:1: column 15: expected nothing more after ` .`, found `x`");
}

#[test]
fn bad_lines_are_left_out_on_request() {
    let options = ImportOptions {
        skip_bad: true,
        ..ImportOptions::default()
    };
    let (facts, report) = read(b"a\tb\tc\nx\n\xff\na\tb\td\n", Format::Tsv, &options).unwrap();
    assert_eq!(facts, ["a||b|c,d"]);
    assert_eq!((report.read, report.skipped), (2, 2));
    assert!(report.first_skipped.unwrap().starts_with("in:2: expected subject"));
}

#[test]
fn packed_files_are_unpacked_and_unknown_ones_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = "甲\t乙\t丙\n".repeat(3);
    let gzip = folder.path().join("a.tsv.gz");
    let mut encoder = flate2::write::GzEncoder::new(std::fs::File::create(&gzip).unwrap(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap();
    let zstandard = folder.path().join("b.TSV.zst");
    std::fs::write(&zstandard, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
    let mut builder = GraphBuilder::new(BuildOptions::default());
    let options = ImportOptions::default();
    let report = import(&[gzip.clone(), zstandard], &options, &mut builder, &|_| ()).unwrap();
    assert_eq!(report.read, 6);

    let cut = folder.path().join("c.tsv.gz");
    let bytes = std::fs::read(&gzip).unwrap();
    std::fs::write(&cut, &bytes[..bytes.len() - 9]).unwrap();
    let error = import(std::slice::from_ref(&cut), &options, &mut builder, &|_| ()).unwrap_err();
    let expected = format!("{}: cannot be read: ", cut.display());
    let message = error.to_string();
    assert!(
        message.starts_with(&expected) && message.ends_with("was cut short: fetch it or pack it again"),
        "{error}"
    );
    let error = import(&[PathBuf::from("facts.parquet.old")], &options, &mut builder, &|_| ()).unwrap_err();
    insta::assert_snapshot!(error.to_string(), @"facts.parquet.old: the name of the file does not tell its format; expected `.tsv`, `.csv`, `.jsonl`, `.nt` or `.parquet`");
    let error = import(&[PathBuf::from("no/such.tsv")], &options, &mut builder, &|_| ()).unwrap_err();
    assert!(error.to_string().starts_with("no/such.tsv: No such file"), "{error}");
    let error = GraphBuilder::new(BuildOptions::default()).finish_bytes().unwrap_err();
    insta::assert_snapshot!(error.to_string(), @"the input holds no facts; expected lines of subject, relation and object");
}

/// A text as a file gives it: what is there at once is a block.
fn in_pieces(text: &str) -> impl BufRead + Send {
    BufReader::with_capacity(1 << 16, text.as_bytes())
}

#[test]
fn the_index_does_not_depend_on_the_workers() {
    // Some blocks' worth, of long lines; most objects of a fact come from different ones.
    let mut texts = [String::new(), String::new()];
    for line in 0..12_000u64 {
        let mixed = line.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let names = [format!("主{}", mixed % 97), format!("R{}", mixed % 5)];
        let object = format!("{line}{}", "对象".repeat(60));
        texts[0] += &format!("{}\t{}\t{object}\n", names[0], names[1]);
        texts[1] += &format!("[\"{}\",\"{}\",\"{object}\"]\n", names[0], names[1]);
    }
    assert!(texts[0].len() > 4 << 20);
    let built = |text: &str, format, workers| {
        let options = ImportOptions {
            workers: NonZeroUsize::new(workers),
            ..ImportOptions::default()
        };
        let mut builder = GraphBuilder::new(BuildOptions::default());
        let report = import_reader(in_pieces(text), format, "in", &options, &mut builder).unwrap();
        assert_eq!(report.read, 12_000);
        builder.finish_bytes().unwrap().1
    };
    let one = built(&texts[0], Format::Tsv, 1);
    for workers in [2, 5, 0] {
        assert!(one == built(&texts[0], Format::Tsv, workers), "{workers} workers");
    }
    for workers in [1, 4] {
        assert!(one == built(&texts[1], Format::JsonLines, workers), "{workers} workers");
    }
}

#[test]
fn blocks_are_taken_in_the_order_of_the_file() {
    // Some blocks' worth, with a bad line far behind: its number is right, and objects keep their order.
    let mut text = String::new();
    for line in 0..120_000 {
        text.push_str(&format!("主题{}\t关系\t对象{line}\n", line % 7));
    }
    let mut builder = GraphBuilder::new(BuildOptions::default());
    import_reader(
        in_pieces(&text),
        Format::Tsv,
        "in",
        &ImportOptions::default(),
        &mut builder,
    )
    .unwrap();
    let graph = KnowledgeGraph::from_bytes(builder.finish_bytes().unwrap().1).unwrap();
    for key in 0..7 {
        let fact = graph.fact(key).unwrap();
        let digit: usize = fact.subject.trim_start_matches("主题").parse().unwrap();
        let expected: Vec<String> = (digit..120_000).step_by(7).map(|line| format!("对象{line}")).collect();
        assert_eq!(fact.objects, expected);
    }
    graph.verify(&|_| ()).unwrap();
    text.push_str("坏\n");
    text.push_str(&"甲\t乙\t丙\n".repeat(100_000));
    let mut builder = GraphBuilder::new(BuildOptions::default());
    let options = ImportOptions::default();
    let error = import_reader(in_pieces(&text), Format::Tsv, "in", &options, &mut builder).unwrap_err();
    assert!(error.to_string().starts_with("in:120001: expected"), "{error}");
}

#[test]
fn the_index_does_not_depend_on_memory_or_threads() {
    let triples: Vec<[String; 3]> = (0..20_000u64)
        .map(|number| {
            let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let sense = if mixed % 3 == 0 {
                format!("（{}）", mixed % 5)
            } else {
                String::new()
            };
            [
                format!("主{}{sense}", mixed % 997),
                format!("R{}", mixed % 31),
                format!("对象{}", mixed % 4001),
            ]
        })
        .collect();
    for fold_case in [false, true] {
        let build = |memory, threads| {
            let options = BuildOptions {
                memory,
                fold_case,
                inverse: true,
                ..BuildOptions::default()
            };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut builder = GraphBuilder::new(options);
                for [subject, relation, object] in &triples {
                    builder.add(subject, relation, object).unwrap();
                }
                builder.finish_bytes().unwrap().1
            })
        };
        let whole = build(None, 2);
        for (memory, threads) in [(Some(40_000), 1), (Some(400_000), 3), (Some(1 << 30), 2), (None, 1)] {
            assert!(whole == build(memory, threads), "memory {memory:?}, {threads} threads");
        }
    }
}

fn formats() -> impl Strategy<Value = Format> {
    prop_oneof![
        Just(Format::Tsv),
        Just(Format::Csv),
        Just(Format::JsonLines),
        Just(Format::NTriples)
    ]
}

proptest! {
    #[test]
    fn what_a_writer_of_csv_writes_is_read_back(records in proptest::collection::vec(("[a,\"\r\n甲 ]{1,6}", "[a,\"\\\\]{1,4}", "[\"\n,b]{1,6}"), 1..8), crlf: bool) {
        let mut writer = csv::WriterBuilder::new()
            .terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
            .from_writer(Vec::new());
        for (subject, relation, object) in &records {
            writer.write_record([subject, relation, object]).unwrap();
        }
        let text = writer.into_inner().unwrap();
        let (found, report) = read(&text, Format::Csv, &ImportOptions::default()).unwrap();
        prop_assert_eq!(report.read, records.len() as u64);
        for (subject, relation, object) in &records {
            let start = format!("{subject}||{relation}|");
            prop_assert!(found.iter().any(|fact| fact.starts_with(&start) && fact.contains(object.as_str())), "{:?}", found);
        }
    }

    #[test]
    fn no_bytes_make_an_importer_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), format in formats()) {
        let options = ImportOptions { skip_bad: true, ..ImportOptions::default() };
        let _ = read(&bytes, format, &options);
    }

    #[test]
    fn no_text_makes_an_importer_panic(text in "[<>\"\\\\u0D_:.@^, \t\n\\[\\]{}a甲（）]{0,80}", format in formats()) {
        let options = ImportOptions { skip_bad: true, ..ImportOptions::default() };
        let _ = read(text.as_bytes(), format, &options);
    }
}
