//! Hello: whether a worker may hold units under its id, and what it tells of the store having gone back.

use super::{PROTOCOL, WorkerSessions, unit_epoch};
use control_plane_core::{
    ids::{Epoch, Instance, Revision, SettingsId, Unit, WorkerId},
    keys::{Key, encode},
    time::Wall,
    txn::{Compare, Txn},
    worker::{Worker, WorkerState},
    world::World,
};
use control_plane_store::{Outcome, StoreError};
use proto::worker_v1 as wire;
use std::collections::{BTreeMap, BTreeSet};

/// Addresses of replicas that are kept of a worker: it keeps fewer.
pub(super) const KNOWN_REPLICAS_LIMIT: usize = 128;

/// What becomes of a worker that says Hello.
pub(super) enum Registered {
    /// It is registered.
    Welcome(WorkerId),
    /// Its id is void.
    Expired,
    /// For good; the text is for people.
    Refused(String),
}

impl WorkerSessions {
    pub(super) async fn register(&self, hello: &wire::Hello) -> Result<Registered, StoreError> {
        if hello.protocol_min > PROTOCOL || hello.protocol_max < PROTOCOL {
            return Ok(Registered::Refused(format!(
                "this control plane speaks protocol {PROTOCOL}, the worker {} to {}: upgrade the older of the two",
                hello.protocol_min, hello.protocol_max
            )));
        }
        let entry = match entry(hello, self.clock.wall()) {
            Ok(mut entry) => {
                // By whatever name it was dialled: from its first acknowledgement on the worker counts on this replica.
                // One that counts on nobody goes on by acknowledgements only, and any leader may expire it.
                if !entry.known_replicas.is_empty() {
                    entry.known_replicas.insert(self.address.clone());
                }
                entry
            }
            Err(reason) => return Ok(Registered::Refused(reason)),
        };
        let id = entry.id;
        self.look_at_what_it_saw(hello).await?;
        for _ in 0..5 {
            let known = self.cache.world().workers.get(&id).map(|stored| stored.value.clone());
            match known {
                Some(known) if known.state == WorkerState::Expired => return Ok(Registered::Expired),
                Some(known) if known.instance.is_some() && known.instance != entry.instance => {
                    return Ok(Registered::Refused(another_process(&known, hello)));
                }
                Some(known) if known.known_replicas == entry.known_replicas => return Ok(Registered::Welcome(id)),
                Some(_) => {
                    self.reports.known_replicas(id, entry.known_replicas.clone()).await?;
                    return Ok(Registered::Welcome(id));
                }
                None => {}
            }
            self.cache.up_to_date(&*self.reports.store).await?;
            if self.cache.world().workers.contains_key(&id) {
                continue;
            }
            if hello.registered || !hello.held.is_empty() {
                // It was known once, and is no more: what it holds is not its own, and an id never comes back. A replica
                // that lags behind could give it its old grants again.
                return Ok(Registered::Expired);
            }
            let incarnation = self.cache.world().incarnation();
            let entry = Worker { incarnation, ..entry.clone() };
            let txn = Txn::new().when(Compare::Absent(Key::Worker(id))).put(Key::Worker(id), encode(&entry));
            if let Outcome::Committed(revision) = self.reports.store.commit(txn).await? {
                self.cache.reach(revision).await?;
            }
        }
        Err(StoreError::Unavailable("the worker could not be registered".to_owned()))
    }

    /// A worker shows what it was told: if this replica, brought up to date, does not know of it, the store has forgotten it.
    async fn look_at_what_it_saw(&self, hello: &wire::Hello) -> Result<(), StoreError> {
        let seen = Revision(hello.revision as i64);
        let held: Vec<(Unit, Epoch)> =
            hello.held.iter().filter_map(|held| unit_epoch(held.unit.clone(), held.epoch)).collect();
        let is_unknown = |world: &World| held.iter().any(|(unit, epoch)| world.has_forgotten(*unit, *epoch));
        if self.cache.world().revision < seen && self.reports.store.present().await?.1 < seen {
            self.cache.up_to_date(&*self.reports.store).await?;
            self.has_forgotten(hello.incarnation);
        }
        if is_unknown(&self.cache.world()) {
            self.cache.up_to_date(&*self.reports.store).await?;
            if is_unknown(&self.cache.world()) {
                self.has_forgotten(held.iter().map(|(_, epoch)| epoch.incarnation).max().unwrap_or_default());
            }
        }
        Ok(())
    }

    pub(super) fn has_forgotten(&self, incarnation: u32) {
        let is_news = self.cache.write().world().saw_forgotten(incarnation);
        if is_news {
            tracing::error!(
                incarnation,
                "the store has forgotten what a worker was told; was it restored from a backup, or emptied?"
            );
            // The leader's loop looks again.
            self.cache.touched();
        }
    }
}

fn another_process(known: &Worker, hello: &wire::Hello) -> String {
    format!(
        "the worker id {} belongs to another process, at {}: two processes of one id would run the same units. This one, at \
         {}, must start with an id of its own, as a worker does that was not copied from a running one",
        known.id, known.address, hello.address
    )
}

fn entry(hello: &wire::Hello, now: Wall) -> Result<Worker, String> {
    let id = hello.worker_id.parse::<WorkerId>().map_err(|error| format!("worker_id: {error}"))?;
    let instance = match hello.instance.as_str() {
        // A worker of before there were instances.
        "" => None,
        text => Some(text.parse::<Instance>().map_err(|error| format!("instance: {error}"))?),
    };
    let mut settings = BTreeSet::new();
    for id in &hello.settings_served {
        settings.insert(SettingsId::parse(id.as_str()).map_err(|error| format!("settings_served: {error}"))?);
    }
    let mut connector_versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for plugin in hello.plugins.iter().filter(|plugin| plugin.kind == "source" || plugin.kind == "sink") {
        connector_versions.entry(plugin.class.clone()).or_default().insert(plugin.version.clone());
    }
    Ok(Worker {
        id,
        address: hello.address.clone(),
        pool: hello.pool.clone(),
        zone: hello.zone.clone(),
        labels: hello.labels.clone(),
        capacity: hello.capacity,
        settings,
        connectors: connector_versions.keys().cloned().collect(),
        connector_versions,
        version: hello.version.clone(),
        state: WorkerState::Active,
        started: now,
        incarnation: 1,
        known_replicas: hello.known_replicas.iter().take(KNOWN_REPLICAS_LIMIT).cloned().collect(),
        instance,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workers_entry_names_the_versions_of_its_connectors() {
        let plugin = |kind: &str, class: &str, version: &str| wire::PluginInfo {
            kind: kind.to_owned(),
            class: class.to_owned(),
            version: version.to_owned(),
            ..Default::default()
        };
        let hello = wire::Hello {
            worker_id: "00000000-0000-0000-0000-000000000007".to_owned(),
            plugins: vec![plugin("source", "A", "1.0"), plugin("source", "A", "2.0"), plugin("converter", "B", "1.0")],
            ..Default::default()
        };
        let worker = entry(&hello, Wall(0)).expect("an entry");
        let set = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<BTreeSet<String>>();
        assert_eq!(worker.connectors, set(&["A"]));
        assert_eq!(worker.connector_versions, BTreeMap::from([("A".to_owned(), set(&["1.0", "2.0"]))]));
    }
}
