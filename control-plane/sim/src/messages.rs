//! What workers and replicas say to each other, in the cores' types.

use control_plane_core::{
    connector::Config,
    ids::{ConnectorUid, Epoch, Unit, UnitKind, WorkerId},
    status::RunState,
};
use data_plane_core::assignment::{self, Document, UnitName};
use std::{collections::BTreeSet, fmt, rc::Rc};

/// What a runner needs of an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The connector's name.
    pub connector: String,
    /// Its config.
    pub connector_config: Config,
}

/// What a worker says first.
#[derive(Debug, Clone)]
pub struct Hello {
    /// Who it is.
    pub worker: WorkerId,
    /// The id was welcomed before.
    pub is_registered: bool,
    /// What runs there.
    pub held: Vec<(Unit, Epoch)>,
    /// The replicas that it counts on.
    pub known: BTreeSet<String>,
    /// The newest revision that it was told of.
    pub revision: i64,
    /// The incarnation in its first Welcome.
    pub incarnation: u32,
}

/// A worker's words.
#[derive(Debug, Clone)]
pub enum ToReplica {
    /// The first word.
    Hello(Hello),
    /// A heartbeat.
    Heartbeat(u64),
    /// To be stored.
    Report(u64, Report),
    /// The process wants to end.
    DrainMe,
    /// It holds nothing any more.
    Goodbye,
    /// The connection was closed.
    Fin,
}

/// What a worker reports until it is answered.
#[derive(Debug, Clone)]
pub enum Report {
    /// A unit's transition, and its number.
    State(Unit, Epoch, u64, RunState),
    /// A grant has ended there.
    Ended(Unit, Epoch),
    /// A planner made tasks; which of its task sets that is.
    TaskSet(ConnectorUid, Epoch, u64, Vec<Config>),
    /// The replicas that the worker counts on.
    KnownReplicas(BTreeSet<String>),
    /// An epoch that was found above a grant's.
    EpochSeen(EpochSeen),
}

/// A unit, its grant, what was found, and whether that was found where it stores its offsets.
#[derive(Debug, Clone, Copy)]
pub struct EpochSeen {
    pub unit: Unit,
    pub granted: Epoch,
    pub later: Epoch,
    pub is_stored: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::State(unit, epoch, _, state) => write!(f, "{unit} {epoch} is {state:?}"),
            Report::Ended(unit, epoch) => write!(f, "{unit} {epoch} has ended"),
            Report::TaskSet(uid, epoch, _, tasks) => write!(f, "{uid}/planner {epoch} makes {} tasks", tasks.len()),
            Report::KnownReplicas(known) => write!(f, "counts on {known:?}"),
            Report::EpochSeen(EpochSeen { unit, granted, later, .. }) => {
                write!(f, "{unit} under {granted} found {later}")
            }
        }
    }
}

/// A replica's words.
#[derive(Debug, Clone)]
pub enum ToWorker {
    /// The session is open.
    Welcome { address: String, lease_ms: u64, replicas: Vec<String>, incarnation: u32 },
    /// A heartbeat was stored, or cannot be.
    Ack { number: u64, hold: bool },
    /// What to hold.
    Document(Document<Rc<Work>>),
    /// The replicas that there are.
    Replicas(Vec<String>),
    /// The worker's id is void.
    Expired,
    /// A report was stored, or is void.
    ReportAck(u64),
    /// The connection was closed.
    Fin,
}

/// To the data plane's words.
pub fn unit_name(unit: Unit) -> UnitName {
    let task = match unit.kind {
        UnitKind::Planner => None,
        UnitKind::Task(number) => Some(number),
    };
    UnitName { connector_uid: unit.connector.to_string(), task }
}

/// From the data plane's words; what the control plane named is a UUID.
pub fn unit_of(name: &UnitName) -> Unit {
    let connector = name.connector_uid.parse().unwrap_or(ConnectorUid(uuid::Uuid::nil()));
    Unit { connector, kind: name.task.map_or(UnitKind::Planner, UnitKind::Task) }
}

/// To the data plane's words.
pub fn worker_epoch(epoch: Epoch) -> assignment::Epoch {
    assignment::Epoch { incarnation: epoch.incarnation, counter: epoch.counter }
}

/// From the data plane's words.
pub fn core_epoch(epoch: assignment::Epoch) -> Epoch {
    Epoch { incarnation: epoch.incarnation, counter: epoch.counter }
}
