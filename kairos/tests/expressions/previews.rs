//! What a preview says of the zone, and why nothing fires any more.

use jiff::Timestamp;

use crate::timetable;

fn preview(expression: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let fires = timetable(expression, zone).upcoming(after.parse().unwrap(), count);
    let notes = |fire: &kairos::timetable::Fire| fire.notes.iter().map(|note| format!("; {note}")).collect::<String>();
    fires.iter().map(|fire| format!("{}{}{}", fire.local, fire.offset, notes(fire))).collect()
}

#[test]
fn previews_name_what_the_zone_does() {
    assert_eq!(
        preview("cron(30 2 * * ? *)", "America/New_York", "2026-03-07T00:00:00-05:00", 3),
        [
            "2026-03-07T02:30:00-05",
            "2026-03-09T02:30:00-04; skips 2026-03-08 02:30: a zone change leaves out that local time; \
             the offset from UTC changes from -05 to -04",
            "2026-03-10T02:30:00-04",
        ]
    );
    assert_eq!(
        preview("cron(30 1 * * ? *)", "America/New_York", "2026-10-31T12:00:00-04:00", 2),
        [
            "2026-11-01T01:30:00-04; 2026-11-01 01:30 comes twice and fires the first time, not again at \
             2026-11-01T06:30:00Z",
            "2026-11-02T01:30:00-05; the offset from UTC changes from -04 to -05",
        ]
    );
    assert_eq!(
        preview("cron(0 * * * ? *)", "Pacific/Apia", "2011-12-29T23:30:00-10:00", 1),
        ["2011-12-31T00:00:00+14; skips 2011-12-30 00:00: a zone change leaves out that local time; \
             skips 2011-12-30 01:00: a zone change leaves out that local time; \
             skips 2011-12-30 02:00: a zone change leaves out that local time; skips 21 more for the same reason; \
             the offset from UTC changes from -10 to +14",]
    );
    // A rate goes by elapsed time: it fires in both passes, and nothing of it is skipped.
    assert_eq!(
        preview("rate(1 hour)", "America/New_York", "2026-11-01T04:30:00Z", 3),
        [
            "2026-11-01T01:00:00-04",
            "2026-11-01T01:00:00-05; the offset from UTC changes from -04 to -05",
            "2026-11-01T02:00:00-05",
        ]
    );
    assert_eq!(
        preview("at(2026-11-01T01:30:15)", "America/New_York", "2026-10-01T00:00:00Z", 3),
        ["2026-11-01T01:30:15-04; 2026-11-01 01:30:15 comes twice and fires the first time, not again at \
          2026-11-01T06:30:15Z"]
    );
}

#[test]
fn what_is_skipped_outside_its_bounds_is_not_named() {
    let start: Timestamp = "2026-03-08T12:00:00Z".parse().unwrap();
    let late = timetable("cron(30 2 * * ? *)", "America/New_York").with_start(start);
    assert_eq!(late.upcoming("2026-03-01T00:00:00Z".parse().unwrap(), 1)[0].notes.len(), 1, "only the offset");
}

#[test]
fn silence_is_explained() {
    let after: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let why = |expression, zone| timetable(expression, zone).why_never(after).map(|never| never.to_string());
    let rows = [
        ("cron(0 9 * * ? *)", "UTC", None),
        ("cron(0 0 30 2 ? *)", "UTC", Some("never fires: no year from 1970 to 2199 has such a day")),
        ("cron(0 9 1 1 ? 2024,2025)", "UTC", Some("never fires again: the last time was 2025-01-01T09:00:00Z")),
        (
            "cron(30 2 ? 3 1#2 *)",
            "America/New_York",
            Some("never fires: a zone change skips 2026-03-08 02:30, and every occurrence left is skipped alike"),
        ),
        ("at(2020-01-01T00:00:00)", "UTC", Some("never fires again: the last time was 2020-01-01T00:00:00Z")),
        (
            "at(2026-03-08T02:30:00)",
            "America/New_York",
            Some("never fires: a zone change skips 2026-03-08 02:30, and every occurrence left is skipped alike"),
        ),
        ("at(9999-12-31T23:59:59)", "UTC", Some("never fires: the instant is beyond the last that can be told")),
    ];
    for (expression, zone, expected) in rows {
        assert_eq!(why(expression, zone).as_deref(), expected, "{expression}");
    }
    let ended = timetable("rate(1 day)", "UTC").with_end(after);
    assert_eq!(ended.why_never(after).unwrap().to_string(), "never fires again: it ends at 2026-01-01T00:00:00Z");
    let gone = timetable("rate(4294967295 days)", "UTC").why_never(after).unwrap();
    assert_eq!(gone.to_string(), "never fires: the instant is beyond the last that can be told");
}
