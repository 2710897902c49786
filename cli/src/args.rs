//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// Runs and watches Ferry's connectors.
#[derive(Debug, Parser)]
#[command(name = "ferry", version, propagate_version = true)]
pub struct Arguments {
    /// Address of the control plane
    #[arg(long, env = "FERRY_SERVER", default_value = "http://127.0.0.1:7400", global = true, value_name = "URL")]
    pub server: String,
    /// How to print
    #[arg(short, long, env = "FERRY_OUTPUT", value_enum, default_value = "table", global = true)]
    pub output: Format,
    /// The namespace
    #[arg(short, long, env = "FERRY_NAMESPACE", default_value = "default", global = true)]
    pub namespace: String,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people
    Table,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create connectors, or change them to what files say
    Apply(Apply),
    /// List things, or show one
    #[command(subcommand)]
    Get(Get),
    /// Show all about one thing
    #[command(subcommand)]
    Describe(Describe),
    /// Show how a connector's config has changed, by whom and why
    #[command(subcommand)]
    History(History),
    /// Give a connector the config of an earlier revision
    #[command(subcommand)]
    Rollback(Rollback),
    /// Delete connectors; their offsets and consumer groups stay
    #[command(subcommand)]
    Delete(Connectors),
    /// Hold connectors: tasks stay assigned and do not poll
    #[command(subcommand)]
    Pause(Connectors),
    /// Run connectors again, from paused or stopped
    #[command(subcommand)]
    Resume(Connectors),
    /// Stop connectors: their tasks are given up
    #[command(subcommand)]
    Stop(Connectors),
    /// Restart a connector or one task
    #[command(subcommand)]
    Restart(Restart),
    /// Give a worker nothing new; it keeps what it has
    #[command(subcommand)]
    Cordon(Workers),
    /// Give a worker units again, after cordon or drain
    #[command(subcommand)]
    Uncordon(Workers),
    /// Say that a silent worker's process has ended for good: its units are taken over
    #[command(subcommand)]
    Expire(Workers),
    /// Move everything away from a worker
    #[command(subcommand)]
    Drain(Workers),
    /// Check files on a worker that has their plugins; changes nothing
    Validate(Validate),
    /// Wait until a connector is in a state
    #[command(subcommand)]
    Wait(Wait),
    /// Run connectors in this one process, as Kafka Connect's standalone mode does
    Standalone(Standalone),
    /// Run a whole Ferry in this one process, to try things out
    Dev(Dev),
    /// Print a shell's completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Options of `standalone`.
#[derive(Debug, Args)]
pub struct Standalone {
    /// Kafka Connect's standalone worker properties, unchanged
    #[arg(value_name = "WORKER.properties")]
    pub worker_properties: PathBuf,
    /// Connectors: Kafka Connect's .properties, or YAML or JSON as for `apply`
    #[arg(value_name = "CONNECTOR.properties")]
    pub connectors: Vec<String>,
    /// Where gRPC is served
    #[arg(long, env = "FERRY_GRPC_LISTEN", default_value = "127.0.0.1:7400", value_name = "ADDRESS")]
    pub grpc_listen: SocketAddr,
    /// Keep connectors in this file; without it they are gone with the process, as in Kafka Connect
    #[arg(long, env = "FERRY_STATE", value_name = "FILE")]
    pub state: Option<PathBuf>,
}

/// Options of `dev`.
#[derive(Debug, Args)]
pub struct Dev {
    /// The Kafka cluster
    #[arg(long, env = "FERRY_BOOTSTRAP_SERVERS", default_value = "127.0.0.1:9092", value_name = "HOST:PORT,…")]
    pub bootstrap_servers: String,
    /// Connectors: files as for `apply`
    #[arg(value_name = "FILE")]
    pub connectors: Vec<String>,
    /// Where gRPC is served
    #[arg(long, env = "FERRY_GRPC_LISTEN", default_value = "127.0.0.1:7400", value_name = "ADDRESS")]
    pub grpc_listen: SocketAddr,
    /// Where Kafka Connect's REST API is served
    #[arg(long, env = "FERRY_REST_LISTEN", default_value = "127.0.0.1:8083", value_name = "ADDRESS")]
    pub rest_listen: SocketAddr,
    /// Keep connectors in this file; without it they are gone with the process
    #[arg(long, env = "FERRY_STATE", value_name = "FILE")]
    pub state: Option<PathBuf>,
}

/// Options of `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// YAML, JSON or .properties; `-` is standard input; may be repeated
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// Do every check, store nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for the history of the configs
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Options of `validate`.
#[derive(Debug, Args)]
pub struct Validate {
    /// YAML, JSON or .properties; `-` is standard input; may be repeated
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    pub files: Vec<String>,
}

/// What to get.
#[derive(Debug, Subcommand)]
pub enum Get {
    /// Connectors
    #[command(visible_aliases = ["connector", "c"])]
    Connectors {
        /// Only these
        names: Vec<String>,
        /// Print changes as they happen
        #[arg(short, long, conflicts_with = "names")]
        watch: bool,
        /// Of all namespaces
        #[arg(short = 'A', long, conflicts_with = "names")]
        all_namespaces: bool,
    },
    /// Workers
    #[command(visible_aliases = ["worker", "w"])]
    Workers {
        /// Only these, by id or host:port
        names: Vec<String>,
    },
    /// Plugins of the connected workers
    #[command(visible_aliases = ["plugin", "p"])]
    Plugins,
}

/// What to describe.
#[derive(Debug, Subcommand)]
pub enum Describe {
    /// A connector
    #[command(visible_aliases = ["connectors", "c"])]
    Connector {
        /// Its name
        name: String,
    },
}

/// Whose history.
#[derive(Debug, Subcommand)]
pub enum History {
    /// A connector
    #[command(visible_aliases = ["connectors", "c"])]
    Connector {
        /// Its name
        name: String,
        /// Only this one, with its config; as JSON or YAML it can be applied again
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "diff")]
        revision: Option<u64>,
        /// What revision N changed; with :M, what differs from N to M
        #[arg(long, value_name = "N[:M]", value_parser = revisions)]
        diff: Option<(u64, Option<u64>)>,
    },
}

