//! `SimpleHeaderConverter`: headers as text, of which numbers, dates, arrays and the like are recognised. Connect's default for headers.

use std::borrow::Cow;
use std::sync::Arc;

use data_plane_connector_api::{Config, ConfigDef, ConnectError, ConverterRole, HeaderConverter, Losses};
use data_plane_record::exact::{contains, shown};
use data_plane_record::values::ConversionError;
use data_plane_record::{Arena, Schema, Span, Value, java_text, values};

pub(crate) fn config_def() -> ConfigDef {
    ConfigDef::new([])
}

/// `org.apache.kafka.connect.storage.SimpleHeaderConverter`. In Connect it has no config.
#[derive(Clone, Debug, Default)]
pub struct SimpleHeaderConverter {
    /// The schema of the last header read.
    current: Option<Arc<Schema>>,
    losses: Losses,
    scratch: Vec<u8>,
}

impl HeaderConverter for SimpleHeaderConverter {
    fn configure(&mut self, config: &Config, _role: ConverterRole) -> Result<(), ConnectError> {
        self.losses = Losses::parse(config)?;
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        config_def()
    }

    fn from_connect_header(
        &mut self,
        _topic: &str,
        _header: &str,
        _schema: Option<&Arc<Schema>>,
        value: &Value,
        arena: &mut Arena,
    ) -> Result<Option<Span>, ConnectError> {
        match value {
            Value::Null => return Ok(None),
            Value::StringSpan(span) if std::str::from_utf8(arena.get(*span)).is_ok() => return Ok(Some(*span)),
            _ => {}
        }
        self.scratch.clear();
        values::write_string(value, arena, &mut self.scratch);
        // Before the epoch, Connect writes the time of day alone.
        let is_kept = || !contains(value, &|value| matches!(value, Value::DateTime(..0)));
        let becomes = || String::from_utf8_lossy(&self.scratch).into_owned();
        self.losses.check(is_kept, || shown(value, arena), becomes)?;
        Ok(Some(arena.push(&self.scratch)))
    }

    fn to_connect_header(
        &mut self,
        _topic: &str,
        _header: &str,
        data: Option<Span>,
        arena: &mut Arena,
    ) -> Result<(Option<&Arc<Schema>>, Value), ConnectError> {
        self.current = None;
        let Some(span) = data else { return Ok((None, Value::Null)) };
        let bytes = arena.get(span);
        let text = java_text::decode_utf8(bytes);
        let malformed = || "malformed text".to_owned();
        self.losses.check(|| matches!(text, Cow::Borrowed(_)), malformed, || text.clone().into_owned())?;
        let parsed = match self.losses {
            Losses::Allow => values::parse_string(&text),
            Losses::Fail => values::parse_string_exactly(&text),
        };
        let value = match parsed {
            Ok(None) => Value::Null,
            Ok(Some(parsed)) => {
                self.current = Some(parsed.schema);
                match parsed.value {
                    Value::String(text) if text.as_bytes() == bytes => Value::StringSpan(span),
                    value => value,
                }
            }
            Err(lossy @ ConversionError::Lossy { .. }) => return Err(lossy.into()),
            // What Connect fails on it hands over as it is.
            Err(_) => {
                self.current = Some(Schema::bytes().clone());
                Value::BytesSpan(span)
            }
        };
        Ok((self.current.as_ref(), value))
    }
}
