//! Fair slots: how many requests are worked on at once, shared between tenants.
//!
//! A request takes a free slot or waits for one. A slot that becomes free goes to the waiting tenant that holds the fewest,
//! so a tenant that sends a hundred times as much as another gets what the other leaves, and no more. The waiting room is
//! bounded, too: when it is full, the last to come of the tenant with the most in it leaves for one of a tenant with fewer.
//!
//! Invariants:
//! - at most `slots` are held, at most `waiting` wait;
//! - nobody waits while a slot is free;
//! - among tenants that wait, the one with the fewest slots is next, and each tenant's own in the order they came;
//! - tenants that hold and wait for nothing take no memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use daymark_model::TenantId;
use tokio::sync::oneshot;

/// Slots that tenants share.
pub struct FairSlots {
    slots: usize,
    max_waiting: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: usize,
    waiting: usize,
    tenants: HashMap<TenantId, Share>,
    /// Tells which of two that wait came first.
    tickets: u64,
}

#[derive(Default)]
struct Share {
    held: usize,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    ticket: u64,
    give: oneshot::Sender<Slot>,
}

/// There is neither a slot nor room to wait for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSlot;

impl FairSlots {
    /// `slots` at once, and `waiting` more that wait.
    pub fn new(slots: usize, waiting: usize) -> Arc<FairSlots> {
        Arc::new(FairSlots { slots, max_waiting: waiting, state: Mutex::default() })
    }

    /// A slot for a request of `tenant`, as soon as it is its turn. Dropping the future leaves the waiting room.
    ///
    /// # Errors
    /// [`NoSlot`] when the waiting room has no place for this tenant.
    pub async fn acquire(self: &Arc<FairSlots>, tenant: &TenantId) -> Result<Slot, NoSlot> {
        let given = match self.take_or_wait(tenant)? {
            Ok(slot) => return Ok(slot),
            Err(given) => given,
        };
        // Whoever is made to leave the waiting room has its sender dropped.
        let slot = given.await.map_err(|_| NoSlot)?;
        Ok(slot)
    }

    /// Slots held and requests waiting now.
    pub fn in_use(&self) -> (usize, usize) {
        let state = self.state();
        (state.held, state.waiting)
    }

    fn take_or_wait(self: &Arc<FairSlots>, tenant: &TenantId) -> Result<Result<Slot, oneshot::Receiver<Slot>>, NoSlot> {
        let mut state = self.state();
        if state.held < self.slots {
            state.hold(tenant);
            return Ok(Ok(self.slot(tenant)));
        }
        if state.waiting >= self.max_waiting {
            state.forget_gone();
        }
        if state.waiting >= self.max_waiting {
            state.make_room_for(tenant)?;
        }
        let (give, given) = oneshot::channel();
        let ticket = state.tickets;
        state.tickets += 1;
        state.waiting += 1;
        state.tenants.entry(tenant.clone()).or_default().waiting.push_back(Waiting { ticket, give });
        Ok(Err(given))
    }

    fn slot(self: &Arc<FairSlots>, tenant: &TenantId) -> Slot {
        Slot { slots: Arc::clone(self), tenant: tenant.clone(), held: true }
    }

