//! Where the programs under test and the scripts are.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A script of `deploy/local`.
pub(crate) fn local_script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../local").join(name)
}

/// A binary of this workspace: in `FERRY_BIN_DIR` if that is set, else beside the running executable, which cargo puts in
/// `target/<profile>` (programs) or in `target/<profile>/deps` (tests).
pub fn binary(name: &str) -> Result<PathBuf> {
    let folder = match env::var_os("FERRY_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let executable = env::current_exe().context("finding this executable's own path")?;
            let folder = executable.parent().unwrap_or(Path::new("/")).to_owned();
            if folder.ends_with("deps") { folder.parent().unwrap_or(&folder).to_owned() } else { folder }
        }
    };
    let path = folder.join(name);
    if !path.is_file() {
        bail!("{} is not there: cargo build --bins in the same profile, or set FERRY_BIN_DIR", path.display());
    }
    Ok(path)
}

/// `kcat`, or `kafkacat` as Debian called it before.
pub fn kcat_program() -> &'static str {
    let path = env::var_os("PATH").unwrap_or_default();
    let there = |name: &str| env::split_paths(&path).any(|folder| folder.join(name).is_file());
    if !there("kcat") && there("kafkacat") { "kafkacat" } else { "kcat" }
}
