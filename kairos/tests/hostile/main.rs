//! What somebody could slip in: through every door, it is refused when it is registered and again when it is executed, with a
//! reason that names it; nothing is lost, and nothing it says breaks a line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod accounts;
mod cursors;
mod identity;
mod input;
mod lines;
mod names;
mod parameters;
mod roles;
mod support;
