//! The one lock of each backend.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks for a moment: no lock of this crate is held across an await.
///
/// Poison is ignored. What runs under these locks is the crate's own code, which leaves no change half done when it
/// panics, as it only can where memory runs out.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
