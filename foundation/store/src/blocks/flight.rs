//! One request for a block that several readers want at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::BlockId;

/// Blocks that somebody is fetching.
#[derive(Debug, Default)]
pub(super) struct Flights {
    under_way: Mutex<HashMap<BlockId, Flight>>,
}

/// A fetch by somebody else.
#[derive(Clone, Debug)]
pub(super) struct Flight(Arc<Semaphore>);

impl Flight {
    /// Waits for its end, whatever came of it.
    pub(super) async fn landed(self) {
        // It has no permits: only the close at the end of the fetch wakes us.
        drop(self.0.acquire().await);
    }
}

/// Blocks that the holder fetches. Dropping it, also when the fetch failed or nobody waits for it, lets others go on.
pub(super) struct Claim<'a> {
    flights: &'a Flights,
    ours: Vec<(u64, BlockId)>,
    numbers: Vec<u64>,
    landing: Arc<Semaphore>,
}

impl Flights {
    /// Claims those of `wanted` that nobody fetches; the others come with who does.
    pub(super) fn claim(&self, wanted: Vec<u64>, id: impl Fn(u64) -> BlockId) -> (Claim<'_>, Vec<(u64, Flight)>) {
        let landing = Arc::new(Semaphore::new(0));
        let (mut ours, mut others) = (Vec::new(), Vec::new());
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        for number in wanted {
            let id = id(number);
            match under_way.get(&id) {
                Some(flight) => others.push((number, flight.clone())),
                None => {
                    under_way.insert(id, Flight(Arc::clone(&landing)));
                    ours.push((number, id));
                }
            }
        }
        drop(under_way);
        let numbers = ours.iter().map(|(number, _)| *number).collect();
        (Claim { flights: self, ours, numbers, landing }, others)
    }
}

impl Claim<'_> {
    /// Numbers of the blocks to fetch, ascending as they were asked for.
    pub(super) fn numbers(&self) -> &[u64] {
        &self.numbers
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, id) in &self.ours {
            under_way.remove(id);
        }
        drop(under_way);
        self.landing.close();
    }
}
