//! The OpenAPI document of the API, made from the routes and from the types of their handlers: what a handler takes and
//! answers is what the document says.

use aide::openapi::{Info, OpenApi, ReferenceOr, SecurityScheme};
use aide::transform::TransformOperation;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::Value;

/// The name of the one security scheme.
pub(super) const BEARER: &str = "bearer";

const DESCRIPTION: &str = "The queue of Build Swarm. Errors are `application/problem+json` (RFC 9457); programs branch on \
`code`. Times are RFC 3339 in UTC, sizes are bytes, durations say their unit in their names.";

/// The operation's stable name and what it does; who may call it is known from its handler.
pub(super) fn about(
    id: &'static str,
    summary: &'static str,
) -> impl FnOnce(TransformOperation) -> TransformOperation {
    move |operation| operation.id(id).summary(summary)
}

/// A document without routes.
pub(super) fn begun() -> OpenApi {
    let info = Info {
        title: "Build Swarm".to_owned(),
        description: Some(DESCRIPTION.to_owned()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Info::default()
    };
    let scheme = SecurityScheme::Http {
        scheme: BEARER.to_owned(),
        bearer_format: None,
        description: Some("A token of an admin, a viewer or a drone".to_owned()),
        extensions: [].into(),
    };
    let mut document = OpenApi { info, ..OpenApi::default() };
    let components = document.components.get_or_insert_default();
    components.security_schemes.insert(BEARER.to_owned(), ReferenceOr::Item(scheme));
    document
}

/// The document as it is served.
pub(super) fn finished(document: &OpenApi) -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(document)?;
    let paths = document.get_mut("paths").and_then(Value::as_object_mut);
    for (path, operations) in paths.into_iter().flatten() {
        let operations = operations.as_object_mut().into_iter().flatten();
        for (_, operation) in operations {
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            name_parameters(path, parameters.into_iter().flatten());
        }
    }
    Ok(document)
}

/// A handler knows the types of its path's parameters, and the path their names.
fn name_parameters<'a>(path: &str, parameters: impl Iterator<Item = &'a mut Value>) {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let places = parameters.filter(|parameter| parameter["in"] == "path");
    for (name, parameter) in names.zip(places) {
        parameter["name"] = name.into();
    }
}

/// What answers with the document.
pub(super) fn served(document: &Value) -> impl IntoResponse + Clone + use<> {
    let text = Bytes::from(document.to_string());
    ([(CONTENT_TYPE, "application/json")], text)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::Path;

    const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

    /// Every operation can be found, called and understood; what it answers is said.
    #[test]
    fn every_operation_is_described() {
        let (_, document) = crate::api::described(0).unwrap();
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                assert!(METHODS.contains(&method.as_str()), "{path}: {method}");
                let of = format!("{method} {path}: {operation:#}");
                assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{of}");
                assert!(!operation["summary"].as_str().unwrap().is_empty(), "{of}");
                let enrols = path == "/api/v1/drone/enrol";
                assert_eq!(operation["security"].is_array(), !enrols, "{of}");
                let answers = operation["responses"].as_object().unwrap();
                assert!(answers.contains_key("default"), "{of}");
                assert!(answers.keys().any(|status| status.starts_with('2')), "{of}");
                let wanted: BTreeSet<_> = path.split('/').filter(|part| part.starts_with('{')).collect();
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let places = parameters.filter(|parameter| parameter["in"] == "path");
                let names: BTreeSet<_> =
                    places.map(|place| format!("{{{}}}", place["name"].as_str().unwrap())).collect();
                assert_eq!(names, wanted.into_iter().map(str::to_owned).collect(), "{of}");
            }
        }
        assert!(ids.len() > 50, "{ids:?}");
        let text = document.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }

    const HEAD: &str = "# The API

Made by `make docs` from the document that the orchestrator serves at `GET /api/v1/openapi.json`; that one has every type. \
Requests and answers are JSON. An error is `application/problem+json` (RFC 9457) with a stable `code`, and has changed nothing.
";

    /// The names of a schema, as a reader looks for it in the document.
    fn name(content: &Value) -> String {
        let Some((kind, content)) = content.as_object().and_then(|kinds| kinds.iter().next()) else {
            return String::new();
        };
        let schema = &content["schema"];
        let of = |schema: &Value| {
            let name = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next());
            name.map(str::to_owned)
        };
        let list = of(&schema["items"]).map(|name| format!("[{name}]"));
        let name = of(schema).or(list).unwrap_or_else(|| kind.clone());
        format!("`{name}`")
    }

    fn listed(document: &Value) -> String {
        let mut text = HEAD.to_owned();
        let mut last = String::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            let subject = path.split('/').nth(3).unwrap().to_owned();
            if subject != last {
                write!(text, "\n## {subject}\n\n| | | takes | answers |\n|---|---|---|---|\n").unwrap();
                last = subject;
            }
            for (method, operation) in item.as_object().unwrap() {
                let summary = operation["summary"].as_str().unwrap();
                let who = operation["description"].as_str().map_or_else(String::new, |who| format!(" {who}"));
                let answers = operation["responses"].as_object().unwrap();
                let (_, answer) = answers.iter().find(|(status, _)| status.starts_with('2')).unwrap();
                let (takes, answers) = (name(&operation["requestBody"]["content"]), name(&answer["content"]));
                let method = method.to_uppercase();
                writeln!(text, "| `{method} {path}` | {summary}.{who} | {takes} | {answers} |").unwrap();
            }
        }
        text
    }

    #[test]
    fn the_list_among_the_documents_is_this_one() {
        let (_, document) = crate::api::described(0).unwrap();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/API.md");
        let text = listed(&document);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), text, "`make docs` writes it anew");
    }
}
