//! Config definitions as plain data: what a plugin may be configured with, as Kafka's `ConfigDef` says it.
//! Plain data, so that definitions travel between processes; validators are an enum for the same reason.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod parse;
mod specs;

pub use parse::Parsed;
pub use specs::{CastSpec, cast_spec, renames};

/// A connector's, task's or plugin's config: text by key.
pub type Config = BTreeMap<String, String>;

/// `ConfigDef.Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "Kafka's own names")]
pub enum ConfigType {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl ConfigType {
    /// Kafka's spelling, such as `INT`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Short => "SHORT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
            Self::Class => "CLASS",
            Self::Password => "PASSWORD",
        }
    }
}

/// `ConfigDef.Importance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "Kafka's own names")]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// `ConfigDef.Width`: how wide a form's field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "Kafka's own names")]
pub enum Width {
    None,
    Short,
    Medium,
    Long,
}

/// A check of a parsed value. Texts of errors are Kafka's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Validator {
    /// Null passes, the empty text does not.
    NonEmptyString,
    /// Null passes; empty text and ASCII control characters do not.
    NonEmptyStringWithoutControlChars,
    /// An integer between bounds, both included.
    Range {
        /// Smallest.
        min: Option<i64>,
        /// Largest.
        max: Option<i64>,
        /// Whether null passes.
        nullable: bool,
    },
    /// One of these texts.
    OneOf(Vec<String>),
    /// One of these texts, in any case.
    OneOfIgnoreCase(Vec<String>),
    /// A list without repeated entries: aliases of transforms, predicates, topic groups.
    UniqueAliases,
    /// A list without empty or repeated entries.
    UniqueNonEmptyValues,
    /// A regular expression of Java ([`crate::JavaRegex`]); null is refused.
    Regex,
    /// All of these, up to the first that fails.
    All(Vec<Validator>),
    /// A list with entries, none of them empty or repeated.
    SomeUniqueNonEmptyValues,
    /// A list with entries.
    NonEmptyList,
    /// Any value but null.
    NonNull,
    /// Types to cast fields to; see [`cast_spec`].
    CastSpec,
    /// Pairs of old and new names; see [`renames`].
    Renames,
}

/// One config key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigKey {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ConfigType,
    /// Whether it must be given; then there is no default.
    pub required: bool,
    /// Default as text; `None` is null.
    pub default_value: Option<String>,
    /// How much it matters.
    pub importance: Importance,
    /// For the user.
    pub documentation: String,
    /// Group in forms.
    pub group: Option<String>,
    /// Place in the group, -1 for none.
    pub order_in_group: i32,
    /// Width in forms.
    pub width: Width,
    /// Name in forms.
    pub display_name: String,
    /// Keys whose validity depends on this one.
    pub dependents: Vec<String>,
    /// Check of the parsed value.
    pub validator: Option<Validator>,
    /// Values that a form may offer.
    pub recommended_values: Vec<String>,
}

impl ConfigKey {
    fn new(name: &str, kind: ConfigType, importance: Importance, documentation: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            required: false,
            default_value: None,
            importance,
            documentation: documentation.to_owned(),
            group: None,
            order_in_group: -1,
            width: Width::None,
            display_name: name.to_owned(),
            dependents: Vec::new(),
            validator: None,
            recommended_values: Vec::new(),
        }
    }

    /// A key that must be given.
    #[must_use]
    pub fn required(name: &str, kind: ConfigType, importance: Importance, documentation: &str) -> Self {
        Self { required: true, ..Self::new(name, kind, importance, documentation) }
    }

    /// A key with a default (`None` is null).
    #[must_use]
    pub fn optional(
        name: &str,
        kind: ConfigType,
        default_value: Option<&str>,
        importance: Importance,
        documentation: &str,
    ) -> Self {
        Self { default_value: default_value.map(str::to_owned), ..Self::new(name, kind, importance, documentation) }
    }

    /// The key with a validator.
    #[must_use]
    pub fn validator(mut self, validator: Validator) -> Self {
        self.validator = Some(validator);
        self
    }

    /// The key with its place in forms.
    #[must_use]
    pub fn form<'a>(
        mut self,
        group: impl Into<Option<&'a str>>,
        order_in_group: i32,
        width: Width,
        display_name: &str,
    ) -> Self {
        self.group = group.into().map(str::to_owned);
        self.order_in_group = order_in_group;
        self.width = width;
        self.display_name = display_name.to_owned();
        self
    }
}

/// The outcome of validating one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigValue {
    /// The key.
    pub name: String,
    /// The value in effect, as text; passwords as `[hidden]`.
    pub value: Option<String>,
    /// Values that a form may offer.
    pub recommended_values: Vec<String>,
    /// What is wrong; empty is valid.
    pub errors: Vec<String>,
    /// Whether forms show it.
    pub visible: bool,
}

/// A plugin's config keys, in definition order.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize)]
pub struct ConfigDef {
    /// The keys.
    pub keys: Vec<ConfigKey>,
}

impl ConfigDef {
    /// A definition of these keys.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = ConfigKey>) -> Self {
        Self { keys: keys.into_iter().collect() }
    }

    /// A key by name.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<&ConfigKey> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Both definitions' keys; of a key in both, the first stays.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for key in other.keys {
            if self.key(&key.name).is_none() {
                self.keys.push(key);
            }
        }
        self
    }
}
