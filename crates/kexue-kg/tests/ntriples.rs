//! N-Triples against W3C's test suite for RDF 1.1 (w3c/rdf-tests, `rdf/rdf11/rdf-n-triples`), restated: each case by its name there, what it
//! tests, and what it must come to. The suite itself is not part of this project; it is under W3C's Test Suite Licence or the 3-clause BSD one.

use kexue_kg::{BuildOptions, Format, GraphBuilder, ImportOptions, KnowledgeGraph, import_reader};

/// The objects of `s p` in the order of the input, or why the input is refused.
fn objects(text: &str) -> Result<Vec<String>, String> {
    let mut builder = GraphBuilder::new(BuildOptions::default());
    import_reader(
        text.as_bytes(),
        Format::NTriples,
        "in",
        &ImportOptions::default(),
        &mut builder,
    )
    .map_err(|error| error.to_string())?;
    if builder.is_empty() {
        return Ok(Vec::new());
    }
    let graph = KnowledgeGraph::from_bytes(builder.finish_bytes().unwrap().1).unwrap();
    let key = graph.key_of("e:s", "e:p").unwrap();
    Ok(key.map_or(Vec::new(), |key| graph.fact(key).unwrap().objects))
}

#[test]
fn what_the_suite_takes_is_read() {
    // Name in the suite, the object as it is written, and its value.
    for (name, written, value) in [
        ("literal", "\"x\"", "x"),
        (
            "literal_all_controls",
            "\"\\u0000\\u0001\\t\\u000B\\u001F\"",
            "\0\u{1}\t\u{b}\u{1f}",
        ),
        (
            "literal_all_punctuation",
            "\" !\\\"#$%&():;<=>?@[]^_`{|}~\"",
            " !\"#$%&():;<=>?@[]^_`{|}~",
        ),
        (
            "literal_ascii_boundaries",
            "\"\0\t\u{b}\u{c}\u{e}&([]\u{7f}\"",
            "\0\t\u{b}\u{c}\u{e}&([]\u{7f}",
        ),
        (
            "literal_false",
            "\"false\"^^<http://www.w3.org/2001/XMLSchema#boolean>",
            "false",
        ),
        ("literal_with_2_dquotes", "\"x\\\"\\\"y\"", "x\"\"y"),
        ("literal_with_2_squotes", "\"x''y\"", "x''y"),
        ("literal_with_BACKSPACE", "\"\\b\"", "\u{8}"),
        ("literal_with_CARRIAGE_RETURN", "\"\\r\"", "\r"),
        ("literal_with_FORM_FEED", "\"\\f\"", "\u{c}"),
        ("literal_with_LINE_FEED", "\"\\n\"", "\n"),
        ("literal_with_REVERSE_SOLIDUS", "\"\\\\\"", "\\"),
        ("literal_with_REVERSE_SOLIDUS2", "\"test-\\\\\"", "test-\\"),
        (
            "literal_with_UTF8_boundaries",
            "\"\u{80}\u{7ff}\u{800}\u{fff}\u{d7ff}\u{e000}\u{fffd}\u{10000}\u{10fffd}\"",
            "\u{80}\u{7ff}\u{800}\u{fff}\u{d7ff}\u{e000}\u{fffd}\u{10000}\u{10fffd}",
        ),
        ("literal_with_numeric_escape4", "\"\\u006F\"", "o"),
        ("literal_with_numeric_escape8", "\"\\U0000006F\"", "o"),
        ("langtagged_string", "\"chat\"@en", "chat"),
        ("lantag_with_subtag", "\"Cheers\"@en-UK", "Cheers"),
        (
            "nt-syntax-datatypes-01",
            "\"123\"^^<http://www.w3.org/2001/XMLSchema#byte>",
            "123",
        ),
        ("nt-syntax-str-esc-02", "\"a\\u0020b\"", "a b"),
        ("nt-syntax-bnode-03", "_:1a", "_:1a"),
        ("nt-syntax-uri-02", "<http://example/\\u0053>", "http://example/S"),
        ("nt-syntax-uri-03", "<http://example/\\U00000053>", "http://example/S"),
        (
            "nt-syntax-uri-04",
            "<scheme:!$%25&'()*+,-./09:/@AZ_az~?#>",
            "scheme:!$%25&'()*+,-./09:/@AZ_az~?#",
        ),
    ] {
        for space in [" ", "", " \t "] {
            let line = format!("{space}<e:s>{space}<e:p>{space}{written}{space}.{space}# comment\n");
            assert_eq!(objects(&line).as_deref(), Ok(&[value.to_owned()][..]), "{name}: {line}");
        }
    }
    // nt-syntax-file-01 to 03, nt-syntax-subm-01: comments, empty lines, and all ends of lines.
    for nothing in [
        "",
        "#Empty file.\n",
        "#One comment, one empty line.\n\n",
        "  \t  # indented\n \t \n",
    ] {
        assert_eq!(objects(nothing), Ok(vec![]));
    }
    assert_eq!(
        objects("<e:s> <e:p> \"1\" .\r\n<e:s> <e:p> \"2\" .\r<e:s> <e:p> \"3\" .\r\r\n<e:s> <e:p> \"4\" ."),
        Ok(["1", "2", "3", "4"].map(String::from).to_vec())
    );
}

