//! A cron expression as sets of bits, and the search for the local minutes it names.

use super::civil::{self, FIRST_YEAR, MINUTES_PER_DAY, YEARS};
use super::days::DayRule;

/// A cron expression: `cron(minute hour day-of-month month day-of-week year)`.
///
/// It is held as sets: which minutes, hours, months and years, and a rule for days. Two are equal when their fields name
/// the same values in the same day field, however they were written: `*/30` and `0,30` are the same minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cron {
    pub(crate) minutes: u64,
    pub(crate) years: Years,
    pub(crate) hours: u32,
    pub(crate) months: u16,
    pub(crate) days: DayRule,
}

/// The years from 1970 to 2199, as bits from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Years([u64; 4]);

impl Years {
    /// Every year.
    pub(crate) const ALL: Years = Years([u64::MAX, u64::MAX, u64::MAX, u64::MAX >> (256 - YEARS)]);

    /// Adds a year, which must be within 1970-2199.
    pub(crate) fn insert(&mut self, year: u16) {
        let index = usize::from(year - FIRST_YEAR);
        self.0[index / 64] |= 1 << (index % 64);
    }

    fn contains(&self, index: u32) -> bool {
        self.0[index as usize / 64] >> (index % 64) & 1 == 1
    }

    /// The first year at or after an index.
    fn first_from(&self, index: u32) -> Option<u32> {
        let mut word = index as usize / 64;
        let mut bits = *self.0.get(word)? & (u64::MAX << (index % 64));
        while bits == 0 {
            word += 1;
            bits = *self.0.get(word)?;
        }
        u32::try_from(word).ok().map(|word| word * 64 + bits.trailing_zeros())
    }

    /// The last year before an index, which must be at most [`YEARS`].
    fn last_before(&self, index: u32) -> Option<u32> {
        let mut word = index as usize / 64;
        let mut bits = self.0[word] & !(u64::MAX << (index % 64));
        while bits == 0 {
            word = word.checked_sub(1)?;
            bits = self.0[word];
        }
        u32::try_from(word).ok().map(|word| word * 64 + 63 - bits.leading_zeros())
    }

    /// The years, ascending.
    pub(crate) fn iter(self) -> impl Iterator<Item = u16> {
        (FIRST_YEAR..).zip(0..YEARS).filter(move |&(_, index)| self.contains(index)).map(|(year, _)| year)
    }
}

/// The search. A local minute is counted from 1970-01-01T00:00 on the wall clock, whatever the zone; minutes outside
/// 1970-2199 are named by no expression.
///
/// Work is bounded by the calendar: at most one rule evaluation per month of 230 years (2760), and only for months and
/// years that the expression names.
impl Cron {
    /// The first local minute at or after `from`.
    pub(crate) fn first_from(&self, from: i64) -> Option<u32> {
        const END: i64 = (civil::DAYS * MINUTES_PER_DAY) as i64;
        if from >= END {
            return None;
        }
        let from = u32::try_from(from).unwrap_or(0);
        let (day, minute) = (from / MINUTES_PER_DAY, from % MINUTES_PER_DAY);
        let date = civil::date(day);
        if self.years.contains(date.year) {
            if self.months >> date.month & 1 == 1 {
                let days = self.days.days_in(date.year, date.month);
                if days >> date.day & 1 == 1
                    && let Some(minute) = self.minute_from(minute)
                {
                    return Some(day * MINUTES_PER_DAY + minute);
                }
                let later = days & (u32::MAX << 1 << date.day);
                if later != 0 {
                    let later = day + later.trailing_zeros() - date.day;
                    return Some(later * MINUTES_PER_DAY + self.first_minute());
                }
            }
            let later = u32::from(self.months) & (u32::MAX << (date.month + 1));
            if let Some(day) = self.first_day(date.year, later) {
                return Some(day * MINUTES_PER_DAY + self.first_minute());
            }
        }
        let mut next = date.year + 1;
        while let Some(year) = self.years.first_from(next) {
            if let Some(day) = self.first_day(year, u32::from(self.months)) {
                return Some(day * MINUTES_PER_DAY + self.first_minute());
            }
            next = year + 1;
        }
        None
    }

    /// The last local minute at or before `until`.
    pub(crate) fn last_until(&self, until: i64) -> Option<u32> {
        const LAST: u32 = civil::DAYS * MINUTES_PER_DAY - 1;
        if until < 0 {
            return None;
        }
        let until = u32::try_from(until).unwrap_or(LAST).min(LAST);
        let (day, minute) = (until / MINUTES_PER_DAY, until % MINUTES_PER_DAY);
        let date = civil::date(day);
        if self.years.contains(date.year) {
            if self.months >> date.month & 1 == 1 {
                let days = self.days.days_in(date.year, date.month);
                if days >> date.day & 1 == 1
                    && let Some(minute) = self.minute_until(minute)
                {
                    return Some(day * MINUTES_PER_DAY + minute);
                }
                let earlier = days & !(u32::MAX << date.day);
                if earlier != 0 {
                    let earlier = day + earlier.ilog2() - date.day;
                    return Some(earlier * MINUTES_PER_DAY + self.last_minute());
                }
            }
            let earlier = u32::from(self.months) & !(u32::MAX << date.month);
            if let Some(day) = self.last_day(date.year, earlier) {
                return Some(day * MINUTES_PER_DAY + self.last_minute());
            }
        }
        let mut before = date.year;
        while let Some(year) = self.years.last_before(before) {
            if let Some(day) = self.last_day(year, u32::from(self.months)) {
                return Some(day * MINUTES_PER_DAY + self.last_minute());
            }
            before = year;
        }
        None
    }

