//! A document as a tree whose scalars are texts as they were written: a config's `1.10` must not become `1.1`.

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_yaml_ng::Value;
use std::{collections::BTreeMap, fmt};

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Nothing was given.
    Null,
    /// A string, number or boolean.
    Text(String),
    /// A list; no field of ours is one.
    List,
    /// Fields.
    Map(BTreeMap<String, Node>),
}

impl Node {
    pub(super) fn json(raw: &RawValue) -> Result<Node, serde_json::Error> {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'{') => {
                let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
                let nodes = fields.into_iter().map(|(key, value)| Ok((key, Node::json(value)?)));
                Ok(Node::Map(nodes.collect::<Result<_, serde_json::Error>>()?))
            }
            Some(b'[') => Ok(Node::List),
            Some(b'"') => Ok(Node::Text(serde_json::from_str(text)?)),
            Some(b'n') => Ok(Node::Null),
            _ => Ok(Node::Text(text.to_owned())),
        }
    }

    /// Reads the text twice: for its shape, then for its scalars' own texts.
    pub(super) fn yaml(text: &str) -> Result<Node, serde_yaml_ng::Error> {
        let shape: Value = serde_yaml_ng::from_str(text)?;
        Shaped(&shape).deserialize(serde_yaml_ng::Deserializer::from_str(text))
    }
}

struct Shaped<'a>(&'a Value);

impl<'de> DeserializeSeed<'de> for Shaped<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        match self.0 {
            Value::Mapping(_) => deserializer.deserialize_map(self),
            Value::Null => deserializer.deserialize_ignored_any(serde::de::IgnoredAny).map(|_| Node::Null),
            Value::Sequence(_) => deserializer.deserialize_ignored_any(serde::de::IgnoredAny).map(|_| Node::List),
            _ => deserializer.deserialize_str(self),
        }
    }
}

impl<'de> Visitor<'de> for Shaped<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, a boolean or fields")
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let shapes = self.0.as_mapping().into_iter().flat_map(|mapping| mapping.values());
        let mut nodes = BTreeMap::new();
        for shape in shapes {
            let Some(key) = entries.next_key::<String>()? else { break };
            nodes.insert(key, entries.next_value_seed(Shaped(shape))?);
        }
        Ok(Node::Map(nodes))
    }
}
