//! The dialect, form by form: what is accepted and when it fires, and what is refused.

use kairos::expression::{Expression, Unit};

use crate::{fires, timetable};

/// The next fire times in UTC after the beginning of 2026, a Thursday; its February begins on a Sunday and ends on a
/// Saturday.
#[test]
fn each_form_fires_where_it_should() {
    let rows = [
        ("* * * * ? *", "2026-01-01T00:00 2026-01-01T00:01"),
        ("0 20-2 * * ? *", "2026-01-01T00:00 2026-01-01T01:00 2026-01-01T02:00 2026-01-01T20:00"),
        // Each day is matched by itself: the small hours are Thursday's own.
        ("0 22-1 ? * THU *", "2026-01-01T00:00 2026-01-01T01:00 2026-01-01T22:00 2026-01-01T23:00 2026-01-08T00:00"),
        ("0 22-2/2 * * ? *", "2026-01-01T00:00 2026-01-01T02:00 2026-01-01T22:00 2026-01-02T00:00"),
        ("0 21-4/2 * * ? *", "2026-01-01T01:00 2026-01-01T03:00 2026-01-01T21:00 2026-01-01T23:00 2026-01-02T01:00"),
        ("0 0 ? * FRI-MON *", "2026-01-02T00:00 2026-01-03T00:00 2026-01-04T00:00 2026-01-05T00:00 2026-01-09T00:00"),
        ("0 0 1 NOV-FEB ? *", "2026-01-01T00:00 2026-02-01T00:00 2026-11-01T00:00 2026-12-01T00:00 2027-01-01T00:00"),
        ("50-10/10 0 * * ? *", "2026-01-01T00:00 2026-01-01T00:10 2026-01-01T00:50 2026-01-02T00:00"),
        ("0 0 30-2 * ? *", "2026-01-01T00:00 2026-01-02T00:00 2026-01-30T00:00 2026-01-31T00:00 2026-02-01T00:00"),
        ("0 0 1 1 ? */4", "2026-01-01T00:00 2030-01-01T00:00"),
        ("0 0 1 1 ? 2025/5", "2030-01-01T00:00 2035-01-01T00:00"),
        ("0 0 1 1 ? 2020-2030/3", "2026-01-01T00:00 2029-01-01T00:00"),
        ("0-15/1 8-8 ? * 2,3,4,5,6,7 *", "2026-01-01T08:00 2026-01-01T08:01"),
        ("30-30 13-13 ? * 2,4,6 *", "2026-01-02T13:30 2026-01-05T13:30 2026-01-07T13:30"),
        ("0-59/10 0 * * ? *", "2026-01-01T00:00 2026-01-01T00:10"),
        ("1-31/30 1-1 ? * 1,7 *", "2026-01-03T01:01 2026-01-03T01:31 2026-01-04T01:01"),
        ("0/60 * * * ? *", "2026-01-01T00:00 2026-01-01T01:00"),
        ("5/20 0 * * ? *", "2026-01-01T00:05 2026-01-01T00:25 2026-01-01T00:45 2026-01-02T00:05"),
        ("*/59 0 * * ? *", "2026-01-01T00:00 2026-01-01T00:59"),
        ("0 0 L * ? *", "2026-01-31T00:00 2026-02-28T00:00 2026-03-31T00:00"),
        ("0 0 L-3 * ? *", "2026-01-28T00:00 2026-02-25T00:00"),
        ("0 0 L-30 * ? *", "2026-01-01T00:00 2026-03-01T00:00 2026-05-01T00:00"),
        ("0 0 LW * ? *", "2026-01-30T00:00 2026-02-27T00:00 2026-03-31T00:00"),
        ("0 0 15W * ? *", "2026-01-15T00:00 2026-02-16T00:00 2026-03-16T00:00 2026-04-15T00:00"),
        ("0 0 1W 2,8 ? *", "2026-02-02T00:00 2026-08-03T00:00"),
        ("0 0 31W * ? *", "2026-01-30T00:00 2026-03-31T00:00 2026-05-29T00:00"),
        ("0 0 ? * L *", "2026-01-03T00:00 2026-01-10T00:00"),
        ("0 0 ? * 6L *", "2026-01-30T00:00 2026-02-27T00:00"),
        ("0 0 ? * FRIL *", "2026-01-30T00:00 2026-02-27T00:00"),
        ("0 0 ? * 3#2 *", "2026-01-13T00:00 2026-02-10T00:00"),
        ("0 0 ? * 5#5 *", "2026-01-29T00:00 2026-04-30T00:00"),
        ("0 0 *,15 * ? *", "2026-01-01T00:00 2026-01-02T00:00"),
        ("0 0 ? * MON-4 *", "2026-01-05T00:00 2026-01-06T00:00 2026-01-07T00:00 2026-01-12T00:00"),
        ("0 0 1 JAN-3 ? *", "2026-01-01T00:00 2026-02-01T00:00 2026-03-01T00:00 2027-01-01T00:00"),
        ("0 0 ? jan mon *", "2026-01-05T00:00"),
        ("0 0 lw * ? *", "2026-01-30T00:00"),
        ("0 0 ? * fril *", "2026-01-30T00:00"),
        ("0  7\t* *  ? *", "2026-01-01T07:00"),
        ("00 07 01 01 ? *", "2026-01-01T07:00 2027-01-01T07:00"),
        ("0 0 29 2 ? *", "2028-02-29T00:00 2032-02-29T00:00"),
        ("0 0 29 2 ? 2096-2104", "2096-02-29T00:00 2104-02-29T00:00"),
        ("59 23 31 12 ? 2199", "2199-12-31T23:59"),
    ];
    for (fields, expected) in rows {
        let expected: Vec<String> = expected.split(' ').map(|local| format!("{local}+00")).collect();
        let found = fires(&format!("cron({fields})"), "UTC", "2025-12-31T23:59:59.999999999Z", expected.len());
        assert_eq!(found, expected, "{fields}");
    }
}

