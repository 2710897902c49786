//! One replica: connect, say hello, carry messages both ways, connect again.
//!
//! What matters to the lease is told to the supervisor exactly: a refused connection (nobody listens there) is not the
//! same as silence, and not the same as a replica that has no place for the worker at the moment (RESOURCE_EXHAUSTED).

use crate::clock;
use data_plane_core::time::Monotonic;
use proto::worker_v1::{
    self as wire, session_request::Message as ToReplica, session_response::Message as FromReplica,
    session_service_client::SessionServiceClient,
};
use std::{convert::Infallible, error::Error, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, transport::Endpoint};
use tonic_types::StatusExt as _;

/// Messages that may wait for a replica; the session of one that does not read is ended.
pub const OUTBOX: usize = 1024;
/// Pause between two tries.
const RETRY: Duration = Duration::from_millis(150);
/// While a replica has no place for the worker, it is looked at so often whether it is still there: that nobody listens
/// must be known before the lease ends.
const LOOK: Duration = Duration::from_millis(400);
/// Longest pause that a replica can ask for, or that grows with further refusals.
const PAUSE_LIMIT: Duration = Duration::from_secs(10);
/// How long a connection, and then the Welcome, may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a dead connection is looked for.
const KEEPALIVE: Duration = Duration::from_secs(2);
/// Largest message taken.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// What a session tells the supervisor.
#[derive(Debug)]
pub enum SessionEvent {
    /// The replica said welcome; messages to it go into the outbox.
    Opened(Box<wire::Welcome>, mpsc::Sender<wire::SessionRequest>),
    /// A message.
    Message(FromReplica),
    /// The connection tried at this moment was refused.
    Refused(Monotonic),
    /// The session has ended.
    Closed,
    /// The replica does not want this worker.
    Unwanted(String),
}

/// Keeps a session to one replica for ever. `hello` always holds the present Hello.
pub async fn keep(address: String, hello: watch::Receiver<wire::Hello>, events: mpsc::Sender<(String, SessionEvent)>) {
    let endpoint = match Endpoint::from_shared(address.clone()) {
        Ok(endpoint) => endpoint
            .connect_timeout(PATIENCE)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true),
        Err(error) => {
            let reason =
                format!("{address} is no address of a control plane ({error}); it is like http://127.0.0.1:7402");
            // Nobody listens only when the process ends.
            let _ = events.send((address, SessionEvent::Unwanted(reason))).await;
            return;
        }
    };
    let mut back_off = BackOff::default();
    loop {
        let tried_at = clock::now();
        match endpoint.connect().await {
            // Somebody listens, which is all that is asked before the time.
            Ok(_) if back_off.is_early(Instant::now()) => {}
            Ok(channel) => {
                let client = SessionServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
                let hello = hello.borrow().clone();
                let end = carry(&address, client, hello, &events).await;
                tracing::debug!(replica = %address, reason = %end.reason, "session ended");
                back_off.after(end.retry_after, Instant::now(), fastrand::f64());
                if events.send((address.clone(), SessionEvent::Closed)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                let told = match is_refused(&error) {
                    true => events.send((address.clone(), SessionEvent::Refused(tried_at))).await,
                    false => {
                        tracing::debug!(replica = %address, %error, "not reached");
                        Ok(())
                    }
                };
                if told.is_err() {
                    return;
                }
            }
        }
        sleep(if back_off.is_early(Instant::now()) { LOOK } else { RETRY }).await;
    }
}

/// Until when a replica that has no place for the worker is left alone.
#[derive(Debug, Default)]
struct BackOff {
    until: Option<Instant>,
    pause: Duration,
}

impl BackOff {
    fn is_early(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// A session has ended. Where the replica asked for a pause, it is kept, longer after each refusal, and a little longer
    /// by chance, so that not all workers come back at once.
    fn after(&mut self, retry_after: Option<Duration>, now: Instant, chance: f64) {
        *self = match retry_after {
            None => BackOff::default(),
            Some(asked) => {
                let pause = asked.max(self.pause * 2).clamp(RETRY, PAUSE_LIMIT);
                BackOff { until: Some(now + pause.mul_f64(1.0 + chance / 2.0)), pause }
            }
        };
    }
}

/// How a session ended.
struct End {
    reason: String,
    /// The replica is overloaded, and asks to be left alone for so long.
    retry_after: Option<Duration>,
}

impl<T: Into<String>> From<T> for End {
    fn from(reason: T) -> End {
        End { reason: reason.into(), retry_after: None }
    }
}

/// RetryInfo counts with RESOURCE_EXHAUSTED only: anything else may be over sooner, and the lease does not wait.
fn ended(status: &Status) -> End {
    let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let retry_after = (status.code() == Code::ResourceExhausted).then(|| asked.unwrap_or(RETRY));
    End { reason: status.to_string(), retry_after }
}

/// Carries messages until the session ends.
async fn carry(
    address: &str,
    client: SessionServiceClient<tonic::transport::Channel>,
    hello: wire::Hello,
    events: &mpsc::Sender<(String, SessionEvent)>,
) -> End {
    match carry_until_it_fails(address, client, hello, events).await {
        Err(end) => end,
        Ok(never) => match never {},
    }
}

async fn carry_until_it_fails(
    address: &str,
    mut client: SessionServiceClient<tonic::transport::Channel>,
    hello: wire::Hello,
    events: &mpsc::Sender<(String, SessionEvent)>,
) -> Result<Infallible, End> {
    let (outbox, queue) = mpsc::channel(OUTBOX);
    let first = wire::SessionRequest { message: Some(ToReplica::Hello(hello)) };
    outbox.send(first).await.map_err(|error| error.to_string())?;
    let answer = timeout(PATIENCE, client.session(ReceiverStream::new(queue))).await;
    let mut stream = answer.map_err(|_| "no answer")?.map_err(|status| ended(&status))?.into_inner();
    let mut outbox = Some(outbox);
    loop {
        let next = match outbox {
            Some(_) => timeout(PATIENCE, stream.message()).await.map_err(|_| "no welcome")?,
            None => stream.message().await,
        };
        let message = next.map_err(|status| ended(&status))?.ok_or("the replica ended it")?.message;
        let event = match message {
            Some(FromReplica::Welcome(welcome)) => match outbox.take() {
                Some(outbox) => SessionEvent::Opened(Box::new(welcome), outbox),
                None => return Err("a second welcome".into()),
            },
            Some(FromReplica::Refused(refused)) => SessionEvent::Unwanted(refused.reason),
            Some(message) => SessionEvent::Message(message),
            None => continue,
        };
        events.send((address.to_owned(), event)).await.map_err(|error| error.to_string())?;
    }
}

/// Whether the machine answered that nobody listens there.
fn is_refused(error: &(dyn Error + 'static)) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::ConnectionRefused
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
