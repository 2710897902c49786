//! Who runs this program, as the control plane is told: `USER@HOST` in each request's metadata, for the history.

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
};

/// The metadata that names the caller.
const HEADER: &str = "ferry-user";

/// Adds the caller to requests.
#[derive(Clone)]
pub(crate) struct Caller(Option<MetadataValue<Ascii>>);

impl Caller {
    /// From the environment and the host's name.
    pub(crate) fn of_this_process() -> Caller {
        let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
        let system = rustix::system::uname();
        Caller::named(&user.unwrap_or_else(|| "unknown".to_owned()), &system.nodename().to_string_lossy())
    }

    fn named(user: &str, host: &str) -> Caller {
        // Metadata is plain ASCII.
        let plain =
            |text: &str| text.replace(|c: char| !c.is_ascii_graphic(), "_").chars().take(120).collect::<String>();
        Caller(format!("{}@{}", plain(user), plain(host)).parse().ok())
    }
}

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(name) = &self.0 {
            request.metadata_mut().insert(HEADER, name.clone());
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_can_be_told() {
        let check = |user: &str, host: &str, expected: &str| {
            let request = Caller::named(user, host).call(Request::new(())).unwrap();
            assert_eq!(request.metadata().get(HEADER).unwrap(), expected);
        };
        check("ann", "h.example", "ann@h.example");
        check("zoë b", "h", "zo__b@h");
        check(&"x".repeat(500), "h", &format!("{}@h", "x".repeat(120)));
        let own = Caller::of_this_process().call(Request::new(())).unwrap();
        assert!(own.metadata().get(HEADER).unwrap().to_str().unwrap().contains('@'));
    }
}
