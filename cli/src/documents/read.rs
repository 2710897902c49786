//! From a file's bytes to documents: which syntax it is, and where each document starts.

use super::{
    Origin,
    document::{self, Document},
    node::Node,
};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Syntax {
    Json,
    Yaml,
    Properties,
}

/// The documents of one file; mistakes are added to `errors`.
pub(super) fn file(file: &str, bytes: &[u8], errors: &mut Vec<String>) -> Vec<Document> {
    let text = String::from_utf8_lossy(bytes);
    match syntax(file, &text) {
        Syntax::Properties => properties(file, bytes, errors),
        _ if std::str::from_utf8(bytes).is_err() => {
            errors.push(format!("{file}: it is not UTF-8"));
            Vec::new()
        }
        Syntax::Json => json(file, &text, errors),
        Syntax::Yaml => yaml(file, &text, errors),
    }
}

/// By the name, else by the first line that says something.
fn syntax(file: &str, text: &str) -> Syntax {
    match file.rsplit_once('.').map(|(_, extension)| extension) {
        Some("json") => return Syntax::Json,
        Some("yaml" | "yml") => return Syntax::Yaml,
        Some("properties") => return Syntax::Properties,
        _ => {}
    }
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    let first = first.unwrap_or_default();
    match first.find(['=', ':']) {
        _ if first.starts_with("{\"") || first == "{" || first.starts_with('[') => Syntax::Json,
        Some(at) if first[at..].starts_with('=') => Syntax::Properties,
        _ => Syntax::Yaml,
    }
}

/// As Java reads it (ISO 8859-1 with `\u` escapes). Its lines are Kafka Connect's connector file: name and config.
fn properties(file: &str, bytes: &[u8], errors: &mut Vec<String>) -> Vec<Document> {
    let origin = Origin { file: file.to_owned(), number: 1, line: 1 };
    let config: BTreeMap<String, String> = match java_properties::read(bytes) {
        Ok(config) => config.into_iter().collect(),
        Err(error) => {
            errors.push(format!("{file}: {error}"));
            return Vec::new();
        }
    };
    match config.get("name").filter(|name| !name.is_empty()) {
        Some(name) => vec![Document { name: name.clone(), config, target: None, origin }],
        None => {
            errors.push(origin.error(None, "name: it is missing; add a line name=NAME"));
            Vec::new()
        }
    }
}

/// One value after the other; an array's elements are documents.
fn json(file: &str, text: &str, errors: &mut Vec<String>) -> Vec<Document> {
    let mut values: Vec<&RawValue> = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let elements = value.and_then(|value| match value.get().starts_with('[') {
            true => serde_json::from_str::<Vec<&RawValue>>(value.get()),
            false => Ok(vec![value]),
        });
        match elements {
            Ok(elements) => values.extend(elements),
            Err(error) => {
                errors.push(format!("{file}: line {}: it is not JSON: {error}", error.line()));
                return Vec::new();
            }
        }
    }
    let mut documents = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        // The value borrows from the text, so its place there is known.
        let offset = value.get().as_ptr() as usize - text.as_ptr() as usize;
        let line = text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1;
        let origin = Origin { file: file.to_owned(), number: index + 1, line };
        match Node::json(value) {
            Ok(node) => documents.extend(document::check(origin, line, value.get(), node, errors)),
            Err(error) => errors.push(origin.error(None, &error.to_string())),
        }
    }
    documents
}

fn yaml(file: &str, text: &str, errors: &mut Vec<String>) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut number = 0;
    for (start, part) in yaml_parts(text) {
        let says = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
        let Some(first) = part.lines().position(says) else {
            continue;
        };
        number += 1;
        let origin = Origin { file: file.to_owned(), number, line: start + first };
        match Node::yaml(&part) {
            Ok(node) => documents.extend(document::check(origin, start, &part, node, errors)),
            Err(error) => {
                let line = error.location().map(|location| start + location.line() - 1);
                errors.push(origin.error(line, &format!("it is not YAML: {error}")));
            }
        }
    }
    documents
}

/// Each document's text and the line that it starts at. `---` at the start of a line always begins a document.
fn yaml_parts(text: &str) -> Vec<(usize, String)> {
    let mut parts = Vec::new();
    let (mut start, mut part) = (1, String::new());
    for (index, line) in text.lines().enumerate() {
        match line.strip_prefix("---").filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
            Some(rest) => {
                parts.push((start, std::mem::take(&mut part)));
                start = index + 1;
                part.push_str("   ");
                part.push_str(rest);
            }
            None if line == "..." => {}
            None => part.push_str(line),
        }
        part.push('\n');
    }
    parts.push((start, part));
    parts
}
