//! `JsonConverter`: plain JSON, or with `schemas.enable` the envelope `{"schema":...,"payload":...}`.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigKey, ConfigType, Importance, Validator, Width};
use data_plane_connector_api::{Config, ConfigDef, ConnectError, Converter, ConverterRole, Losses};
use data_plane_record::jackson::{self, BorrowedJson, JsonTree};
use data_plane_record::{Arena, Schema, Span, Value};

mod logical;
mod losses;
mod read;
mod schema;
mod write;

/// Most beginnings of envelopes that are recognised by their bytes.
const MOST_OPENINGS: usize = 16;
/// Longest such beginning in bytes.
const LONGEST_OPENING: usize = 64 * 1024;

const SCHEMAS_ENABLE: &str = "schemas.enable";
const CACHE_SIZE: &str = "schemas.cache.size";
const SCHEMA_CONTENT: &str = "schema.content";
const DECIMAL_FORMAT: &str = "decimal.format";
const REPLACE_NULL: &str = "replace.null.with.default";

pub(crate) fn config_def() -> ConfigDef {
    ConfigDef::new([
        crate::converter_type_key(),
        ConfigKey::optional(
            SCHEMAS_ENABLE,
            ConfigType::Boolean,
            Some("true"),
            Importance::High,
            "Whether each value carries its schema in an envelope.",
        )
        .form("Schemas", 0, Width::Medium, "Enable Schemas"),
        ConfigKey::optional(
            CACHE_SIZE,
            ConfigType::Int,
            Some("1000"),
            Importance::High,
            "The most schemas kept for reading.",
        )
        .form("Schemas", 1, Width::Medium, "Schema Cache Size"),
        ConfigKey::optional(
            SCHEMA_CONTENT,
            ConfigType::String,
            None,
            Importance::High,
            "With schemas.enable: the schema of all values read, which then come without an envelope.",
        )
        .form("Schemas", 2, Width::Medium, "Schema Content"),
        ConfigKey::optional(
            DECIMAL_FORMAT,
            ConfigType::String,
            Some("BASE64"),
            Importance::Low,
            "How decimals are written: BASE64 or NUMERIC.",
        )
        .validator(Validator::OneOfIgnoreCase(["NUMERIC", "BASE64"].map(str::to_owned).to_vec()))
        .form("Serialization", 0, Width::Medium, "Decimal Format"),
        ConfigKey::optional(
            REPLACE_NULL,
            ConfigType::Boolean,
            Some("true"),
            Importance::Low,
            "Whether null becomes the schema's default.",
        )
        .form("Serialization", 1, Width::Medium, "Replace null with default"),
    ])
}

/// How values become JSON and back.
#[derive(Clone, Copy, Debug)]
struct Options {
    numeric_decimals: bool,
    replace_null_with_default: bool,
    losses: Losses,
}

/// `org.apache.kafka.connect.json.JsonConverter`.
#[derive(Debug)]
pub struct JsonConverter {
    schemas_enabled: bool,
    options: Options,
    cache_size: usize,
    /// The schema of `schema.content`.
    fixed_schema: Option<Arc<Schema>>,
    /// The schema of the last value read.
    current: Option<Arc<Schema>>,
    schemas_read: HashMap<BorrowedJson<'static>, Arc<Schema>>,
    /// Of more than [`MOST_OPENINGS`], the oldest goes.
    openings: VecDeque<Opening>,
    /// The schema last written, with the envelope's text up to the payload.
    envelope: Option<(Arc<Schema>, Vec<u8>)>,
    scratch: Vec<u8>,
}

/// The text of an envelope up to its payload, and the schema in it.
type Opening = (Box<[u8]>, Option<Arc<Schema>>);

impl Default for JsonConverter {
    fn default() -> Self {
        Self {
            schemas_enabled: true,
            options: Options { numeric_decimals: false, replace_null_with_default: true, losses: Losses::Allow },
            cache_size: 1000,
            fixed_schema: None,
            current: None,
            schemas_read: HashMap::new(),
            openings: VecDeque::new(),
            envelope: None,
            scratch: Vec::new(),
        }
    }
}

fn not_json(error: &jackson::JsonError, message: &str) -> ConnectError {
    ConnectError::data(message)
        .caused_by("org.apache.kafka.common.errors.SerializationException", format!("JsonParseException: {error}"))
}

