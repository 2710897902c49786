//! Several control planes: each serves everything, and the death of one costs the data nothing.

#![expect(clippy::print_stdout, reason = "the measured times are shown with --nocapture")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use deploy_e2e::{Arrivals, Etcd, EtcdCluster, Rest, SteadyLines, wait_until};
use proto::v1::{
    self, connector_service_client::ConnectorServiceClient, plugin_service_client::PluginServiceClient,
    worker_service_client::WorkerServiceClient,
};

use crate::cluster::{LIMIT, list, turn};
use crate::fleet::{Fleet, Places, last};

/// Lines a second of each source.
const RATE: usize = 200;
/// Sources: some on each worker.
const SOURCES: usize = 4;
/// Planners and tasks of these.
const UNITS: usize = 2 * SOURCES;
/// The longest time without a line at the destination that a dead replica may cost.
const GAP_LIMIT: Duration = Duration::from_secs(1);
/// After the leader's end another leads within this time.
const ELECTION_LIMIT: Duration = Duration::from_secs(3);
/// How long lines flow after a fault.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// How a process is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Kill,
    Terminate,
}

/// Lines that flow through a fleet, and where its units are meant to stay.
struct Flow {
    lines: SteadyLines,
    arrivals: Arrivals,
    places: Places,
}

impl Flow {
    fn start<S>(fleet: &Fleet<S>) -> Result<Flow> {
        let lines = SteadyLines::start(&fleet.files(SOURCES), RATE)?;
        fleet.copy_to("lines", SOURCES)?;
        let arrivals = fleet.follow(&["lines"])?;
        (0..SOURCES).try_for_each(|file| arrivals.wait_flowing(file, LIMIT))?;
        Ok(Flow { lines, arrivals, places: fleet.wait_settled(0, UNITS)? })
    }

    /// The longest gap of any source since then; an error if it is too long, or if a unit has moved.
    fn check<S>(&mut self, fleet: &Fleet<S>, replica: usize, since: Instant, what: &str) -> Result<()> {
        let newest = self.lines.written() - 1;
        (0..SOURCES).try_for_each(|file| self.arrivals.wait_for_line(file, newest, LIMIT))?;
        let gap = (0..SOURCES).map(|file| self.arrivals.longest_gap(file, since)).max().unwrap_or_default();
        println!("{what}: longest gap at the destination {:.2} s", gap.as_secs_f64());
        ensure!(gap < GAP_LIMIT, "{what}: a gap of {:.2} s", gap.as_secs_f64());
        wait_until(LIMIT, "all units RUNNING", || Ok(fleet.running(replica, UNITS).is_ok()))?;
        let now = fleet.running(replica, UNITS)?;
        ensure!(now == self.places, "{what}: units have moved from {:?} to {now:?}", self.places);
        self.arrivals.check()
    }

    fn finish<S>(self, fleet: &Fleet<S>) -> Result<()> {
        let Flow { lines, arrivals, .. } = self;
        let written = lines.finish()?;
        (0..SOURCES).try_for_each(|file| arrivals.wait_for_line(file, written - 1, LIMIT))?;
        let duplicates = fleet.check_topic("lines", 0..SOURCES, written)?;
        println!("{written} lines of each of {SOURCES} sources, none missing, {duplicates} duplicates");
        Ok(())
    }
}

/// Ends a replica, measures, and starts it again.
fn end_and_restart<S>(fleet: &mut Fleet<S>, flow: &mut Flow, victim: usize, end: End, is_leader: bool) -> Result<()> {
    let role = if is_leader { "leader" } else { "follower" };
    let what = format!("{end:?} of the {role}");
    let since = Instant::now();
    match end {
        End::Kill => fleet.replicas.get(victim).process().kill()?,
        End::Terminate => drop(fleet.replicas.get(victim).process().stop(LIMIT)?),
    }
    let other = (victim + 1) % fleet.replicas.count();
    let led = is_leader.then(|| fleet.replicas.leader_after(since, victim, LIMIT)).transpose()?;
    last(AFTERWARDS);
    flow.check(fleet, other, since, &what)?;
    if let Some((_, time)) = led {
        println!("{what}: another leads after {:.2} s", time.as_secs_f64());
        ensure!(time < ELECTION_LIMIT, "{what}: another leads only after {:.2} s", time.as_secs_f64());
    }
    fleet.replicas.get(victim).restart()?;
    fleet.wait_sessions()?;
    flow.check(fleet, victim, since, &format!("{what}, and its return"))
}

