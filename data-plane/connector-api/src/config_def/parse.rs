//! Parsing and validation of configs, with the texts of Kafka's `ConfigDef`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Config, ConfigDef, ConfigKey, ConfigType, ConfigValue, Validator, specs};
use crate::error::ConnectError;
use crate::java_regex::JavaRegex;

/// A parsed value.
#[derive(Clone, Debug, PartialEq)]
enum ParsedValue {
    Null,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Text(String),
    Password(String),
    List(Vec<String>),
}

impl ParsedValue {
    /// The value's text in answers to users.
    fn shown(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Boolean(value) => Some(value.to_string()),
            Self::Integer(value) => Some(value.to_string()),
            Self::Double(value) => Some(value.to_string()),
            Self::Text(value) => Some(value.clone()),
            Self::Password(_) => Some("[hidden]".to_owned()),
            Self::List(items) => Some(items.join(",")),
        }
    }

    /// A list's entries; of other values, none.
    fn items(&self) -> &[String] {
        if let Self::List(items) = self { items } else { &[] }
    }

    /// The value as Java prints it in error texts.
    fn in_errors(&self) -> String {
        match self {
            Self::List(items) => format!("[{}]", items.join(", ")),
            other => other.shown().unwrap_or_else(|| "null".to_owned()),
        }
    }
}

/// Values in effect of a config that passed validation; see [`ConfigDef::parse`].
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    values: BTreeMap<String, ParsedValue>,
}

impl Parsed {
    /// Text of a STRING, CLASS or PASSWORD key; `None` is null.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(ParsedValue::Text(value) | ParsedValue::Password(value)) => Some(value),
            _ => None,
        }
    }

    /// An INT, SHORT or LONG key; `None` is null.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<i64> {
        if let Some(ParsedValue::Integer(value)) = self.values.get(name) { Some(*value) } else { None }
    }

    /// A BOOLEAN key; null is false.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.values.get(name), Some(ParsedValue::Boolean(true)))
    }

    /// A DOUBLE key; `None` is null.
    #[must_use]
    pub fn double(&self, name: &str) -> Option<f64> {
        if let Some(ParsedValue::Double(value)) = self.values.get(name) { Some(*value) } else { None }
    }

    /// A LIST key; null is empty.
    #[must_use]
    pub fn list(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], ParsedValue::items)
    }
}

impl ConfigDef {
    /// Validates a config: one entry a key, in definition order. Keys that are not defined are not looked at.
    #[must_use]
    pub fn validate(&self, config: &Config) -> Vec<ConfigValue> {
        self.keys
            .iter()
            .map(|key| {
                let (value, errors) = examine(key, config, Repeats::Stay);
                ConfigValue {
                    name: key.name.clone(),
                    value: value.shown(),
                    recommended_values: key.recommended_values.clone(),
                    errors,
                    visible: true,
                }
            })
            .collect()
    }

    /// The values in effect.
    ///
    /// # Errors
    /// A `ConfigException` with the first error found.
    pub fn parse(&self, config: &Config) -> Result<Parsed, ConnectError> {
        let mut parsed = Parsed::default();
        for key in &self.keys {
            let (value, errors) = examine(key, config, Repeats::Go);
            if let Some(error) = errors.into_iter().next() {
                return Err(ConnectError::config(error));
            }
            parsed.values.insert(key.name.clone(), value);
        }
        Ok(parsed)
    }
}

/// What becomes of repeated entries in lists of unique ones: Kafka refuses them when it validates, and takes them out when it parses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeats {
    Stay,
    Go,
}

/// The value of a key and all that is wrong with it. As in Kafka, a value that cannot be parsed is checked as null.
fn examine(key: &ConfigKey, config: &Config, repeats: Repeats) -> (ParsedValue, Vec<String>) {
    let mut errors = Vec::new();
    let given = config.get(&key.name).map(String::as_str);
    let mut value = match given.or(key.default_value.as_deref()) {
        Some(text) => parse(key, text).unwrap_or_else(|error| {
            errors.push(error);
            ParsedValue::Null
        }),
        None if key.required => {
            errors.push(format!("Missing required configuration \"{}\" which has no default value.", key.name));
            ParsedValue::Null
        }
        None => ParsedValue::Null,
    };
    if let ParsedValue::List(items) = &mut value
        && repeats == Repeats::Go
        && matches!(key.validator, Some(Validator::UniqueNonEmptyValues | Validator::SomeUniqueNonEmptyValues))
    {
        let mut seen = BTreeSet::new();
        items.retain(|item| seen.insert(item.clone()));
    }
    if let Some(error) = key.validator.as_ref().and_then(|validator| check(validator, &key.name, &value)) {
        errors.push(error);
    }
    (value, errors)
}

fn invalid(name: &str, value: &str, why: &str) -> String {
    format!("Invalid value {value} for configuration {name}: {why}")
}

