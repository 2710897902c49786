//! `ferry.lossy.conversions`: whether conversions may lose something quietly, as they do in Kafka Connect.
//!
//! Ferry's default is Connect's result, since users' data depends on it. With `fail`, each such case is a `DataException` that says
//! what would have become of which value; `errors.tolerance` then treats it as any other failed record. The cases:
//!
//! | place | with `allow`, as in Connect | with `fail` |
//! |---|---|---|
//! | `JsonConverter`, integers | wrap to the schema's bits, without a schema to 64; fractions are cut off; what is no number is 0 | refused unless the number is the same |
//! | `JsonConverter`, floats | too large is infinite, too small 0; what is no number is 0 | refused; rounding is not |
//! | `JsonConverter`, boolean | what is neither is false | refused |
//! | `JsonConverter`, string and bytes | what is no text is null | refused |
//! | `JsonConverter`, arrays | an object gives its values, anything else nothing | refused |
//! | `JsonConverter`, structs | fields that the schema lacks are ignored | refused |
//! | `JsonConverter`, text | what follows the value is ignored | refused |
//! | `JsonConverter`, schemas | attributes of another type (`"optional": "true"`) are ignored, versions wrap | refused |
//! | `JsonConverter`, writing | a null key becomes the text null; dates beyond 32 bits of days wrap | refused |
//! | `SimpleHeaderConverter`, `InsertHeader` | text behind a value is ignored (`1,000` is 1); fractions become floats of 32 bits, numbers among others their widest type | refused unless the number reads the same |
//! | the same, dates | read leniently (month 13), by the Julian calendar before 15 October 1582 | refused |
//! | `SimpleHeaderConverter`, writing; `Cast` to string | of a moment before 1970 only the time of day is written | refused |
//! | `StringConverter` | malformed bytes become U+FFFD, characters that the encoding lacks `?`; bytes are written as `[B@` and a hash | refused |
//! | `SimpleHeaderConverter`, reading | malformed UTF-8 becomes U+FFFD | refused |
//! | `Cast`, numbers | fractions are cut off, larger ones wrap or stop at the limits, lose digits; all but 0 are true | refused unless the number reads the same |
//! | `Cast`, text | what is not `true` is false; floats out of range are infinite or 0 | refused unless it is `true` or `false`; out of range refused |
//! | `MaskField` | a replacement is cut and wrapped to the field's type | refused unless the number reads the same |
//! | `TimestampConverter`, numbers | what is finer than the unit or than a millisecond is cut off; too large stops at the limits | refused |
//! | `TimestampConverter`, Date and Time | the time of day, or the day, is cut off | refused unless it is 0 |
//! | `TimestampConverter`, text | read leniently; written and read by the Julian calendar before 15 October 1582 | refused |
//!
//! Not lossy are exact conversions, text made of values (but where the table says so), what an option asks for (defaults for nulls,
//! fields overwritten), and rounding to the nearest float where a text has more digits than one holds. Of equal names in an object or
//! a map, the last one counts, which is not looked at.

use data_plane_record::values::ConversionError;

use crate::config_def::{Config, ConfigDef, ConfigKey, ConfigType, Importance, Validator};
use crate::error::ConnectError;

/// The key in a connector's config. The runtime hands it to converters and transforms under the same name.
pub const LOSSY_CONVERSIONS: &str = "ferry.lossy.conversions";

const FAIL: &str = "fail";

/// Longest part of a value in an error, in characters.
const SHOWN_CHARS: usize = 100;

/// What becomes of conversions that lose something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Losses {
    /// As in Connect: nothing is said.
    #[default]
    Allow,
    /// The record fails.
    Fail,
}

impl Losses {
    /// The key's definition.
    #[must_use]
    pub fn config_def() -> ConfigDef {
        let documentation = "Whether conversions of converters and transforms may lose something quietly, as in Kafka Connect \
             (integers that wrap, text behind a number, dates read leniently), or fail the record.";
        let key = ConfigKey::optional(
            LOSSY_CONVERSIONS,
            ConfigType::String,
            Some("allow"),
            Importance::Medium,
            documentation,
        );
        ConfigDef::new([key.validator(Validator::OneOf(vec!["allow".to_owned(), FAIL.to_owned()]))])
    }

