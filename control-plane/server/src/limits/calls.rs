//! Which calls of users are served now: the rate of each caller, and what is in flight.

use super::{
    Limits,
    refusals::{Limit, Refusals},
};
use control_plane_api::service::ServiceError;
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long somebody should wait who found too much in flight.
const IN_FLIGHT_RETRY: Duration = Duration::from_secs(1);
/// How often callers that have been silent are forgotten, where their table is full.
const SWEEP: Duration = Duration::from_secs(1);

/// Whose call it is: the peer's address, as nobody proves an identity yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// An IPv4 address, or the first 64 bits of an IPv6 one: who has one such address has all of them.
    Peer(IpAddr),
    /// All for whom the table of callers has no place.
    Others,
}

impl Caller {
    /// The caller at a peer's address.
    pub fn of(address: IpAddr) -> Caller {
        match address.to_canonical() {
            IpAddr::V6(address) => Caller::Peer(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()),
            address => Caller::Peer(address),
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Health or reflection: always served.
    Free,
    /// A call with one answer.
    Call,
    /// A watch, which stays open.
    Watch,
}

/// Decides. Cheap to clone.
#[derive(Clone)]
pub struct Calls {
    inner: Arc<Inner>,
}

struct Inner {
    limits: Limits,
    refusals: Refusals,
    clock: DefaultClock,
    rates: Mutex<Rates>,
    flying: Mutex<Flying>,
}

struct Rates {
    callers: BTreeMap<Caller, Rate>,
    swept: Instant,
}

struct Rate {
    limiter: DefaultDirectRateLimiter,
    seen: Instant,
}

/// In flight: bounded by the limits themselves, as nobody without a call is in it.
#[derive(Default)]
struct Flying {
    calls: BTreeMap<Caller, u32>,
    all_calls: u32,
    watches: BTreeMap<Caller, u32>,
    all_watches: u32,
}

/// Held for as long as a call is served.
pub struct Admitted {
    inner: Arc<Inner>,
    caller: Caller,
    kind: Kind,
}

impl Calls {
    /// Nobody is served yet.
    pub fn new(limits: Limits, refusals: Refusals) -> Calls {
        let rates = Mutex::new(Rates { callers: BTreeMap::new(), swept: Instant::now() });
        let clock = DefaultClock::default();
        Calls { inner: Arc::new(Inner { limits, refusals, clock, rates, flying: Mutex::default() }) }
    }

    /// The limits that it goes by.
    pub fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Where refusals are counted.
    pub fn refusals(&self) -> &Refusals {
        &self.inner.refusals
    }

    /// A place for the call; it is free again when that is dropped.
    ///
    /// # Errors
    /// [`ServiceError::Overloaded`]: there is none.
    pub fn admit(&self, caller: Caller, kind: Kind) -> Result<Admitted, ServiceError> {
        if kind != Kind::Free {
            self.inner.within_rate(caller)?;
            self.inner.take_off(caller, kind)?;
        }
        Ok(Admitted { inner: self.inner.clone(), caller, kind })
    }
}

impl Inner {
    fn within_rate(&self, caller: Caller) -> Result<(), ServiceError> {
        let now = Instant::now();
        let mut rates = self.rates.lock();
        let place = rates.place(caller, &self.limits, now);
        if place != caller {
            self.refusals.count(Limit::Callers);
        }
        let rate = rates.callers.entry(place).or_insert_with(|| Rate::new(&self.limits, now));
        rate.seen = now;
        rate.limiter.check().map_err(|early| {
            let wait = early.wait_time_from(self.clock.now());
            self.refusals.refuse(Limit::CallRate, self.limits.call_rate, wait)
        })
    }

    fn take_off(&self, caller: Caller, kind: Kind) -> Result<(), ServiceError> {
        let limits = &self.limits;
        let mut flying = self.flying.lock();
        let Flying { calls, all_calls, watches, all_watches } = &mut *flying;
        let (own, all, (own_limit, own_number), (all_limit, all_number)) = match kind {
            Kind::Watch => {
                let own_number = (Limit::WatchesPerCaller, limits.watches_per_caller);
                (watches, all_watches, own_number, (Limit::Watches, limits.watches))
            }
            Kind::Call | Kind::Free => {
                let own_number = (Limit::CallsPerCaller, limits.calls_per_caller);
                (calls, all_calls, own_number, (Limit::Calls, limits.calls))
            }
        };
        if own.get(&caller).is_some_and(|own| *own >= own_number.get()) {
            return Err(self.refusals.refuse(own_limit, own_number, IN_FLIGHT_RETRY));
        }
        if *all >= all_number.get() {
            return Err(self.refusals.refuse(all_limit, all_number, IN_FLIGHT_RETRY));
        }
        *own.entry(caller).or_insert(0) += 1;
        *all += 1;
        Ok(())
    }
}

impl Rates {
    /// Where a caller's rate is counted: apart, unless the table is full of callers that were active lately.
    fn place(&mut self, caller: Caller, limits: &Limits, now: Instant) -> Caller {
        if self.callers.contains_key(&caller) || self.callers.len() < limits.callers.get() as usize {
            return caller;
        }
        if now.duration_since(self.swept) >= SWEEP {
            self.swept = now;
            // One that was silent for so long has its whole burst again: nothing is lost with it.
            let refilled = Duration::from_secs(1) * limits.call_burst.get() / limits.call_rate.get();
            self.callers.retain(|_, rate| now.duration_since(rate.seen) < refilled);
        }
        if self.callers.len() < limits.callers.get() as usize { caller } else { Caller::Others }
    }
}

impl Rate {
    fn new(limits: &Limits, now: Instant) -> Rate {
        let quota = Quota::per_second(limits.call_rate).allow_burst(limits.call_burst);
        Rate { limiter: RateLimiter::direct(quota), seen: now }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut flying = self.inner.flying.lock();
        let Flying { calls, all_calls, watches, all_watches } = &mut *flying;
        let (own, all) = match self.kind {
            Kind::Free => return,
            Kind::Call => (calls, all_calls),
            Kind::Watch => (watches, all_watches),
        };
        *all -= 1;
        if let Some(left) = own.get_mut(&self.caller) {
            *left -= 1;
            if *left == 0 {
                own.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn number(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn at(address: &str) -> Caller {
        Caller::of(address.parse().unwrap())
    }

    fn reason(result: Result<Admitted, ServiceError>) -> &'static str {
        match result {
            Ok(_) => "served",
            Err(ServiceError::Overloaded(overload)) => overload.reason,
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_caller_is_an_address_or_a_network_of_them() {
        assert_eq!(at("::ffff:10.0.0.1"), at("10.0.0.1"));
        assert_ne!(at("10.0.0.2"), at("10.0.0.1"));
        assert_eq!(at("2001:db8:1:2:3::4"), at("2001:db8:1:2:ffff::1"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
    }

    #[test]
    fn each_caller_has_a_rate_of_its_own() {
        let limits = Limits { call_rate: number(1), call_burst: number(3), ..Limits::default() };
        let calls = Calls::new(limits, Refusals::default());
        let answers: Vec<_> = (0..5).map(|_| reason(calls.admit(at("10.0.0.1"), Kind::Call))).collect();
        assert_eq!(answers, ["served", "served", "served", "CALL_RATE", "CALL_RATE"]);
        assert_eq!(reason(calls.admit(at("10.0.0.2"), Kind::Call)), "served");
        assert_eq!(reason(calls.admit(at("10.0.0.1"), Kind::Free)), "served");
        assert_eq!(calls.refusals().counted(Limit::CallRate), 2);
        let Err(ServiceError::Overloaded(overload)) = calls.admit(at("10.0.0.1"), Kind::Call) else { panic!("served") };
        let wait = overload.retry_after.unwrap();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
    }

    #[test]
    fn what_is_in_flight_is_bounded_for_each_and_for_all() {
        let limits = Limits {
            calls: number(3),
            calls_per_caller: number(2),
            watches: number(2),
            watches_per_caller: number(1),
            ..Limits::default()
        };
        let calls = Calls::new(limits, Refusals::default());
        let (one, other) = (at("10.0.0.1"), at("10.0.0.2"));
        let first = calls.admit(one, Kind::Call).unwrap_or_else(|error| panic!("{error}"));
        let _second = calls.admit(one, Kind::Call);
        assert_eq!(reason(calls.admit(one, Kind::Call)), "TOO_MANY_CALLS_OF_CALLER");
        let _third = calls.admit(other, Kind::Call);
        assert_eq!(reason(calls.admit(other, Kind::Call)), "TOO_MANY_CALLS");
        drop(first);
        assert_eq!(reason(calls.admit(other, Kind::Call)), "served");

        let _watch = calls.admit(one, Kind::Watch);
        assert_eq!(reason(calls.admit(one, Kind::Watch)), "TOO_MANY_WATCHES_OF_CALLER");
        let _watch = calls.admit(other, Kind::Watch);
        assert_eq!(reason(calls.admit(at("10.0.0.3"), Kind::Watch)), "TOO_MANY_WATCHES");
        drop((_second, _third));
        assert!(calls.inner.flying.lock().calls.is_empty(), "nobody without a call is remembered");
    }

    #[test]
    fn callers_beyond_the_table_share_one_rate() {
        let limits = Limits { callers: number(2), call_rate: number(1), call_burst: number(2), ..Limits::default() };
        let calls = Calls::new(limits, Refusals::default());
        for address in ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"] {
            assert_eq!(reason(calls.admit(at(address), Kind::Call)), "served");
        }
        assert_eq!(reason(calls.admit(at("10.0.0.5"), Kind::Call)), "CALL_RATE", "the third and the fourth had it");
        assert_eq!(reason(calls.admit(at("10.0.0.1"), Kind::Call)), "served");
        assert_eq!(calls.inner.rates.lock().callers.len(), 3, "the two and the others");
        assert_eq!(calls.refusals().counted(Limit::Callers), 3);
    }
}