fn parse(key: &ConfigKey, text: &str) -> Result<ParsedValue, String> {
    let trimmed = text.trim();
    let not_a_number = |_| invalid(&key.name, text, &format!("Not a number of type {}", key.kind.name()));
    match key.kind {
        ConfigType::Boolean if trimmed.eq_ignore_ascii_case("true") => Ok(ParsedValue::Boolean(true)),
        ConfigType::Boolean if trimmed.eq_ignore_ascii_case("false") => Ok(ParsedValue::Boolean(false)),
        ConfigType::Boolean => Err(invalid(&key.name, text, "Expected value to be either true or false")),
        ConfigType::String | ConfigType::Class => Ok(ParsedValue::Text(trimmed.to_owned())),
        ConfigType::Password => Ok(ParsedValue::Password(trimmed.to_owned())),
        ConfigType::Int => trimmed.parse::<i32>().map(|n| ParsedValue::Integer(n.into())).map_err(not_a_number),
        ConfigType::Short => trimmed.parse::<i16>().map(|n| ParsedValue::Integer(n.into())).map_err(not_a_number),
        ConfigType::Long => trimmed.parse::<i64>().map(ParsedValue::Integer).map_err(not_a_number),
        ConfigType::Double => trimmed
            .parse::<f64>()
            .map(ParsedValue::Double)
            .map_err(|_| invalid(&key.name, text, "Not a number of type DOUBLE")),
        ConfigType::List if trimmed.is_empty() => Ok(ParsedValue::List(Vec::new())),
        ConfigType::List => Ok(ParsedValue::List(trimmed.split(',').map(|item| item.trim().to_owned()).collect())),
    }
}

fn check(validator: &Validator, name: &str, value: &ParsedValue) -> Option<String> {
    let why = match (validator, value) {
        (Validator::NonEmptyString, ParsedValue::Text(text)) if text.is_empty() => {
            "String must be non-empty".to_owned()
        }
        (Validator::NonEmptyStringWithoutControlChars, ParsedValue::Text(text)) => {
            let controls: Vec<_> =
                text.chars().filter(char::is_ascii_control).map(|control| (control as u32).to_string()).collect();
            if text.is_empty() {
                "String may not be empty".to_owned()
            } else if controls.is_empty() {
                return None;
            } else {
                format!(
                    "String may not contain control sequences but had the following ASCII chars: {}",
                    controls.join(", ")
                )
            }
        }
        (Validator::Range { nullable: false, .. }, ParsedValue::Null) => "Value must be non-null".to_owned(),
        (Validator::Range { min: Some(min), .. }, ParsedValue::Integer(n)) if n < min => {
            format!("Value must be at least {min}")
        }
        (Validator::Range { max: Some(max), .. }, ParsedValue::Integer(n)) if n > max => {
            format!("Value must be no more than {max}")
        }
        (Validator::OneOf(allowed), value) if !value.shown().is_some_and(|text| allowed.contains(&text)) => {
            format!("String must be one of: {}", allowed.join(", "))
        }
        (Validator::OneOfIgnoreCase(allowed), value)
            if !value.shown().is_some_and(|text| allowed.iter().any(|one| one.eq_ignore_ascii_case(&text))) =>
        {
            format!("String must be one of (case insensitive): {}", allowed.join(", "))
        }
        (Validator::UniqueAliases, ParsedValue::List(items)) if has_repeats(items) => {
            "Duplicate alias provided.".to_owned()
        }
        (Validator::SomeUniqueNonEmptyValues, ParsedValue::Null) => {
            return Some(format!("Configuration '{name}' values must not be null."));
        }
        (Validator::SomeUniqueNonEmptyValues, ParsedValue::List(items)) if items.is_empty() => {
            return Some(format!(
                "Configuration '{name}' must not be empty. Valid values include: any non-empty value"
            ));
        }
        (Validator::UniqueNonEmptyValues | Validator::SomeUniqueNonEmptyValues, ParsedValue::List(items)) => {
            if has_repeats(items) {
                return Some(format!("Configuration '{name}' values must not be duplicated."));
            }
            let has_empty = items.iter().any(String::is_empty);
            return has_empty.then(|| format!("Configuration '{name}' values must not be empty."));
        }
        (Validator::NonEmptyList, value) if value.items().is_empty() => "Empty list".to_owned(),
        (Validator::NonNull, ParsedValue::Null) => "entry must be non null".to_owned(),
        (Validator::CastSpec, value) => return specs::cast_spec(value.items()).err().map(|error| error.message),
        (Validator::Renames, value) => return specs::renames(value.items()).err().map(|error| error.message),
        (Validator::Regex, ParsedValue::Text(pattern)) => match JavaRegex::new(pattern) {
            Ok(_) => return None,
            Err(error) => format!("Invalid regex: {error}"),
        },
        // In Java an accident, whose text users see.
        (Validator::Regex, ParsedValue::Null) => {
            "Invalid regex: Cannot invoke \"String.isEmpty()\" because \"this.pattern\" is null".to_owned()
        }
        (Validator::All(validators), value) => {
            return validators.iter().find_map(|validator| check(validator, name, value));
        }
        _ => return None,
    };
    Some(invalid(name, &value.in_errors(), &why))
}

fn has_repeats(items: &[String]) -> bool {
    items.iter().collect::<BTreeSet<_>>().len() != items.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_def::Importance;

    #[test]
    fn repeated_entries_are_refused_by_validation_only() {
        let key = ConfigKey::required("fields", ConfigType::List, Importance::High, "Fields.");
        let definition = ConfigDef::new([key.validator(Validator::SomeUniqueNonEmptyValues)]);
        let config = |text: &str| Config::from([("fields".to_owned(), text.to_owned())]);
        let errors = |text| definition.validate(&config(text)).remove(0).errors;
        assert_eq!(errors("a,b,a"), ["Configuration 'fields' values must not be duplicated."]);
        assert_eq!(errors("a,"), ["Configuration 'fields' values must not be empty."]);
        assert_eq!(errors(""), ["Configuration 'fields' must not be empty. Valid values include: any non-empty value"]);
        assert_eq!(definition.parse(&config("a,b,a")).expect("parses").list("fields"), ["a", "b"]);
        let missing = definition.validate(&Config::new()).remove(0).errors;
        assert_eq!(missing[1], "Configuration 'fields' values must not be null.");
    }
}
