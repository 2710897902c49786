//! `DirectoryConfigProvider`: the path is a directory, the keys are the names of its files, the values their whole text.

use std::collections::BTreeMap;
use std::path::Path;

use data_plane_connector_api::{Config, ConfigData, ConfigDef, ConfigProvider, ConnectError};

use crate::allowed_paths::{AllowedPaths, config_def};
use crate::read::read_text;

/// The most files that are read at once.
const MAX_FILES: usize = 1000;

/// `org.apache.kafka.common.config.provider.DirectoryConfigProvider`. Regular files only (links to them too), not those of
/// subdirectories; UTF-8, at most 1 MiB each, at most 1,000.
#[derive(Clone, Debug, Default)]
pub struct DirectoryConfigProvider {
    allowed: AllowedPaths,
}

impl ConfigProvider for DirectoryConfigProvider {
    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        self.allowed = AllowedPaths::from_config(config)?;
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        config_def()
    }

    fn get(&mut self, path: &str, keys: Option<&[String]>) -> Result<ConfigData, ConnectError> {
        let Some(allowed) = self.allowed.allow(path) else { return Ok(ConfigData::default()) };
        if !allowed.is_dir() {
            tracing::warn!(path, "The path is not a directory");
            return Ok(ConfigData::default());
        }
        Ok(ConfigData { data: read_files(&allowed, path, keys)?, ttl: None })
    }
}

fn read_files(folder: &Path, path: &str, keys: Option<&[String]>) -> Result<BTreeMap<String, String>, ConnectError> {
    let failed = |error: std::io::Error| ConnectError::config(format!("Could not list directory {path}: {error}"));
    let mut data = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let Some(name) = file.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        if keys.is_some_and(|keys| !keys.contains(&name)) || !file.is_file() {
            continue;
        }
        if data.len() == MAX_FILES {
            return Err(ConnectError::config(format!("Could not read directory {path}: more than {MAX_FILES} files")));
        }
        let text = read_text(&file).map_err(|reason| {
            ConnectError::config(format!("Could not read file {} for property {name}: {reason}", file.display()))
        })?;
        data.insert(name, text);
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_directory_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::write(root.join("password"), "s3cret\n").unwrap();
        std::fs::create_dir(root.join("sub")).unwrap();
        std::fs::write(root.join("sub/inner"), "x").unwrap();
        std::os::unix::fs::symlink(root.join("sub/inner"), root.join("link")).unwrap();
        let mut provider = DirectoryConfigProvider::default();
        provider.configure(&Config::new()).unwrap();
        let mut get = |path: &Path, keys: Option<&[String]>| provider.get(path.to_str().unwrap(), keys);
        let found = get(root, None).unwrap().data;
        assert_eq!(found, [("link".to_owned(), "x".to_owned()), ("password".to_owned(), "s3cret\n".to_owned())].into());
        for path in [&root.join("none"), &root.join("password"), Path::new("")] {
            assert_eq!(get(path, None), Ok(ConfigData::default()));
        }

        // A file that cannot be read harms those only who ask for it.
        std::fs::write(root.join("binary"), b"s3cret\xff").unwrap();
        let error = get(root, None).unwrap_err();
        assert!(error.message.ends_with("for property binary: it is not UTF-8 at byte 6"), "{error}");
        assert_eq!(get(root, Some(&["link".to_owned()])).unwrap().data.len(), 1);
    }

    #[test]
    fn too_many_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..=MAX_FILES {
            std::fs::write(folder.path().join(number.to_string()), "x").unwrap();
        }
        let mut provider = DirectoryConfigProvider::default();
        let error = provider.get(folder.path().to_str().unwrap(), None).unwrap_err();
        assert!(error.message.ends_with("more than 1000 files"), "{error}");
        assert_eq!(provider.get(folder.path().to_str().unwrap(), Some(&["7".to_owned()])).unwrap().data.len(), 1);
    }
}