/// What to roll back.
#[derive(Debug, Subcommand)]
pub enum Rollback {
    /// A connector
    #[command(visible_aliases = ["connectors", "c"])]
    Connector {
        /// Its name
        name: String,
        /// The revision whose config it gets; `ferry history` lists them
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        to: u64,
        /// Why, for the history
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Do every check, store nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Connectors by name.
#[derive(Debug, Subcommand)]
pub enum Connectors {
    /// Connectors
    #[command(visible_aliases = ["connectors", "c"])]
    Connector {
        /// Their names
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// What to restart.
#[derive(Debug, Subcommand)]
pub enum Restart {
    /// A connector
    #[command(visible_aliases = ["connectors", "c"])]
    Connector {
        /// Its name
        name: String,
        /// Its tasks too
        #[arg(long)]
        tasks: bool,
        /// Only what failed
        #[arg(long)]
        only_failed: bool,
    },
    /// One task
    #[command(visible_alias = "t")]
    Task {
        /// CONNECTOR/NUMBER
        #[arg(value_name = "CONNECTOR/NUMBER", value_parser = task)]
        task: (String, u32),
    },
}

/// A worker by name.
#[derive(Debug, Subcommand)]
pub enum Workers {
    /// A worker
    #[command(visible_aliases = ["workers", "w"])]
    Worker {
        /// Its id or host:port
        name: String,
    },
}

/// What to wait for.
#[derive(Debug, Subcommand)]
pub enum Wait {
    /// A connector
    #[command(visible_aliases = ["connectors", "c"])]
    Connector {
        /// Its name
        name: String,
        /// running: the connector and at least one task, and all of its tasks, run
        #[arg(long = "for", value_enum, value_name = "STATE")]
        state: Goal,
        /// How long, such as 500ms, 30s, 5m, 1h
        #[arg(long, default_value = "30s", value_parser = duration)]
        timeout: Duration,
    },
}

/// A state to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Goal {
    /// The connector and all of its tasks (one at least) run
    Running,
    /// The connector and all of its tasks are held
    Paused,
    /// The connector is stopped and has no tasks
    Stopped,
}

fn task(text: &str) -> Result<(String, u32), String> {
    let wrong = || "give a connector's name, a slash and a task's number, such as orders/0".to_owned();
    let (name, number) = text.rsplit_once('/').ok_or_else(wrong)?;
    if name.is_empty() {
        return Err(wrong());
    }
    Ok((name.to_owned(), number.parse().map_err(|_| wrong())?))
}

fn revisions(text: &str) -> Result<(u64, Option<u64>), String> {
    let number = |text: &str| {
        let wrong = || "give a revision's number, or two with a colon between, such as 3 or 3:5".to_owned();
        text.parse().ok().filter(|number: &u64| *number > 0).ok_or_else(wrong)
    };
    match text.split_once(':') {
        Some((from, to)) => Ok((number(from)?, Some(number(to)?))),
        None => Ok((number(text)?, None)),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "give a number and a unit, such as 500ms, 30s, 5m, 1h".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u32 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match &text[digits..] {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        _ => return Err(wrong()),
    };
    Ok(unit * number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_tree_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations_and_tasks() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert!(duration("30").is_err() && duration("s").is_err() && duration("1d").is_err());
        assert_eq!(task("a/b/3"), Ok(("a/b".to_owned(), 3)));
        assert_eq!((revisions("3"), revisions("3:5")), (Ok((3, None)), Ok((3, Some(5)))));
        assert!(["", "0", "3:", ":3", "a", "3:0"].iter().all(|text| revisions(text).is_err()));
        assert!(task("a").is_err() && task("/1").is_err() && task("a/x").is_err());
    }
}
