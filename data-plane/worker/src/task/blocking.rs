//! One blocking step on tokio's pool of blocking threads: a panic is an error, a severed unit leaves its thread behind.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use data_plane_connector_api::ConnectError;
use tokio::task::JoinHandle;

use super::gate::Gate;

/// Threads left behind in plugin code that does not come back.
#[derive(Debug, Default, Clone)]
pub(super) struct Abandoned(Arc<AtomicUsize>);

impl Abandoned {
    /// How many there are now.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The unit was severed; its state stays with the thread that has it.
#[derive(Debug)]
pub(super) struct Severed(JoinHandle<()>);

impl Severed {
    /// Waits until that thread has come back and its state is released.
    pub(super) async fn returned(self) {
        // It ends in no other way, unless the process does.
        let _ = self.0.await;
    }
}

/// Runs `step` on `state` off the async threads and gives the state back with what came out. A panic comes out as an
/// error. Not cancellation safe: the state is lost if the future is dropped.
pub(super) async fn step<S: Send + 'static, R: Send + 'static>(
    mut state: S,
    gate: &Gate,
    abandoned: &Abandoned,
    step: impl FnOnce(&mut S) -> Result<R, ConnectError> + Send + 'static,
) -> Result<(S, Result<R, ConnectError>), Severed> {
    let mut thread = tokio::task::spawn_blocking(move || {
        let result = catch_unwind(AssertUnwindSafe(|| step(&mut state))).unwrap_or_else(|panic| Err(panicked(&*panic)));
        (state, result)
    });
    tokio::select! {
        biased;
        done = &mut thread => match done {
            Ok(done) => Ok(done),
            // The closure catches panics; only a runtime that shuts down gets here.
            Err(_) => Err(Severed(tokio::spawn(async {}))),
        },
        () = gate.closed() => {
            let counter = Arc::clone(&abandoned.0);
            counter.fetch_add(1, Ordering::Relaxed);
            Err(Severed(tokio::spawn(async move {
                if let Ok((state, _)) = thread.await {
                    let _ = release(state).await;
                }
                counter.fetch_sub(1, Ordering::Relaxed);
            })))
        }
    }
}

/// Drops what may block while it is dropped.
pub(super) fn release<S: Send + 'static>(state: S) -> JoinHandle<()> {
    tokio::task::spawn_blocking(move || {
        // A panic ends the state all the same.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(state)));
    })
}

fn panicked(panic: &(dyn Any + Send)) -> ConnectError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned());
    ConnectError::connect(format!("the plugin panicked: {text}"))
}
