//! What the writer meant, where that is clear.
//!
//! A repair mends one fault; the mended text is parsed again, until it parses or nothing is known to mend. So each
//! repair is simple, several mistakes in one text are mended together, and what is suggested can always be parsed.

mod at;
mod cron;
mod rate;

use super::anatomy::{Anatomy, token};
use super::parse::{self, Fault, Kind};

/// More faults than this in one text leave it unclear what was meant.
const MOST_FAULTS: usize = 8;

/// The whole text as it was meant.
pub(super) fn suggest(text: &str, fault: Fault) -> Option<String> {
    let mut text = mend(text, fault)?;
    for _ in 1..MOST_FAULTS {
        match parse::expression(&text) {
            Ok(_) => return Some(in_one_line(&text)),
            Err(fault) => text = mend(&text, fault)?,
        }
    }
    parse::expression(&text).is_ok().then(|| in_one_line(&text))
}

/// Tabs separate fields as blanks do, but have no place in a message.
fn in_one_line(text: &str) -> String {
    text.replace('\t', " ")
}

fn mend(text: &str, fault: Fault) -> Option<String> {
    let anatomy = Anatomy::of(text);
    match fault.kind {
        Kind::TooLong => None,
        Kind::Form => form(text),
        Kind::Unclosed if text.contains(')') => {
            let end = text.trim_end_matches([';', '"', '\'', '`']).trim_end();
            (end.ends_with(')') && end.len() < text.len()).then(|| end.to_owned())
        }
        Kind::Unclosed => Some(format!("{})", text.trim_end())),
        Kind::Rate => rate::mend(&anatomy).map(|inner| anatomy.with_inner(&inner)),
        Kind::At => at::mend(anatomy.inner).map(|inner| anatomy.with_inner(&inner)),
        _ => cron::mend(text, &anatomy, fault).or_else(|| form(text)),
    }
}

/// Mends what is around the fields.
fn form(text: &str) -> Option<String> {
    let bare = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`'));
    if bare.len() < text.len() && !bare.is_empty() {
        return Some(bare.to_owned());
    }
    if text.starts_with('@') {
        return shorthand(text).map(str::to_owned);
    }
    let keyword = token(text, 0);
    let rest = text[keyword.len()..].trim_start();
    let known = ["cron", "rate", "at"].iter().any(|known| known.eq_ignore_ascii_case(keyword));
    let mended = format!("{}{rest}", keyword.to_ascii_lowercase());
    (known && rest.starts_with('(') && mended != text).then_some(mended)
}

/// The shorthands of Unix cron; `@reboot` has no counterpart.
fn shorthand(text: &str) -> Option<&'static str> {
    Some(match text.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => "cron(0 0 1 1 ? *)",
        "@monthly" => "cron(0 0 1 * ? *)",
        "@weekly" => "cron(0 0 ? * SUN *)",
        "@daily" | "@midnight" => "cron(0 0 * * ? *)",
        "@hourly" => "cron(0 * * * ? *)",
        _ => return None,
    })
}
