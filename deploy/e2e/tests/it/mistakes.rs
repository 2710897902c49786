//! Bad input gets a clear error that names the field, and loses nothing.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::{fs, process::Command};

use anyhow::Result;
use deploy_e2e::{ControlPlane, ControlPlaneOptions, Etcd, Ferry, Worker, WorkerOptions, binary, free_port, wait_for};

use crate::cluster::{Cluster, LIMIT, list, turn};

#[test]
fn a_users_mistakes_name_the_field_and_change_nothing() -> Result<()> {
    let cluster = Cluster::start(1)?;
    let cli = cluster.cli()?;
    let apply = |name: &str, content: &str| {
        cluster.write(name, content)?;
        cli.run(&["apply", "-f", &cluster.text(name)])
    };
    let source = |more: &str| {
        format!("kind: Connector\nname: bad\nconfig:\n  connector.class: FileStreamSource\n  topic: t\n{more}")
    };

    let refused: [(&str, String, &[&str]); 7] = [
        (
            "class.yaml",
            source("").replace("FileStreamSource", "NoSuchThing"),
            &["NoSuchThing", "FileStreamSourceConnector"],
        ),
        ("topic.yaml", source("").replace("  topic: t\n", ""), &["topic"]),
        ("tasks.yaml", source("  file: /tmp/x\n  tasks.max: many\n"), &["tasks.max", "many"]),
        ("folder.yaml", source(&format!("  file: {}\n", cluster.folder.path().display())), &["file", "directory"]),
        ("field.yaml", source("").replace("name: bad", "name: bad\nconfigs: {}"), &["configs", "field.yaml"]),
        (
            "second.yaml",
            format!("{}---\nkind: Conector\nname: b\nconfig: {{}}\n", source("  file: /tmp/x\n")),
            &["kind", "Conector"],
        ),
        ("transforms.yaml", source("  file: /tmp/x\n  transforms: a\n  transforms.a.type: X\n"), &["transforms"]),
    ];
    for (file, content, needles) in refused {
        let output = apply(file, &content)?;
        assert_eq!(output.code, 2, "{file}: {output:?}");
        for needle in needles {
            assert!(output.stderr.contains(needle), "{file}: {needle} is not in {:?}", output.stderr);
        }
    }
    assert_eq!(list(&cli.json(&["get", "connectors"])?).len(), 0, "nothing was stored, also not a good first document");

    let nowhere = Ferry::new("http://127.0.0.1:9")?.run(&["get", "connectors"])?;
    assert_eq!(nowhere.code, 3);
    assert!(nowhere.stderr.contains("127.0.0.1:9") && nowhere.stderr.contains("--server"), "{}", nowhere.stderr);

    a_sinks_missing_topics_is_found(&cluster)?;
    a_missing_file_is_waited_for_and_an_unreadable_target_is_told(&cluster)
}

fn a_sinks_missing_topics_is_found(cluster: &Cluster) -> Result<()> {
    let answer = cluster.control_plane.rest()?.request(
        reqwest::Method::PUT,
        "/connectors/s/config",
        Some(&serde_json::json!({"connector.class": "FileStreamSink", "file": "/tmp/x"})),
    )?;
    assert_eq!(answer.status, 400);
    assert!(answer.body["message"].as_str().is_some_and(|text| text.contains("topics")), "{:?}", answer.body);
    Ok(())
}

