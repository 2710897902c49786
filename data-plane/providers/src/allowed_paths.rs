//! `allowed.paths`: which files a provider may read (KIP-993).

use std::path::{Component, Path, PathBuf};

use data_plane_connector_api::config_def::{ConfigKey, ConfigType, Importance};
use data_plane_connector_api::{Config, ConfigDef, ConnectError};

const KEY: &str = "allowed.paths";

pub(crate) fn config_def() -> ConfigDef {
    ConfigDef::new([ConfigKey::optional(
        KEY,
        ConfigType::List,
        None,
        Importance::Low,
        "A comma separated list of paths that this config provider is allowed to access. If not set, all paths are allowed.",
    )])
}

/// Absolute paths without `.` and `..`; empty allows all.
///
/// Links are followed, as Kafka follows them: whoever may write into an allowed folder may lead out of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct AllowedPaths(Vec<PathBuf>);

impl AllowedPaths {
    pub(crate) fn from_config(config: &Config) -> Result<Self, ConnectError> {
        let text = config.get(KEY).map_or("", String::as_str);
        if text.is_empty() {
            return Ok(Self::default());
        }
        let parse = |entry: &str| {
            let path = normalize(Path::new(entry));
            let problem = match (path.is_absolute(), path.exists()) {
                (false, _) => "is not absolute",
                (true, false) => "does not exist",
                (true, true) => return Ok(path),
            };
            Err(ConnectError::config(format!("Path {entry} {problem} (in {KEY})")))
        };
        text.split(',').map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// The path to read, if there is one and it is allowed; Kafka only warns of one that is not.
    pub(crate) fn allow(&self, path: &str) -> Option<PathBuf> {
        if path.is_empty() {
            return None;
        }
        if self.0.is_empty() {
            return Some(PathBuf::from(path));
        }
        let normal = normalize(Path::new(path));
        let is_allowed = self.0.iter().any(|allowed| normal.starts_with(allowed));
        if !is_allowed {
            tracing::warn!(path, "The path is not allowed to be accessed");
        }
        is_allowed.then_some(normal)
    }
}

/// Takes `.` and `..` out by looking at the text only.
fn normalize(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(result.components().next_back(), Some(Component::Normal(_))) => {
                result.pop();
            }
            Component::ParentDir if result.has_root() => {}
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str) -> Result<AllowedPaths, ConnectError> {
        AllowedPaths::from_config(&[(KEY.to_owned(), text.to_owned())].into())
    }

    #[test]
    fn only_what_lies_below_an_allowed_path_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_str().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        let paths = allowed(&format!("{root}/./sub,{root}/sub/../sub")).unwrap();
        for path in ["sub", "sub/a", "sub/x/../a", "./sub/a"] {
            assert!(paths.allow(&format!("{root}/{path}")).is_some(), "{path}");
        }
        for path in ["sub/../a", "", "subway", "sub/../../etc"] {
            assert!(paths.allow(&format!("{root}/{path}")).is_none(), "{path}");
        }
        assert!(paths.allow("sub/a").is_none());
        assert!(allowed("").unwrap().allow("sub/../a").is_some());
    }

    #[test]
    fn allowed_paths_are_absolute_and_there() {
        assert_eq!(allowed("etc").unwrap_err().message, "Path etc is not absolute (in allowed.paths)");
        assert_eq!(allowed("/etc, /tmp").unwrap_err().message, "Path  /tmp is not absolute (in allowed.paths)");
        assert_eq!(allowed("/no/such").unwrap_err().message, "Path /no/such does not exist (in allowed.paths)");
    }

    #[test]
    fn dots_are_taken_out() {
        for (path, expected) in [("/a/../../b/./c", "/b/c"), ("../a/..", ".."), ("a/../../b", "../b"), ("/..", "/")] {
            assert_eq!(normalize(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
