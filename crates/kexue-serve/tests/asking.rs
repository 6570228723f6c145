//! Questions over HTTP: answers equal those of the library in every batch; refusals; deadlines.

mod common;

use common::{GraphFile, Service, escaped, quiet, writable};
use kexue_kg::{Change, GraphWriter};
use kexue_nn::InferencePrecision;
use kexue_qa::{AskOptions, ask, embedded};
use kexue_serve::{Settings, Tokens};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const QUESTIONS: [&str; 12] = [
    "法国的首都是哪里？",
    "What is the capital of Australia?",
    "capital of France and Germany",
    "金的熔点是多少？",
    "Which element has the symbol Fe?",
    "Who is the president of France?",
    "北京有多少人口？",
    "x",
    "What currency does Japan use?",
    "日本用什么货币？",
    "Is gold denser than lead?",
    "德国说什么语言？",
];

/// The line that `kexue ask --json` prints.
fn line(question: &str, explain: bool) -> String {
    let (graph, trained) = embedded().unwrap();
    let options = AskOptions {
        explain,
        ..AskOptions::new(trained.config.search.clone())
    };
    let answer = ask(&graph, &trained.model, &options, &[question]).unwrap().remove(0);
    serde_json::to_string(&answer).unwrap() + "\n"
}

#[test]
fn a_model_whose_layers_are_packed_has_all_its_parameters() {
    let mut settings = quiet();
    settings.adjust = Arc::new(|trained| {
        trained.model.keep_for_inference(InferencePrecision::Int8);
        Ok(())
    });
    let about = Service::start(settings).get("/v1/model").json();
    let (_, trained) = embedded().unwrap();
    assert_eq!(about["model"]["parameters"], trained.model.values().len());
}

