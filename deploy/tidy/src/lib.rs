//! House rules as tests: what a reviewer would say again and again is said here once. The rules are in `tests/rules.rs`.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The workspace's folder.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All files below the workspace's source folders with one of these endings, as paths relative to the root.
#[must_use]
pub fn files(endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["proto", "control-plane", "data-plane", "cli", "deploy", ".ci"] {
        walk(&root().join(folder), endings, &mut found);
    }
    found.sort();
    found
}

fn walk(folder: &Path, endings: &[&str], found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, endings, found);
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending))
            && let Ok(relative) = path.strip_prefix(root())
        {
            found.push(relative.to_string_lossy().into_owned());
        }
    }
}

/// A file's text.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn text(relative: &str) -> String {
    fs::read_to_string(root().join(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
}
