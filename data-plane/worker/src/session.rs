//! One replica: connect, say hello, carry messages both ways, connect again.
//!
//! What matters to the lease is told to the supervisor exactly: a refused connection (nobody listens there) is not the
//! same as silence.

use crate::clock;
use data_plane_core::time::Monotonic;
use proto::worker_v1::{
    self as wire, session_request::Message as ToReplica, session_response::Message as FromReplica,
    session_service_client::SessionServiceClient,
};
use std::{error::Error, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// Messages that may wait for a replica; the session of one that does not read is ended.
pub const OUTBOX: usize = 1024;
/// Pause between two tries.
const RETRY: Duration = Duration::from_millis(150);
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
    loop {
        let tried_at = clock::now();
        match endpoint.connect().await {
            Ok(channel) => {
                let client = SessionServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
                let hello = hello.borrow().clone();
                if let Err(reason) = carry(&address, client, hello, &events).await {
                    tracing::debug!(replica = %address, %reason, "session ended");
                }
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
        sleep(RETRY).await;
    }
}

async fn carry(
    address: &str,
    mut client: SessionServiceClient<tonic::transport::Channel>,
    hello: wire::Hello,
    events: &mpsc::Sender<(String, SessionEvent)>,
) -> Result<(), String> {
    let (outbox, queue) = mpsc::channel(OUTBOX);
    let first = wire::SessionRequest { message: Some(ToReplica::Hello(hello)) };
    outbox.send(first).await.map_err(|error| error.to_string())?;
    let answer = timeout(PATIENCE, client.session(ReceiverStream::new(queue))).await;
    let mut stream = answer.map_err(|_| "no answer")?.map_err(|status| status.to_string())?.into_inner();
    let mut outbox = Some(outbox);
    loop {
        let next = match outbox {
            Some(_) => timeout(PATIENCE, stream.message()).await.map_err(|_| "no welcome")?,
            None => stream.message().await,
        };
        let message = next.map_err(|status| status.to_string())?.ok_or("the replica ended it")?.message;
        let event = match message {
            Some(FromReplica::Welcome(welcome)) => match outbox.take() {
                Some(outbox) => SessionEvent::Opened(Box::new(welcome), outbox),
                None => return Err("a second welcome".to_owned()),
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
