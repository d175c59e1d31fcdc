//! A text that is kept in place, where it is short.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use arrayvec::ArrayString;
use serde::{Deserialize, Serialize};

/// The longest text that is kept in place, in bytes: as long as a trigger's name may be (EventBridge Scheduler API, `CreateSchedule`, `Name`).
const SHORT: usize = 64;

/// A text that is kept in place if it is short, and shared if it is longer.
///
/// Among a million texts that lie anywhere, each visit to one waits for memory. One in place is there with what has it, and handing it on does
/// not even count who has it.
#[derive(Clone, Debug)]
pub(super) enum Inline {
    Short(ArrayString<SHORT>),
    Long(Arc<str>),
}

impl From<&str> for Inline {
    fn from(text: &str) -> Self {
        ArrayString::from(text).map_or_else(|_| Self::Long(text.into()), Self::Short)
    }
}

impl From<String> for Inline {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl Deref for Inline {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Short(text) => text,
            Self::Long(text) => text,
        }
    }
}

impl PartialEq for Inline {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Inline {}

impl PartialOrd for Inline {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Inline {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Inline {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl Serialize for Inline {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de> Deserialize<'de> for Inline {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer).map(|text| (&*text).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_same_in_place_or_not() {
        for length in [0, SHORT, SHORT + 1, 2_000] {
            let text = "é".repeat(length.div_ceil(2));
            let text = &text[..text.floor_char_boundary(length)];
            let inline = Inline::from(text);
            assert_eq!(&*inline, text);
            assert_eq!(matches!(inline, Inline::Short(_)), text.len() <= SHORT);
            let json = serde_json::to_string(&inline).unwrap();
            assert_eq!(json, serde_json::to_string(text).unwrap());
            assert_eq!(serde_json::from_str::<Inline>(&json).unwrap(), inline);
        }
        assert!(Inline::from("a") < Inline::from(["b"; 65].concat()));
        assert!(Inline::from(["a"; 65].concat()) < Inline::from("b"));
    }
}