fn each_end_of_leader_and_follower<S>(fleet: &mut Fleet<S>, flow: &mut Flow, ends: &[End]) -> Result<()> {
    for end in ends {
        for is_leader in [true, false] {
            let leader = fleet.replicas.leader(None, LIMIT)?;
            let victim = if is_leader { leader } else { (leader + 1) % fleet.replicas.count() };
            end_and_restart(fleet, flow, victim, *end, is_leader)?;
        }
    }
    Ok(())
}

#[test]
fn a_replica_that_ends_costs_the_data_nothing() -> Result<()> {
    let mut fleet = Fleet::start(3, 2)?;
    let mut flow = Flow::start(&fleet)?;
    each_end_of_leader_and_follower(&mut fleet, &mut flow, &[End::Kill, End::Terminate])?;
    a_leader_that_is_stopped_is_replaced_and_wakes_harmlessly(&mut fleet, &mut flow)?;
    a_worker_that_dies_with_the_leader_is_taken_over(&mut fleet, &mut flow)?;
    flow.finish(&fleet)
}

fn a_leader_that_is_stopped_is_replaced_and_wakes_harmlessly(fleet: &mut Fleet<Etcd>, flow: &mut Flow) -> Result<()> {
    const STOPPED: Duration = Duration::from_secs(10);
    let leader = fleet.replicas.leader(None, LIMIT)?;
    let since = Instant::now();
    fleet.replicas.get(leader).process().pause()?;
    let (next, time) = fleet.replicas.leader_after(since, leader, LIMIT)?;
    println!("SIGSTOP of the leader: another leads after {:.2} s", time.as_secs_f64());
    last(STOPPED.saturating_sub(since.elapsed()));
    flow.check(fleet, next, since, "SIGSTOP of the leader")?;
    ensure!(time < ELECTION_LIMIT, "SIGSTOP of the leader: another leads only after {:.2} s", time.as_secs_f64());

    fleet.replicas.get(leader).process().resume()?;
    let old = &fleet.replicas.all()[leader];
    wait_until(LIMIT, "the old leader to see that it leads no more", || Ok(!old.leads()?))?;
    ensure!(fleet.replicas.all()[next].leads()?, "the new leader leads on");
    fleet.wait_sessions()?;
    last(AFTERWARDS);
    flow.check(fleet, leader, since, "SIGSTOP of the leader, and its return")
}

fn a_worker_that_dies_with_the_leader_is_taken_over(fleet: &mut Fleet<Etcd>, flow: &mut Flow) -> Result<()> {
    // An election, the lease, the settling time, and the start of the tasks, on a machine that does other things too.
    const TAKEOVER_LIMIT: Duration = Duration::from_secs(12);
    let leader = fleet.replicas.leader(None, LIMIT)?;
    let lost = flow.places["s0/0"].worker_id.clone();
    let victim = fleet.worker_with(&lost)?;
    let since = Instant::now();
    fleet.replicas.get(leader).process().kill()?;
    fleet.workers[victim].process().kill()?;
    for file in (0..SOURCES).filter(|file| flow.places[&format!("s{file}/0")].worker_id == lost) {
        let time = flow.arrivals.wait_after_silence(file, since, Duration::from_secs(1), LIMIT)?;
        println!("kill -9 of the leader and of the worker of s{file}: copying again after {:.2} s", time.as_secs_f64());
        ensure!(time < TAKEOVER_LIMIT, "s{file} was taken over only after {:.2} s", time.as_secs_f64());
    }
    fleet.replicas.get(leader).restart()?;
    fleet.workers.remove(victim);
    fleet.wait_sessions()?;
    flow.places = fleet.wait_settled(0, UNITS)?;
    Ok(())
}

