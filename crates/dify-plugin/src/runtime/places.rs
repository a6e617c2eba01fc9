//! How many sessions may work at the same time. A session that waits for Dify lends its place to others, because what it
//! waits for may be a session of the same plugin.
//!
//! Taking a place back never waits: another session may hold its place while it waits for something of this one's. Then
//! more sessions work than there are places, until so many have ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

/// The places; clones are the same places.
#[derive(Clone)]
pub(super) struct Places(Arc<Shared>);

struct Shared {
    free: Arc<Semaphore>,
    /// Places that were taken back though none was free.
    overdraft: Mutex<usize>,
}

/// One place; free again when it is dropped.
pub(super) struct Place(Arc<Shared>);

/// Waits for a place.
pub(super) type Queued = BoxFuture<'static, Option<Place>>;

impl Places {
    /// So many places, at least one.
    pub(super) fn new(count: usize) -> Self {
        let free = Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS)));
        Self(Arc::new(Shared { free, overdraft: Mutex::default() }))
    }

    /// Takes a place, or waits for one in the order of the calls.
    pub(super) fn acquire(&self) -> Result<Place, Queued> {
        if let Ok(permit) = self.0.free.try_acquire() {
            permit.forget();
            return Ok(Place(self.0.clone()));
        }
        let shared = self.0.clone();
        let mut place = async move {
            shared.free.clone().acquire_owned().await.ok()?.forget();
            Some(Place(shared))
        }
        .boxed();
        // The semaphore's order is the order of the first polls.
        (&mut place).now_or_never().flatten().ok_or(place)
    }
}

impl Shared {
    fn overdraft(&self) -> MutexGuard<'_, usize> {
        self.overdraft.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(&self) {
        let mut overdraft = self.overdraft();
        match overdraft.checked_sub(1) {
            Some(less) => *overdraft = less,
            None => self.free.add_permits(1),
        }
    }

    fn take(&self) {
        let mut overdraft = self.overdraft();
        match self.free.try_acquire() {
            Ok(permit) => permit.forget(),
            Err(_) => *overdraft += 1,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.give();
    }
}

/// A session's place, which it can lend; clones are the same place.
#[derive(Clone)]
pub(super) struct Lendable(Arc<Mutex<Lent>>);

struct Lent {
    place: Option<Place>,
    /// How many parts of the session wait.
    waits: usize,
}

/// While this lives, a part of the session waits.
pub(super) struct Waits(Lendable);

impl Lendable {
    /// A place that is not lent.
    pub(super) fn new(place: Option<Place>) -> Self {
        Self(Arc::new(Mutex::new(Lent { place, waits: 0 })))
    }

    /// Lends the place until what this returns is dropped.
    pub(super) fn lend(&self) -> Waits {
        let mut lent = self.lent();
        lent.waits += 1;
        if let (Some(place), 1) = (&lent.place, lent.waits) {
            place.0.give();
        }
        Waits(self.clone())
    }

    /// Gives the place back for good: the session is over.
    pub(super) fn close(&self) {
        let mut lent = self.lent();
        let place = lent.place.take();
        if lent.waits > 0
            && let Some(place) = &place
        {
            // What is dropped next gives it back, and it was given already.
            place.0.take();
        }
    }

    fn lent(&self) -> MutexGuard<'_, Lent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let mut lent = self.0.lent();
        lent.waits -= 1;
        if let (Some(place), 0) = (&lent.place, lent.waits) {
            place.0.take();
        }
    }
}

#[cfg(test)]
impl Places {
    /// Waits for a place.
    pub(super) async fn place(&self) -> Option<Place> {
        match self.acquire() {
            Ok(place) => Some(place),
            Err(queued) => queued.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(places: &Places) -> Option<Place> {
        places.acquire().ok()
    }

    #[tokio::test]
    async fn a_lent_place_is_free_and_comes_back() {
        let places = Places::new(1);
        let first = Lendable::new(now(&places));
        assert!(now(&places).is_none());
        let waits = (first.lend(), first.lend());
        let other = now(&places).unwrap();
        assert!(now(&places).is_none(), "two waits of one session lend one place");
        drop(other);
        drop(waits.0);
        assert!(now(&places).is_some(), "one part of the session still waits");
        drop(waits.1);
        assert!(now(&places).is_none());
        first.close();
        assert!(now(&places).is_some());
    }

    #[tokio::test]
    async fn taking_back_never_waits_and_is_paid_by_the_next_end() {
        let places = Places::new(1);
        let first = Lendable::new(now(&places));
        let waits = first.lend();
        let other = now(&places).unwrap();
        drop(waits);
        drop(other);
        assert!(now(&places).is_none(), "the first session works");
        first.close();
        assert!(now(&places).is_some());
    }

    #[tokio::test]
    async fn a_session_that_ends_while_it_waits_gives_one_place() {
        let places = Places::new(1);
        let first = Lendable::new(now(&places));
        let waits = first.lend();
        first.close();
        drop(waits);
        let other = now(&places);
        assert!(other.is_some() && now(&places).is_none());
    }

    #[tokio::test]
    async fn places_go_to_who_waits() {
        let places = Places::new(1);
        let first = Lendable::new(now(&places));
        let Err(second) = places.acquire() else { panic!("the only place is taken") };
        let waits = first.lend();
        assert!(second.await.is_some());
        drop(waits);
    }
}
