//! A single etcd server, and a cluster of several.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::places::local_script;
use crate::ports::free_port;
use crate::process::{Process, Spec};
use crate::rest::Rest;
use crate::wait::{wait_for, wait_until};

const READY_LIMIT: Duration = Duration::from_secs(30);
/// A member that is asked for its state answers at once, or is away.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// etcd on loopback with a data folder of its own, removed at the end. The program is `FERRY_ETCD`, or the one that
/// `deploy/local/install` made.
pub struct Etcd {
    process: Process,
    port: u16,
    peer_port: u16,
    folder: TempDir,
}

impl Etcd {
    /// Starts one and waits until it serves.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// As [`Etcd::start`], of the oldest version that Ferry works with: the program that `FERRY_OLD_ETCD` names. None if
    /// that is not set.
    pub fn start_old() -> Result<Option<Self>> {
        match env::var("FERRY_OLD_ETCD") {
            Ok(program) => Self::start_with(&[("FERRY_ETCD", &program)]).map(Some),
            Err(_) => Ok(None),
        }
    }

    fn start_with(variables: &[(&str, &str)]) -> Result<Self> {
        let mut etcd = Self::launch(free_port(), free_port(), variables)?;
        etcd.wait_until_it_serves()?;
        Ok(etcd)
    }

    /// Starts one; it may not serve yet.
    fn launch(port: u16, peer_port: u16, variables: &[(&str, &str)]) -> Result<Self> {
        let folder = TempDir::with_prefix("ferry-etcd-")?;
        let mut spec = Spec::new("etcd", local_script("run-etcd"), folder.path())
            .arg(folder.path().join("data"))
            .arg(port.to_string())
            .arg(peer_port.to_string());
        for (name, value) in variables {
            spec = spec.env(name, value);
        }
        Ok(Self { process: Process::start(spec)?, port, peer_port, folder })
    }

    /// Asked, not read from its log: versions say it in different words.
    fn wait_until_it_serves(&mut self) -> Result<()> {
        let rest = Rest::impatient(&self.endpoint(), ANSWER_LIMIT)?;
        wait_until(READY_LIMIT, "etcd", || {
            ensure!(self.process.is_running()?, "it ended:\n{}", self.process.log());
            Ok(rest.get("/health")?.status == 200)
        })
    }

    /// Its client URL.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The process, to pause or kill.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Whether a text is anywhere in what it has written to disk, its log included.
    pub fn has_stored(&self, text: &str) -> Result<bool> {
        holds(&self.data(), text.as_bytes())
    }

    /// Ends it, copies its data, and starts it again: a backup of the simplest kind.
    pub fn back_up(&mut self, copy: &Path) -> Result<()> {
        self.process.kill()?;
        copy_folder(&self.data(), copy)?;
        self.restart()
    }

    /// Ends it and puts a copy in the place of its data; None: nothing at all. It is to be restarted.
    pub fn replace_data(&mut self, copy: Option<&Path>) -> Result<()> {
        self.process.kill()?;
        fs::remove_dir_all(self.data())?;
        copy.map_or(Ok(()), |copy| copy_folder(copy, &self.data()))
    }

    /// A snapshot of what it has now, by etcdctl.
    pub fn save_snapshot(&self, file: &Path) -> Result<()> {
        let etcdctl = etcdctl();
        run(Command::new(&etcdctl).env("ETCDCTL_API", "3").args(["--endpoints", &self.endpoint()]).args([
            "snapshot".as_ref(),
            "save".as_ref(),
            file.as_os_str(),
        ]))
    }

