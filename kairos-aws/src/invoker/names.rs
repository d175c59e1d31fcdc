//! Names in the narrower alphabets of the services.

use std::borrow::Cow;

use uuid::Uuid;

/// What names are told apart by when they are cut.
const NAMESPACE: Uuid = Uuid::from_u128(0x6b61_6972_6f73_5e1e_8c5f_6e61_6d65_7321);
/// A hyphen and the hash.
const MARK: usize = 33;

/// The text itself where it consists of what `[\w+=,.@-]` stands for in ASCII and is at most `most` bytes long. Otherwise what begins
/// like it and ends in its hash: different texts never share a name. `most` is 35 at least.
///
/// Every service takes these characters: as session name and source identity (STS API, `AssumeRole`), as value of a tag, and
/// as group of messages (SQS API, `SendMessage`, `MessageGroupId`).
pub(super) fn bounded(text: &str, most: usize) -> Cow<'_, str> {
    if (2..=most).contains(&text.len()) && text.chars().all(fits) {
        return Cow::Borrowed(text);
    }
    let readable = text.chars().map(|c| if fits(c) { c } else { '_' }).take(most.saturating_sub(MARK));
    let hash = Uuid::new_v5(&NAMESPACE, text.as_bytes());
    Cow::Owned(format!("{}-{}", readable.collect::<String>(), hash.simple()))
}

pub(super) fn fits(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '=' | ',' | '.' | '@' | '-')
}

/// Whether a text can be the value of a session tag. All letters may stand there (STS API, `Tag`); those of Latin scripts are
/// let through here, as which of the others count as such differs between versions of Unicode.
pub(super) fn fits_tag(text: &str) -> bool {
    let fits = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, ' ' | '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@')
            || matches!(c, '\u{c0}'..='\u{24f}' if !matches!(c, '\u{d7}' | '\u{f7}'))
    };
    (1..=256).contains(&text.chars().count()) && text.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays_and_what_does_not_is_told_apart_by_its_hash() {
        for text in ["proceso-YQ..", "ab", &"x".repeat(64)] {
            assert_eq!(bounded(text, 64), text);
        }
        let others = ["", "a", "a b", "a:b", "proceso/ñ", &"x".repeat(65), &"x".repeat(66), &"ñ".repeat(40)];
        let mut seen = std::collections::BTreeSet::new();
        for text in others {
            let name = bounded(text, 64);
            assert!((2..=64).contains(&name.len()) && name.chars().all(fits), "{text:?}: {name}");
            assert_eq!(name, bounded(text, 64));
            assert!(seen.insert(name.into_owned()), "{text:?}");
        }
        assert!(bounded("proceso/ñ", 64).starts_with("proceso__-"));
        assert_eq!(bounded(&"x".repeat(65), 64).len(), 64);
    }

    #[test]
    fn tags_hold_latin_letters_and_some_signs() {
        for text in ["cierre del día", "a", "ñandú_1.2:3/4=5+6-7@8", &"é".repeat(256)] {
            assert!(fits_tag(text), "{text}");
        }
        for text in ["", "a,b", "a\u{d7}b", "日本", "a\nb", &"é".repeat(257)] {
            assert!(!fits_tag(text), "{text}");
        }
    }
}
