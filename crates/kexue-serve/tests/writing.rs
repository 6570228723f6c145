//! Changing facts and pins over HTTP: tokens, responses, undoing, several writers, damaged files.

mod common;

use common::{GraphFile, JSON, Service, TOKEN, escaped, quiet, writable, write_graph};
use kexue_kg::{Change, GraphWriter, KgError, KnowledgeGraph};
use kexue_serve::{Fault, ServeError, Server, Settings, Tokens};
use serde_json::{Value, json};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

fn best(service: &Service, question: &str) -> Value {
    let answer = service
        .post("/v1/ask", &json!({ "question": question }).to_string())
        .json();
    answer["candidates"][0]["objects"].clone()
}

#[test]
fn changes_are_served_and_undone() {
    let graph = GraphFile::new();
    let service = graph.serve();
    let question = "法国的首都是哪里？";
    assert_eq!(best(&service, question), json!(["巴黎"]));

    let fact = json!({ "subject": "法国", "relation": "首都", "objects": ["里昂"] });
    let changed = service.edit("PUT", "/v1/facts", &fact.to_string()).json();
    assert_eq!(changed["before"]["objects"], json!(["巴黎"]));
    assert_eq!(changed["after"], fact);
    assert_eq!(best(&service, question), json!(["里昂"]));
    assert_eq!(
        service.edit("PUT", "/v1/facts", &fact.to_string()).json()["changed"],
        false
    );
    // Sending what was there before undoes the change.
    assert_eq!(
        service.edit("PUT", "/v1/facts", &changed["before"].to_string()).status,
        200
    );
    assert_eq!(best(&service, question), json!(["巴黎"]));

    let new = json!({ "subject": "法国", "relation": "国花", "object": "鸢尾" });
    let added = service.edit("POST", "/v1/facts", &new.to_string()).json();
    assert_eq!(
        (&added["before"], &added["after"]["objects"]),
        (&Value::Null, &json!(["鸢尾"]))
    );
    let entity = |name: &str| service.get(&format!("/v1/entities/{}", escaped(name)));
    assert!(entity("法国").body.contains("鸢尾"));
    let query = format!("/v1/facts?subject={}&relation={}", escaped("法国"), escaped("国花"));
    let removed = service.edit("DELETE", &query, "").json();
    assert_eq!((&removed["changed"], &removed["after"]), (&json!(true), &Value::Null));
    assert!(!entity("法国").body.contains("鸢尾"));
    assert_eq!(service.edit("DELETE", &query, "").json()["changed"], false);
    let many = json!({ "facts": [new, { "subject": "新国", "relation": "首都", "object": "新城" }] });
    let many = service.edit("POST", "/v1/facts", &many.to_string()).json();
    assert_eq!(many["changes"].as_array().unwrap().len(), 2);
    assert_eq!(best(&service, "新国的首都是哪里？"), json!(["新城"]));

    let pin = json!({ "question": question, "subject": "法国", "relation": "货币" });
    let pinned = service.edit("PUT", "/v1/pins", &pin.to_string()).json();
    assert_eq!((&pinned["before"], &pinned["after"]), (&Value::Null, &pin));
    let answer = service
        .post("/v1/ask", &json!({ "question": question }).to_string())
        .json();
    assert_eq!(
        (&answer["pinned"], &answer["candidates"][0]["relation"]),
        (&json!(true), &json!("货币"))
    );
    let unpinned = service
        .edit("DELETE", &format!("/v1/pins?question={}", escaped(question)), "")
        .json();
    assert_eq!(unpinned["before"], pin);
    assert_eq!(best(&service, question), json!(["巴黎"]));
    let nowhere = json!({ "question": question, "subject": "法国", "relation": "没有" });
    assert_eq!(
        service.edit("PUT", "/v1/pins", &nowhere.to_string()).problem(),
        "not-found"
    );
    for (method, path, body) in [
        (
            "PUT",
            "/v1/facts",
            json!({ "subject": "", "relation": "r", "objects": ["o"] }),
        ),
        (
            "PUT",
            "/v1/facts",
            json!({ "subject": "s", "relation": "r", "objects": [] }),
        ),
        (
            "POST",
            "/v1/facts",
            json!({ "subject": "s", "relation": "", "object": "o" }),
        ),
        (
            "PUT",
            "/v1/pins",
            json!({ "question": "？", "subject": "法国", "relation": "货币" }),
        ),
    ] {
        let response = service.edit(method, path, &body.to_string());
        assert_eq!(
            (response.status, response.problem().as_str()),
            (422, "invalid"),
            "{body}"
        );
    }
}

