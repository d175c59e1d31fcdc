//! The one lock of the invoker.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks for a moment, never across an await. Poison is ignored: no change under these locks is left half done by a panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
