//! The description of the API says what is there.

mod common;

use common::{Service, quiet};
use serde_json::Value;

#[test]
fn every_address_that_is_described_exists() {
    let service = Service::start(quiet());
    let description = service.get("/openapi.json").json();
    assert_eq!(description["openapi"], "3.1.0");
    let paths = description["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 10);
    for (path, methods) in paths {
        for method in ["get", "post", "put", "delete"] {
            let response = service.send(&method.to_uppercase(), &path.replace("{name}", "x"), &[], "");
            let exists = response.status != 405;
            assert_eq!(exists, methods.get(method).is_some(), "{method} {path}: {response:?}");
            let status = response.status.to_string();
            if exists {
                assert!(
                    methods[method]["responses"].get(&status).is_some(),
                    "{method} {path}: {status}"
                );
            }
        }
    }
    assert!(unresolved(&description, &description).is_empty());
}

/// References that lead nowhere.
fn unresolved<'d>(part: &'d Value, whole: &Value) -> Vec<&'d str> {
    match part {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str);
            let own = own.filter(|path| whole.pointer(path.trim_start_matches('#')).is_none());
            own.into_iter()
                .chain(fields.values().flat_map(|field| unresolved(field, whole)))
                .collect()
        }
        Value::Array(items) => items.iter().flat_map(|item| unresolved(item, whole)).collect(),
        _ => Vec::new(),
    }
}
