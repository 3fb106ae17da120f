//! How many connections are open, in all and from each address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::engine::limits::prefix;

/// Most connections at once. Further ones wait in the kernel's queue.
const CONNECTIONS_MAX: u64 = 4096;
/// File descriptors that clients never get. They are for the database and the provider.
const DESCRIPTORS_RESERVED: u64 = 512;
/// The part of all connections that one address may have, an IPv6 /64 or an IPv4 address. An office
/// behind NAT has fewer, and a client that opens as many as it can leaves half to the others.
const ADDRESS_SHARE: usize = 2;

/// Places for connections.
pub struct Slots {
    free: Arc<Semaphore>,
    by_address: Arc<Mutex<BTreeMap<u128, usize>>>,
    address_max: Option<usize>,
}

/// The place of one connection. Free again when it is dropped.
pub struct Slot {
    _permit: OwnedSemaphorePermit,
    by_address: Arc<Mutex<BTreeMap<u128, usize>>>,
    address: u128,
}

impl Slots {
    /// As many as the file descriptors allow. `limit_addresses` gives each address a part only. Raises the soft limit, which is often 1,024.
    pub fn new(limit_addresses: bool) -> Self {
        let descriptors = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
        let for_clients = descriptors
            .saturating_sub(DESCRIPTORS_RESERVED)
            .max(descriptors / 2);
        let all = usize::try_from(for_clients.min(CONNECTIONS_MAX)).unwrap_or(1);
        Self {
            free: Arc::new(Semaphore::new(all)),
            by_address: Arc::default(),
            address_max: limit_addresses.then_some(all.div_ceil(ADDRESS_SHARE)),
        }
    }

    /// Waits for a free place.
    pub async fn free(&self) -> Option<OwnedSemaphorePermit> {
        self.free.clone().acquire_owned().await.ok()
    }

    /// The place of a connection. `None` if the address has as many as it may have.
    pub fn take(&self, permit: OwnedSemaphorePermit, address: IpAddr) -> Option<Slot> {
        let address = prefix(address);
        let by_address = self.by_address.lock();
        let mut by_address = by_address.unwrap_or_else(PoisonError::into_inner);
        let open = by_address.entry(address).or_default();
        if self.address_max.is_some_and(|most| *open >= most) {
            return None;
        }
        *open += 1;
        Some(Slot {
            _permit: permit,
            by_address: self.by_address.clone(),
            address,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let by_address = self.by_address.lock();
        let mut by_address = by_address.unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = by_address.get_mut(&self.address) {
            *open -= 1;
            if *open == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}