impl JsonConverter {
    /// Starts the envelope of a schema in the scratch buffer.
    fn open_envelope(&mut self, schema: Option<&Arc<Schema>>, arena: &Arena) -> Result<(), ConnectError> {
        match (schema, &self.envelope) {
            (Some(schema), Some((known, text))) if Arc::ptr_eq(schema, known) => self.scratch.extend_from_slice(text),
            _ => {
                self.scratch.extend_from_slice(b"{\"schema\":");
                match schema {
                    Some(schema) => schema::write(schema, None, self.options, arena, &mut self.scratch)?,
                    None => self.scratch.extend_from_slice(b"null"),
                }
                self.scratch.extend_from_slice(b",\"payload\":");
                self.envelope = schema.map(|schema| (schema.clone(), self.scratch.clone()));
            }
        }
        Ok(())
    }

    /// The schema of an envelope, the same pointer for the same text as long as the cache holds it.
    fn schema_of(&mut self, json: BorrowedJson<'_>) -> Result<Option<Arc<Schema>>, ConnectError> {
        if json == JsonTree::Null {
            return Ok(None);
        }
        if let Some(known) = self.schemas_read.get(&json) {
            return Ok(Some(known.clone()));
        }
        let schema = schema::read(&json, self.options)?;
        if self.schemas_read.len() >= self.cache_size.max(1) {
            self.schemas_read.clear();
        }
        if self.cache_size > 0 {
            let json = json.map_text(&mut |text| Cow::Owned(text.into_owned()));
            self.schemas_read.insert(json, schema.clone());
        }
        Ok(Some(schema))
    }

    /// Remembers the current schema for envelopes that begin with the same bytes, of which the schema is the first of two members.
    fn remember_opening(&mut self, bytes: &[u8]) {
        let start = jackson::second_member(bytes).filter(|&start| self.cache_size > 0 && start <= LONGEST_OPENING);
        let Some(start) = start.filter(|&start| jackson::read_last_member(bytes, start).is_some()) else { return };
        if self.openings.len() >= MOST_OPENINGS {
            self.openings.pop_front();
        }
        self.openings.push_back((bytes[..start].into(), self.current.clone()));
    }

    /// The payload of an envelope that begins like one read before, whose schema is then the current one.
    fn read_known<'a>(&mut self, bytes: &'a [u8]) -> Option<BorrowedJson<'a>> {
        let (opening, schema) = self.openings.iter().find(|(opening, _)| bytes.starts_with(opening))?;
        let payload = jackson::read_last_member(bytes, opening.len())?;
        self.current.clone_from(schema);
        Some(payload)
    }

    fn read(&mut self, bytes: &[u8], arena: &Arena) -> Result<Value, ConnectError> {
        let losses = self.options.losses;
        if !losses.are_refused()
            && let Some(payload) = self.read_known(bytes)
        {
            return read::value(self.current.as_ref(), &payload, self.options, arena);
        }
        let (json, has_rest) = jackson::read_and_rest(bytes).map_err(|error| {
            not_json(&error, "Converting byte[] to Kafka Connect data failed due to serialization error: ")
        })?;
        let becomes = || "the first value in it".to_owned();
        losses.check(|| !has_rest, || String::from_utf8_lossy(bytes).into_owned(), becomes)?;
        if !self.schemas_enabled {
            self.current = None;
            return read::value(None, json.as_ref().unwrap_or(&JsonTree::Null), self.options, arena);
        }
        if let Some(schema) = &self.fixed_schema {
            self.current = Some(schema.clone());
            return read::value(self.current.as_ref(), json.as_ref().unwrap_or(&JsonTree::Null), self.options, arena);
        }
        let mut is_schema_first = false;
        let (schema, payload) = match json {
            Some(JsonTree::Object(entries)) if entries.len() == 2 => {
                let (mut schema, mut payload) = (None, None);
                is_schema_first = entries[0].0 == "schema";
                for (name, value) in entries {
                    match &*name {
                        "schema" => schema = Some(value),
                        "payload" => payload = Some(value),
                        _ => {}
                    }
                }
                schema.zip(payload)
            }
            _ => None,
        }
        .ok_or_else(|| {
            ConnectError::data(
                "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not contain \
                 additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your \
                 converter configuration.",
            )
        })?;
        self.current = self.schema_of(schema)?;
        if is_schema_first && !losses.are_refused() {
            self.remember_opening(bytes);
        }
        read::value(self.current.as_ref(), &payload, self.options, arena)
    }
}

