//! Where cases come from.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde_json::Value as Json;

/// All cases, in order of files and lines: of the folder that `FERRY_GOLDEN_DIR` names, else of this crate.
///
/// # Errors
/// If the folder, a file or a line cannot be read; the text names it.
pub fn load() -> io::Result<Vec<Json>> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let folder = std::env::var_os("FERRY_GOLDEN_DIR").map_or(own, PathBuf::from);
    let in_folder = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&folder).map_err(in_folder)? {
        files.push(entry.map_err(in_folder)?.path());
    }
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let Some(name) = file.file_name().and_then(|name| name.to_str()) else { continue };
        let text = match name {
            name if name.ends_with(".jsonl") => fs::read_to_string(&file),
            name if name.ends_with(".jsonl.gz") => fs::File::open(&file).and_then(|packed| {
                let mut text = String::new();
                GzDecoder::new(packed).read_to_string(&mut text).map(|_| text)
            }),
            _ => continue,
        };
        let text = text.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let case = serde_json::from_str(line);
            cases.push(case.map_err(|error| io::Error::other(format!("{}:{}: {error}", file.display(), number + 1)))?);
        }
    }
    if cases.is_empty() {
        return Err(io::Error::other(format!("{} holds no cases (*.jsonl or *.jsonl.gz)", folder.display())));
    }
    Ok(cases)
}
