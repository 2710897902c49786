//! What Ferry does otherwise than Kafka Connect on purpose. None touches a valid record's bytes.
//!
//! Such a case is counted apart; it neither passes nor fails.

use serde_json::Value as Json;

/// A rule that names cases, and why they differ.
struct Difference {
    reason: &'static str,
    is_met: fn(&Json) -> bool,
}

const DIFFERENCES: [Difference; 2] = [
    Difference {
        reason: "transforms are found by short names with a side too, such as Cast$Value; Connect finds no such class",
        is_met: asks_for_a_short_name,
    },
    Difference { reason: "MirrorMaker's connectors are not built in", is_met: is_of_mirror_maker },
];

/// Why a case differs on purpose, if it does.
pub(crate) fn reason(case: &Json) -> Option<&'static str> {
    DIFFERENCES.iter().find(|difference| (difference.is_met)(case)).map(|difference| difference.reason)
}

fn asks_for_a_short_name(case: &Json) -> bool {
    let is_short = |name: &str| !name.contains('.') && (name.ends_with("$Value") || name.ends_with("$Key"));
    let mut config = case["config"].as_object().into_iter().flatten();
    let asks = config.any(|(key, value)| {
        key.starts_with("transforms.") && key.ends_with(".type") && value.as_str().is_some_and(is_short)
    });
    asks && case["expect"].to_string().contains("could not be found")
}

fn is_of_mirror_maker(case: &Json) -> bool {
    let is_its = |name: &Json| {
        let name = name.as_str().unwrap_or_default();
        name.starts_with("org.apache.kafka.connect.mirror.")
            || ["MirrorSource", "MirrorCheckpoint", "MirrorHeartbeat"].iter().any(|start| name.starts_with(start))
    };
    is_its(&case["component"]) || is_its(&case["config"]["connector.class"])
}