#[test]
fn blanks_are_needed_nowhere() {
    // minimal_whitespace, and a blank node as subject.
    let text = "<e:s><e:p><e:o>.\n<e:s><e:p>\"Alice\".\n<e:s><e:p>_:o.\n<e:s><e:p>_:bnode1.\n";
    assert_eq!(
        objects(text),
        Ok(["e:o", "Alice", "_:o", "_:bnode1"].map(String::from).to_vec())
    );
    let graph = |text: &str| {
        let mut builder = GraphBuilder::new(BuildOptions::default());
        import_reader(
            text.as_bytes(),
            Format::NTriples,
            "in",
            &ImportOptions::default(),
            &mut builder,
        )
        .unwrap();
        KnowledgeGraph::from_bytes(builder.finish_bytes().unwrap().1).unwrap()
    };
    for (text, subject, object) in [
        ("_:s<http://e.x/p>\"a\".", "_:s", "a"),
        ("_:s<http://e.x/p><http://e.x/o>.", "_:s", "http://e.x/o"),
        ("_:s.1<http://e.x/p>_:o.1.", "_:s.1", "_:o.1"),
        // Blanks between a literal and its tag, as RDF 1.2's suite has them (extra_whitespace-03).
        ("_:s  <http://e.x/p>  \"Alice\" @en  .", "_:s", "Alice"),
        ("_:s <http://e.x/p> \"1\" ^^ <http://e.x/int> .", "_:s", "1"),
    ] {
        let fact = graph(text).fact(0).unwrap();
        assert_eq!(
            (fact.subject.as_str(), &fact.objects[..]),
            (subject, &[object.to_owned()][..]),
            "{text}"
        );
    }
}