#[test]
fn what_never_comes_is_accepted() {
    for fields in ["0 0 30 2 ? *", "0 0 31 4,6,9,11 ? *", "0 0 L-29 2 ? *", "0 0 31W 2 ? *", "0 0 29 2 ? 2100"] {
        let timetable = timetable(&format!("cron({fields})"), "UTC");
        assert_eq!(timetable.next_after(jiff::Timestamp::MIN), None, "{fields}");
        assert_eq!(timetable.previous_before(jiff::Timestamp::MAX), None, "{fields}");
    }
}

#[test]
fn what_the_dialect_refuses_is_refused() {
    let cron = [
        // Day fields.
        "0 1 * * * *",
        "0 1 ? * ? *",
        "0 1 1 * MON *",
        // Number of fields, and blanks around them.
        "",
        "0",
        "0 9 * * *",
        "0 9 * * ?",
        "0 0 9 * * ? *",
        "0 9 * * ? * 2026 1",
        " 0 9 * * ? *",
        "0 9 * * ? * ",
        "0 9 * *\n? *",
        "0\u{a0}9 * * ? *",
        // Ranges of values.
        "60 9 * * ? *",
        "0 24 * * ? *",
        "0 9 0 * ? *",
        "0 9 32 * ? *",
        "0 9 1 0 ? *",
        "0 9 1 13 ? *",
        "0 9 ? * 0 *",
        "0 9 ? * 8 *",
        "0 9 * * ? 1969",
        "0 9 * * ? 2200",
        "99999999999999999999 9 * * ? *",
        // Reversed years.
        "0 9 * * ? 2030-2025",
        // Steps.
        "*/0 9 * * ? *",
        "*/60 9 * * ? *",
        "0-10/60 9 * * ? *",
        "0/61 9 * * ? *",
        "0 */24 * * ? *",
        "0 9 */32 * ? *",
        "0 9 1 */13 ? *",
        "0 9 ? * */8 *",
        "0 9 * * ? */230",
        "0 9 * * ? 1970/231",
        "*/ 9 * * ? *",
        "/5 9 * * ? *",
        "0/1/2 9 * * ? *",
        // Letters.
        "0 9 0W * ? *",
        "0 9 32W * ? *",
        "0 9 1W,15W * ? *",
        "0 9 L,15 * ? *",
        "0 9 15,L * ? *",
        "0 9 L-0 * ? *",
        "0 9 L-31 * ? *",
        "0 9 L-3W * ? *",
        "0 9 WL * ? *",
        "0 9 W * ? *",
        "0 9 1-5W * ? *",
        "0 9 6L * ? *",
        "0 9 LL * ? *",
        "0 9 ? * 3#0 *",
        "0 9 ? * 3#6 *",
        "0 9 ? * 3# *",
        "0 9 ? * #3 *",
        "0 9 ? * 3#1,5#2 *",
        "0 9 ? * 3#1,5 *",
        "0 9 ? * 6L,2L *",
        "0 9 ? * L,2 *",
        "0 9 ? * LW *",
        "0 9 ? * 2W *",
        "0 9 2#1 * ? *",
        "L 9 * * ? *",
        "0 9 ?,1 * ? *",
        "? 9 * * ? *",
        "0 9 * ? ? *",
        "0 9 * * ? ?",
        // Words.
        "0 9 ? * MONDAY *",
        "0 9 ? * MON1 *",
        "0 9 ? * JAN *",
        "0 9 1 MON ? *",
        "MON 9 * * ? *",
        "1e1 9 * * ? *",
        "0x10 9 * * ? *",
        "+5 9 * * ? *",
        "-5 9 * * ? *",
        "5- 9 * * ? *",
        "1,,2 9 * * ? *",
        "1, 9 * * ? *",
        ",1 9 * * ? *",
        "**  9 * * ? *",
        "*5 9 * * ? *",
        "*-5 9 * * ? *",
        "1-2-3 9 * * ? *",
        "٣ 9 * * ? *",
    ];
    let whole = [
        "",
        " ",
        "cron",
        "cron(",
        "cron)",
        "0 9 * * ? *)",
        "(0 9 * * ? *)",
        "cron(0 9 * * ? *",
        "cron(0 9 * * ? *))",
        "cron(0 9 * * ? *) ",
        " cron(0 9 * * ? *)",
        "CRON(0 9 * * ? *)",
        "Cron(0 9 * * ? *)",
        "cron (0 9 * * ? *)",
        "@daily",
        "cron(@daily)",
        "rate()",
        "rate(5)",
        "rate(minutes)",
        "rate(0 minutes)",
        "rate(00 days)",
        "rate(-1 day)",
        "rate(+1 day)",
        "rate(10 seconds)",
        "rate(1.5 hours)",
        "rate(1 week)",
        "rate(1 month)",
        "rate( 5 minutes)",
        "rate(5 minutes )",
        "rate(5  minutes)",
        "rate(5\tminutes)",
        "rate(5minutes)",
        "rate(5 Minutes)",
        "rate(4294967296 minutes)",
        "RATE(5 minutes)",
        "5 minutes",
        "at()",
        "at(2026-01-01)",
        "at(2026-01-01T00:00)",
        "at(2026-01-01 00:00:00)",
        "at(2026-01-01T00:00:00Z)",
        "at(2026-01-01T00:00:00.0)",
        "at(2026-01-01T00:00:00+00:00)",
        "at(2026-02-30T00:00:00)",
        "at(2026-02-29T00:00:00)",
        "at(2026-13-01T00:00:00)",
        "at(2026-00-01T00:00:00)",
        "at(2026-01-00T00:00:00)",
        "at(2026-01-01T24:00:00)",
        "at(2026-01-01T00:60:00)",
        "at(2026-01-01T00:00:60)",
        "at(0000-01-01T00:00:00)",
        "at(12026-01-01T00:00:00)",
        "at(2026-1-1T00:00:00)",
        "at( 2026-01-01T00:00:00)",
        "at(2026-01-01t00:00:00)",
    ];
    let cron = cron.map(|fields| format!("cron({fields})"));
    for text in cron.iter().map(String::as_str).chain(whole) {
        assert!(Expression::parse(text).is_err(), "{text:?} was accepted");
    }
}