    /// The first minute of the day at or after one.
    fn minute_from(&self, minute: u32) -> Option<u32> {
        let (hour, minute) = (minute / 60, minute % 60);
        let minutes = self.minutes & (u64::MAX << minute);
        if self.hours >> hour & 1 == 1 && minutes != 0 {
            return Some(hour * 60 + minutes.trailing_zeros());
        }
        let hours = self.hours & (u32::MAX << 1 << hour);
        (hours != 0).then(|| hours.trailing_zeros() * 60 + self.minutes.trailing_zeros())
    }

    /// The last minute of the day at or before one.
    fn minute_until(&self, minute: u32) -> Option<u32> {
        let (hour, minute) = (minute / 60, minute % 60);
        let minutes = self.minutes & !(u64::MAX << 1 << minute);
        if self.hours >> hour & 1 == 1 && minutes != 0 {
            return Some(hour * 60 + minutes.ilog2());
        }
        let hours = self.hours & !(u32::MAX << hour);
        (hours != 0).then(|| hours.ilog2() * 60 + self.minutes.ilog2())
    }

    /// The first minute of any day that is named; no field is ever empty.
    fn first_minute(&self) -> u32 {
        self.hours.trailing_zeros() * 60 + self.minutes.trailing_zeros()
    }

    fn last_minute(&self) -> u32 {
        self.hours.ilog2() * 60 + self.minutes.ilog2()
    }

    /// The number of the first named day in some months of a year.
    fn first_day(&self, year: u32, mut months: u32) -> Option<u32> {
        while months != 0 {
            let month = months.trailing_zeros();
            let days = self.days.days_in(year, month);
            if days != 0 {
                return Some(civil::month_start(year, month) + days.trailing_zeros() - 1);
            }
            months &= months - 1;
        }
        None
    }

    /// The number of the last named day in some months of a year.
    fn last_day(&self, year: u32, mut months: u32) -> Option<u32> {
        while months != 0 {
            let month = months.ilog2();
            let days = self.days.days_in(year, month);
            if days != 0 {
                return Some(civil::month_start(year, month) + days.ilog2() - 1);
            }
            months &= !(1 << month);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::Expression;
    use super::super::days::steps;
    use super::*;

    fn cron(fields: &str) -> Cron {
        match Expression::parse(&format!("cron({fields})")) {
            Ok(Expression::Cron(cron)) => cron,
            other => panic!("{fields}: {other:?}"),
        }
    }

    #[test]
    fn a_search_looks_at_no_month_twice_and_at_no_month_in_vain() {
        let rows = [
            // What never comes: each named month of each named year once.
            ("0 0 31 2 ? *", 230),
            ("0 0 31 2,4,6,9,11 ? *", 5 * 230),
            ("0 0 29 2 ? 2100", 1),
            ("0 0 L-29 2 ? 2000-2009", 10),
            // The first leap year whose 29 February is a Monday is 1988.
            ("0 0 ? 2 2#5 *", 19),
            ("0 0 ? 12 2#5 1970-2199/200", 2),
            // What comes soon.
            ("* * * * ? *", 1),
            ("0 0 1 1 ? 2199", 1),
        ];
        for (fields, most) in rows {
            let cron = cron(fields);
            let (_, forwards) = steps::taken(|| cron.first_from(0));
            assert!(forwards <= most, "{fields}: {forwards} months");
            let (found, backwards) = steps::taken(|| cron.last_until(i64::MAX));
            assert!(found.is_some() || backwards == forwards, "{fields}: {backwards} months");
            assert!(backwards <= most, "{fields}: {backwards} months");
        }
    }

    #[test]
    fn the_first_and_the_last_minute_are_found() {
        const LAST: u32 = civil::DAYS * MINUTES_PER_DAY - 1;
        let always = cron("* * * * ? *");
        assert_eq!(always.first_from(i64::MIN), Some(0));
        assert_eq!(always.first_from(i64::from(LAST)), Some(LAST));
        assert_eq!(always.first_from(i64::from(LAST) + 1), None);
        assert_eq!(always.last_until(i64::MAX), Some(LAST));
        assert_eq!(always.last_until(0), Some(0));
        assert_eq!(always.last_until(-1), None);
        // The first days of 1970, whose day numbers are smaller than their days of the month.
        assert_eq!(cron("0 0 9 * ? *").first_from(0), Some(8 * MINUTES_PER_DAY));
        assert_eq!(cron("0 0 9 * ? *").last_until(i64::from(9 * MINUTES_PER_DAY)), Some(8 * MINUTES_PER_DAY));
    }
}
