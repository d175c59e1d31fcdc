//! The rules read slowly and obviously: walk through every minute of the zone and ask whether the wall clock shows a
//! minute that the expression names, for the first time. Shares nothing with the evaluator, not even the reading of
//! fields. Days whose date does not match are not walked.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

pub(crate) struct Reference {
    minutes: BTreeSet<u32>,
    hours: BTreeSet<u32>,
    months: BTreeSet<u32>,
    years: BTreeSet<u32>,
    day_of_month: String,
    day_of_week: String,
    zone: TimeZone,
}

impl Reference {
    /// Of an expression that is known to be well formed.
    pub(crate) fn new(expression: &str, zone: TimeZone) -> Reference {
        let fields = expression.strip_prefix("cron(").unwrap().strip_suffix(')').unwrap();
        let fields: Vec<String> = fields.split_whitespace().map(str::to_uppercase).collect();
        let [minute, hour, day_of_month, month, day_of_week, year] = &fields[..] else { panic!("{expression}") };
        Reference {
            minutes: set(minute, 0, 59),
            hours: set(hour, 0, 23),
            months: set(&by_number(month), 1, 12),
            years: set(year, 1970, 2199),
            day_of_month: day_of_month.clone(),
            day_of_week: by_number(day_of_week),
            zone,
        }
    }

    /// The fire times after an instant, no more than so many, found in no more than so many days.
    pub(crate) fn after(&self, after: Timestamp, count: usize, days: u32) -> Vec<Timestamp> {
        let mut date = self.zone.to_datetime(after).date().saturating_sub(2.days());
        let mut fires = Vec::new();
        for _ in 0..days {
            fires.extend(self.on(date).into_iter().filter(|&fire| fire > after));
            if fires.len() >= count || date.year() > 2199 {
                break;
            }
            date = date.tomorrow().unwrap();
        }
        fires.truncate(count);
        fires
    }

    /// The fire times at which the wall clock shows a date.
    fn on(&self, date: Date) -> Vec<Timestamp> {
        if !self.names_date(date) {
            return Vec::new();
        }
        // Wide enough to see the whole local date, whatever the zone does around it.
        let utc = date.at(0, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp().as_second();
        let around = (-3..=3).map(|half_days| Timestamp::from_second(utc + half_days * 43_200).unwrap());
        let offsets: Vec<i64> = around.map(|at| i64::from(self.zone.to_offset(at).seconds())).collect();
        let (least, most) = (offsets.iter().min().unwrap(), offsets.iter().max().unwrap());
        let mut seen: BTreeSet<DateTime> = BTreeSet::new();
        let mut fires = Vec::new();
        for instant in (utc - most..utc + 86_400 - least).step_by(60) {
            let instant = Timestamp::from_second(instant).unwrap();
            let local = self.zone.to_datetime(instant);
            if local.date() == date && self.names_time(local) && seen.insert(local) {
                fires.push(instant);
            }
        }
        fires
    }

    fn names_time(&self, local: DateTime) -> bool {
        assert_eq!(local.second(), 0, "zones whose offset is not in whole minutes are not walked");
        self.minutes.contains(&natural(local.minute())) && self.hours.contains(&natural(local.hour()))
    }

    pub(crate) fn names_date(&self, date: Date) -> bool {
        self.years.contains(&natural(date.year()))
            && self.months.contains(&natural(date.month()))
            && if self.day_of_week == "?" { self.names_day_of_month(date) } else { self.names_day_of_week(date) }
    }

    fn names_day_of_month(&self, date: Date) -> bool {
        let last = date.last_of_month();
        let is_workday = |date: Date| !matches!(weekday(date), 1 | 7);
        match self.day_of_month.as_str() {
            "L" => date == last,
            "LW" => {
                let mut day = last;
                while !is_workday(day) {
                    day = day.yesterday().unwrap();
                }
                date == day
            }
            rule if rule.starts_with("L-") => i64::from(last.day() - date.day()) == rule[2..].parse::<i64>().unwrap(),
            rule if rule.ends_with('W') => {
                let wanted: i8 = rule[..rule.len() - 1].parse().unwrap();
                if wanted > last.day() {
                    return false;
                }
                let nearby = [0, -1, 1, -2, 2].into_iter().map(|away| wanted + away);
                let in_month = nearby.filter(|&day| day >= 1 && day <= last.day());
                let mut workdays = in_month.filter(|&day| is_workday(date.with().day(day).build().unwrap()));
                workdays.next() == Some(date.day())
            }
            days => set(days, 1, 31).contains(&natural(date.day())),
        }
    }

    fn names_day_of_week(&self, date: Date) -> bool {
        match self.day_of_week.as_str() {
            "L" => weekday(date) == 7,
            rule if rule.ends_with('L') => {
                let is_last = date.saturating_add(7.days()).month() != date.month();
                is_last && weekday(date) == rule[..rule.len() - 1].parse::<u32>().unwrap()
            }
            rule if rule.contains('#') => {
                let (wanted, nth) = rule.split_once('#').unwrap();
                weekday(date) == wanted.parse::<u32>().unwrap()
                    && (date.day() - 1) / 7 + 1 == nth.parse::<i8>().unwrap()
            }
            days => set(days, 1, 7).contains(&weekday(date)),
        }
    }
}

fn natural(number: impl Into<i64>) -> u32 {
    u32::try_from(number.into()).unwrap()
}

/// 1 is Sunday.
fn weekday(date: Date) -> u32 {
    natural(date.weekday().to_sunday_one_offset())
}

fn by_number(field: &str) -> String {
    let mut field = field.to_owned();
    let names = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC";
    for names in [names, "SUN MON TUE WED THU FRI SAT"] {
        for (index, name) in names.split(' ').enumerate() {
            field = field.replace(name, &(index + 1).to_string());
        }
    }
    field
}

/// The values that a list names.
fn set(field: &str, min: u32, max: u32) -> BTreeSet<u32> {
    let number = |text: &str| text.parse::<u32>().unwrap();
    let mut values = BTreeSet::new();
    for item in field.split(',') {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (number(from), number(to)),
            None if range == "*" => (min, max),
            None if item.contains('/') => (number(range), max),
            None => (number(range), number(range)),
        };
        let sequence: Vec<u32> =
            if from <= to { (from..=to).collect() } else { (from..=max).chain(min..=to).collect() };
        values.extend(sequence.into_iter().step_by(number(step) as usize));
    }
    values
}

#[test]
fn the_reference_reads_fields() {
    let reads = |field: &str, min, max| set(field, min, max).into_iter().collect::<Vec<_>>();
    assert_eq!(reads("22-2/2", 0, 23), [0, 2, 22]);
    assert_eq!(reads("1,5-7,50/5", 0, 59), [1, 5, 6, 7, 50, 55]);
    assert_eq!(by_number("FRI#3"), "6#3");
    assert_eq!(by_number("JAN-MAR,OCT"), "1-3,10");
}