#[test]
fn writing_and_reading_need_their_tokens() {
    let graph = GraphFile::new();
    let fact = r#"{"subject":"a","relation":"b","object":"c"}"#;
    let service = Service::start(Settings {
        read_tokens: Tokens::of(&["a-token-for-reading"]),
        ..writable(&graph.path)
    });
    let with = |method: &str, path: &str, authorization: &str, body: &str| {
        let headers = [JSON, ("Authorization", authorization)];
        service.send(method, path, &headers, body)
    };
    for wrong in [
        "",
        "Bearer",
        "Bearer ",
        "Basic a-token-for-these-tests",
        "Bearer a-token-for-these-test",
        "Bearer a-token-for-reading",
    ] {
        let response = with("POST", "/v1/facts", wrong, fact);
        assert_eq!(
            (response.status, response.problem().as_str()),
            (401, "unauthorized"),
            "{wrong}"
        );
        assert!(response.head.contains("www-authenticate: bearer"));
    }
    assert_eq!(service.get("/v1/model").status, 401);
    for (token, may_write) in [("a-token-for-reading", false), (TOKEN, true)] {
        let about = with("GET", "/v1/model", &format!("Bearer {token}"), "").json();
        assert_eq!(
            (&about["writable"], &about["may_write"]),
            (&json!(true), &json!(may_write))
        );
    }
    assert_eq!(with("POST", "/v1/facts", &format!("bearer {TOKEN}"), fact).status, 200);
    assert_eq!(
        (service.get("/healthz").status, service.get("/readyz").status),
        (200, 200)
    );

    // A service that cannot be changed says why, and what to do.
    let open = Service::start(quiet());
    let without_tokens = Service::start(Settings {
        write_tokens: Tokens::default(),
        ..writable(&graph.path)
    });
    for (service, why) in [
        (&open, "The embedded graph cannot be changed"),
        (&without_tokens, "started without tokens"),
    ] {
        for (method, path, body) in [
            ("POST", "/v1/facts", fact),
            ("PUT", "/v1/facts", r#"{"subject":"a","relation":"b","objects":["c"]}"#),
            ("DELETE", "/v1/facts?subject=a&relation=b", ""),
            ("PUT", "/v1/pins", r#"{"question":"a","subject":"b","relation":"c"}"#),
            ("DELETE", "/v1/pins?question=a", ""),
            ("POST", "/v1/reload", ""),
        ] {
            let refused = service.edit(method, path, body);
            assert_eq!((refused.status, refused.problem().as_str()), (403, "read-only"));
            let detail = refused.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(why), "{detail}");
            assert!(
                detail.contains("kexue serve --kg GRAPH --token-file TOKENS"),
                "{detail}"
            );
        }
        let about = service.edit("GET", "/v1/model", "").json();
        assert_eq!(
            (&about["writable"], &about["may_write"]),
            (&json!(false), &json!(false))
        );
    }
    let embedded = Server::bind(Settings {
        write_tokens: Tokens::of(&[TOKEN]),
        ..quiet()
    });
    assert!(matches!(
        embedded.err(),
        Some(ServeError::Setting {
            field: "write_tokens",
            ..
        })
    ));
}

#[test]
fn files_of_tokens_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    for (text, message) in [
        ("", "the file has no token"),
        ("# a comment\n\n", "the file has no token"),
        (
            "0123456789abcdef\nshort\n",
            "line 2: the token has 5 characters; expected at least 16",
        ),
        (
            "0123456789 abcdef\n",
            "line 1: the token has characters other than visible ASCII",
        ),
    ] {
        fs::write(&path, text).unwrap();
        let error = Tokens::read(&path).err().unwrap().to_string();
        assert!(error.contains(message) && error.contains("tokens"), "{error}");
    }
    fs::write(&path, "# ours\n  0123456789abcdef  \n").unwrap();
    assert!(!Tokens::read(&path).unwrap().is_empty());
}

