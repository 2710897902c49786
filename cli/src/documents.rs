//! Files of connectors: YAML or JSON (several documents a file), Kafka Connect's `{"name", "config"}`, or a
//! `.properties` file. All mistakes of all files are found before anything is done with any of them.

mod document;
mod node;
mod read;

use crate::failure::{Failure, Kind};
pub(crate) use document::{Document, Target};
use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
};

/// Most bytes of a file.
const MAX_FILE_BYTES: usize = 64 * 1024 * 1024;

/// Where a document stands, for errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    file: String,
    /// From 1.
    number: usize,
    /// Of its first text, from 1.
    line: usize,
}

impl Origin {
    /// An error of the document as a whole, or of the line given.
    fn error(&self, line: Option<usize>, text: &str) -> String {
        format!("{}: document {} (line {}): {text}", self.file, self.number, line.unwrap_or(self.line))
    }
}

/// All documents of all files, or every mistake in them.
pub(crate) fn load(files: &[String]) -> Result<Vec<Document>, Failure> {
    let mut contents = Vec::new();
    for file in files {
        contents.push((file.as_str(), bytes(file)?));
    }
    parse(&contents)
}

fn bytes(file: &str) -> Result<Vec<u8>, Failure> {
    let read = match file {
        "-" => {
            let mut bytes = Vec::new();
            io::stdin().take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map(|_| bytes)
        }
        path => fs::read(path),
    };
    match read {
        Ok(bytes) if bytes.len() > MAX_FILE_BYTES => {
            Err(Failure::new(Kind::Caller, format!("{file}: it is larger than {MAX_FILE_BYTES} bytes")))
        }
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(Failure::new(Kind::Caller, format!("{file}: there is no such file")))
        }
        Err(error) => Err(Failure::new(Kind::Environment, format!("{file}: {error}"))),
    }
}

fn parse(contents: &[(&str, Vec<u8>)]) -> Result<Vec<Document>, Failure> {
    let (mut documents, mut errors) = (Vec::new(), Vec::new());
    for (file, bytes) in contents {
        let found = read::file(file, bytes, &mut errors);
        if found.is_empty() && errors.is_empty() {
            errors.push(format!("{file}: it has no document; give at least one connector"));
        }
        documents.extend(found);
    }
    let mut first = BTreeMap::new();
    for document in &documents {
        if let Some(earlier) = first.insert(&document.name, &document.origin) {
            let text = format!("name: connector {:?} is already in {}", document.name, earlier.error(None, "here"));
            errors.push(document.origin.error(None, text.trim_end_matches(": here")));
        }
    }
    if errors.is_empty() { Ok(documents) } else { Err(Failure::caller(errors)) }
}

#[cfg(test)]
mod tests;
