//! What the loop decides by itself, without a control plane.

use super::{replicas::REPLICAS_LIMIT, *};
use crate::task::Deadline;
use data_plane_broker::memory::MemoryBroker;

fn supervisor() -> Supervisor {
    let identity = Identity {
        instance: Uuid::new_v4(),
        control_planes: vec!["http://127.0.0.1:1".to_owned()],
        address: String::new(),
        pool: String::new(),
        zone: String::new(),
        labels: BTreeMap::new(),
        capacity: 0,
    };
    let runtime = Runtime::new(Arc::default(), Arc::new(MemoryBroker::new()), Deadline::default());
    Supervisor::new(identity, Arc::default(), runtime, Guard::default(), SharedGlance::default())
}

#[tokio::test]
async fn replicas_that_come_under_new_addresses_are_dialled_for_ever() {
    let mut supervisor = supervisor();
    supervisor.dial("http://127.0.0.1:1".to_owned());
    for generation in 0..50 {
        let addresses: Vec<String> = (0..3).map(|n| format!("http://127.0.0.{generation}:{n}")).collect();
        supervisor.listed(wire::ReplicaList { addresses: addresses.clone() });
        let is_dialled = |address: &String| supervisor.dialling.contains_key(address);
        assert!(addresses.iter().all(is_dialled), "generation {generation}");
        assert!(supervisor.dialling.len() <= REPLICAS_LIMIT && is_dialled(&"http://127.0.0.1:1".to_owned()));
    }
    supervisor.dialling.values().for_each(JoinHandle::abort);
}
