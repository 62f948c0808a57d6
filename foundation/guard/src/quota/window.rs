//! Quotas: how much a tenant may send, over a sliding window of two buckets.
//!
//! What was admitted in the last window is estimated as `current + previous × (the part of the previous bucket that the
//! window still covers)`, in integers: as if the previous bucket had been filled evenly. An amount is admitted when the
//! estimate and it are within the limit.
//!
//! Invariants (property tests against the log of every amount):
//! - the estimate is never off by more than the previous bucket's amount, so that any window holds at most twice the
//!   limit, and any bucket at most the limit;
//! - who waits as long as told, while nobody else sends, is admitted at that moment and not before;
//! - what is given back counts no more.
//!
//! It reads no clock: times come from the caller; a clock that goes back stands still here.

/// One quota's state. Not shared: its owner locks it.
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    limit: u64,
    window_ns: u64,
    /// When the current bucket began.
    began_ns: u64,
    current: u64,
    previous: u64,
    /// Until when the room to come is told to others who wait.
    told_until_ns: u64,
}

/// An amount that is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Later: after `wait_ns`, by when `excess` more would have fit.
    Wait {
        /// Nanoseconds until it fits if nobody else sends.
        wait_ns: u64,
        /// By how much it is too much now.
        excess: u64,
    },
    /// Never: it is more than a whole window holds.
    Never,
}

/// Longest wait that those are told who come while others wait, in windows.
const MAX_TOLD_WINDOWS: u64 = 6;

impl SlidingWindow {
    /// At most `limit` in any bucket of `window_ns`.
    pub fn new(limit: u64, window_ns: u64) -> SlidingWindow {
        SlidingWindow { limit, window_ns: window_ns.max(1), began_ns: 0, current: 0, previous: 0, told_until_ns: 0 }
    }

    /// Changes the limit; what was admitted stays counted.
    pub fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// What a window may hold.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Counts `amount` if it fits.
    ///
    /// # Errors
    /// [`Over`] when it does not; nothing was counted then.
    pub fn take(&mut self, amount: u64, now_ns: u64) -> Result<(), Over> {
        if amount > self.limit {
            return Err(Over::Never);
        }
        let elapsed = self.turn(now_ns);
        let excess = self.excess(amount, elapsed);
        if excess == 0 {
            self.current += amount;
            return Ok(());
        }
        Err(Over::Wait { wait_ns: self.wait(amount, elapsed), excess })
    }

    /// As [`SlidingWindow::take`], but who comes while others wait is told to come after them, so that they do not
    /// all come at once. The first is told the exact wait.
    ///
    /// # Errors
    /// [`Over`], as there.
    pub fn take_in_turn(&mut self, amount: u64, now_ns: u64) -> Result<(), Over> {
        let (wait_ns, excess) = match self.take(amount, now_ns) {
            Err(Over::Wait { wait_ns, excess }) => (wait_ns, excess),
            settled => return settled,
        };
        let now_ns = now_ns.max(self.began_ns);
        let soonest = now_ns.saturating_add(wait_ns);
        let furthest = now_ns.saturating_add(self.window_ns.saturating_mul(MAX_TOLD_WINDOWS)).max(soonest);
        let at = soonest.max(self.told_until_ns).min(furthest);
        self.told_until_ns = at.saturating_add(scaled(amount, self.window_ns, self.limit));
        Err(Over::Wait { wait_ns: at - now_ns, excess })
    }

    /// Takes back what was counted and not used.
    pub fn give_back(&mut self, amount: u64, now_ns: u64) {
        self.turn(now_ns);
        let here = amount.min(self.current);
        self.current -= here;
        self.previous = self.previous.saturating_sub(amount - here);
    }

    /// What is estimated to have been admitted in the last window, rounded up.
    pub fn used(&mut self, now_ns: u64) -> u64 {
        let elapsed = self.turn(now_ns);
        self.current + scaled_up(self.previous, self.window_ns - elapsed, self.window_ns)
    }

    /// Moves the buckets on; returns how far into the current one it is.
    fn turn(&mut self, now_ns: u64) -> u64 {
        let elapsed = now_ns.saturating_sub(self.began_ns);
        let buckets = elapsed / self.window_ns;
        if buckets > 0 {
            self.previous = if buckets == 1 { self.current } else { 0 };
            self.current = 0;
            self.began_ns += buckets * self.window_ns;
        }
        now_ns.saturating_sub(self.began_ns)
    }

    /// By how much `amount` is too much, rounded up: 0 when it fits.
    fn excess(&self, amount: u64, elapsed: u64) -> u64 {
        let window = u128::from(self.window_ns);
        let wanted = (u128::from(self.current) + u128::from(amount)) * window
            + u128::from(self.previous) * u128::from(self.window_ns - elapsed);
        let over = wanted.saturating_sub(u128::from(self.limit) * window);
        u64::try_from(over.div_ceil(window)).unwrap_or(u64::MAX)
    }

    /// How long until `amount`, which is within the limit and does not fit now, fits if nobody else sends.
    fn wait(&self, amount: u64, elapsed: u64) -> u64 {
        // `bucket` decays from a bucket's begin; the part of it that may be left is reached that long before its end.
        let reached =
            |bucket: u64, room: u64| self.window_ns - scaled(room, self.window_ns, bucket).min(self.window_ns);
        let taken = self.current.saturating_add(amount);
        if taken <= self.limit {
            return reached(self.previous, self.limit - taken).saturating_sub(elapsed);
        }
        self.window_ns - elapsed + reached(self.current, self.limit - amount)
    }
}

