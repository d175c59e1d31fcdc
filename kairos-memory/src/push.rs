//! Pushing what is made where it stays.

/// Pushes what `make` makes. [`Vec::push`] gets it made already, and copies it to its place: which costs as much as to make it, where it is as large
/// as a delivery or a firing.
pub(crate) fn push_with<T>(list: &mut Vec<T>, make: impl FnOnce() -> T) {
    list.extend(std::iter::once_with(make));
}
