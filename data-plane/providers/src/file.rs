//! `FileConfigProvider`: the path is a `.properties` file, the keys are its keys.

use data_plane_connector_api::{Config, ConfigData, ConfigDef, ConfigProvider, ConnectError};

use crate::allowed_paths::{AllowedPaths, config_def};
use crate::properties::parse_properties;
use crate::read::read_text;

/// `org.apache.kafka.common.config.provider.FileConfigProvider`. Files are UTF-8 and at most 1 MiB.
#[derive(Clone, Debug, Default)]
pub struct FileConfigProvider {
    allowed: AllowedPaths,
}

impl ConfigProvider for FileConfigProvider {
    fn configure(&mut self, config: &Config) -> Result<(), ConnectError> {
        self.allowed = AllowedPaths::from_config(config)?;
        Ok(())
    }

    fn config_def(&self) -> ConfigDef {
        config_def()
    }

    fn get(&mut self, path: &str, keys: Option<&[String]>) -> Result<ConfigData, ConnectError> {
        let Some(allowed) = self.allowed.allow(path) else { return Ok(ConfigData::default()) };
        let failed =
            |reason: &str| ConnectError::config(format!("Could not read properties from file {path}: {reason}"));
        let text = read_text(&allowed).map_err(|reason| failed(&reason))?;
        let mut data = parse_properties(&text).map_err(|error| failed(&error.to_string()))?;
        if let Some(keys) = keys {
            data.retain(|key, _| keys.contains(key));
        }
        Ok(ConfigData { data, ttl: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_file_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("f"), "user=me\npassword=s3cret\n").unwrap();
        std::fs::write(path("bad"), "password=s3cret\\u12x\n").unwrap();
        std::fs::write(path("latin1"), b"password=s3cret\xe9\n").unwrap();
        std::fs::write(path("large"), vec![b'#'; (1 << 20) + 1]).unwrap();
        std::fs::write(path("just"), vec![b'#'; 1 << 20]).unwrap();
        let mut provider = FileConfigProvider::default();
        provider.configure(&Config::new()).unwrap();
        let mut keys = |file: &str, keys: Option<&[String]>| {
            provider.get(file, keys).map(|found| found.data.into_keys().collect::<Vec<_>>().join("+"))
        };
        assert_eq!(keys(&path("f"), None), Ok("password+user".to_owned()));
        assert_eq!(keys(&path("f"), Some(&["user".to_owned(), "no".to_owned()])), Ok("user".to_owned()));
        assert_eq!(keys("", None), Ok(String::new()));
        assert_eq!(keys(&path("just"), None), Ok(String::new()));
        for (name, reason) in [
            ("none", "No such file"),
            ("", "regular file"),
            ("bad", "Malformed \\uxxxx encoding."),
            ("latin1", "not UTF-8 at byte 15"),
            ("large", "larger than 1048576 bytes"),
        ] {
            let error = keys(&path(name), None).unwrap_err();
            assert_eq!(error.class, "org.apache.kafka.common.config.ConfigException");
            assert!(error.message.starts_with(&format!("Could not read properties from file {}: ", path(name))));
            assert!(error.message.contains(reason) && !error.message.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_path_that_is_not_allowed_has_nothing() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
        std::fs::write(outside.path(), "a=1").unwrap();
        let mut provider = FileConfigProvider::default();
        let config = [("allowed.paths".to_owned(), inside.path().to_str().unwrap().to_owned())].into();
        provider.configure(&config).unwrap();
        assert_eq!(provider.get(outside.path().to_str().unwrap(), None), Ok(ConfigData::default()));
    }
}
