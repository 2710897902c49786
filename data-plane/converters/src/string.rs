//! `StringConverter`: text in an encoding. UTF-8 text in the arena passes through without a copy.

use std::sync::Arc;

use data_plane_connector_api::config_def::{ConfigKey, ConfigType, Importance, Width};
use data_plane_connector_api::{Config, ConfigDef, ConnectError, Converter, ConverterRole, Losses};
use data_plane_record::exact::{contains, shown};
use data_plane_record::{Arena, Schema, Span, Value, java_text};

use crate::charset::Charset;

const ENCODING: &str = "converter.encoding";

pub(crate) fn config_def() -> ConfigDef {
    ConfigDef::new([
        crate::converter_type_key(),
        ConfigKey::optional(
            ENCODING,
            ConfigType::String,
            Some("UTF-8"),
            Importance::High,
            "The text's encoding, by its Java name.",
        )
        .form(None, -1, Width::Medium, "Encoding"),
    ])
}

/// Writes values as `toString` does in Java; reads text with an optional string schema.
#[derive(Clone, Debug, Default)]
pub struct StringConverter {
    charset: Charset,
    losses: Losses,
    scratch: Vec<u8>,
}

impl Converter for StringConverter {
    fn configure(&mut self, config: &Config, role: ConverterRole) -> Result<(), ConnectError> {
        let parsed = crate::parse(&config_def(), config, role)?;
        self.losses = Losses::parse(config)?;
        let name = parsed.text(ENCODING).unwrap_or_default();
        self.charset = Charset::named(name).ok_or_else(|| {
            let legal = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-+.:_".contains(&b));
            let cause = if legal { "UnsupportedCharsetException" } else { "IllegalCharsetNameException" };
            ConnectError::serialization(format!("Unsupported encoding {name}"))
                .caused_by(format!("java.nio.charset.{cause}"), name)
        })?;
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        config_def()
    }

    fn from_connect(
        &mut self,
        _topic: &str,
        _schema: Option<&Arc<Schema>>,
        value: &Value,
        arena: &mut Arena,
    ) -> Result<Option<Span>, ConnectError> {
        if value.is_null() {
            return Ok(None);
        }
        if self.charset == Charset::Utf8 {
            match value {
                Value::StringSpan(span) => return Ok(Some(*span)),
                Value::String(text) => return Ok(Some(arena.push(text.as_bytes()))),
                _ => {}
            }
        }
        let has_bytes = |value| contains(value, &|value| value.as_bytes(arena).is_some());
        self.losses.check(|| !has_bytes(value), || "bytes".to_owned(), || shown(value, arena))?;
        self.scratch.clear();
        java_text::write_value(value, arena, &mut self.scratch);
        if self.charset == Charset::Utf8 {
            return Ok(Some(arena.push(&self.scratch)));
        }
        let text = String::from_utf8_lossy(&self.scratch);
        let encoded = self.charset.encode(&text);
        let becomes = || self.charset.decode(&encoded);
        self.losses.check(|| becomes() == text, || text.clone().into_owned(), becomes)?;
        Ok(Some(arena.push(&encoded)))
    }

    fn to_connect(
        &mut self,
        _topic: &str,
        data: Option<Span>,
        arena: &mut Arena,
    ) -> Result<(Option<&Arc<Schema>>, Value), ConnectError> {
        let value = match data {
            None => Value::Null,
            Some(span) if self.charset == Charset::Utf8 && std::str::from_utf8(arena.get(span)).is_ok() => {
                Value::StringSpan(span)
            }
            Some(span) => {
                let text = self.charset.decode(arena.get(span));
                let is_kept = || !text.contains(char::REPLACEMENT_CHARACTER);
                self.losses.check(is_kept, || "malformed text".to_owned(), || text.clone())?;
                Value::String(text.into())
            }
        };
        Ok((Some(Schema::optional_string()), value))
    }
}

crate::headers_as_values!(StringConverter);