#[test]
fn what_the_suite_refuses_is_refused() {
    for (name, line) in [
        ("nt-syntax-bad-base-01", "@base <http://example/> ."),
        ("nt-syntax-bad-prefix-01", "@prefix : <http://example/> ."),
        ("nt-syntax-bad-esc-01", "<e:s> <e:p> \"a\\zb\" ."),
        ("nt-syntax-bad-esc-02", "<e:s> <e:p> \"\\uWXYZ\" ."),
        ("nt-syntax-bad-esc-03", "<e:s> <e:p> \"\\U0000WXYZ\" ."),
        ("nt-syntax-bad-lang-01", "<e:s> <e:p> \"string\"@1 ."),
        ("nt-syntax-bad-num-01", "<e:s> <e:p> 1 ."),
        ("nt-syntax-bad-num-03", "<e:s> <e:p> 1.0e0 ."),
        ("nt-syntax-bad-string-01", "<e:s> <e:p> \"abc' ."),
        ("nt-syntax-bad-string-04", "<e:s> <e:p> '''abc''' ."),
        ("nt-syntax-bad-string-05", "<e:s> <e:p> \"\"\"abc\"\"\" ."),
        ("nt-syntax-bad-string-06", "<e:s> <e:p> \"abc ."),
        ("nt-syntax-bad-string-07", "<e:s> <e:p> abc\" ."),
        ("nt-syntax-bad-struct-01", "<e:s> <e:p> <e:o>, <e:o2> ."),
        ("nt-syntax-bad-struct-02", "<e:s> <e:p> <e:o>; <e:p2>, <e:o2> ."),
        ("nt-syntax-bad-uri-01", "<http://example/ space> <e:p> <e:o> ."),
        ("nt-syntax-bad-uri-02", "<http://example/\\u00ZZ11> <e:p> <e:o> ."),
        ("nt-syntax-bad-uri-03", "<http://example/\\U00ZZ1111> <e:p> <e:o> ."),
        ("nt-syntax-bad-uri-04", "<http://example/\\n> <e:p> <e:o> ."),
        ("nt-syntax-bad-uri-05", "<http://example/\\/> <e:p> <e:o> ."),
    ] {
        let problem = objects(line).expect_err(name);
        assert!(problem.starts_with("in:1: column "), "{name}: {problem}");
    }
}

#[test]
fn exceptions_from_the_suite() {
    // nt-syntax-bad-uri-06 to 09 are relative IRIs. Names of a graph need not be resolved, and short ones are what people write.
    assert_eq!(
        objects("<e:s> <e:p> <o> .\n<e:s> <e:p> \"foo\"^^<dt> ."),
        Ok(vec!["o".into(), "foo".into()])
    );
    // nt-syntax-bad-bnode-01 and 02 have colons in labels, which the Recommendation's own grammar (PN_CHARS_U) allows.
    assert_eq!(
        objects("<e:s> <e:p> _::a .\n<e:s> <e:p> _:abc:def ."),
        Ok(vec!["_::a".into(), "_:abc:def".into()])
    );
    // A line of nt-syntax-subm-01 has the empty literal. It is well formed, but a fact without an object answers nothing.
    assert_eq!(
        objects("<e:s> <e:p> \"b\" .\n<e:s> <e:p> \"\" ."),
        Err("in:2: the object is empty".into())
    );
}

#[test]
fn what_is_of_other_formats_is_named() {
    insta::assert_snapshot!(objects("<e:s> <e:p> <<( <e:a> <e:b> <e:c> )>> .").unwrap_err(), @"in:1: column 13: this is a triple term of RDF 1.2; expected N-Triples 1.1");
    insta::assert_snapshot!(objects("<< <e:a> <e:b> <e:c> >> <e:p> <e:o> .").unwrap_err(), @"in:1: column 1: this is a triple term of RDF 1.2; expected N-Triples 1.1");
    insta::assert_snapshot!(objects("VERSION \"1.2\"").unwrap_err(), @"in:1: column 1: this is a directive of N-Triples 1.2; expected N-Triples 1.1");
    insta::assert_snapshot!(objects("<e:s> <e:p> \"a\"@en--ltr .").unwrap_err(), @"in:1: column 20: this is a base direction of RDF 1.2; expected N-Triples 1.1");
    insta::assert_snapshot!(objects("@prefix e: <http://e/> .").unwrap_err(), @"in:1: column 1: this is Turtle; expected N-Triples 1.1");
    insta::assert_snapshot!(objects("<e:s> <e:p> <e:o> <e:graph> .").unwrap_err(), @"in:1: column 19: expected ` .` at the end of the triple (lines of N-Quads, which name a graph, are not read), found `<`");
}