    /// What a config says; `allow` if nothing.
    ///
    /// # Errors
    /// A `ConfigException` that names the key.
    pub fn parse(config: &Config) -> Result<Self, ConnectError> {
        if !config.contains_key(LOSSY_CONVERSIONS) {
            return Ok(Self::Allow);
        }
        let parsed = Self::config_def().parse(config)?;
        Ok(if parsed.text(LOSSY_CONVERSIONS) == Some(FAIL) { Self::Fail } else { Self::Allow })
    }

    /// Puts what a connector's config says into the config of one of its plugins, unless that says something itself.
    pub fn hand_on(connector: &Config, plugin: &mut Config) {
        if let Some(text) = connector.get(LOSSY_CONVERSIONS) {
            plugin.entry(LOSSY_CONVERSIONS.to_owned()).or_insert_with(|| text.clone());
        }
    }

    /// Whether conversions are to be checked.
    #[must_use]
    pub fn are_refused(self) -> bool {
        self == Self::Fail
    }

    /// Checks a conversion, if it is to be checked.
    ///
    /// # Errors
    /// [`lossy`] if `is_kept` says no. `value` and `becomes` are asked then only.
    pub fn check(
        self,
        is_kept: impl FnOnce() -> bool,
        value: impl FnOnce() -> String,
        becomes: impl FnOnce() -> String,
    ) -> Result<(), ConnectError> {
        if self.are_refused() && !is_kept() { Err(lossy(&value(), &becomes())) } else { Ok(()) }
    }
}

/// The error of a conversion that is refused: of which value, and what would become of it.
#[must_use]
pub fn lossy(value: &str, becomes: &str) -> ConnectError {
    let cut = |text: &str| match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    };
    ConnectError::data(format!(
        "{} would become {}, which {LOSSY_CONVERSIONS}={FAIL} refuses: correct the value or its type, or allow it",
        cut(value),
        cut(becomes)
    ))
}

/// A failed conversion of text or values as the exception that Connect throws, or as [`lossy`].
impl From<ConversionError> for ConnectError {
    fn from(error: ConversionError) -> Self {
        match error {
            ConversionError::Lossy { text, becomes } => lossy(&text, &becomes),
            error => Self::new(error.java_class(), error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        [(LOSSY_CONVERSIONS.to_owned(), text.to_owned())].into()
    }

    #[test]
    fn the_key_says_allow_or_fail() {
        assert_eq!(Losses::parse(&Config::new()), Ok(Losses::Allow));
        assert_eq!(Losses::parse(&config("allow")), Ok(Losses::Allow));
        assert_eq!(Losses::parse(&config("fail")), Ok(Losses::Fail));
        let error = Losses::parse(&config("maybe")).expect_err("no such value").message;
        assert!(error.starts_with("Invalid value maybe for configuration ferry.lossy.conversions: "), "{error}");
    }

    #[test]
    fn a_plugins_own_word_counts() {
        let mut own = config("allow");
        Losses::hand_on(&config("fail"), &mut own);
        assert_eq!(own, config("allow"));
        let mut none = Config::new();
        Losses::hand_on(&config("fail"), &mut none);
        assert_eq!(none, config("fail"));
    }

    #[test]
    fn errors_name_the_value_and_what_would_become_of_it() {
        let refused = Losses::Fail.check(|| false, || "é".repeat(200), || "1".to_owned());
        let error = refused.expect_err("refused");
        assert!(error.message.starts_with(&format!("{}... would become 1,", "é".repeat(100))));
        assert_eq!(error.class, "org.apache.kafka.connect.errors.DataException");
        assert_eq!(Losses::Allow.check(|| false, String::new, String::new), Ok(()));
    }
}
