//! Random expressions, zones and instants for the laws.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::Union;

/// Zones with gaps and overlaps of half an hour, an hour and a day, around midnight and in the small hours, and without.
pub(crate) const ZONES: [&str; 10] = [
    "UTC",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/New_York",
    "Europe/London",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "Antarctica/Troll",
];

pub(crate) fn zone() -> impl Strategy<Value = TimeZone> {
    select(&ZONES[..]).prop_map(|name| TimeZone::get(name).unwrap())
}

/// An instant from 1975 to 2045, mostly near one of a zone's changes, if it has any.
pub(crate) fn instant(zone: &TimeZone) -> BoxedStrategy<Timestamp> {
    let (first, last) = (157_766_400, 2_366_841_600);
    let anywhere = (first..last, 0..1_000_000_000_i32).prop_map(|(second, nano)| Timestamp::new(second, nano).unwrap());
    let changes: Vec<Timestamp> = zone
        .following(Timestamp::from_second(first).unwrap())
        .map(|change| change.timestamp())
        .take_while(|change| change.as_second() < last)
        .collect();
    if changes.is_empty() {
        return anywhere.boxed();
    }
    let nanos = prop_oneof![Just(0), -1_i64..=1, -999_999_999_i64..1_000_000_000];
    let away =
        prop_oneof![-200_i64..200, -7_200_i64..7_200, -100_000_i64..100_000].prop_map(|seconds| seconds / 60 * 60);
    let near = (any::<Index>(), away, nanos).prop_map(move |(index, seconds, nanos)| {
        let change = changes[index.index(changes.len())];
        change + SignedDuration::from_secs(seconds) + SignedDuration::from_nanos(nanos)
    });
    prop_oneof![3 => near, 1 => anywhere].boxed()
}

/// Any well-formed cron expression; one in four fires so often that it does so around every zone change.
pub(crate) fn cron() -> impl Strategy<Value = String> {
    let often = (1..=30_u32, select(vec!["*", "0-4", "22-3", "*/2"]), select(vec!["* * ?", "? * *", "? * 1-7"]))
        .prop_map(|(step, hours, days)| format!("cron(*/{step} {hours} {days} *)"));
    prop_oneof![3 => any_cron().boxed(), 1 => often.boxed()]
}

/// Any, with something to say for the hours in which zones change.
fn any_cron() -> impl Strategy<Value = String> {
    let hour = prop_oneof![2 => list(0, 23, "", 24), 2 => select(vec!["*", "0-3", "22-1", "2", "1,2,3", "0"]).prop_map(str::to_owned)];
    let dom = prop_oneof![
        3 => Just("*".to_owned()),
        3 => list(1, 31, "", 31),
        1 => select(vec!["L", "LW", "L-1", "L-30", "l", "lw", "1W", "15w", "31W", "29W", "8-14"]).prop_map(str::to_owned),
        1 => (1..=31_u32).prop_map(|day| format!("{day}W")),
        1 => (1..=30_u32).prop_map(|days| format!("L-{days}")),
    ];
    let weekday = || prop_oneof![(1..=7_u32).prop_map(|day| day.to_string()), name("SUN MON TUE WED THU FRI SAT")];
    let dow = prop_oneof![
        1 => Just("*".to_owned()),
        3 => list(1, 7, "SUN MON TUE WED THU FRI SAT", 7),
        1 => weekday().prop_map(|day| day + "L"),
        1 => (weekday(), 1..=5_u32).prop_map(|(day, nth)| format!("{day}#{nth}")),
        1 => Just("L".to_owned()),
    ];
    let days = prop_oneof![dom.prop_map(|dom| (dom, "?".to_owned())), dow.prop_map(|dow| ("?".to_owned(), dow))];
    let month = prop_oneof![
        3 => Just("*".to_owned()),
        2 => list(1, 12, "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC", 12),
        2 => select(vec!["3", "10,11", "MAR-APR", "12"]).prop_map(str::to_owned)
    ];
    let year = prop_oneof![4 => Just("*".to_owned()), 1 => years(), 1 => (1975..2040_u32).prop_map(|year| format!("{year}/3"))];
    let blank = select(vec![" ", " ", " ", "  ", "\t"]);
    (list(0, 59, "", 60), hour, days, month, year, blank).prop_map(|(minute, hour, (dom, dow), month, year, blank)| {
        format!("cron({})", [minute, hour, dom, month, dow, year].join(blank))
    })
}

/// Years, in ranges that run forwards.
pub(crate) fn years() -> impl Strategy<Value = String> {
    let item = prop_oneof![
        (1970..=2199_u32).prop_map(|year| year.to_string()),
        (1970..=2199_u32, 0..60_u32).prop_map(|(from, more)| format!("{from}-{}", (from + more).min(2199))),
        (1970..=2199_u32, 0..60_u32, 1..=229_u32)
            .prop_map(|(from, more, step)| format!("{from}-{}/{step}", (from + more).min(2199))),
        (1970..=2199_u32, 1..=230_u32).prop_map(|(from, step)| format!("{from}/{step}")),
        (1..=229_u32).prop_map(|step| format!("*/{step}")),
    ];
    prop::collection::vec(item, 1..4).prop_map(|items| items.join(","))
}

/// Unions of many strides, as long as an expression may be.
pub(crate) fn tangled_years() -> impl Strategy<Value = String> {
    let item = (1970..=2199_u32, 1..=230_u32).prop_map(|(from, step)| format!("{from}/{step}"));
    prop::collection::vec(item, 10..26).prop_map(|items| format!("cron(0 0 1 1 ? {})", items.join(",")))
}

fn name(names: &'static str) -> impl Strategy<Value = String> {
    let names: Vec<&str> = names.split(' ').collect();
    (select(names), any::<bool>()).prop_map(|(name, lower)| if lower { name.to_lowercase() } else { name.to_owned() })
}

/// One to three items of a field whose ranges may wrap.
fn list(min: u32, max: u32, names: &'static str, count: u32) -> BoxedStrategy<String> {
    let number = prop_oneof![4 => (min..=max).prop_map(|value| value.to_string()), 1 => (min..=max).prop_map(|value| format!("{value:02}"))];
    let value = if names.is_empty() { number.boxed() } else { prop_oneof![number, name(names)].boxed() };
    let item = Union::new_weighted(vec![
        (4, value.clone().boxed()),
        (2, (value.clone(), value.clone()).prop_map(|(from, to)| format!("{from}-{to}")).boxed()),
        (1, (value.clone(), value.clone(), 1..=max).prop_map(|(from, to, step)| format!("{from}-{to}/{step}")).boxed()),
        (1, (value, 1..=count).prop_map(|(from, step)| format!("{from}/{step}")).boxed()),
        (1, (1..=max).prop_map(|step| format!("*/{step}")).boxed()),
        (1, Just("*".to_owned()).boxed()),
    ]);
    prop::collection::vec(item, 1..4).prop_map(|items| items.join(",")).boxed()
}
