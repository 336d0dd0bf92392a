//! Places that can be opened again: what keeps data in memory apart from who owns it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Create, Error, ErrorKind, Location, OwnerLock, Result, blocking};

/// Data that has at most one owner at a time.
#[derive(Debug)]
pub(super) struct Owned<T> {
    pub(super) data: Arc<Mutex<T>>,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Open(Option<OwnerLock>),
    Closed,
}

impl<T: Default> Default for Owned<T> {
    /// Data that nobody else can open.
    fn default() -> Self {
        Self { data: Arc::default(), state: Mutex::new(State::Open(None)) }
    }
}

impl<T> Owned<T> {
    pub(super) fn data(&self) -> Result<MutexGuard<'_, T>> {
        match *self.state() {
            State::Open(_) => Ok(self.data.lock().unwrap_or_else(PoisonError::into_inner)),
            State::Closed => Err(Error::closed()),
        }
    }

    pub(super) fn close(&self) {
        *self.state() = State::Closed;
    }

    pub(super) fn closing(&self) {
        if let State::Open(Some(lock)) = &*self.state() {
            lock.release_soon();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Data by place, kept as long as this lives.
#[derive(Debug)]
pub(super) struct Places<T>(Mutex<BTreeMap<PathBuf, Arc<Mutex<T>>>>);

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Default> Places<T> {
    pub(super) async fn open(&self, location: &Location, create: Create) -> Result<Owned<T>> {
        let name = PathBuf::from(format!("{:x}:{location}", std::ptr::from_ref(self).addr()));
        // On the blocking pool, because it waits while an owner is on its way out.
        let lock = blocking::run(move || OwnerLock::acquire_in_process(name)).await?;
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let data = match (places.get(&location.place), create) {
            (Some(data), _) => Arc::clone(data),
            (None, Create::IfMissing) => Arc::clone(places.entry(location.place.clone()).or_default()),
            (None, Create::Never) => return Err(Error::new(ErrorKind::NotFound, format!("nothing is at {location}"))),
        };
        Ok(Owned { data, state: Mutex::new(State::Open(Some(lock))) })
    }
}
