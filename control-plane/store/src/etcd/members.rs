//! The members of an etcd cluster, of which one is asked until it fails; then the next one is.
//!
//! A client that spreads its calls over all members would have a share of them refused for as long as one member is down.

use super::{CALL_TIMEOUT, store_error};
use crate::StoreError;
use etcd_client::{Client, ConnectOptions, Error};
use std::{
    error::Error as _,
    io,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::time::{Instant, timeout_at};
use tonic::Code;

/// A client for each member.
pub(super) struct Members {
    clients: Vec<Client>,
    current: AtomicUsize,
}

impl Members {
    /// Dials nobody yet; fails only on addresses that are none.
    pub(super) async fn new(endpoints: &[String], options: &ConnectOptions) -> Result<Members, Error> {
        let mut clients = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            clients.push(Client::connect([endpoint], Some(options.clone())).await?);
        }
        match clients.is_empty() {
            true => Err(Error::InvalidArgs("no endpoints".to_owned())),
            false => Ok(Members { clients, current: AtomicUsize::new(0) }),
        }
    }

    /// The member to ask, and its number for [`Members::failed`].
    pub(super) fn current(&self) -> (usize, Client) {
        let member = self.current.load(Ordering::Acquire) % self.clients.len();
        (member, self.clients[member].clone())
    }

    /// The next member is asked from now on, unless somebody else has said so already.
    pub(super) fn failed(&self, member: usize) {
        let next = (member + 1) % self.clients.len();
        let _ = self.current.compare_exchange(member, next, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Asks for something that changes nothing: where a member fails, the others are asked in turn.
    pub(super) async fn read<T, F>(&self, ask: impl Fn(Client) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.ask(ask, is_the_members_trouble).await
    }

    /// Orders a change: another member is asked only where the first one cannot have got the order.
    pub(super) async fn write<T, F>(&self, ask: impl Fn(Client) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.ask(ask, is_refused).await
    }

    async fn ask<T, F>(&self, ask: impl Fn(Client) -> F, may_ask_again: fn(&Error) -> bool) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let deadline = Instant::now() + CALL_TIMEOUT;
        let mut left = self.clients.len();
        loop {
            let (member, client) = self.current();
            left -= 1;
            let error = match timeout_at(deadline, ask(client)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => {
                    self.failed(member);
                    let seconds = CALL_TIMEOUT.as_secs();
                    return Err(StoreError::Unavailable(format!("no answer of etcd within {seconds} s")));
                }
            };
            if is_the_members_trouble(&error) {
                self.failed(member);
            }
            if left == 0 || !may_ask_again(&error) {
                return Err(store_error(error));
            }
        }
    }
}

/// Whether another member may well answer: this one is away, or knows no leader.
fn is_the_members_trouble(error: &Error) -> bool {
    match error {
        Error::TransportError(_) | Error::IoError(_) => true,
        Error::GRpcStatus(status) => {
            matches!(status.code(), Code::Unavailable | Code::Unknown | Code::DeadlineExceeded | Code::Cancelled)
        }
        _ => false,
    }
}

/// Whether nobody listened: the call was never sent.
fn is_refused(error: &Error) -> bool {
    let mut cause = error.source();
    if let Error::GRpcStatus(status) = error {
        cause = status.source();
    }
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}
