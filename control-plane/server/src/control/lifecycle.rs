//! Target states and restarts.

use super::{Control, TRIES, check_etag, not_found};
use control_plane_api::service::{ConnectorRef, ConnectorView, ServiceError, UnitState};
use control_plane_core::{
    connector::{Connector, TargetState},
    ids::{Unit, UnitKind},
    keys::{Key, encode},
    lease::{GrantState, Owner},
    status::RunState,
    task::TaskSet,
    txn::{Compare, Txn},
    world::World,
};

impl Control {
    pub(super) async fn retarget(
        &self,
        reference: ConnectorRef,
        target: TargetState,
    ) -> Result<ConnectorView, ServiceError> {
        self.change(&reference, |world, connector| {
            // Pausing a stopped connector keeps it without tasks until it is resumed, as in Kafka Connect.
            if connector.target == target {
                return Ok(None);
            }
            let mut txn = Txn::new();
            if target == TargetState::Stopped
                && let Some(set) = world.task_sets.get(&connector.uid)
            {
                let key = Key::TaskSet(connector.uid);
                let empty = TaskSet { number: set.value.number.next(), tasks: Vec::new(), ..set.value.clone() };
                txn = txn.when(Compare::Unchanged(key.clone(), set.revision)).put(key, encode(&empty));
            }
            let changed = Connector {
                target,
                target_generation: connector.target_generation.next(),
                updated: self.clock.wall(),
                ..connector.clone()
            };
            Ok(Some((changed, txn)))
        })
        .await
    }

    /// Changes a connector by one transaction that guards it. `change` gives the new value (None: nothing is to
    /// change) and more for the transaction.
    async fn change(
        &self,
        reference: &ConnectorRef,
        change: impl Fn(&World, &Connector) -> Result<Option<(Connector, Txn)>, ServiceError> + Send + Sync,
    ) -> Result<ConnectorView, ServiceError> {
        for _ in 0..TRIES {
            self.up_to_date().await?;
            let (txn, connector) = {
                let world = self.cache.world();
                let stored =
                    world.connector(&reference.namespace, &reference.name).ok_or_else(|| not_found(&reference.name))?;
                check_etag(&stored.value, reference.etag.as_deref())?;
                match change(&world, &stored.value)? {
                    Some((connector, txn)) if !reference.validate_only => {
                        let key = Key::Connector(reference.namespace.clone(), reference.name.clone());
                        let txn =
                            txn.when(Compare::Unchanged(key.clone(), stored.revision)).put(key, encode(&connector));
                        (txn, connector)
                    }
                    Some((connector, _)) => return Ok(self.viewer.connector(&world, &connector)),
                    None => return Ok(self.viewer.connector(&world, &stored.value)),
                }
            };
            if self.commit(txn).await? {
                return Ok(self.view(&connector));
            }
        }
        Err(ServiceError::Contended)
    }

    pub(super) async fn restart(
        &self,
        reference: ConnectorRef,
        include_tasks: bool,
        only_failed: bool,
    ) -> Result<ConnectorView, ServiceError> {
        self.up_to_date().await?;
        let connector = self.find(&reference.namespace, &reference.name)?.value;
        check_etag(&connector, reference.etag.as_deref())?;
        let units: Vec<Unit> = {
            let world = self.cache.world();
            world
                .owned_units(connector.uid)
                .map(|(unit, _)| *unit)
                .filter(|unit| include_tasks || unit.kind == UnitKind::Planner)
                .filter(|unit| {
                    !only_failed || world.status(unit).is_some_and(|status| status.state == RunState::Failed)
                })
                .collect()
        };
        let mut view = self.view(&connector);
        if !reference.validate_only {
            self.restart_units(&units).await?;
        }
        for unit in std::iter::once(&mut view.planner).chain(&mut view.tasks) {
            let kind = unit.task.map_or(UnitKind::Planner, UnitKind::Task);
            if units.contains(&Unit { connector: connector.uid, kind }) {
                unit.state = UnitState::Restarting;
                unit.error = None;
            }
        }
        Ok(view)
    }

    pub(super) async fn restart_one(&self, reference: ConnectorRef, task: u32) -> Result<(), ServiceError> {
        self.up_to_date().await?;
        let connector = self.find(&reference.namespace, &reference.name)?.value;
        check_etag(&connector, reference.etag.as_deref())?;
        let tasks = self.cache.world().task_sets.get(&connector.uid).map_or(0, |set| set.value.tasks.len());
        if connector.target == TargetState::Stopped {
            return Err(ServiceError::FailedPrecondition(format!(
                "Connector {} is stopped and has no tasks; resume it first",
                reference.name
            )));
        }
        if task as usize >= tasks {
            return Err(ServiceError::NotFound { what: "Task", name: format!("{}-{task}", reference.name) });
        }
        if !reference.validate_only {
            self.restart_units(&[Unit { connector: connector.uid, kind: UnitKind::Task(task) }]).await?;
        }
        Ok(())
    }

    /// Takes units back so that they start anew.
    async fn restart_units(&self, units: &[Unit]) -> Result<(), ServiceError> {
        for unit in units {
            for _ in 0..TRIES {
                let owner = self.cache.world().owners.get(unit).cloned();
                let Some(owner) = owner.filter(|owner| owner.value.state == GrantState::Granted) else { break };
                let revoking = Owner { state: GrantState::Revoking, ..owner.value };
                let key = Key::Owner(*unit);
                let txn = Txn::new().when(Compare::Unchanged(key.clone(), owner.revision)).put(key, encode(&revoking));
                if self.commit(txn).await? {
                    break;
                }
                self.up_to_date().await?;
            }
        }
        Ok(())
    }
}
