//! What the example programs share.

pub mod http;
pub mod local;