/// `a × b / c`, rounded down; everything when `c` is 0.
fn scaled(a: u64, b: u64, c: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product.checked_div(u128::from(c)).map_or(u64::MAX, |ratio| u64::try_from(ratio).unwrap_or(u64::MAX))
}

/// `a × b / c`, rounded up; `c` is not 0.
fn scaled_up(a: u64, b: u64, c: u64) -> u64 {
    u64::try_from((u128::from(a) * u128::from(b)).div_ceil(u128::from(c))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: u64 = 1_000;

    /// What the log of all admitted amounts holds of the last window.
    fn exact(log: &[(u64, u64)], now: u64) -> u64 {
        log.iter().filter(|(at, _)| now - at < WINDOW).map(|(_, amount)| amount).sum()
    }

    proptest! {
        /// Against an exact sliding log: the estimate is off by at most the previous bucket, a bucket never holds more
        /// than the limit, a window never more than twice the limit, and nothing is refused that fits by the estimate.
        #[test]
        fn the_estimate_is_within_a_bucket_of_the_exact_log(
            limit in 1_u64..200,
            steps in prop::collection::vec((0_u64..700, 0_u64..120), 1..200),
        ) {
            let mut window = SlidingWindow::new(limit, WINDOW);
            let (mut log, mut now) = (Vec::new(), 0);
            for (step, amount) in steps {
                now += step;
                let before = window.used(now);
                let taken = window.take(amount, now);
                if taken.is_ok() {
                    log.push((now, amount));
                    prop_assert!(before + amount <= limit + 1);
                } else {
                    prop_assert!(before + amount > limit);
                }
                let (estimated, exact) = (window.used(now), exact(&log, now));
                prop_assert!(estimated.abs_diff(exact) <= window.previous.max(1), "{estimated} for {exact} at {now}");
                prop_assert!(exact <= 2 * limit);
                let bucket: u64 = log.iter().filter(|(at, _)| at / WINDOW == now / WINDOW).map(|(_, n)| n).sum();
                prop_assert!(bucket <= limit);
            }
        }

        /// Who waits as long as told is admitted then, and not a nanosecond before.
        #[test]
        fn the_wait_told_is_exact(
            limit in 1_u64..200,
            steps in prop::collection::vec((0_u64..700, 1_u64..120), 1..100),
        ) {
            let mut window = SlidingWindow::new(limit, WINDOW);
            let mut now = 0;
            for (step, amount) in steps {
                now += step;
                match window.take(amount, now) {
                    Ok(()) => {}
                    Err(Over::Never) => prop_assert!(amount > limit),
                    Err(Over::Wait { wait_ns, excess }) => {
                        prop_assert!(excess > 0 && wait_ns > 0 && wait_ns <= 2 * WINDOW);
                        prop_assert!(window.clone().take(amount, now + wait_ns).is_ok(), "too early: {window:?}");
                        prop_assert!(window.clone().take(amount, now + wait_ns - 1).is_err(), "too late: {window:?}");
                    }
                }
            }
        }

        /// What is given back counts no more.
        #[test]
        fn given_back_is_as_never_taken(steps in prop::collection::vec((0_u64..700, 1_u64..120), 1..50)) {
            let (mut with, mut without) = (SlidingWindow::new(500, WINDOW), SlidingWindow::new(500, WINDOW));
            let mut now = 0;
            for (step, amount) in steps {
                now += step;
                if with.take(7, now).is_ok() {
                    with.give_back(7, now);
                }
                prop_assert_eq!(with.take(amount, now), without.take(amount, now));
                prop_assert_eq!(with.used(now), without.used(now));
            }
        }
    }

    /// Scenario: twenty clients are refused at the same moment, each comes back when told, and again when refused.
    /// Guarantee: all get through, in few rounds, and the last after about the time that the limit needs for all.
    #[test]
    fn clients_that_wait_as_told_all_get_through() {
        let mut window = SlidingWindow::new(100, WINDOW);
        window.take(100, 0).unwrap();
        let mut due: Vec<(u64, u32)> = vec![(1, 0); 20];
        let (mut last, mut most) = (0, 0);
        while let Some(at) = (0..due.len()).min_by_key(|at| due[*at].0) {
            let (now, tries) = due.swap_remove(at);
            match window.take_in_turn(50, now) {
                Ok(()) => (last, most) = (now, most.max(tries + 1)),
                Err(Over::Wait { wait_ns, .. }) => due.push((now + wait_ns, tries + 1)),
                Err(Over::Never) => panic!("it fits a window"),
            }
        }
        assert!(most <= 8, "{most} tries");
        assert!(last <= (20 * 50 / 100 + 1) * WINDOW * 2, "the last after {last}");
    }

    #[test]
    fn a_clock_that_goes_back_opens_nothing() {
        let mut window = SlidingWindow::new(100, WINDOW);
        window.take(100, 5_500).unwrap();
        assert!(window.take(1, 100).is_err());
        assert_eq!(window.take(1, 5_600), Err(Over::Wait { wait_ns: 400 + 10, excess: 1 }));
        assert_eq!(window.take(101, 9_000), Err(Over::Never));
    }
}
