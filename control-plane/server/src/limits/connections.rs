//! Connections of a listener: so many in all, and so many of one caller. One too many is closed at once.

use super::{
    calls::Caller,
    refusals::{Limit, Refusals},
};
use axum::serve::Listener;
use futures::{Stream, stream};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    num::NonZeroU32,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Pause after an accept that failed: the process may have no more file descriptors for a moment.
const PAUSE: Duration = Duration::from_millis(50);

/// A listener whose connections are counted.
pub struct CountedListener {
    listener: TcpListener,
    most: NonZeroU32,
    most_per_caller: Option<NonZeroU32>,
    refusals: Refusals,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    all: u32,
    /// Nobody without a connection is in it.
    of: BTreeMap<Caller, u32>,
}

/// One of its connections.
pub struct Connection {
    stream: TcpStream,
    _place: Place,
}

struct Place {
    open: Arc<Mutex<Open>>,
    caller: Caller,
}

impl CountedListener {
    /// `most_per_caller` None: one caller may have all of them, as where many workers run on one machine.
    pub fn new(
        listener: TcpListener,
        most: NonZeroU32,
        most_per_caller: Option<NonZeroU32>,
        refusals: Refusals,
    ) -> CountedListener {
        CountedListener { listener, most, most_per_caller, refusals, open: Arc::default() }
    }

    /// For tonic.
    pub fn into_stream(self) -> impl Stream<Item = io::Result<Connection>> + Send {
        stream::unfold(self, |mut listener| async move {
            let (connection, _) = listener.accept().await;
            Some((Ok(connection), listener))
        })
    }

    fn place(&self, caller: Caller) -> Result<Place, Limit> {
        let mut open = self.open.lock();
        if open.all >= self.most.get() {
            return Err(Limit::Connections);
        }
        let own = open.of.entry(caller).or_insert(0);
        if self.most_per_caller.is_some_and(|most| *own >= most.get()) {
            return Err(Limit::ConnectionsPerCaller);
        }
        *own += 1;
        open.all += 1;
        Ok(Place { open: self.open.clone(), caller })
    }
}

impl Listener for CountedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "a connection was not accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            match self.place(Caller::of(peer.ip())) {
                Ok(place) => {
                    // Small messages go out at once: without this, acknowledgements would wait for 40 ms on both sides.
                    // A connection that is gone already is noticed by whoever reads it.
                    let _ = stream.set_nodelay(true);
                    return (Connection { stream, _place: place }, peer);
                }
                Err(limit) => self.refusals.count(limit),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock();
        open.all -= 1;
        if let Some(left) = open.of.get_mut(&self.caller) {
            *left -= 1;
            if *left == 0 {
                open.of.remove(&self.caller);
            }
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
