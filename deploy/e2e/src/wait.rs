//! Waiting for a condition, with a deadline and a word on what was waited for.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// Between two looks: short against what tests measure, long against what a look costs.
const INTERVAL: Duration = Duration::from_millis(20);

/// Calls `look` until it gives `Some`, and returns that. After `limit` it is an error that names `what`, with the last error
/// that `look` returned; an error before then is only another "not yet".
pub fn wait_for<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let last = match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() >= deadline {
            let text = format!("waited {:.1} s in vain for {what}", limit.as_secs_f64());
            return Err(match last {
                Some(error) => error.context(text),
                None => anyhow!(text),
            });
        }
        sleep(INTERVAL);
    }
}

/// As [`wait_for`], for a yes or no.
pub fn wait_until(limit: Duration, what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    wait_for(limit, what, || Ok(look()?.then_some(())))
}

/// Waits until `look` has given the same for as long as `quiet`, and returns that.
pub fn wait_settled<T: PartialEq>(
    limit: Duration,
    quiet: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T>,
) -> Result<T> {
    let mut last: Option<(T, Instant)> = None;
    wait_for(limit, &format!("{what} to settle"), || {
        let now = look()?;
        match last.take() {
            Some((known, since)) if known == now && since.elapsed() >= quiet => return Ok(Some(now)),
            Some((known, since)) if known == now => last = Some((now, since)),
            _ => last = Some((now, Instant::now())),
        }
        Ok(None)
    })
}