#[test]
fn rates_and_instants_are_read() {
    let rate = |text: &str| match Expression::parse(text) {
        Ok(Expression::Rate(rate)) => (rate.every(), rate.unit(), rate.period().as_secs()),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(rate("rate(1 minute)"), (1, Unit::Minutes, 60));
    assert_eq!(rate("rate(1 minutes)"), (1, Unit::Minutes, 60));
    assert_eq!(rate("rate(2 minute)"), (2, Unit::Minutes, 120));
    assert_eq!(rate("rate(05 hours)"), (5, Unit::Hours, 18_000));
    assert_eq!(rate("rate(7 days)"), (7, Unit::Days, 604_800));
    assert_eq!(rate("rate(4294967295 days)"), (u32::MAX, Unit::Days, 371_085_174_288_000));
    for (text, expected) in [
        ("at(2026-12-31T23:59:59)", "2026-12-31T23:59:59"),
        ("at(0001-01-01T00:00:00)", "0001-01-01T00:00:00"),
        ("at(9999-12-31T23:59:59)", "9999-12-31T23:59:59"),
        ("at(2028-02-29T00:00:00)", "2028-02-29T00:00:00"),
    ] {
        let Ok(Expression::At(at)) = Expression::parse(text) else { panic!("{text}") };
        assert_eq!(at.local().to_string(), expected);
    }
}

#[test]
fn canonical_text_is_compact() {
    let rows = [
        ("cron(00 09 ? JAN-DEC 2,3,4,5,6 1970-2199)", "cron(0 9 ? * MON-FRI *)"),
        ("cron(0,15,30,45 * * * ? *)", "cron(*/15 * * * ? *)"),
        ("cron(0/30 * * * ? *)", "cron(0,30 * * * ? *)"),
        ("cron(5/20 * * * ? *)", "cron(5/20 * * * ? *)"),
        ("cron(0 11-23/2 * * ? *)", "cron(0 11/2 * * ? *)"),
        ("cron(0 8-18/2 * * ? *)", "cron(0 8-18/2 * * ? *)"),
        ("cron(0 0-2,20-23 * * ? *)", "cron(0 20-2 * * ? *)"),
        ("cron(0 0-2,12,20-23 * * ? *)", "cron(0 12,20-2 * * ? *)"),
        ("cron(0 0 ? * 6-2 *)", "cron(0 0 ? * FRI-MON *)"),
        ("cron(0 0 ? * 7,1 *)", "cron(0 0 ? * SAT-SUN *)"),
        ("cron(0 0 ? * MON,WED,FRI *)", "cron(0 0 ? * MON,WED,FRI *)"),
        ("cron(0 0 ? * L *)", "cron(0 0 ? * SAT *)"),
        ("cron(0 0 ? * 6l *)", "cron(0 0 ? * FRIL *)"),
        ("cron(0 0 ? * 6#3 *)", "cron(0 0 ? * FRI#3 *)"),
        ("cron(0 0 lw * ? *)", "cron(0 0 LW * ? *)"),
        ("cron(0 0 l-03 * ? *)", "cron(0 0 L-3 * ? *)"),
        ("cron(0 0 015w * ? *)", "cron(0 0 15W * ? *)"),
        ("cron(0 0 1 1,4,7,10 ? *)", "cron(0 0 1 */3 ? *)"),
        ("cron(0 0 1 11-2 ? *)", "cron(0 0 1 JAN-FEB,NOV-DEC ? *)"),
        ("cron(0 0 1 1 ? 1970/2,1971)", "cron(0 0 1 JAN ? */2,1971)"),
        ("0\t9 * * ?   *", "cron(0 9 * * ? *)"),
        ("rate(1 days)", "rate(1 day)"),
        ("rate(05 minute)", "rate(5 minutes)"),
        ("at(2026-12-31T23:59:59)", "at(2026-12-31T23:59:59)"),
    ];
    for (text, expected) in rows {
        let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(expression.to_string(), expected, "{text}");
        assert_eq!(expected.parse(), Ok(expression));
        assert_eq!(Expression::try_from(expected), Ok(expression));
    }
}

#[test]
fn zone_changes_skip_and_never_repeat() {
    // A gap of an hour: 02:30 does not exist on 8 March, and nothing is made up for it.
    let daily = |after, count| fires("cron(30 2 * * ? *)", "America/New_York", after, count);
    assert_eq!(daily("2026-03-07T00:00:00Z", 2), ["2026-03-07T02:30-05", "2026-03-09T02:30-04"]);
    let quarters = |after, count| fires("cron(*/30 * * * ? *)", "America/New_York", after, count);
    assert_eq!(
        quarters("2026-03-08T06:00:00Z", 3),
        ["2026-03-08T01:30-05", "2026-03-08T03:00-04", "2026-03-08T03:30-04"]
    );
    // An overlap of an hour: the first pass fires, the second does not.
    assert_eq!(
        quarters("2026-11-01T05:00:00Z", 3),
        ["2026-11-01T01:30-04", "2026-11-01T02:00-05", "2026-11-01T02:30-05"]
    );
    assert_eq!(quarters("2026-11-01T06:10:00Z", 1), ["2026-11-01T02:00-05"], "from inside the second pass");
    let half_hours = timetable("cron(*/30 * * * ? *)", "America/New_York");
    let before = |instant: &str| half_hours.previous_before(instant.parse().unwrap()).unwrap().to_string();
    assert_eq!(before("2026-11-01T06:10:00Z"), "2026-11-01T05:30:00Z", "from inside the second pass");
    assert_eq!(before("2026-11-01T05:10:00Z"), "2026-11-01T05:00:00Z", "from inside the first pass");
    // A gap and an overlap of half an hour.
    let lord_howe = |after, count| fires("cron(*/15 1-2 * * ? *)", "Australia/Lord_Howe", after, count);
    assert_eq!(
        lord_howe("2026-10-03T15:15:00Z", 3),
        ["2026-10-04T02:30+11", "2026-10-04T02:45+11", "2026-10-05T01:00+11"]
    );
    assert_eq!(lord_howe("2026-04-04T14:44:00Z", 2), ["2026-04-05T01:45+11", "2026-04-05T02:00+10:30"]);
    // Midnight does not exist when Chile's summer begins.
    let santiago = fires("cron(0 0 * * ? *)", "America/Santiago", "2026-09-05T12:00:00Z", 1);
    assert_eq!(santiago, ["2026-09-07T00:00-03"]);
    // Samoa had no 30 December 2011.
    let apia = fires("cron(0 12 * * ? *)", "Pacific/Apia", "2011-12-29T00:00:00Z", 3);
    assert_eq!(apia, ["2011-12-29T12:00-10", "2011-12-31T12:00+14", "2012-01-01T12:00+14"]);
    // Liberia was 44 minutes and 30 seconds behind until 1972: a minute begins half a minute past UTC's.
    let monrovia = timetable("cron(0 12 * * ? 1971)", "Africa/Monrovia");
    let first = monrovia.next_after(jiff::Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(first.to_string(), "1971-01-01T12:44:30Z");
    assert_eq!(monrovia.previous_before(jiff::Timestamp::MAX).unwrap().to_string(), "1971-12-31T12:44:30Z");
    let monrovia = fires("cron(* * ? 1 FRI 1972)", "Africa/Monrovia", "1972-01-07T00:00:00Z", 2);
    assert_eq!(monrovia, ["1972-01-07T00:45+00", "1972-01-07T00:46+00"], "44 minutes and 30 seconds are skipped");
}

#[test]
fn one_time_expressions_fire_once_if_at_all() {
    let next = |text: &str, zone| timetable(text, zone).next_after(jiff::Timestamp::MIN).map(|fire| fire.to_string());
    assert_eq!(next("at(2026-06-01T12:00:00)", "Europe/Madrid").as_deref(), Some("2026-06-01T10:00:00Z"));
    assert_eq!(next("at(2026-11-01T01:30:00)", "America/New_York").as_deref(), Some("2026-11-01T05:30:00Z"));
    assert_eq!(next("at(2026-03-08T02:30:00)", "America/New_York"), None, "in a gap");
    assert_eq!(next("at(9999-12-31T23:59:59)", "UTC"), None, "beyond the largest instant");
    // Of years that no cron expression names.
    assert_eq!(next("at(9999-12-31T05:00:00)", "Pacific/Kiritimati").as_deref(), Some("9999-12-30T15:00:00Z"));
    assert_eq!(next("at(2300-07-01T12:00:00)", "America/New_York").as_deref(), Some("2300-07-01T16:00:00Z"));
    assert_eq!(next("at(1950-06-01T12:00:00)", "America/New_York").as_deref(), Some("1950-06-01T16:00:00Z"));
    assert_eq!(next("at(1970-01-01T00:00:00)", "America/New_York").as_deref(), Some("1970-01-01T05:00:00Z"));
    assert_eq!(next("at(2199-12-31T23:59:59)", "America/New_York").as_deref(), Some("2200-01-01T04:59:59Z"));
    let past = timetable("at(2020-01-01T00:00:00)", "UTC");
    let instant: jiff::Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(past.next_after(instant), None);
    assert_eq!(past.previous_before(instant), None);
    assert_eq!(past.before(jiff::Timestamp::MAX).collect::<Vec<_>>(), [instant]);
    // The service ignores the bounds of a one-time schedule.
    let bounded = past.with_start(instant + jiff::SignedDuration::from_hours(1)).with_end(instant);
    assert_eq!(bounded.after(jiff::Timestamp::MIN).collect::<Vec<_>>(), [instant]);
}

#[test]
fn bounds_are_inclusive() {
    let bound = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let daily = timetable("cron(0 0 * * ? *)", "UTC");
    let daily = daily.with_start(bound("2026-01-01T00:00:00Z")).with_end(bound("2026-01-03T00:00:00Z"));
    assert_eq!(daily.after(jiff::Timestamp::MIN).count(), 3);
    assert_eq!(daily.before(jiff::Timestamp::MAX).count(), 3);
    let within =
        daily.clone().with_start(bound("2026-01-01T00:00:00.000000001Z")).with_end(bound("2026-01-02T23:59:59.9Z"));
    assert_eq!(within.after(jiff::Timestamp::MIN).collect::<Vec<_>>(), [bound("2026-01-02T00:00:00Z")]);
    assert_eq!(within.before(jiff::Timestamp::MAX).collect::<Vec<_>>(), [bound("2026-01-02T00:00:00Z")]);
    assert_eq!(daily.with_start(None).with_end(None).start(), None);

    let rate = timetable("rate(1 hour)", "UTC").with_anchor(bound("2025-01-01T00:10:00Z"));
    assert_eq!(rate.next_after(bound("2026-01-01T00:00:00Z")), Some(bound("2026-01-01T00:10:00Z")));
    let rate = rate.with_start(bound("2026-01-01T00:00:00.5Z")).with_end(bound("2026-01-01T02:00:00.5Z"));
    assert_eq!(rate.anchor(), bound("2026-01-01T00:00:00.5Z"), "the start is a rate's anchor");
    let fires: Vec<_> = rate.after(jiff::Timestamp::MIN).collect();
    assert_eq!(fires, ["2026-01-01T00:00:00.5Z", "2026-01-01T01:00:00.5Z", "2026-01-01T02:00:00.5Z"].map(bound));
    let backwards: Vec<_> = rate.before(jiff::Timestamp::MAX).collect();
    assert!(backwards.iter().rev().eq(&fires));
}