impl Converter for JsonConverter {
    fn configure(&mut self, config: &Config, role: ConverterRole) -> Result<(), ConnectError> {
        let parsed = crate::parse(&config_def(), config, role)?;
        self.schemas_enabled = parsed.flag(SCHEMAS_ENABLE);
        self.cache_size = parsed.integer(CACHE_SIZE).and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
        self.options = Options {
            numeric_decimals: parsed.text(DECIMAL_FORMAT).is_some_and(|text| text.eq_ignore_ascii_case("NUMERIC")),
            replace_null_with_default: parsed.flag(REPLACE_NULL),
            losses: Losses::parse(config)?,
        };
        let content = parsed.text(SCHEMA_CONTENT).unwrap_or_default();
        let json = jackson::read_borrowed(content.as_bytes()).map_err(|error| {
            not_json(&error, "Failed to parse schema in converter config due to serialization error: ")
        })?;
        self.fixed_schema = match json {
            None | Some(JsonTree::Null) => None,
            Some(json) => Some(schema::read(&json, self.options)?),
        };
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        config_def()
    }

    fn from_connect(
        &mut self,
        _topic: &str,
        schema: Option<&Arc<Schema>>,
        value: &Value,
        arena: &mut Arena,
    ) -> Result<Option<Span>, ConnectError> {
        if schema.is_none() && value.is_null() {
            return Ok(None);
        }
        self.scratch.clear();
        if self.schemas_enabled {
            self.open_envelope(schema, arena)?;
        }
        write::value(schema.map(|schema| &**schema), value, self.options, arena, &mut self.scratch)?;
        if self.schemas_enabled {
            self.scratch.push(b'}');
        }
        Ok(Some(arena.push(&self.scratch)))
    }

    fn to_connect(
        &mut self,
        _topic: &str,
        data: Option<Span>,
        arena: &mut Arena,
    ) -> Result<(Option<&Arc<Schema>>, Value), ConnectError> {
        let Some(span) = data else { return Ok((None, Value::Null)) };
        let value = self.read(arena.get(span), arena)?;
        Ok((self.current.as_ref(), value))
    }
}

crate::headers_as_values!(JsonConverter);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_that_begin_alike_share_a_schema_but_are_read_to_their_end() {
        let mut converter = JsonConverter::default();
        let mut read = |text: &str| {
            let mut arena = Arena::default();
            let span = arena.push(text.as_bytes());
            let (schema, value) = converter.to_connect("t", Some(span), &mut arena)?;
            Ok::<_, ConnectError>((schema.cloned(), value.to_owned_value(&arena)))
        };
        let mut open = |rest: &str| read(&format!("{{\"schema\": {{\"type\":\"string\",\"optional\":true}}, {rest}"));
        let text = |text: &str| Value::String(text.into());
        let (first_schema, first) = open("\"payload\": \"a\"}").expect("reads");
        let (second_schema, second) = open("\"payload\": \"b\\n\"} rest").expect("reads");
        assert_eq!((first, second), (text("a"), text("b\n")));
        assert!(first_schema.zip(second_schema).is_some_and(|(first, second)| Arc::ptr_eq(&first, &second)));
        assert_eq!(open("\"payload\": \"c\", \"payload\": \"d\"}").map(|(_, value)| value), Ok(text("d")));
        assert!(open("\"payload\": \"e\", \"more\": 1}").is_err());
        assert!(open("\"payload\": \"f\"").is_err());
        let replaced = open("\"payload\": 7, \"schema\": {\"type\":\"int8\"}}").expect("reads");
        assert_eq!(replaced.1, Value::Int8(7));
        assert_eq!(open("\"payload\": \"g\"}").map(|(_, value)| value), Ok(text("g")));
        assert_eq!(read("{\"payload\":1,\"schema\":null}").map(|(_, value)| value), Ok(Value::Int64(1)));
        assert_eq!(read("{\"payload\":1,\"schema\":{\"type\":\"int8\"}}").map(|(_, value)| value), Ok(Value::Int8(1)));
    }
}
