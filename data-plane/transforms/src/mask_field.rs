//! `MaskField`: replaces fields by their type's zero or by a fixed text or number.

use std::collections::BTreeSet;

use data_plane_connector_api::config_def::{ConfigType, Importance, Validator};
use data_plane_connector_api::{Config, ConfigDef, ConfigKey, ConnectError, Losses, RecordTransform, Verdict};
use data_plane_record::exact::{keeps_number, shown};
use data_plane_record::values::with_ascii_digits;
use data_plane_record::values::{ConversionError, to_byte, to_double, to_float, to_integer, to_long, to_short};
use data_plane_record::{Arena, Decimal, OpenRecord, Side, Value, ValueMap};

use crate::replace_null::{REPLACE_NULL, replace_null_key};
use crate::requirements::{into_map, require_map, require_struct, take};
use crate::sided;
use crate::structs::{check_field, effective, fill_default};

const PURPOSE: &str = "mask fields";

/// Masks fields of the key or value.
#[derive(Debug)]
pub(crate) struct MaskField {
    side: Side,
    fields: BTreeSet<String>,
    mask: Mask,
    losses: Losses,
    with_defaults: bool,
}

/// What fields are replaced by.
#[derive(Debug)]
enum Mask {
    Zero,
    Text(String),
}

impl MaskField {
    pub(crate) fn new(side: Side) -> Self {
        Self { side, fields: BTreeSet::new(), mask: Mask::Zero, losses: Losses::Allow, with_defaults: true }
    }

    fn mask_map(&self, record: &mut OpenRecord<'_>) -> Result<(), ConnectError> {
        let map = require_map(record.value(self.side), PURPOSE)?;
        let mut masked = Vec::with_capacity(self.fields.len());
        for field in &self.fields {
            let value = map.get_str(record.arena, field).unwrap_or(&Value::Null);
            masked.push((field, self.mask.of(value, self.losses)?));
        }
        let mut map = into_map(take(record, self.side));
        for (field, value) in masked {
            match map.get_str_mut(record.arena, field) {
                Some(entry) => *entry = value,
                None => map.push(Value::StringSpan(record.arena.push(field.as_bytes())), value),
            }
        }
        *record.value_mut(self.side) = Value::Map(map);
        Ok(())
    }

    fn mask_struct(&self, record: &mut OpenRecord<'_>) -> Result<(), ConnectError> {
        let held = require_struct(record.value(self.side), PURPOSE)?;
        let mut masked = Vec::with_capacity(self.fields.len());
        for (index, (field, value)) in held.schema.fields().iter().zip(&held.values).enumerate() {
            let value = effective(field, value, self.with_defaults);
            if self.fields.contains(&*field.name) {
                let mask = self.mask.of(value, self.losses)?;
                check_field(field, &mask)?;
                masked.push((index, mask));
            } else {
                check_field(field, value)?;
            }
        }
        if let Value::Struct(held) = record.value_mut(self.side) {
            for (index, mask) in masked {
                held.values[index] = mask;
            }
            for (field, value) in held.schema.fields().iter().zip(&mut held.values) {
                fill_default(field, value, self.with_defaults);
            }
        }
        Ok(())
    }
}

impl Mask {
    fn of(&self, value: &Value, losses: Losses) -> Result<Value, ConnectError> {
        match self {
            _ if value.is_null() => Ok(Value::Null),
            Self::Zero => zero(value),
            Self::Text(text) => {
                let put = replacement(value, text)?;
                let is_kept = || keeps_number(&Value::String(text.as_str().into()), &put, &Arena::default());
                losses.check(is_kept, || text.clone(), || shown(&put, &Arena::default()))?;
                Ok(put)
            }
        }
    }
}

/// The zero of a value's type.
fn zero(value: &Value) -> Result<Value, ConnectError> {
    Ok(match value {
        Value::Null => Value::Null,
        Value::Boolean(_) => Value::Boolean(false),
        Value::Int8(_) => Value::Int8(0),
        Value::Int16(_) => Value::Int16(0),
        Value::Int32(_) => Value::Int32(0),
        Value::Int64(_) => Value::Int64(0),
        Value::Float32(_) => Value::Float32(0.0),
        Value::Float64(_) => Value::Float64(0.0),
        Value::String(_) | Value::StringSpan(_) => Value::String("".into()),
        Value::Decimal(_) => Value::Decimal(Box::new(Decimal { unscaled: Box::new([0]), scale: 0 })),
        Value::DateTime(_) => Value::DateTime(0),
        Value::Array(_) => Value::Array(Box::default()),
        Value::Map(_) => Value::Map(Box::new(ValueMap::new())),
        Value::Bytes(_) | Value::BytesSpan(_) | Value::Struct(_) => {
            return Err(ConnectError::data(format!("Cannot mask value of type: class {}", value.java_class())));
        }
    })
}

/// A text as a value of a value's type.
fn replacement(value: &Value, text: &str) -> Result<Value, ConnectError> {
    let (text_value, arena) = (Value::String(text.into()), Arena::default());
    let converted = match value {
        Value::Int8(_) => to_byte(None, &text_value, &arena),
        Value::Int16(_) => to_short(None, &text_value, &arena),
        Value::Int32(_) => to_integer(None, &text_value, &arena),
        Value::Int64(_) => to_long(None, &text_value, &arena),
        Value::Float32(_) => to_float(None, &text_value, &arena),
        Value::Float64(_) => to_double(None, &text_value, &arena),
        Value::String(_) | Value::StringSpan(_) => Ok(text_value),
        Value::Decimal(_) => match Decimal::parse(&with_ascii_digits(text)) {
            Some(decimal) => Ok(Value::Decimal(Box::new(decimal))),
            None => return Err(no_number(text)),
        },
        _ => {
            let class = value.java_class();
            let why = format!("Cannot mask value of type class {class} with custom replacement.");
            return Err(ConnectError::data(why));
        }
    };
    converted.map_err(|error| match error {
        ConversionError::Java { class: "java.lang.NumberFormatException", .. } => no_number(text),
        error => error.into(),
    })
}

fn no_number(text: &str) -> ConnectError {
    ConnectError::data(format!("Unable to convert {text} (class java.lang.String) to number"))
}

impl RecordTransform for MaskField {
    fn class(&self) -> &'static str {
        sided!(self.side, "MaskField")
    }

    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        let parsed = self.config_def().parse(config)?;
        self.fields = parsed.list("fields").iter().cloned().collect();
        self.mask = parsed.text("replacement").map_or(Mask::Zero, |text| Mask::Text(text.to_owned()));
        self.losses = Losses::parse(config)?;
        self.with_defaults = parsed.flag(REPLACE_NULL);
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new([
            ConfigKey::required("fields", ConfigType::List, Importance::High, "The fields to mask.")
                .validator(Validator::SomeUniqueNonEmptyValues),
            ConfigKey::optional(
                "replacement",
                ConfigType::String,
                None,
                Importance::Low,
                "A text or number to put in the place of all fields, which must be texts or numbers. \
                 Unset puts 0, false, an empty text, an empty list or the like there.",
            )
            .validator(Validator::NonEmptyString),
            replace_null_key(),
        ])
    }

    fn apply(&mut self, record: &mut OpenRecord<'_>) -> Result<Verdict, ConnectError> {
        match record.schema(self.side) {
            None => self.mask_map(record)?,
            Some(_) => self.mask_struct(record)?,
        }
        Ok(Verdict::Keep)
    }
}