#[test]
fn a_second_writer_is_told() {
    let graph = GraphFile::new();
    let service = graph.serve();
    let second = Server::bind(writable(&graph.path)).err();
    assert!(
        matches!(second, Some(ServeError::Graph(KgError::Busy { .. }))),
        "{second:?}"
    );
    // Services that only read may open the graph, and see changes when they reload.
    let reader = Service::start(Settings {
        write_tokens: Tokens::default(),
        ..writable(&graph.path)
    });
    service.edit(
        "POST",
        "/v1/facts",
        r#"{"subject":"新国","relation":"首都","object":"新城"}"#,
    );
    assert_eq!(reader.get(&format!("/v1/entities/{}", escaped("新国"))).status, 404);
    assert_eq!(reader.handle.reload(), Ok(2));
    assert_eq!(reader.get(&format!("/v1/entities/{}", escaped("新国"))).status, 200);
    drop(service);
    assert!(GraphWriter::open(&graph.path).is_ok());
}

#[test]
fn many_read_while_one_writes() {
    let graph = GraphFile::new();
    let service = graph.serve();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(best(&service, "日本的首都是哪里？"), json!(["东京"]));
                }
            });
        }
        for number in 0..40 {
            let fact = json!({ "subject": format!("城{number}"), "relation": "市长", "object": "某人" });
            assert_eq!(
                service.edit("POST", "/v1/facts", &fact.to_string()).json()["changed"],
                true
            );
        }
        done.store(true, Ordering::Relaxed);
    });
    drop(service);
    let graph = KnowledgeGraph::open(&graph.path).unwrap();
    assert!((0..40).all(|number| graph.key_of(&format!("城{number}"), "市长").unwrap().is_some()));
}

#[test]
fn a_reload_takes_good_files_and_leaves_bad_ones() {
    let graph = GraphFile::new();
    let kg = &graph.path;
    write_graph(&graph.beside("next.idx"), &[("新国", "首都", "新城")]);
    let service = graph.serve();
    let question = "新国的首都是哪里？";

    // Damaged in the middle, truncated, and not an index; each replaces the file by renaming, as `kexue kg build` does.
    let good = fs::read(graph.beside("next.idx")).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    for bad in [&flipped[..], &good[..good.len() / 2], b"no index"] {
        fs::write(graph.beside("bad"), bad).unwrap();
        fs::rename(graph.beside("bad"), kg).unwrap();
        let response = service.edit("POST", "/v1/reload", "");
        assert_eq!((response.status, response.problem().as_str()), (409, "not-reloaded"));
        assert!(matches!(service.handle.reload(), Err(Fault::NotReloaded(_))));
        assert_eq!(best(&service, "法国的首都是哪里？"), json!(["巴黎"]));
    }
    // A good file replaces it while clients ask. No request is lost.
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(best(&service, "法国的首都是哪里？"), json!(["巴黎"]));
                }
            });
        }
        fs::rename(graph.beside("next.idx"), kg).unwrap();
        for _ in 0..5 {
            assert_eq!(service.edit("POST", "/v1/reload", "").status, 200);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(best(&service, question), json!(["新城"]));
    // Changes go to the new index.
    let fact = json!({ "subject": "新国", "relation": "首都", "objects": ["旧城"] });
    assert_eq!(service.edit("PUT", "/v1/facts", &fact.to_string()).status, 200);
    drop(service);
    let graph = KnowledgeGraph::open(&graph.path).unwrap();
    let key = graph.key_of("新国", "首都").unwrap().unwrap();
    assert_eq!(graph.fact(key).unwrap().objects, ["旧城"]);
}

/// After a reload, the service has the lock of the new index, and releases it when it ends.
#[test]
fn a_reloaded_index_can_be_changed_by_the_service_and_then_by_others() {
    let graph = GraphFile::new();
    let kg = &graph.path;
    write_graph(&graph.beside("next.idx"), &[("新国", "首都", "新城")]);
    let service = graph.serve();
    fs::rename(graph.beside("next.idx"), kg).unwrap();
    let change = |service: &Service, object: &str| {
        let fact = json!({ "subject": "新国", "relation": "首都", "objects": [object] });
        service.edit("PUT", "/v1/facts", &fact.to_string())
    };
    service.edit("POST", "/v1/reload", "");
    assert_eq!(change(&service, "甲").status, 200);
    drop(service);
    let mut other = GraphWriter::open(&graph.path).unwrap();
    let alias = Change::Alias {
        subject: "新国".to_owned(),
        alias: "新地".to_owned(),
    };
    assert!(other.apply(&alias).unwrap());
}