    /// Takes a slot back and gives it to the next.
    fn release(self: &Arc<FairSlots>, tenant: &TenantId) {
        let mut state = self.state();
        state.let_go(tenant);
        while state.held < self.slots
            && let Some((next, waiting)) = state.next()
        {
            state.hold(&next);
            // Whoever has stopped waiting leaves the slot to the next one.
            if let Err(mut unwanted) = waiting.give.send(self.slot(&next)) {
                unwanted.held = false;
                state.let_go(&next);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hold(&mut self, tenant: &TenantId) {
        self.held += 1;
        self.tenants.entry(tenant.clone()).or_default().held += 1;
    }

    fn let_go(&mut self, tenant: &TenantId) {
        self.held -= 1;
        if let Some(share) = self.tenants.get_mut(tenant) {
            share.held -= 1;
            if share.held == 0 && share.waiting.is_empty() {
                self.tenants.remove(tenant);
            }
        }
    }

    /// Takes out of the waiting room whose turn it is.
    fn next(&mut self) -> Option<(TenantId, Waiting)> {
        let order = |share: &Share| share.waiting.front().map(|first| (share.held, first.ticket));
        let next = self.tenants.iter().filter_map(|(tenant, share)| Some((order(share)?, tenant))).min()?.1.clone();
        let waiting = self.tenants.get_mut(&next)?.waiting.pop_front()?;
        self.waiting -= 1;
        Some((next, waiting))
    }

    /// Forgets those who wait no more.
    fn forget_gone(&mut self) {
        self.tenants.retain(|_, share| {
            share.waiting.retain(|waiting| !waiting.give.is_closed());
            share.held > 0 || !share.waiting.is_empty()
        });
        self.waiting = self.tenants.values().map(|share| share.waiting.len()).sum();
    }

    /// Sends away the last of the tenant with the most in the waiting room, if `tenant` has fewer even with one more.
    fn make_room_for(&mut self, tenant: &TenantId) -> Result<(), NoSlot> {
        let own = self.tenants.get(tenant).map_or(0, |share| share.waiting.len());
        let (most, share) = self.tenants.iter_mut().max_by_key(|(_, share)| share.waiting.len()).ok_or(NoSlot)?;
        if share.waiting.len() <= own + 1 || share.waiting.pop_back().is_none() {
            return Err(NoSlot);
        }
        self.waiting -= 1;
        if share.held == 0 && share.waiting.is_empty() {
            let most = most.clone();
            self.tenants.remove(&most);
        }
        Ok(())
    }
}

/// A slot in hand; free again when dropped.
#[must_use]
pub struct Slot {
    slots: Arc<FairSlots>,
    tenant: TenantId,
    held: bool,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.held {
            self.slots.release(&self.tenant);
        }
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot of {}", self.tenant)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    /// Scenario: one tenant sends a hundred times as much as another; all slots and the waiting room are full of it.
    /// Guarantee: every request of the quiet one gets through, and the noisy one is turned away.
    #[tokio::test]
    async fn a_noisy_tenant_does_not_starve_a_quiet_one() {
        let slots = FairSlots::new(4, 16);
        let (noisy, quiet) = (tenant("noisy"), tenant("quiet"));
        let refused = Arc::new(AtomicUsize::new(0));
        let noise: Vec<_> = (0..100)
            .map(|_| {
                let (slots, noisy, refused) = (Arc::clone(&slots), noisy.clone(), Arc::clone(&refused));
                tokio::spawn(async move {
                    loop {
                        match slots.acquire(&noisy).await {
                            Ok(_slot) => tokio::time::sleep(Duration::from_millis(2)).await,
                            Err(NoSlot) => {
                                refused.fetch_add(1, Relaxed);
                                tokio::time::sleep(Duration::from_millis(1)).await;
                            }
                        }
                    }
                })
            })
            .collect();
        while slots.in_use() != (4, 16) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for _ in 0..50 {
            let slot = slots.acquire(&quiet).await.expect("the quiet tenant gets through");
            tokio::time::sleep(Duration::from_millis(2)).await;
            drop(slot);
        }
        assert!(refused.load(Relaxed) > 50, "the noisy one is turned away");
        noise.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn alone_a_tenant_may_take_all_slots_and_who_gives_up_takes_none() {
        let slots = FairSlots::new(2, 1);
        let acme = tenant("acme");
        let first = slots.acquire(&acme).await.unwrap();
        let second = slots.acquire(&acme).await.unwrap();
        let gives_up = tokio::time::timeout(Duration::from_millis(5), slots.acquire(&acme)).await;
        assert!(gives_up.is_err());
        let patient = {
            let (slots, acme) = (Arc::clone(&slots), acme.clone());
            tokio::spawn(async move { slots.acquire(&acme).await })
        };
        while slots.state().tickets < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(slots.acquire(&acme).await.unwrap_err(), NoSlot, "the waiting room is full");
        drop(first);
        let third = patient.await.unwrap().unwrap();
        assert_eq!(slots.in_use(), (2, 0));
        drop((second, third));
        assert_eq!(slots.in_use(), (0, 0));
        assert!(slots.state().tenants.is_empty(), "nothing is remembered");
    }

    proptest! {
        /// Whatever tenants do: never more held or waiting than allowed, nobody waits beside a free slot, all is given back.
        #[test]
        fn slots_are_conserved(steps in prop::collection::vec((0_usize..4, prop::bool::ANY, 0_usize..8), 1..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let slots = FairSlots::new(3, 4);
                let (mut held, mut waiting) = (Vec::new(), Vec::new());
                for (who, takes, which) in steps {
                    if takes {
                        match slots.take_or_wait(&tenant(&format!("t{who}"))) {
                            Ok(Ok(slot)) => held.push(slot),
                            Ok(Err(given)) => waiting.push(given),
                            Err(NoSlot) => {}
                        }
                    } else if which % 2 == 0 && !held.is_empty() {
                        drop(held.swap_remove(which % held.len()));
                    } else if !waiting.is_empty() {
                        drop(waiting.swap_remove(which % waiting.len()));
                    }
                    waiting.retain_mut(|given| match given.try_recv() {
                        Ok(slot) => {
                            held.push(slot);
                            false
                        }
                        Err(oneshot::error::TryRecvError::Closed) => false,
                        Err(oneshot::error::TryRecvError::Empty) => true,
                    });
                    let (in_use, queued) = slots.in_use();
                    assert!(in_use == held.len() && in_use <= 3 && queued <= 4 && queued >= waiting.len());
                    assert!(waiting.is_empty() || in_use == 3);
                }
                drop((held, waiting));
                assert_eq!(slots.in_use().0, 0);
            });
        }
    }
}