    /// Ends it and restores a snapshot as etcd's manual says: into a new cluster of one. It is to be restarted. False: there
    /// is no program that can, which is etcdutl (named by `FERRY_ETCDUTL`, or beside etcdctl), or an etcdctl before 3.6.
    pub fn restore_snapshot(&mut self, file: &Path) -> Result<bool> {
        let etcdctl = etcdctl();
        let etcdutl = env::var_os("FERRY_ETCDUTL").map_or_else(|| etcdctl.with_file_name("etcdutl"), PathBuf::from);
        let program = if etcdutl.is_file() { etcdutl } else { etcdctl };
        let help = Command::new(&program).env("ETCDCTL_API", "3").args(["snapshot", "restore", "--help"]).output()?;
        if !String::from_utf8_lossy(&help.stdout).contains("--data-dir") {
            return Ok(false);
        }
        self.replace_data(None)?;
        let peer = format!("http://127.0.0.1:{}", self.peer_port);
        let restore = [file.as_os_str(), "--name".as_ref(), "local".as_ref(), "--data-dir".as_ref()];
        run(Command::new(&program)
            .env("ETCDCTL_API", "3")
            .args(["snapshot", "restore"])
            .args(restore)
            .arg(self.data())
            .args(["--initial-cluster", &format!("local={peer}"), "--initial-advertise-peer-urls", &peer]))?;
        Ok(true)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts it again (killed before, if it still runs) on the same data and ports, and waits until it serves.
    pub fn restart(&mut self) -> Result<()> {
        self.process.restart()?;
        self.wait_until_it_serves()
    }

    /// (its own member id, the id of the member that it takes for the leader), as etcd prints them.
    fn status(&self) -> Result<(String, String)> {
        let rest = Rest::impatient(&self.endpoint(), ANSWER_LIMIT)?;
        let body = rest.request(Method::POST, "/v3/maintenance/status", Some(&json!({})))?.body;
        let text = |value: &Value| value.as_str().map(str::to_owned).with_context(|| format!("{body}"));
        Ok((text(&body["header"]["member_id"])?, text(&body["leader"])?))
    }
}

/// Members of one cluster, each with a data folder of its own.
pub struct EtcdCluster {
    members: Vec<Etcd>,
}

impl EtcdCluster {
    /// Starts so many and waits until all serve.
    pub fn start(count: usize) -> Result<Self> {
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let peers = ports.iter().enumerate().map(|(index, (_, peer))| format!("m{index}=http://127.0.0.1:{peer}"));
        let peers = peers.collect::<Vec<_>>().join(",");
        let members = ports.iter().enumerate().map(|(index, (port, peer))| {
            let flags = format!("--name m{index} --initial-cluster {peers}");
            Etcd::launch(*port, *peer, &[("FERRY_ETCD_ARGS", &flags)])
        });
        let mut cluster = Self { members: members.collect::<Result<_>>()? };
        for member in &mut cluster.members {
            member.wait_until_it_serves()?;
        }
        Ok(cluster)
    }

    /// The members' client URLs, as one argument.
    pub fn endpoints(&self) -> String {
        self.members.iter().map(Etcd::endpoint).collect::<Vec<_>>().join(",")
    }

    /// A member, to kill or restart.
    pub fn member(&mut self, index: usize) -> &mut Etcd {
        &mut self.members[index]
    }

    /// Waits until some member knows the leader; which one that is.
    pub fn leader(&self) -> Result<usize> {
        wait_for(READY_LIMIT, "a leader of etcd", || {
            let states: Vec<_> = self.members.iter().map(|member| member.status().ok()).collect();
            let named = states.iter().flatten().map(|(_, leader)| leader).find(|leader| *leader != "0");
            Ok(states.iter().position(|state| state.as_ref().is_some_and(|(id, _)| Some(id) == named)))
        })
    }
}

/// `FERRY_ETCDCTL`, or the one on the path.
fn etcdctl() -> PathBuf {
    env::var_os("FERRY_ETCDCTL").map_or_else(|| PathBuf::from("etcdctl"), PathBuf::from)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

fn holds(folder: &Path, text: &[u8]) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_there = match path.is_dir() {
            true => holds(&path, text)?,
            false => fs::read(&path)?.windows(text.len()).any(|window| window == text),
        };
        if is_there {
            return Ok(true);
        }
    }
    Ok(false)
}
