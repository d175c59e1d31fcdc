//! The exclusive right to something, for a limited time.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The exclusive right of one call to create or delete a trigger, or of one delivery to try an execution, for a limited time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Whose it is.
    #[serde(rename = "Propietario")]
    pub owner: Owner,
    /// When anybody may take it over.
    #[serde(rename = "ReservadaHasta")]
    pub until: Timestamp,
}

impl Hold {
    /// Whether anybody may take it over.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.until <= now
    }
}

/// Who holds something: a token that no other call and no other delivery has. It is written as a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Owner(Uuid);

impl Owner {
    /// The owner of this token.
    #[must_use]
    pub const fn new(token: Uuid) -> Self {
        Self(token)
    }

    /// The owner whose token is this number: for tests.
    #[must_use]
    pub const fn from_u128(token: u128) -> Self {
        Self(Uuid::from_u128(token))
    }

    /// The token.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
