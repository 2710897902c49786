//! One document: which fields it may have, and what is wrong with it.

use super::{Origin, node::Node};
use std::collections::BTreeMap;

/// What a document wants of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Running,
    Paused,
    Stopped,
}

/// A connector as a file wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) name: String,
    /// As written; `name` may be missing from it.
    pub(crate) config: BTreeMap<String, String>,
    /// None: as it is, or running if it is new.
    pub(crate) target: Option<Target>,
    pub(super) origin: Origin,
}

const FIELDS: &[&str] = &["apiVersion", "kind", "name", "metadata", "config", "targetState", "status"];
const CONNECT_FIELDS: &[&str] = &["name", "config"];
const METADATA_FIELDS: &[&str] = &["name"];
const API_VERSION: &str = "ferry/v1";

/// The document, unless something is wrong with it; all of that is added to `errors`. `text` is its source, `start`
/// the line of the file that the text begins at.
pub(super) fn check(
    origin: Origin,
    start: usize,
    text: &str,
    node: Node,
    errors: &mut Vec<String>,
) -> Option<Document> {
    let Node::Map(fields) = node else {
        errors.push(origin.error(None, "it is not an object with the fields kind, name and config"));
        return None;
    };
    let mut check = Check { origin: &origin, start, text, errors: Vec::new() };
    let allowed = if fields.contains_key("kind") { FIELDS } else { CONNECT_FIELDS };
    check.unknown("", &fields, allowed);
    check.fixed(&fields, "kind", "Connector");
    check.fixed(&fields, "apiVersion", API_VERSION);
    let name = check.name(&fields);
    let config = check.config(&fields);
    let target = check.target(&fields);
    if let (Some(name), Some(other)) = (&name, config.get("name"))
        && name != other
    {
        check.error("config.name", &format!("{other:?} is not the connector's name {name:?}; leave it out"));
    }
    let mistakes = check.errors;
    if !mistakes.is_empty() {
        errors.extend(mistakes);
        return None;
    }
    Some(Document { name: name?, config, target, origin })
}

struct Check<'a> {
    origin: &'a Origin,
    start: usize,
    text: &'a str,
    errors: Vec<String>,
}

impl Check<'_> {
    fn error(&mut self, path: &str, what: &str) {
        let line = self.line_of(path);
        self.errors.push(self.origin.error(line, &format!("{path}: {what}")));
    }

    fn unknown(&mut self, prefix: &str, fields: &BTreeMap<String, Node>, allowed: &[&str]) {
        for field in fields.keys().filter(|field| !allowed.contains(&field.as_str())) {
            self.error(&format!("{prefix}{field}"), &format!("unknown field; allowed are {}", allowed.join(", ")));
        }
    }

    fn fixed(&mut self, fields: &BTreeMap<String, Node>, field: &str, only: &str) {
        match fields.get(field) {
            Some(Node::Text(text)) if text == only => {}
            Some(Node::Text(text)) => self.error(field, &format!("{text:?} is not known; give {only}")),
            Some(_) => self.error(field, &format!("it is not a text; give {only}")),
            None => {}
        }
    }

    fn name(&mut self, fields: &BTreeMap<String, Node>) -> Option<String> {
        let inner = match fields.get("metadata") {
            Some(Node::Map(metadata)) => {
                self.unknown("metadata.", metadata, METADATA_FIELDS);
                metadata.get("name").map(|node| ("metadata.name", node))
            }
            Some(_) => {
                self.error("metadata", "it is not an object; give metadata.name, or name");
                return None;
            }
            None => None,
        };
        let outer = fields.get("name").map(|node| ("name", node));
        if let (Some((_, outer)), Some((_, inner))) = (outer, inner)
            && outer != inner
        {
            self.error("metadata.name", "it is not the same as name; give one of them");
        }
        match outer.or(inner) {
            Some((_, Node::Text(name))) if !name.is_empty() => Some(name.clone()),
            Some((path, _)) => {
                self.error(path, "it is not a text, or an empty one; give the connector's name");
                None
            }
            None => {
                self.error("name", "it is missing; give the connector's name");
                None
            }
        }
    }

    fn config(&mut self, fields: &BTreeMap<String, Node>) -> BTreeMap<String, String> {
        let mut config = BTreeMap::new();
        match fields.get("config") {
            Some(Node::Map(values)) => {
                for (key, value) in values {
                    let path = format!("config.{key}");
                    match value {
                        Node::Text(text) => {
                            config.insert(key.clone(), text.clone());
                        }
                        Node::Null => self.error(&path, "it has no value; give one or leave the key out"),
                        Node::List | Node::Map(_) => self.error(&path, "it is not a text, number or boolean"),
                    }
                }
            }
            Some(_) => self.error("config", "it is not an object of keys and values"),
            None => self.error("config", "it is missing; give the connector's configuration"),
        }
        config
    }

    fn target(&mut self, fields: &BTreeMap<String, Node>) -> Option<Target> {
        let node = fields.get("targetState")?;
        let text = if let Node::Text(text) = node { text.to_ascii_lowercase() } else { String::new() };
        match text.as_str() {
            "running" => Some(Target::Running),
            "paused" => Some(Target::Paused),
            "stopped" => Some(Target::Stopped),
            _ => {
                self.error("targetState", "it is none of running, paused, stopped");
                None
            }
        }
    }

    /// The line of the file where a path seems to be written: a field of ours is indented least, what is in `config` or
    /// `metadata` stands at or below that.
    fn line_of(&self, path: &str) -> Option<usize> {
        let parent = ["config", "metadata"].into_iter().find(|parent| path.starts_with(&format!("{parent}.")));
        let index = match parent {
            Some(parent) => {
                let from = self.keys(parent).min_by_key(|(_, indent)| *indent)?.0;
                self.keys(&path[parent.len() + 1..]).find(|(index, _)| *index >= from)?.0
            }
            None => self.keys(path).min_by_key(|(_, indent)| *indent)?.0,
        };
        Some(self.start + index)
    }

    /// Lines that have this key, each with its indentation.
    fn keys(&self, key: &str) -> impl Iterator<Item = (usize, usize)> {
        let quotes = ['"', '\''];
        let is_key = move |line: &str| {
            line.match_indices(key).any(|(at, _)| {
                let before = line[..at].trim_end_matches(quotes).trim_end();
                let after = line[at + key.len()..].trim_start_matches(quotes).trim_start();
                (before.is_empty() || before.ends_with(['{', ','])) && after.starts_with(':')
            })
        };
        let lines = self.text.lines().enumerate().filter(move |(_, line)| is_key(line));
        lines.map(|(index, line)| (index, line.len() - line.trim_start().len()))
    }
}
