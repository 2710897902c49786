//! A real etcd on free loopback ports, ended by its own pid.

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// FERRY_ETCD, or what `deploy/local/install` has put into the project's cache; and FERRY_OLD_ETCD, where that is set.
pub fn binaries() -> Vec<PathBuf> {
    let cached = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.cache/etcd-3.7.3/etcd");
    let mut found = vec![std::env::var_os("FERRY_ETCD").map_or(cached, PathBuf::from)];
    found.extend(std::env::var_os("FERRY_OLD_ETCD").map(PathBuf::from));
    for path in &found {
        assert!(path.is_file(), "{} is not there: run deploy/local/install, or set FERRY_ETCD", path.display());
    }
    found
}

pub struct Etcd {
    binary: PathBuf,
    folder: tempfile::TempDir,
    client_port: u16,
    peer_port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Etcd {
    pub fn start(binary: &std::path::Path, arguments: &[&str]) -> Etcd {
        let mut etcd = Etcd {
            binary: binary.to_owned(),
            folder: tempfile::tempdir().expect("folder"),
            client_port: free_port(),
            peer_port: free_port(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            child: None,
        };
        etcd.restart();
        etcd
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    pub fn restart(&mut self) {
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let child = Command::new(&self.binary)
            .arg("--data-dir")
            .arg(self.folder.path())
            .args(["--name", "test", "--listen-client-urls", &self.url(), "--advertise-client-urls", &self.url()])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("test={peer}")])
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd starts");
        self.child = Some(child);
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill");
            child.wait().expect("wait");
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
    }
}
