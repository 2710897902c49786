//! The house rules.

use deploy_tidy::{files, text};

#[track_caller]
fn nothing(broken: Vec<String>) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// Which workspace crates a crate may depend on, besides tests. The arrows of ARCHITECTURE.md.
const ARROWS: [(&str, &[&str]); 21] = [
    ("proto", &[]),
    ("control-plane/core", &[]),
    ("control-plane/store", &["control-plane-core"]),
    ("control-plane/api", &["control-plane-core", "proto"]),
    ("control-plane/gateway", &["control-plane-api", "control-plane-core"]),
    (
        "control-plane/server",
        &["control-plane-api", "control-plane-core", "control-plane-gateway", "control-plane-store", "proto"],
    ),
    ("control-plane/sim", &["control-plane-core", "data-plane-core", "data-plane-record"]),
    ("data-plane/record", &[]),
    ("data-plane/connector-api", &["data-plane-record"]),
    ("data-plane/converters", &["data-plane-connector-api", "data-plane-record"]),
    ("data-plane/transforms", &["data-plane-connector-api", "data-plane-record"]),
    ("data-plane/providers", &["data-plane-connector-api"]),
    ("data-plane/connectors/file", &["data-plane-connector-api", "data-plane-record"]),
    ("data-plane/core", &["data-plane-record"]),
    ("data-plane/broker", &["data-plane-core"]),
    (
        "data-plane/worker",
        &[
            "data-plane-broker",
            "data-plane-connector-api",
            "data-plane-connectors-file",
            "data-plane-converters",
            "data-plane-core",
            "data-plane-providers",
            "data-plane-record",
            "data-plane-transforms",
            "proto",
        ],
    ),
    ("cli", &["control-plane-server", "control-plane-store", "data-plane-worker", "proto"]),
    ("deploy/e2e", &[]),
    ("deploy/bench", &["deploy-e2e", "proto"]),
    ("deploy/golden", &["data-plane-connector-api", "data-plane-core", "data-plane-record", "data-plane-worker"]),
    ("deploy/tidy", &[]),
];

#[test]
fn crates_depend_in_one_direction() {
    let manifests: Vec<String> = files(&["Cargo.toml"]);
    let mut broken = Vec::new();
    for manifest in &manifests {
        let folder = manifest.trim_end_matches("/Cargo.toml");
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == folder) else {
            broken.push(format!("{folder}: a crate that ARROWS does not know"));
            continue;
        };
        let text = text(manifest);
        let dependencies = text.split("[dependencies]").nth(1).unwrap_or_default();
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for line in dependencies.lines() {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let ours = ["control-plane-", "data-plane-", "deploy-"].iter().any(|prefix| name.starts_with(prefix));
            if (ours || name == "proto") && !allowed.contains(&name) {
                broken.push(format!("{folder} must not depend on {name}"));
            }
        }
    }
    assert_eq!(manifests.len(), ARROWS.len(), "a crate is missing: {manifests:?}");
    nothing(broken);
}

#[test]
fn cores_do_no_io_and_read_no_clock() {
    let banned = [
        "std::fs",
        "std::net",
        "std::env",
        "std::thread",
        "Instant",
        "SystemTime",
        "tokio",
        "collections::Hash",
        "HashMap<",
        "HashSet<",
        "rand::",
        "println!",
    ];
    let mut broken = Vec::new();
    for file in files(&[".rs"]) {
        let is_core = file.starts_with("control-plane/core/src") || file.starts_with("data-plane/core/src");
        if !is_core || file.contains("/tests") {
            continue;
        }
        let text = text(&file);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let line = line.split("//").next().unwrap_or_default();
            for word in banned.iter().filter(|word| line.contains(**word)) {
                broken.push(format!("{file}:{}: {word} in a core", number + 1));
            }
        }
    }
    nothing(broken);
}

#[test]
fn only_the_broker_names_librdkafka_and_only_it_is_unsafe() {
    let mut broken = Vec::new();
    for file in files(&[".rs"]) {
        // The broker's contract runs on librdkafka's mock cluster.
        let allowed = ["data-plane/broker/src/kafka", "data-plane/broker/src/contract.rs", "deploy/tidy"];
        if allowed.iter().any(|prefix| file.starts_with(prefix)) {
            continue;
        }
        for (number, line) in text(&file).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains("rdkafka::") || code.contains("rdkafka_sys") {
                broken.push(format!("{file}:{}: librdkafka outside the broker", number + 1));
            }
            if code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl") {
                broken.push(format!("{file}:{}: unsafe outside the broker", number + 1));
            }
        }
    }
    nothing(broken);
}

#[test]
fn the_control_plane_names_no_kafka_client_and_the_worker_no_etcd() {
    let mut broken = Vec::new();
    for manifest in files(&["Cargo.toml"]) {
        let text = text(&manifest);
        if manifest.starts_with("control-plane/") && text.contains("rdkafka") {
            broken.push(format!("{manifest}: the control plane never talks to Kafka"));
        }
        if manifest.starts_with("data-plane/") && text.contains("etcd") {
            broken.push(format!("{manifest}: a worker never talks to etcd"));
        }
    }
    nothing(broken);
}

#[test]
fn files_say_what_they_are_and_stay_short() {
    const LIMIT: usize = 650;
    let mut broken = Vec::new();
    for file in files(&[".rs"]) {
        if file.contains("/gen/") {
            continue;
        }
        let text = text(&file);
        if !text.starts_with("//!") {
            broken.push(format!("{file}: begins without //!"));
        }
        let lines = text.lines().count();
        if lines > LIMIT {
            broken.push(format!("{file}: {lines} lines; look for the second idea inside"));
        }
    }
    nothing(broken);
}

#[test]
fn tests_are_not_switched_off_without_a_reason() {
    let mut broken = Vec::new();
    for file in files(&[".rs"]) {
        if file.starts_with("deploy/tidy") {
            continue;
        }
        for (number, line) in text(&file).lines().enumerate() {
            if line.contains("#[ignore]") {
                broken.push(format!("{file}:{}: #[ignore] needs a reason", number + 1));
            }
        }
    }
    nothing(broken);
}

#[test]
fn nothing_names_a_machine() {
    let banned = ["/root/", "/work/", "/home/"];
    let mut broken = Vec::new();
    for file in
        files(&[".rs", ".toml", ".proto", ".yaml", ".properties", "/run", "/install", "/try", "/check", ".sh", ".xml"])
    {
        if file.starts_with("deploy/tidy") || file.contains("/gen/") {
            continue;
        }
        for (number, line) in text(&file).lines().enumerate() {
            for word in banned.iter().filter(|word| line.contains(**word)) {
                broken.push(format!("{file}:{}: {word}", number + 1));
            }
        }
    }
    nothing(broken);
}
