//! Runs of the `ferry` command.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::places::binary;

/// What one run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

/// The CLI, pointed at one control plane.
#[derive(Clone, Debug)]
pub struct Ferry {
    program: PathBuf,
    server: String,
}

impl Ferry {
    /// `server` is the gRPC endpoint.
    pub fn new(server: &str) -> Result<Self> {
        Ok(Self { program: binary("ferry")?, server: server.to_owned() })
    }

    /// Runs it, whatever comes of it.
    pub fn run(&self, args: &[&str]) -> Result<Output> {
        let output = Command::new(&self.program)
            .args(["--server", &self.server])
            .args(args)
            .output()
            .with_context(|| format!("running {}", self.program.display()))?;
        Ok(Output {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it and returns its stdout; an error with its stderr unless it exits 0.
    pub fn succeed(&self, args: &[&str]) -> Result<String> {
        let output = self.run(args)?;
        ensure!(output.code == 0, "ferry {} exited with {}: {}", args.join(" "), output.code, output.stderr.trim());
        Ok(output.stdout)
    }

    /// As [`Ferry::succeed`], with `-o json`, parsed.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let printed = self.succeed(&[&["-o", "json"], args].concat())?;
        serde_json::from_str(&printed).with_context(|| format!("ferry {} printed no JSON: {printed}", args.join(" ")))
    }
}
