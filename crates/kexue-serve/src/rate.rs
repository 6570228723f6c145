//! The rate limit of each client.

use governor::clock::{Clock as _, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// After this number of requests, clients that have been quiet are forgotten.
const FORGET_AFTER: u32 = 4096;

/// The recent requests of each client.
pub(crate) struct Rates {
    limiter: Option<RateLimiter<IpAddr, HashMapStateStore<IpAddr>, MonotonicClock>>,
    seen: AtomicU32,
}

impl Rates {
    /// Allows this number of requests per second, and twice as many at once; 0 means no limit.
    pub fn new(per_second: u32) -> Self {
        let limiter = NonZeroU32::new(per_second).map(|rate| {
            let burst = NonZeroU32::new(per_second.saturating_mul(2)).unwrap_or(rate);
            RateLimiter::new(
                Quota::per_second(rate).allow_burst(burst),
                HashMapStateStore::default(),
                MonotonicClock,
            )
        });
        Self {
            limiter,
            seen: AtomicU32::new(0),
        }
    }

    /// Counts a request. The error is the time that the client has to wait.
    pub fn count(&self, client: IpAddr) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        if self.seen.fetch_add(1, Ordering::Relaxed) % FORGET_AFTER == FORGET_AFTER - 1 {
            limiter.retain_recent();
        }
        limiter
            .check_key(&network(client))
            .map_err(|later| later.wait_time_from(MonotonicClock.now()))
    }
}

/// The address that identifies a client: an IPv4 address, or the first 64 bits of an IPv6 address, which one subscriber shares.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mut bytes = address.octets();
            bytes[8..].fill(0);
            IpAddr::from(bytes)
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_limited_and_others_are_not() {
        let rates = Rates::new(5);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!((0..10).all(|_| rates.count(address("2001:db8::1")).is_ok()));
        let wait = rates.count(address("2001:db8::ffff")).unwrap_err();
        assert!(wait <= Duration::from_millis(200), "{wait:?}");
        assert!(rates.count(address("2001:db8:0:1::1")).is_ok());
        assert!(rates.count(address("192.0.2.1")).is_ok());
        assert!((0..1000).all(|_| Rates::new(0).count(address("192.0.2.1")).is_ok()));
    }
}