#[test]
fn an_answer_does_not_depend_on_its_batch() {
    let service = Service::start(quiet());
    for explain in [false, true] {
        let lines: Vec<String> = QUESTIONS.iter().map(|question| line(question, explain)).collect();
        for (question, line) in QUESTIONS.iter().zip(&lines) {
            let response = service.post(
                "/v1/ask",
                &json!({ "question": question, "explain": explain }).to_string(),
            );
            assert_eq!((response.status, &response.body), (200, line));
        }
        // At the same time, and in one request.
        std::thread::scope(|scope| {
            for _ in 0..4 {
                for (question, line) in QUESTIONS.iter().zip(&lines) {
                    let service = &service;
                    scope.spawn(move || {
                        let body = json!({ "question": question, "explain": explain }).to_string();
                        assert_eq!(&service.post("/v1/ask", &body).body, line);
                    });
                }
            }
        });
        let body = json!({ "questions": QUESTIONS, "explain": explain }).to_string();
        let together = service.post("/v1/ask", &body).body;
        let expected = lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join(",");
        assert_eq!(together, format!("{{\"answers\":[{expected}]}}\n"));
    }
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let service = Service::start(Settings {
        questions: 3,
        ..quiet()
    });
    let ask = |body: &str| service.post("/v1/ask", body);
    let long = "长".repeat(513);
    for (body, status, problem) in [
        ("", 400, "bad-body"),
        ("{", 400, "bad-body"),
        ("[]", 400, "bad-body"),
        ("{}", 400, "bad-body"),
        (r#"{"question":"a","questions":["b"]}"#, 400, "bad-body"),
        (r#"{"question":"a","colour":"red"}"#, 400, "bad-body"),
        (r#"{"question":"\ud800"}"#, 400, "bad-body"),
        (r#"{"question":"a","top":null}"#, 400, "bad-body"),
        (r#"{"question":"a","top":1.5}"#, 400, "bad-body"),
        (r#"{"question":"a","top":-1}"#, 400, "bad-body"),
        (r#"{"question":"  "}"#, 422, "invalid"),
        (r#"{"questions":[]}"#, 422, "invalid"),
        (r#"{"questions":["a","b","c","d"]}"#, 422, "invalid"),
        (r#"{"question":"a","top":0}"#, 422, "invalid"),
        (r#"{"question":"a","min_confidence":1.5}"#, 422, "invalid"),
        (r#"{"question":"a","deadline_ms":0}"#, 422, "invalid"),
        (&json!({ "questions": ["a", long] }).to_string(), 422, "invalid"),
        (&json!({ "question": "x".repeat(200_000) }).to_string(), 422, "invalid"),
    ] {
        let response = ask(body);
        assert_eq!(
            (response.status, response.problem().as_str()),
            (status, problem),
            "{body}"
        );
    }
    assert_eq!(
        ask(&json!({ "questions": ["a", long] }).to_string()).json()["field"],
        "questions[1]"
    );
    assert_eq!(service.send("POST", "/v1/ask", &[], "{}").problem(), "not-json");
    assert_eq!(service.get("/v1/nothing").problem(), "no-such-path");
    let get = service.get("/v1/ask");
    assert_eq!((get.status, get.problem().as_str()), (405, "no-such-method"));
    assert!(get.head.contains("allow: post"), "{}", get.head);
    // In JSON this is an integer.
    assert_eq!(ask(r#"{"question":"a","top":1.0}"#).status, 200);
    // The service still works.
    assert_eq!(ask(r#"{"question":"法国的首都是哪里？"}"#).json()["known"], true);
}

#[test]
fn messages_are_in_the_language_of_the_client() {
    let service = Service::start(quiet());
    let english = service.get("/v1/nothing");
    let chinese = service.send(
        "GET",
        "/v1/nothing",
        &[("Accept-Language", "zh-CN,zh;q=0.9,en;q=0.8")],
        "",
    );
    assert_eq!(english.json()["title"], "No such address");
    assert_eq!(chinese.json()["title"], "没有这个地址");
    assert!(chinese.head.contains("content-language: zh-cn") && chinese.head.contains("vary: accept-language"));
}

#[test]
fn what_is_typed_is_completed() {
    let service = Service::start(quiet());
    let complete = |text: &str| {
        service
            .get(&format!("/v1/complete?prefix={}&limit=5", escaped(text)))
            .json()
    };
    let names = |found: &serde_json::Value, kind: &str, field: &str| -> Vec<String> {
        let list = found[kind].as_array().unwrap().iter();
        list.map(|one| one[field].as_str().unwrap().to_owned()).collect()
    };
    assert!(names(&complete("法"), "entities", "name").contains(&"法国".to_owned()));
    assert!(names(&complete("capital of Fra"), "entities", "text").contains(&"capital of France".to_owned()));
    assert!(names(&complete("法国的首"), "relations", "text").contains(&"法国的首都".to_owned()));
    assert!(names(&complete("France's cap"), "relations", "text").contains(&"France's capital".to_owned()));
    for nothing in ["", " ", "[SEP]", "\u{0}", "qqqqqqqq"] {
        assert!(names(&complete(nothing), "entities", "name").is_empty(), "{nothing:?}");
    }
    assert_eq!(service.get("/v1/complete").problem(), "bad-query");
    assert_eq!(service.get("/v1/complete?prefix=a&limit=0").problem(), "invalid");
}

#[test]
fn an_alias_is_completed_and_leads_to_its_subject() {
    let graph = GraphFile::new();
    // It only reads, so that aliases can be added beside it.
    let service = Service::start(Settings {
        write_tokens: Tokens::default(),
        ..writable(&graph.path)
    });
    let complete = |text: &str| service.get(&format!("/v1/complete?prefix={}", escaped(text))).json();
    assert!(complete("法兰")["entities"][0].get("alias").is_none());
    let mut writer = GraphWriter::open(&graph.path).unwrap();
    for (subject, alias) in [("法国", "法兰西"), ("France", "Hexagone")] {
        let (subject, alias) = (subject.to_owned(), alias.to_owned());
        assert!(writer.apply(&Change::Alias { subject, alias }).unwrap());
    }
    assert_eq!(service.handle.reload(), Ok(2));
    let entity = &complete("请问法兰")["entities"][0];
    assert_eq!(
        (&entity["text"], &entity["name"]),
        (&json!("请问法兰西"), &json!("法国"))
    );
    assert_eq!(entity["alias"], "法兰西");
    assert!(entity["facts"].as_u64().unwrap() > 0);
    let entity = &complete("capital of HEXA")["entities"][0];
    assert_eq!(
        (&entity["text"], &entity["name"]),
        (&json!("capital of hexagone"), &json!("France"))
    );
    // Names have no alias, and relations follow an alias as they follow a name.
    assert!(complete("法国")["entities"][0].get("alias").is_none());
    assert_eq!(complete("法兰西的首")["relations"][0]["text"], "法兰西的首都");
    let answer = service.post("/v1/ask", r#"{"question":"法兰西的首都是哪里？"}"#).json();
    assert_eq!(answer["candidates"][0]["objects"], json!(["巴黎"]));
}

#[test]
fn a_subject_is_shown_with_links() {
    let service = Service::start(quiet());
    let entity = service.get(&format!("/v1/entities/{}", escaped("法国"))).json();
    assert_eq!(entity["name"], "法国");
    let facts = entity["facts"].as_array().unwrap();
    assert_eq!(entity["total"], facts.len());
    let capital = facts.iter().find(|fact| fact["relation"] == "首都").unwrap();
    assert_eq!(capital["objects"], json!(["巴黎"]));
    let page = service
        .get(&format!("/v1/entities/{}?offset=1&limit=2", escaped("法国")))
        .json();
    assert_eq!(page["facts"], json!(facts[1..3]));
    let missing = service.get("/v1/entities/a%2Fb");
    assert_eq!((missing.status, missing.problem().as_str()), (404, "not-found"));
}

#[test]
fn a_full_queue_refuses_at_once_and_late_questions_are_dropped() {
    let service = Service::start(Settings {
        workers: 1,
        batch: 1,
        queue: 32,
        questions: 32,
        ..quiet()
    });
    let many = json!({ "questions": vec![QUESTIONS[2]; 32] }).to_string();
    let refused = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| service.post("/v1/ask", &many))).collect();
        let responses = asked.into_iter().map(|asked| asked.join().unwrap());
        let refused: Vec<_> = responses.filter(|response| response.status != 200).collect();
        refused
    });
    assert!(!refused.is_empty());
    for response in &refused {
        assert_eq!((response.status, response.problem().as_str()), (503, "busy"));
        assert!(response.head.contains("retry-after: 1"), "{}", response.head);
    }
    // Decoding them takes much longer than the deadline.
    let late = json!({ "questions": vec!["长".repeat(512); 32], "deadline_ms": 50 }).to_string();
    let late = service.post("/v1/ask", &late);
    assert_eq!((late.status, late.problem().as_str()), (504, "late"));
    assert_eq!(service.post("/v1/ask", r#"{"question":"x"}"#).status, 200);
}

#[test]
fn questions_of_a_client_that_left_are_not_decoded() {
    let service = Service::start(Settings {
        workers: 1,
        batch: 1,
        queue: 4096,
        questions: 1024,
        ..quiet()
    });
    let many = json!({ "questions": vec![QUESTIONS[2]; 1024] }).to_string();
    for _ in 0..3 {
        let _leaving = service.begin_asking(&many);
        std::thread::sleep(Duration::from_millis(100));
    }
    // Its questions are dropped, so that others are answered soon.
    assert_eq!(service.post("/v1/ask", r#"{"question":"x"}"#).status, 200);
    let metrics = service.get("/metrics").body;
    let cancelled = metrics
        .lines()
        .find_map(|line| line.strip_prefix("kexue_questions_cancelled_total "));
    assert!(cancelled.unwrap().parse::<u64>().unwrap() > 1000, "{metrics}");
}

#[test]
fn shutting_down_waits_for_the_last_answer() {
    // Time enough, also on a busy machine.
    let service = Service::start(Settings {
        deadline: Duration::from_secs(60),
        drain_time: Duration::from_secs(60),
        ..quiet()
    });
    let many = json!({ "questions": vec![QUESTIONS[2]; 64] }).to_string();
    let stream = service.begin_asking(&many);
    std::thread::sleep(Duration::from_millis(20));
    let address = service.address;
    service.end();
    assert_eq!(
        common::read_response(stream).json()["answers"]
            .as_array()
            .unwrap()
            .len(),
        64
    );
    assert!(std::net::TcpStream::connect(address).is_err());
}