#[test]
fn a_replica_that_ends_on_the_oldest_etcd_costs_nothing_either() -> Result<()> {
    let turn = turn();
    let Some(etcd) = Etcd::start_old()? else {
        println!("SKIPPED: FERRY_OLD_ETCD names no etcd 3.4");
        return Ok(());
    };
    let endpoint = etcd.endpoint();
    let mut fleet = Fleet::start_on(turn, etcd, &endpoint, 2, 2)?;
    let mut flow = Flow::start(&fleet)?;
    each_end_of_leader_and_follower(&mut fleet, &mut flow, &[End::Kill])?;
    flow.finish(&fleet)
}

#[test]
fn an_etcd_member_that_dies_costs_the_data_nothing() -> Result<()> {
    let turn = turn();
    let etcd = EtcdCluster::start(3)?;
    let endpoints = etcd.endpoints();
    let mut fleet = Fleet::start_on(turn, etcd, &endpoints, 2, 2)?;
    let mut flow = Flow::start(&fleet)?;
    for role in ["leader", "follower", "leader again"] {
        let leader = fleet.store.leader()?;
        let victim = if role == "follower" { (leader + 1) % 3 } else { leader };
        let since = Instant::now();
        fleet.store.member(victim).process().kill()?;
        // Longer than the lease and than the life of a replica's session in etcd.
        last(Duration::from_secs(5));
        flow.check(&fleet, 0, since, &format!("kill -9 of etcd's {role}"))?;
        fleet.store.member(victim).restart()?;
        last(AFTERWARDS);
        flow.check(&fleet, 1, since, &format!("kill -9 of etcd's {role}, and its return"))?;
    }
    flow.finish(&fleet)
}

#[test]
fn each_replica_serves_every_call() -> Result<()> {
    let fleet = Fleet::start(3, 2)?;
    let endpoints: Vec<String> = fleet.replicas.all().iter().map(|replica| replica.grpc_endpoint()).collect();
    let file = fleet.path("s0.txt").to_string_lossy().into_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for (turn, _) in endpoints.iter().enumerate() {
            // Each of them is once the one that is written to, and the others are read from at once.
            let here = &endpoints[turn];
            let (next, last) = (&endpoints[(turn + 1) % 3], &endpoints[(turn + 2) % 3]);
            writes_are_read_everywhere(&format!("c{turn}"), &file, here, next, last).await?;
        }
        anyhow::Ok(())
    })?;
    for replica in fleet.replicas.all() {
        let rest = replica.rest()?;
        ensure!(rest.get("/connectors")?.body == serde_json::json!([]), "all were deleted");
        ensure!(rest.get("/connector-plugins")?.body.as_array().is_some_and(|plugins| !plugins.is_empty()));
    }
    Ok(())
}

