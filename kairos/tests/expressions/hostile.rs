//! Texts and questions that are meant to take long.

use jiff::{SignedDuration, Timestamp};
use kairos::expression::Expression;

use crate::timetable;

#[test]
fn long_texts_are_refused_before_they_are_read() {
    let texts = [
        "x".repeat(10_000),
        "(".repeat(10_000),
        "ñ".repeat(10_000),
        format!("cron({} * * * ? *)", vec!["0"; 10_000].join(",")),
        " ".repeat(10_000),
        format!("rate({} minutes)", "9".repeat(10_000)),
    ];
    for text in texts {
        let error = Expression::parse(&text).unwrap_err();
        assert_eq!(error.message(), "an expression has at most 256 characters, cron( and ) included");
        assert_eq!(error.suggestion(), None);
        assert!(text.is_char_boundary(error.at()));
    }
    let name = "é".repeat(5_000);
    assert!(kairos::zone::get(&name).unwrap_err().name().len() < 100);
}

#[test]
fn the_longest_text_is_accepted_and_one_more_is_not() {
    let of_length = |length: usize| {
        let blanks = " ".repeat(length - "cron(0 9 * * ? *)".len() + 1);
        format!("cron(0 9 * * ?{blanks}*)")
    };
    assert_eq!(of_length(256).len(), 256);
    assert!(Expression::parse(&of_length(256)).is_ok());
    assert!(Expression::parse(&of_length(257)).is_err());
    let bare = |length: usize| of_length(length)["cron(".len()..length - 1].to_owned();
    assert!(Expression::parse(&bare(256)).is_ok());
    assert!(Expression::parse(&bare(257)).is_err());
    // Characters, not bytes: this is refused for what it says, not for its length.
    let error = Expression::parse(&format!("cron({}", "é".repeat(200))).unwrap_err();
    assert!(!error.message().contains("256"), "{error}");
}

#[test]
fn canonical_texts_of_tangled_years_are_read_back() {
    // The longest detours of the canonical text: unions of many strides through the years.
    for strides in [2, 5, 10, 20, 26] {
        let years: Vec<String> = (0..strides).map(|index| format!("{}/{}", 1970 + index, 60 + 6 * index)).collect();
        let text = format!("cron(0 0 1 1 ? {})", years.join(","));
        let expression = Expression::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let canonical = expression.to_string();
        assert_eq!(Expression::parse(&canonical), Ok(expression), "{} to {}: {canonical}", text.len(), canonical.len());
    }
}

#[test]
fn the_ends_of_time_are_answered() {
    let last: Timestamp = "2199-12-31T23:59:00Z".parse().unwrap();
    let first: Timestamp = "1970-01-01T00:00:00Z".parse().unwrap();
    let last_year = timetable("cron(* * * * ? 2199)", "UTC");
    assert_eq!(last_year.next_after(last), None);
    assert_eq!(last_year.next_after(last - SignedDuration::from_nanos(1)), Some(last));
    assert_eq!(last_year.previous_before(Timestamp::MAX), Some(last));
    for zone in ["UTC", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Africa/Casablanca"] {
        let always = timetable("cron(* * * * ? *)", zone);
        assert_eq!(always.next_after(Timestamp::MAX), None);
        assert_eq!(always.previous_before(Timestamp::MIN), None);
        let (earliest, latest) = (always.next_after(Timestamp::MIN), always.previous_before(Timestamp::MAX));
        let local = |instant: Option<Timestamp>| always.zone().to_datetime(instant.unwrap()).to_string();
        assert_eq!((local(earliest), local(latest)), ("1970-01-01T00:00:00".into(), "2199-12-31T23:59:00".into()));
    }
    let rate = timetable("rate(4294967295 days)", "UTC").with_anchor(Timestamp::MAX);
    assert_eq!(rate.next_after(Timestamp::MIN), Some(Timestamp::MAX));
    assert_eq!(rate.next_after(Timestamp::MAX), None);
    assert_eq!(rate.previous_before(Timestamp::MAX), None);
    let rate = timetable("rate(1 minute)", "UTC").with_anchor(Timestamp::MIN).with_end(first);
    // The least timestamp is not at a whole minute.
    assert_eq!(rate.previous_before(Timestamp::MAX), Some(first - SignedDuration::from_secs(1)));
    assert!(rate.next_after(Timestamp::MAX).is_none());
}
