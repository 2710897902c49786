//! One process under test: its start, its log, its signals and its end.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::unread::Unread;
use crate::usage::Usage;
use crate::wait::wait_for;
use crate::watchdog::Watchdog;

/// How to start a process; kept, so that it can be started again in the same way.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What messages call it.
    pub name: String,
    /// The program: a path, or a name to find on the path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables added to this process's own.
    pub env: Vec<(String, String)>,
    /// The file to which stdout and stderr are appended.
    pub log: PathBuf,
    /// After the first line of output with this text nobody reads the output any more, and it fills a pipe. None: all goes
    /// to the log.
    pub unread_after: Option<String>,
}

impl Spec {
    /// `program` without arguments, logging to `<folder>/<name>.log`.
    pub fn new(name: &str, program: impl Into<PathBuf>, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        Self {
            name: name.to_owned(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            log,
            unread_after: None,
        }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds several arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a flag and its value.
    pub fn flag(self, flag: &str, value: impl Into<OsString>) -> Self {
        self.arg(flag).arg(value)
    }

    /// Adds a variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A started process. Killed when dropped.
pub struct Process {
    spec: Spec,
    child: Child,
    watchdog: Option<Watchdog>,
    _unread: Option<Unread>,
    /// Where in the log this start's output begins.
    log_start: usize,
}

impl Process {
    /// Starts it; returns at once.
    pub fn start(spec: Spec) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(&spec.log);
        let log = log.with_context(|| format!("opening {}", spec.log.display()))?;
        let log_start = usize::try_from(log.metadata()?.len())?;
        let (unread, stdout, stderr) = match &spec.unread_after {
            None => (None, Stdio::from(log.try_clone()?), Stdio::from(log)),
            Some(last) => {
                let (unread, pipe) = Unread::after(last, log)?;
                (Some(unread), Stdio::from(pipe.try_clone()?), Stdio::from(pipe))
            }
        };
        let child = Command::new(&spec.program)
            .args(&spec.args)
            .envs(spec.env.iter().map(|(name, value)| (name, value)))
            // Relative paths in a program's files mean its own folder.
            .current_dir(spec.log.parent().unwrap_or(Path::new(".")))
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {} ({})", spec.name, spec.program.display()))?;
        let watchdog = Some(Watchdog::over(child.id())?);
        Ok(Self { spec, child, watchdog, _unread: unread, log_start })
    }

    /// Starts it and waits until its output has a line with `ready`; see [`Process::wait_for_line`].
    pub fn start_ready(spec: Spec, ready: &str, limit: Duration) -> Result<Self> {
        let mut process = Self::start(spec)?;
        process.wait_for_line(ready, limit)?;
        Ok(process)
    }

    /// Starts it again with the same arguments and log, having killed it if it still ran. Returns at once.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        *self = Self::start(self.spec.clone())?;
        Ok(())
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What this start has written so far, stdout and stderr mixed.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.spec.log).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(self.log_start..).unwrap_or_default()).into_owned()
    }

    /// Waits until this start's output has a whole line that contains `text`, and returns that line. An error, with the
    /// last lines of the log, if the process ends before or `limit` passes.
    pub fn wait_for_line(&mut self, text: &str, limit: Duration) -> Result<String> {
        let what = format!("\"{text}\" from {}", self.spec.name);
        let line = wait_for(limit, &what, || {
            // Looked at first: what it wrote before it ended counts.
            let ended = !self.is_running()?;
            let log = self.log();
            let line = log.split_inclusive('\n').find(|line| line.ends_with('\n') && line.contains(text));
            match line {
                Some(line) => Ok(Some(Ok(line.trim_end().to_owned()))),
                None if ended => Ok(Some(Err(()))),
                None => Ok(None),
            }
        });
        match line {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(())) => {
                bail!("{} ended before it wrote \"{text}\"; its log ends:\n{}", self.spec.name, self.log_tail())
            }
            Err(error) => Err(error.context(format!("the log of {} ends:\n{}", self.spec.name, self.log_tail()))),
        }
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// SIGKILL, and waits for its end. Nothing if it has ended.
    pub fn kill(&mut self) -> Result<()> {
        if self.is_running()? {
            // The group: a script that has not become its program yet has a child.
            let _ = kill_process_group(self.pid()?, Signal::KILL);
            self.child.wait()?;
        }
        self.watchdog = None;
        Ok(())
    }

    /// SIGTERM, and waits for its end; an error if it is still there after `limit`.
    pub fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        if self.is_running()? {
            self.signal(Signal::TERM)?;
        }
        self.wait_for_end(limit)
    }

    /// Waits until it ends by itself.
    pub fn wait_for_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.spec.name);
        let status = wait_for(limit, &what, || Ok(self.child.try_wait()?))?;
        self.watchdog = None;
        Ok(status)
    }

    /// SIGSTOP: it holds its connections and does nothing.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Sends `signal` to the process.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).with_context(|| format!("signal {signal:?} to {}", self.spec.name))
    }

    /// What it has used since its start.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.id())
    }

    /// Forgets the peak of its memory so far: [`Process::usage`] then tells the peak since now.
    pub fn reset_peak_memory(&self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.id());
        fs::write(&path, "5").with_context(|| format!("writing {path}"))
    }

    /// Waits for its end and returns what it used in all, its peak memory as seen while it ran.
    pub fn usage_at_end(&mut self, limit: Duration) -> Result<(ExitStatus, Usage)> {
        let mut peak_rss_bytes = 0;
        let what = format!("the end of {}", self.spec.name);
        let last = wait_for(limit, &what, || {
            let usage = self.usage()?;
            peak_rss_bytes = usage.peak_rss_bytes.max(peak_rss_bytes);
            Ok(Usage::has_ended(self.id()).then_some(()))
        });
        last?;
        // Ended and not waited for: its times are final, and still there.
        let usage = Usage { peak_rss_bytes, ..self.usage()? };
        Ok((self.wait_for_end(limit)?, usage))
    }

    fn pid(&self) -> Result<Pid> {
        i32::try_from(self.id()).ok().and_then(Pid::from_raw).with_context(|| format!("{} is no pid", self.id()))
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // On an error here the watchdog still does it.
        let _ = self.kill();
    }
}
