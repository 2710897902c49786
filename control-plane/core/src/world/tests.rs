//! What is kept beside the stored values follows them.

use super::*;
use crate::{connector::Config, time::Wall};
use uuid::Uuid;

fn config(value: &str) -> Config {
    [("k".to_owned(), value.to_owned())].into()
}

fn connector(name: &str, value: &str) -> Connector {
    Connector {
        config: config(value),
        ..Connector::new(
            ConnectorUid(Uuid::from_u128(7)),
            ConnectorName::parse(name).expect("a name"),
            "C".to_owned(),
            Wall(0),
        )
    }
}

fn task_set(values: &[&str]) -> TaskSet {
    TaskSet {
        connector: ConnectorUid(Uuid::from_u128(7)),
        said: None,
        number: Generation::FIRST,
        config_generation: Generation::FIRST,
        connector_config: config("a"),
        settings: SettingsId::default(),
        tasks: values.iter().map(|value| config(value)).collect(),
    }
}

#[test]
fn digests_follow_connectors_task_sets_and_settings() {
    let mut world = World::default();
    let uid = ConnectorUid(Uuid::from_u128(7));
    let (planner, task) =
        (Unit { connector: uid, kind: UnitKind::Planner }, Unit { connector: uid, kind: UnitKind::Task(1) });
    let key = Key::Connector(Namespace::default(), ConnectorName::parse("c").expect("a name"));
    let mut revision = 0;
    let mut put = |world: &mut World, key: &Key, entry: Entry| {
        revision += 1;
        let before = world.structure;
        world.apply(key.clone(), entry, Revision(revision), Monotonic(0));
        assert!(world.structure > before);
    };
    // A task set may be seen before its connector.
    put(&mut world, &Key::TaskSet(uid), Entry::TaskSet(task_set(&["x", "y"])));
    assert_eq!((world.wanted_digest(planner), world.wanted_digest(task)), (None, None));
    put(&mut world, &key, Entry::Connector(connector("c", "a")));
    let digest = |generation: u64, connector: &str, task: Option<&str>| {
        Some(UnitDigest::of(
            &SettingsId::default(),
            Generation(generation),
            &config(connector),
            task.map(config).as_ref(),
        ))
    };
    assert_eq!(world.wanted_digest(planner), digest(0, "a", None));
    assert_eq!(world.wanted_digest(task), digest(0, "a", Some("y")));
    put(&mut world, &key, Entry::Connector(connector("c", "b")));
    assert_eq!(world.wanted_digest(planner), digest(0, "b", None));
    assert_eq!(world.wanted_digest(task), digest(0, "a", Some("y")), "tasks keep the config that they were made from");
    let settings = Settings { generation: Generation(5), properties: config("s") };
    put(&mut world, &Key::Settings(SettingsId::default()), Entry::Settings(settings));
    assert_eq!(world.wanted_digest(planner), digest(5, "b", None));
    assert_eq!(world.wanted_digest(task), digest(5, "a", Some("y")));
    put(&mut world, &Key::TaskSet(uid), Entry::TaskSet(task_set(&["z"])));
    assert_eq!(world.wanted_digest(task), None);
    world.delete(&Key::TaskSet(uid), Revision(20));
    assert_eq!(world.wanted_digest(planner), digest(5, "b", None));
    world.delete(&key, Revision(21));
    assert_eq!(world.wanted_digest(planner), None);
}
