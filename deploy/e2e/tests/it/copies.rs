//! The main job: a file through Kafka into a file, and everything that is done to connectors meanwhile.

use std::fmt::Write as _;

use anyhow::Result;
use deploy_e2e::{wait_for, wait_until};
use serde_json::Value;

use crate::cluster::{Cluster, LIMIT, list};

const LINES: usize = 1_000_000;

fn million_lines() -> String {
    let mut text = String::with_capacity(LINES * 40);
    for number in 0..LINES {
        // Non-ASCII text: Kafka Connect's own positions go wrong on it.
        let _ = writeln!(text, "{number} zwölf Boxkämpfer jagen – {} 😀", number * 7919 % 1_000_003);
    }
    text
}

#[test]
fn a_million_lines_arrive_byte_for_byte_and_every_verb_works() -> Result<()> {
    let cluster = Cluster::start(2)?;
    let cli = cluster.cli()?;
    cluster.write("in.txt", &million_lines())?;
    let applied = cluster.apply_copy()?;
    assert!(applied.contains("connector/in created") && applied.contains("connector/out created"), "{applied}");
    assert!(cluster.apply_copy()?.contains("connector/in unchanged"));
    cluster.wait_running(&["in", "out"])?;
    cluster.wait_equal()?;

    appended_lines_arrive_and_an_incomplete_one_waits(&cluster)?;
    offsets_are_kafka_connects(&cluster)?;

    let table = cli.succeed(&["get", "connectors"])?;
    assert!(table.lines().count() == 3 && table.contains("FileStreamSource") | table.contains("source"), "{table}");
    let described = cli.succeed(&["describe", "connector", "in"])?;
    let (_, worker, _) = cluster.task("in")?;
    let size = cluster.size("in.txt").to_string();
    wait_until(LIMIT, "the position in describe", || {
        Ok(cli.succeed(&["describe", "connector", "in"])?.contains(&size))
    })?;
    for needle in ["RUNNING", &worker, "position"] {
        assert!(described.to_uppercase().contains(&needle.to_uppercase()), "{needle} is not in:\n{described}");
    }

    restarts_resume_where_they_were(&cluster)?;
    a_paused_connector_holds_and_a_stopped_one_has_no_tasks(&cluster)?;

    cli.succeed(&["delete", "connector", "in", "out"])?;
    assert_eq!(list(&cli.json(&["get", "connectors"])?).len(), 0);
    assert_eq!(cluster.control_plane.rest()?.get("/connectors/in")?.status, 404);
    recreated_connectors_resume(&cluster)
}

fn appended_lines_arrive_and_an_incomplete_one_waits(cluster: &Cluster) -> Result<()> {
    cluster.append("in.txt", "appended ü\nhalf a li")?;
    let complete = cluster.size("in.txt") - "half a li".len() as u64;
    wait_until(LIMIT, "the appended line", || Ok(cluster.size("out.txt") == complete))?;
    cluster.append("in.txt", "ne\n")?;
    cluster.wait_equal()
}

fn offsets_are_kafka_connects(cluster: &Cluster) -> Result<()> {
    let key = format!("[\"in\",{{\"filename\":\"{}\"}}]", cluster.text("in.txt"));
    let position = format!("{{\"position\":{}}}", cluster.size("in.txt"));
    let kcat = cluster.kafka.kcat();
    let last = wait_for(LIMIT, "the last offset in the offsets topic", || {
        let records = kcat.read_all("ferry-offsets")?;
        let last = records.iter().rfind(|record| record.key.as_deref() == Some(&key)).cloned();
        Ok(last.filter(|record| record.value.as_deref() == Some(&position)))
    })?;
    let topics = kcat.run(&["-L", "-t", "ferry-offsets"], b"")?;
    assert!(topics.contains("with 5 partitions"), "{topics}");
    assert_eq!(last.partition, i64::from(murmur2_partition(key.as_bytes(), 5)), "Java's partition of the key");
    Ok(())
}

/// Kafka's `Utils.toPositive(Utils.murmur2(key)) % partitions`, written down again from its definition.
fn murmur2_partition(key: &[u8], partitions: u32) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let mut chunks = key.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = chunks.remainder();
    for (index, byte) in rest.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * index);
    }
    if !rest.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    ((hash ^ (hash >> 15)) & 0x7fff_ffff) % partitions
}

/// After orderly restarts of both, nothing is read twice: the topic and the file have each line once.
fn restarts_resume_where_they_were(cluster: &Cluster) -> Result<()> {
    let kcat = cluster.kafka.kcat();
    let before = kcat.end_offset("lines", 0)?;
    let (_, _, old) = cluster.task("in")?;
    for connector in ["in", "out"] {
        cluster.cli()?.succeed(&["restart", "connector", connector, "--tasks"])?;
    }
    wait_until(LIMIT, "a new epoch of the restarted task", || {
        let (state, _, epoch) = cluster.task("in")?;
        Ok(state == "RUNNING" && epoch != old)
    })?;
    cluster.append("in.txt", "after the restart\n")?;
    cluster.wait_equal()?;
    assert_eq!(kcat.end_offset("lines", 0)?, before + 1);
    Ok(())
}

fn a_paused_connector_holds_and_a_stopped_one_has_no_tasks(cluster: &Cluster) -> Result<()> {
    let cli = cluster.cli()?;
    let kcat = cluster.kafka.kcat();
    cli.succeed(&["pause", "connector", "in"])?;
    cli.succeed(&["wait", "connector", "in", "--for", "paused", "--timeout", "30s"])?;
    let before = kcat.end_offset("lines", 0)?;
    cluster.append("in.txt", "while paused\n")?;
    // Something else that goes through meanwhile shows that time enough has passed.
    kcat.produce("lines", &["not from the file"])?;
    wait_until(LIMIT, "the other record at the sink", || {
        Ok(cluster.read("out.txt")?.ends_with(b"not from the file\n"))
    })?;
    assert_eq!(kcat.end_offset("lines", 0)?, before + 1);

    cli.succeed(&["stop", "connector", "in"])?;
    cli.succeed(&["wait", "connector", "in", "--for", "stopped", "--timeout", "30s"])?;
    let status = cluster.control_plane.rest()?.status("in")?;
    assert_eq!((&status["connector"]["state"], &status["tasks"]), (&Value::from("STOPPED"), &Value::Array(vec![])));

    cli.succeed(&["resume", "connector", "in"])?;
    cluster.wait_running(&["in"])?;
    wait_until(LIMIT, "the line written while paused", || Ok(cluster.read("out.txt")?.ends_with(b"while paused\n")))?;
    assert_eq!(kcat.end_offset("lines", 0)?, before + 2);
    Ok(())
}

/// A connector of the same name resumes at the offsets that its namesake left, as in Kafka Connect.
fn recreated_connectors_resume(cluster: &Cluster) -> Result<()> {
    let kcat = cluster.kafka.kcat();
    let before = kcat.end_offset("lines", 0)?;
    cluster.append("in.txt", "after the deletion\n")?;
    cluster.apply_copy()?;
    wait_until(LIMIT, "the line written after the deletion", || {
        Ok(cluster.read("out.txt")?.ends_with(b"after the deletion\n"))
    })?;
    assert_eq!(kcat.end_offset("lines", 0)?, before + 1);
    Ok(())
}
