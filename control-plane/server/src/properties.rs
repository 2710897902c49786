//! `connect-distributed.properties` as worker settings: read unchanged, refused with key and line.

use control_plane_core::connector::Config;
use java_properties::{LineContent, PropertiesIter};
use std::{fs::File, path::Path};

/// Why a file of worker settings is refused. Every text names the file, and the key and line where there is one.
#[derive(Debug, thiserror::Error)]
pub enum PropertiesError {
    /// Not there, or not readable.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Not in the format of Java's properties.
    #[error("{path}: {message}")]
    Malformed {
        /// The file.
        path: String,
        /// Why, with the line.
        message: String,
    },
    /// A required key is not there.
    #[error("{path}: {key} is missing; {hint}")]
    Missing {
        /// The file.
        path: String,
        /// The key.
        key: &'static str,
        /// What it is for.
        hint: &'static str,
    },
    /// A bad value.
    #[error("{path}, line {line}: {key} cannot be {value:?}: {rule}")]
    BadValue {
        /// The file.
        path: String,
        /// The line.
        line: usize,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What would be right.
        rule: &'static str,
    },
}

/// A file's keys with the lines that they stand on; a later line wins, as in Java.
fn read(path: &Path) -> Result<Vec<(String, String, usize)>, PropertiesError> {
    let shown = path.display().to_string();
    let file = File::open(path).map_err(|source| PropertiesError::Unreadable { path: shown.clone(), source })?;
    let mut pairs: Vec<(String, String, usize)> = Vec::new();
    for line in PropertiesIter::new(file) {
        let line =
            line.map_err(|error| PropertiesError::Malformed { path: shown.clone(), message: error.to_string() })?;
        let number = line.line_number();
        if let LineContent::KVPair(key, value) = line.consume_content() {
            pairs.retain(|(known, _, _)| *known != key);
            pairs.push((key, value, number));
        }
    }
    Ok(pairs)
}

/// Keys of worker settings whose values must be whole numbers of at least this.
const NUMBERS: [(&str, i64); 12] = [
    ("offset.flush.interval.ms", 0),
    ("offset.flush.timeout.ms", 0),
    ("task.shutdown.graceful.timeout.ms", 0),
    ("offset.storage.partitions", 1),
    ("offset.storage.replication.factor", -1),
    ("config.storage.replication.factor", -1),
    ("status.storage.partitions", 1),
    ("status.storage.replication.factor", -1),
    ("session.timeout.ms", 0),
    ("heartbeat.interval.ms", 0),
    ("rebalance.timeout.ms", 0),
    ("scheduled.rebalance.max.delay.ms", 0),
];

/// Keys whose values must be true or false.
const BOOLEANS: [&str; 3] = ["topic.creation.enable", "topic.tracking.enable", "topic.tracking.allow.reset"];

/// Keys that every mode requires.
const COMMON: [(&str, &str); 3] = [
    ("bootstrap.servers", "it names the Kafka cluster, such as 127.0.0.1:9092"),
    ("key.converter", "such as org.apache.kafka.connect.storage.StringConverter"),
    ("value.converter", "such as org.apache.kafka.connect.storage.StringConverter"),
];

/// The settings of a distributed cluster.
pub fn distributed(path: &Path) -> Result<Config, PropertiesError> {
    let own = [
        ("group.id", "it names this cluster, and is part of its transactional ids"),
        ("offset.storage.topic", "it names the topic of source offsets"),
    ];
    settings(path, &own)
}

/// The settings of a standalone process (Kafka Connect's standalone mode).
pub fn standalone(path: &Path) -> Result<Config, PropertiesError> {
    settings(path, &[("offset.storage.file.filename", "it names the file of source offsets")])
}

fn settings(path: &Path, own: &[(&'static str, &'static str)]) -> Result<Config, PropertiesError> {
    let pairs = read(path)?;
    for (key, hint) in COMMON.iter().chain(own).copied() {
        if !pairs.iter().any(|(known, value, _)| known == key && !value.trim().is_empty()) {
            return Err(PropertiesError::Missing { path: path.display().to_string(), key, hint });
        }
    }
    check_values(path, &pairs)?;
    Ok(pairs.into_iter().map(|(key, value, _)| (key, value)).collect())
}

fn check_values(path: &Path, pairs: &[(String, String, usize)]) -> Result<(), PropertiesError> {
    for (key, value, line) in pairs {
        let bad = |rule| PropertiesError::BadValue {
            path: path.display().to_string(),
            line: *line,
            key: key.clone(),
            value: value.clone(),
            rule,
        };
        if let Some((_, least)) = NUMBERS.iter().find(|(known, _)| known == key) {
            match value.trim().parse::<i64>() {
                Ok(number) if number >= *least => {}
                Ok(_) if *least == 1 => return Err(bad("it is at least 1")),
                Ok(_) if *least == -1 => return Err(bad("it is at least 1, or -1 for the broker's default")),
                Ok(_) => return Err(bad("it is not negative")),
                Err(_) => return Err(bad("it is a whole number")),
            }
        }
        if BOOLEANS.contains(&key.as_str()) && !matches!(value.trim().to_ascii_lowercase().as_str(), "true" | "false") {
            return Err(bad("it is true or false"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("file");
        file.write_all(text.as_bytes()).expect("write");
        file
    }

    const GOOD: &str = "bootstrap.servers=127.0.0.1:9092\ngroup.id=g\nkey.converter=K\nvalue.converter=V\n\
                        offset.storage.topic=o\n";

    #[test]
    fn a_good_file_is_read_whole() {
        let file = file(&format!("# comment\n{GOOD}offset.flush.interval.ms = 1000\ncustom:x\n"));
        let config = distributed(file.path()).expect("good");
        assert_eq!(config["offset.flush.interval.ms"], "1000");
        assert_eq!(config["custom"], "x");
        assert_eq!(config.len(), 7);
    }

    #[test]
    fn a_bad_value_is_named_with_its_line() {
        let file = file(&format!("{GOOD}offset.flush.interval.ms=soon\n"));
        let error = distributed(file.path()).expect_err("bad").to_string();
        assert!(
            error.ends_with(r#", line 6: offset.flush.interval.ms cannot be "soon": it is a whole number"#),
            "{error}"
        );
    }

    #[test]
    fn a_missing_key_is_named() {
        let file = file("group.id=g\n");
        let error = distributed(file.path()).expect_err("bad").to_string();
        assert!(error.contains("bootstrap.servers is missing"), "{error}");
        let error = distributed(Path::new("/nowhere/x.properties")).expect_err("bad").to_string();
        assert!(error.contains("/nowhere/x.properties cannot be read"), "{error}");
    }
}
