//! A cron expression as sets of bits, and the search for the local minutes it names.

use super::civil::{self, FIRST_YEAR, Minute, SECONDS_PER_DAY, YEARS};
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
    /// Adds a year, which must be within 1970-2199.
    pub(crate) fn insert(&mut self, year: u16) {
        let index = usize::from(year - FIRST_YEAR);
        self.0[index / 64] |= 1 << (index % 64);
    }

    /// Adds the years from one to another, both of which must be within 1970-2199.
    pub(crate) fn insert_range(&mut self, from: u16, to: u16) {
        let from_on = |year: u16, word: u32| {
            let index = u32::from(year - FIRST_YEAR);
            u64::MAX.checked_shl(index.saturating_sub(64 * word)).unwrap_or(0)
        };
        for (bits, word) in self.0.iter_mut().zip(0..) {
            *bits |= from_on(from, word) & !from_on(to + 1, word);
        }
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

/// The search. A local time is counted in seconds from 1970-01-01T00:00:00 on the wall clock, whatever the zone; times
/// outside 1970-2199 are named by no expression.
///
/// Work is bounded by the calendar: at most one rule evaluation per month of 230 years (2760), and only for months and
/// years that the expression names.
impl Cron {
    /// The first local time at or after `from`.
    pub(crate) fn first_from(&self, from: i64) -> Option<i64> {
        self.first_at(&Minute::at_or_after(from))
    }

    /// The first local time from a minute on. Inlined, so that what was found of the minute need not be written to memory to be read again.
    #[inline(always)]
    pub(crate) fn first_at(&self, from: &Minute) -> Option<i64> {
        let Minute { day, year, month, calendar, hour, minute } = *from;
        let date = from.date();
        if self.years.contains(year) {
            if self.months >> month & 1 == 1 {
                let days = self.days.days_in(calendar);
                if days >> date & 1 == 1
                    && let Some(minute) = self.time_from(hour, minute)
                {
                    return Some(seconds(day, minute));
                }
                let later = days & (u32::MAX << 1 << date);
                if later != 0 {
                    return Some(seconds(calendar.start + later.trailing_zeros() - 1, self.first_minute()));
                }
            }
            let later = u32::from(self.months) & (u32::MAX << 1 << month);
            if let Some(day) = self.first_day(year, later) {
                return Some(seconds(day, self.first_minute()));
            }
        }
        let mut next = year + 1;
        while let Some(year) = self.years.first_from(next) {
            if let Some(day) = self.first_day(year, u32::from(self.months)) {
                return Some(seconds(day, self.first_minute()));
            }
            next = year + 1;
        }
        None
    }

    /// The last local time at or before `until`.
    pub(crate) fn last_until(&self, until: i64) -> Option<i64> {
        let until = Minute::at_or_before(until)?;
        let Minute { day, year, month, calendar, hour, minute } = until;
        let date = until.date();
        if self.years.contains(year) {
            if self.months >> month & 1 == 1 {
                let days = self.days.days_in(calendar);
                if days >> date & 1 == 1
                    && let Some(minute) = self.time_until(hour, minute)
                {
                    return Some(seconds(day, minute));
                }
                let earlier = days & !(u32::MAX << date);
                if earlier != 0 {
                    return Some(seconds(calendar.start + earlier.ilog2() - 1, self.last_minute()));
                }
            }
            let earlier = u32::from(self.months) & !(u32::MAX << month);
            if let Some(day) = self.last_day(year, earlier) {
                return Some(seconds(day, self.last_minute()));
            }
        }
        let mut before = year;
        while let Some(year) = self.years.last_before(before) {
            if let Some(day) = self.last_day(year, u32::from(self.months)) {
                return Some(seconds(day, self.last_minute()));
            }
            before = year;
        }
        None
    }

    /// The first minute of the day at or after a time of it.
    fn time_from(&self, hour: u32, minute: u32) -> Option<u32> {
        let minutes = self.minutes & (u64::MAX << minute);
        if self.hours >> hour & 1 == 1 && minutes != 0 {
            return Some(hour * 60 + minutes.trailing_zeros());
        }
        let hours = self.hours & (u32::MAX << 1 << hour);
        (hours != 0).then(|| hours.trailing_zeros() * 60 + self.minutes.trailing_zeros())
    }

    /// The last minute of the day at or before a time of it.
    fn time_until(&self, hour: u32, minute: u32) -> Option<u32> {
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
            let month = civil::month(year, months.trailing_zeros());
            let days = self.days.days_in(month);
            if days != 0 {
                return Some(month.start + days.trailing_zeros() - 1);
            }
            months &= months - 1;
        }
        None
    }

    /// The number of the last named day in some months of a year.
    fn last_day(&self, year: u32, mut months: u32) -> Option<u32> {
        while months != 0 {
            let month = civil::month(year, months.ilog2());
            let days = self.days.days_in(month);
            if days != 0 {
                return Some(month.start + days.ilog2() - 1);
            }
            months &= !(1 << months.ilog2());
        }
        None
    }
}

/// The local time of a minute of a day.
fn seconds(day: u32, minute: u32) -> i64 {
    i64::from(day) * SECONDS_PER_DAY.cast_signed() + i64::from(minute) * 60
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
    fn a_range_of_years_is_each_of_its_years() {
        // At the ends of the words, and beside them.
        let years: Vec<u16> = [0, 1, 63, 64, 65, 127, 128, 191, 192, 229].map(|index| FIRST_YEAR + index).into();
        for (from, to) in years.iter().flat_map(|from| years.iter().map(move |to| (*from, *to))) {
            let mut range = Years::default();
            range.insert(1999);
            range.insert_range(from, to);
            let one_by_one = (FIRST_YEAR..=civil::LAST_YEAR).filter(|year| *year == 1999 || (from..=to).contains(year));
            assert!(range.iter().eq(one_by_one), "{from}-{to}");
        }
    }

    #[test]
    fn the_first_and_the_last_minute_are_found() {
        const DAY: i64 = SECONDS_PER_DAY.cast_signed();
        const LAST: i64 = civil::DAYS as i64 * DAY - 60;
        let always = cron("* * * * ? *");
        assert_eq!(always.first_from(i64::MIN), Some(0));
        assert_eq!(always.first_from(1), Some(60));
        assert_eq!(always.first_from(LAST), Some(LAST));
        assert_eq!(always.first_from(LAST + 1), None);
        assert_eq!(always.first_from(i64::MAX), None);
        assert_eq!(always.last_until(i64::MAX), Some(LAST));
        assert_eq!(always.last_until(LAST - 1), Some(LAST - 60));
        assert_eq!(always.last_until(0), Some(0));
        assert_eq!(always.last_until(-1), None);
        // The first days of 1970, whose day numbers are smaller than their days of the month.
        assert_eq!(cron("0 0 9 * ? *").first_from(0), Some(8 * DAY));
        assert_eq!(cron("0 0 9 * ? *").last_until(9 * DAY), Some(8 * DAY));
    }
}
