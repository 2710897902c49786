//! `ferry standalone` with Kafka Connect's own example files, and `ferry dev`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use deploy_e2e::{Kafka, Process, Rest, Spec, binary, free_port, wait_until};
use tempfile::TempDir;

use crate::cluster::{LIMIT, turn};

/// Kafka's `config/connect-standalone.properties`, its comments left out.
fn worker_properties(bootstrap: &str, offsets: &Path, rest: u16) -> String {
    format!(
        "bootstrap.servers={bootstrap}\n\
         key.converter=org.apache.kafka.connect.json.JsonConverter\n\
         value.converter=org.apache.kafka.connect.json.JsonConverter\n\
         key.converter.schemas.enable=true\n\
         value.converter.schemas.enable=true\n\
         offset.storage.file.filename={}\n\
         offset.flush.interval.ms=1000\n\
         listeners=http://127.0.0.1:{rest}\n",
        offsets.display()
    )
}

struct Standalone {
    folder: TempDir,
    rest_port: u16,
    grpc_port: u16,
}

impl Standalone {
    fn new(bootstrap: &str) -> Result<Standalone> {
        let standalone = Standalone { folder: TempDir::new()?, rest_port: free_port(), grpc_port: free_port() };
        let offsets = standalone.path("connect.offsets");
        fs::write(standalone.path("worker.properties"), worker_properties(bootstrap, &offsets, standalone.rest_port))?;
        // Kafka's connect-file-source.properties and connect-file-sink.properties; Kafka's own name relative files.
        fs::write(
            standalone.path("connect-file-source.properties"),
            "name=local-file-source\nconnector.class=FileStreamSource\ntasks.max=1\nfile=test.txt\ntopic=connect-test\n",
        )?;
        fs::write(
            standalone.path("connect-file-sink.properties"),
            "name=local-file-sink\nconnector.class=FileStreamSink\ntasks.max=1\nfile=test.sink.txt\ntopics=connect-test\n",
        )?;
        Ok(standalone)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self) -> Result<Process> {
        let spec = Spec::new("ferry-standalone", binary("ferry")?, self.folder.path())
            .arg("standalone")
            .arg(self.path("worker.properties"))
            .arg(self.path("connect-file-source.properties"))
            .arg(self.path("connect-file-sink.properties"))
            .flag("--grpc-listen", format!("127.0.0.1:{}", self.grpc_port));
        Process::start_ready(spec, "ready", LIMIT)
    }

    fn sink_is(&self, text: &str) -> Result<()> {
        wait_until(LIMIT, "the sink's file", || {
            Ok(fs::read_to_string(self.path("test.sink.txt")).is_ok_and(|got| got == text))
        })
    }
}

#[test]
fn connects_own_examples_run_unchanged_and_resume() -> Result<()> {
    let _turn = turn();
    let kafka = Kafka::start()?;
    let standalone = Standalone::new(&kafka.bootstrap())?;
    fs::write(standalone.path("test.txt"), "foo\nbär\n")?;
    let mut process = standalone.start()?;
    standalone.sink_is("foo\nbär\n")?;
    let values = kafka.kcat().read_all("connect-test")?;
    assert_eq!(
        values[0].value.as_deref(),
        Some(r#"{"schema":{"type":"string","optional":false},"payload":"foo"}"#),
        "as Kafka's quick start shows it"
    );
    let rest = Rest::new(&format!("http://127.0.0.1:{}", standalone.rest_port))?;
    let status = rest.wait_running("local-file-source", 1, LIMIT)?;
    assert_eq!(status["tasks"][0]["worker_id"], format!("127.0.0.1:{}", standalone.rest_port));
    process.stop(LIMIT)?;

    let offsets = fs::read(standalone.path("connect.offsets")).context("the offsets file")?;
    assert!(offsets.starts_with(b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap"), "Java's serialisation");
    fs::write(standalone.path("test.txt"), "foo\nbär\nbaz\n")?;
    let mut process = standalone.start()?;
    standalone.sink_is("foo\nbär\nbaz\n")?;
    process.stop(LIMIT)?;
    assert_eq!(kafka.kcat().end_offset("connect-test", 0)?, 3, "nothing was read twice");

    an_unreadable_offsets_file_is_refused(&standalone)
}

fn an_unreadable_offsets_file_is_refused(standalone: &Standalone) -> Result<()> {
    let rubbish = b"not a Java map";
    fs::write(standalone.path("connect.offsets"), rubbish)?;
    let mut process = Process::start(
        Spec::new("ferry-standalone", binary("ferry")?, standalone.folder.path())
            .arg("standalone")
            .arg(standalone.path("worker.properties"))
            .flag("--grpc-listen", format!("127.0.0.1:{}", standalone.grpc_port)),
    )?;
    let status = process.wait_for_end(LIMIT)?;
    assert!(!status.success());
    assert!(process.log().contains("connect.offsets"), "{}", process.log());
    assert_eq!(fs::read(standalone.path("connect.offsets"))?, rubbish, "never overwritten");
    Ok(())
}

#[test]
fn dev_runs_both_planes_in_one_process() -> Result<()> {
    let _turn = turn();
    let kafka = Kafka::start()?;
    let folder = TempDir::new()?;
    fs::write(folder.path().join("in.txt"), "one\n")?;
    fs::write(
        folder.path().join("in.yaml"),
        format!(
            "kind: Connector\nname: in\nconfig:\n  connector.class: FileStreamSource\n  topic: dev\n  file: {}\n",
            folder.path().join("in.txt").display()
        ),
    )?;
    let (grpc, rest) = (free_port(), free_port());
    let spec = Spec::new("ferry-dev", binary("ferry")?, folder.path())
        .arg("dev")
        .flag("--bootstrap-servers", kafka.bootstrap())
        .flag("--grpc-listen", format!("127.0.0.1:{grpc}"))
        .flag("--rest-listen", format!("127.0.0.1:{rest}"))
        .arg(folder.path().join("in.yaml"));
    let mut process = Process::start_ready(spec, "ready", LIMIT)?;
    let values = kafka.kcat().consume("dev", 1, LIMIT)?;
    assert_eq!(values[0].value.as_deref(), Some("one"));
    process.stop(LIMIT)?;
    Ok(())
}