/// A source file that is not there yet is waited for; a target that cannot be written fails the task, by name.
fn a_missing_file_is_waited_for_and_an_unreadable_target_is_told(cluster: &Cluster) -> Result<()> {
    cluster.apply_copy()?;
    cluster.wait_running(&["in", "out"])?;
    cluster.write("in.txt", "late\n")?;
    cluster.wait_equal()?;

    let rest = cluster.control_plane.rest()?;
    rest.put_config("no-file", &[("connector.class", "FileStreamSource"), ("topic", "t")])?;
    let trace = failed_trace(cluster, "no-file")?;
    assert!(trace.contains("file is not set"), "{trace}");
    let target = cluster.text("no-such-folder/out.txt");
    rest.put_config("blocked", &[("connector.class", "FileStreamSink"), ("topics", "lines"), ("file", &target)])?;
    let trace = failed_trace(cluster, "blocked")?;
    assert!(trace.contains(&target), "{trace}");
    // It is started again by itself once the cause is gone.
    fs::create_dir(cluster.path("no-such-folder"))?;
    wait_for(LIMIT, "the task's recovery", || {
        Ok((cluster.read("no-such-folder/out.txt").is_ok_and(|bytes| bytes == b"late\n")).then_some(()))
    })
}

/// Waits until task 0 has failed; what it says.
fn failed_trace(cluster: &Cluster, connector: &str) -> Result<String> {
    let rest = cluster.control_plane.rest()?;
    wait_for(LIMIT, "the failed task", || {
        let status = rest.status(connector)?;
        let task = &status["tasks"][0];
        let failed = task["state"].as_str() == Some("FAILED");
        Ok(task["trace"].as_str().filter(|_| failed).map(str::to_owned))
    })
}

#[test]
fn an_unreachable_broker_is_named_by_the_task() -> Result<()> {
    let _turn = turn();
    let etcd = Etcd::start()?;
    let dead = format!("127.0.0.1:{}", free_port());
    let control_plane = ControlPlane::start(&ControlPlaneOptions::new(&etcd.endpoint(), &dead))?;
    let _worker = Worker::start(&WorkerOptions::new(&control_plane.worker_endpoint()))?;
    let rest = control_plane.rest()?;
    wait_for(LIMIT, "the worker's plugins", || {
        Ok((!list(&rest.get("/connector-plugins")?.body).is_empty()).then_some(()))
    })?;
    rest.put_config("in", &[("connector.class", "FileStreamSource"), ("topic", "t"), ("file", "/tmp/none")])?;
    let trace = wait_for(LIMIT, "the failed unit", || {
        let status = rest.status("in")?;
        let failed =
            [&status["connector"], &status["tasks"][0]].into_iter().find(|unit| unit["state"] == "FAILED").cloned();
        Ok(failed.and_then(|unit| unit["trace"].as_str().map(str::to_owned)))
    })?;
    assert!(trace.contains("bootstrap.servers") && trace.contains(&dead), "{trace}");
    Ok(())
}

#[test]
fn the_programs_refuse_to_start_with_one_clear_line() -> Result<()> {
    let folder = tempfile::TempDir::new()?;
    let properties = folder.path().join("connect.properties");
    let good = "bootstrap.servers=127.0.0.1:9\ngroup.id=g\nkey.converter=org.apache.kafka.connect.storage.StringConverter\n\
                value.converter=org.apache.kafka.connect.storage.StringConverter\noffset.storage.topic=o\n";
    let run = |args: &[&str]| -> Result<(i32, String)> {
        let output =
            Command::new(binary("ferry-control-plane")?).arg("--config").arg(&properties).args(args).output()?;
        Ok((output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned()))
    };
    fs::write(&properties, good.replace("group.id=g", "group.id=g\noffset.flush.interval.ms=soon"))?;
    let (code, stderr) = run(&[])?;
    assert!(code != 0 && stderr.contains("line 3") && stderr.contains("offset.flush.interval.ms"), "{stderr}");

    fs::write(&properties, good)?;
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let (code, stderr) = run(&["--etcd", &nobody, "--etcd-timeout-s", "1"])?;
    assert!(code != 0 && stderr.contains(&nobody) && stderr.contains("1 s"), "{stderr}");

    fs::set_permissions(&properties, fs::Permissions::from_mode(0o644))?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let output = Command::new(binary("ferry-worker")?).args(["--admin-listen", &address]).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains(&address) && stderr.contains("--admin-listen"), "{stderr}");
    Ok(())
}
