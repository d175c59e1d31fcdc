//! Mends one-time expressions.

/// What is between the parentheses, as it was meant. A `Z` is dropped: the default zone of a schedule is UTC. Another
/// offset is not, since the time that it means depends on the schedule's zone.
pub(super) fn mend(inner: &str) -> Option<String> {
    let text = inner.trim();
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, time.trim_start()),
        None => (text, "00:00:00"),
    };
    let (time, fraction) = match time.split_once(['.', ',']) {
        Some((time, fraction)) => (time, Some(fraction)),
        None => (time, None),
    };
    if !fraction.unwrap_or_default().bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = match fraction {
        _ if time.len() != 5 => "",
        None => ":00",
        // Not a fraction, but seconds after the wrong sign.
        Some(seconds) if seconds.len() == 2 => &format!(":{seconds}"),
        Some(_) => return None,
    };
    let mended = format!("{date}T{time}{seconds}");
    (mended != inner).then_some(mended)
}
