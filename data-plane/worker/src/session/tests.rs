//! A replica that has no place, over a real connection, and then nobody who listens there.

use super::*;
use proto::worker_v1::session_service_server::{SessionService, SessionServiceServer};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Streaming, transport::Server};
use tonic_types::ErrorDetails;

/// How long a test waits for what must come.
const DEADLINE: Duration = Duration::from_secs(20);

/// Refuses everybody, asking to be left alone for so long.
#[derive(Clone)]
struct Full {
    asked: Arc<AtomicUsize>,
    retry_after: Duration,
}

#[tonic::async_trait]
impl SessionService for Full {
    type SessionStream = ReceiverStream<Result<wire::SessionResponse, Status>>;

    async fn session(
        &self,
        _request: Request<Streaming<wire::SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let details = ErrorDetails::with_retry_info(Some(self.retry_after));
        Err(Status::with_error_details(Code::ResourceExhausted, "full", details))
    }
}

#[tokio::test]
async fn a_full_replica_is_left_alone_and_its_end_is_noticed_in_time() {
    let full = Full { asked: Arc::default(), retry_after: Duration::from_secs(8) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let service = SessionServiceServer::new(full.clone());
    let server = tokio::spawn(async move {
        Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)).await
    });
    let (_hello, hello) = watch::channel(wire::Hello::default());
    let (sender, mut events) = mpsc::channel(16);
    let keeper = tokio::spawn(keep(address.clone(), hello, sender));

    let closed = timeout(DEADLINE, events.recv()).await.unwrap().unwrap();
    assert!(matches!(closed.1, SessionEvent::Closed), "{closed:?}");
    // As long as seven tries of a replica that only went away.
    let quiet = timeout(RETRY * 7, events.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    assert_eq!(full.asked.load(Ordering::SeqCst), 1, "it is not asked again before the time");

    server.abort();
    let _ = server.await;
    let gone_at = Instant::now();
    let refused = timeout(DEADLINE, events.recv()).await.unwrap().unwrap();
    assert!(matches!(refused.1, SessionEvent::Refused(_)), "{refused:?}");
    assert!(gone_at.elapsed() < Duration::from_secs(1), "before a lease of 1.3 s ends: {:?}", gone_at.elapsed());
    keeper.abort();
}

#[test]
fn pauses_grow_are_bounded_and_end_with_a_good_session() {
    let now = Instant::now();
    let mut back_off = BackOff::default();
    assert!(!back_off.is_early(now));
    let asked = Some(Duration::from_secs(2));
    for pause_s in [2, 4, 8, 10, 10] {
        back_off.after(asked, now, 0.0);
        assert!(back_off.is_early(now + Duration::from_secs(pause_s) - Duration::from_millis(1)), "{pause_s}");
        assert!(!back_off.is_early(now + Duration::from_secs(pause_s)), "{pause_s}");
    }
    back_off.after(Some(Duration::from_secs(3600)), now, 0.0);
    assert!(!back_off.is_early(now + PAUSE_LIMIT), "nobody is kept away for longer");
    back_off.after(Some(Duration::from_secs(2)), now, 1.0);
    assert!(back_off.is_early(now + PAUSE_LIMIT), "chance spreads them");
    back_off.after(None, now, 0.0);
    assert!(!back_off.is_early(now));
}

#[test]
fn only_an_overloaded_replica_is_left_alone() {
    let details = || ErrorDetails::with_retry_info(Some(Duration::from_secs(5)));
    let exhausted = Status::with_error_details(Code::ResourceExhausted, "", details());
    assert_eq!(ended(&exhausted).retry_after, Some(Duration::from_secs(5)));
    let unavailable = Status::with_error_details(Code::Unavailable, "", details());
    assert_eq!(ended(&unavailable).retry_after, None);
}