async fn writes_are_read_everywhere(name: &str, file: &str, here: &str, next: &str, last: &str) -> Result<()> {
    use v1::TargetState::{Paused, Running, Stopped};
    let full = format!("namespaces/default/connectors/{name}");
    let mut connectors = ConnectorServiceClient::connect(here.to_owned()).await?;
    let mut elsewhere = ConnectorServiceClient::connect(next.to_owned()).await?;
    let mut third = ConnectorServiceClient::connect(last.to_owned()).await?;

    let config = BTreeMap::from(
        [("connector.class", "FileStreamSource"), ("topic", "calls"), ("file", file)]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    let created = connectors
        .create_connector(v1::CreateConnectorRequest {
            parent: "namespaces/default".to_owned(),
            connector_id: name.to_owned(),
            connector: Some(v1::Connector { name: full.clone(), config: config.clone(), ..v1::Connector::default() }),
            ..v1::CreateConnectorRequest::default()
        })
        .await?
        .into_inner();
    let created = created.connector.context("no connector in the answer")?;
    for client in [&mut elsewhere, &mut third] {
        let read = client.get_connector(v1::GetConnectorRequest { name: full.clone() }).await?.into_inner();
        ensure!(read.connector.context("no connector")?.etag == created.etag, "another replica has another state");
        let parent = "namespaces/default".to_owned();
        let listed = client.list_connectors(v1::ListConnectorsRequest { parent, ..Default::default() }).await?;
        ensure!(listed.into_inner().connectors.iter().any(|connector| connector.name == full), "not listed");
    }
    let mut plugins = PluginServiceClient::connect(last.to_owned()).await?;
    let request = v1::ValidateConfigRequest { plugin: "FileStreamSource".to_owned(), config: config.clone() };
    ensure!(
        !plugins.validate_config(request).await?.into_inner().configs.is_empty(),
        "a replica validates through any worker"
    );
    let workers = v1::ListWorkersRequest::default();
    let workers = WorkerServiceClient::connect(next.to_owned()).await?.list_workers(workers).await?.into_inner();
    ensure!(workers.workers.len() == 2, "{workers:?}");

    // Each state is set on one replica and read from the two others.
    elsewhere.pause_connector(v1::PauseConnectorRequest { name: full.clone(), ..Default::default() }).await?;
    ensure!(target(&mut third, &full).await? == Paused && target(&mut connectors, &full).await? == Paused);
    third.resume_connector(v1::ResumeConnectorRequest { name: full.clone(), ..Default::default() }).await?;
    ensure!(target(&mut connectors, &full).await? == Running && target(&mut elsewhere, &full).await? == Running);
    connectors.stop_connector(v1::StopConnectorRequest { name: full.clone(), ..Default::default() }).await?;
    ensure!(target(&mut elsewhere, &full).await? == Stopped && target(&mut third, &full).await? == Stopped);

    let mut config = config;
    config.insert("topic".to_owned(), "others".to_owned());
    let changed = v1::Connector { name: full.clone(), config, ..v1::Connector::default() };
    let update = v1::UpdateConnectorRequest { connector: Some(changed), ..Default::default() };
    third.update_connector(update).await?;
    let history = v1::ListConnectorRevisionsRequest { parent: full.clone(), ..Default::default() };
    let revisions = elsewhere.list_connector_revisions(history).await?.into_inner().revisions;
    ensure!(revisions.len() == 2, "{revisions:?}");

    elsewhere.delete_connector(v1::DeleteConnectorRequest { name: full.clone(), ..Default::default() }).await?;
    for client in [&mut connectors, &mut third] {
        let gone = client.get_connector(v1::GetConnectorRequest { name: full.clone() }).await;
        ensure!(gone.is_err_and(|status| status.code() == tonic::Code::NotFound), "deleted elsewhere, and still read");
    }
    Ok(())
}

async fn target(client: &mut ConnectorServiceClient<tonic::transport::Channel>, name: &str) -> Result<v1::TargetState> {
    let read = client.get_connector(v1::GetConnectorRequest { name: name.to_owned() }).await?.into_inner();
    Ok(read.connector.context("no connector")?.target_state())
}

/// A source that has read all there is: every replica shows the position at its end, and RUNNING.
#[test]
fn each_replica_shows_where_a_task_stands() -> Result<()> {
    /// Workers sample about every second.
    const SAMPLED: Duration = Duration::from_secs(10);
    let fleet = Fleet::start(3, 2)?;
    let lines = SteadyLines::start(&fleet.files(1), RATE)?;
    fleet.copy_to("positions", 1)?;
    wait_until(LIMIT, "some lines", || Ok(lines.written() > 10 * RATE / 4))?;
    lines.finish()?;
    let end = std::fs::metadata(fleet.path("s0.txt"))?.len().to_string();
    for (index, replica) in fleet.replicas.all().iter().enumerate() {
        let cli = replica.cli()?;
        wait_until(SAMPLED, &format!("position {end} on replica {index}"), || {
            let printed = cli.json(&["get", "connectors", "s0"])?;
            let connector = list(&printed).first().cloned().unwrap_or(printed);
            let position = &connector["status"]["tasks"][0]["positions"][0]["offset"];
            ensure!(position.as_str().is_some_and(|offset| offset.contains(&end)), "it shows {connector}");
            Ok(true)
        })?;
        let rest: Rest = replica.rest()?;
        ensure!(rest.status("s0")?["tasks"][0]["state"] == "RUNNING");
    }
    Ok(())
}
