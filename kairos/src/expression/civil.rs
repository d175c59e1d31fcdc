//! The calendar of the years that an expression can name, 1970 to 2199, as a table of months.
//!
//! A schedule is searched in whole local minutes and days, so that a general date library's checks of eras, nanoseconds
//! and ranges would cost more than the search itself; and looking a month up costs less than the divisions that compute
//! when it begins, how long it is, and on which day of the week.

/// The first year, to which year indices and day numbers are relative.
pub(crate) const FIRST_YEAR: u16 = 1970;
/// The last year.
pub(crate) const LAST_YEAR: u16 = 2199;
/// How many years there are: a year index is below this.
pub(crate) const YEARS: u32 = 230;
/// How many days there are: a day number, counted from 1970-01-01, is below this.
pub(crate) const DAYS: u32 = CALENDAR[MONTHS].start;

pub(crate) const SECONDS_PER_DAY: u64 = 24 * 60 * 60;
/// When 2199 is over, in local seconds.
const END: u64 = DAYS as u64 * SECONDS_PER_DAY;

const MONTHS: usize = YEARS as usize * 12;

/// Every month, and the one after the last. 22 kB, of which a search touches what it looks at.
static CALENDAR: [Month; MONTHS + 1] = calendar();

/// A minute of the calendar, taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Minute {
    /// The number of its day.
    pub(crate) day: u32,
    /// The year, as an index.
    pub(crate) year: u32,
    /// The month, 1-12.
    pub(crate) month: u32,
    /// That month in the calendar.
    pub(crate) calendar: Month,
    /// 0-23.
    pub(crate) hour: u32,
    /// 0-59.
    pub(crate) minute: u32,
}

impl Minute {
    /// The first minute that begins at or after a local time, in seconds. After 2199 it is one of 2200, which no expression names.
    pub(crate) fn at_or_after(local: i64) -> Minute {
        Minute::of(u64::try_from(local).unwrap_or(0).saturating_add(59).min(END))
    }

    /// The last minute that begins at or before a local time, in seconds; none before 1970.
    pub(crate) fn at_or_before(local: i64) -> Option<Minute> {
        u64::try_from(local).ok().map(|local| Minute::of(local.min(END - 1)))
    }

    /// The minute of a local time, in seconds; at most [`END`].
    #[allow(clippy::cast_possible_truncation, reason = "there are fewer days")]
    fn of(local: u64) -> Minute {
        let (day, minute) = ((local / SECONDS_PER_DAY) as u32, (local % SECONDS_PER_DAY / 60) as u32);
        let (year, month, calendar) = month_of(day);
        Minute { day, year, month, calendar, hour: minute / 60, minute: minute % 60 }
    }

    /// The day of the month, 1-31.
    pub(crate) fn date(&self) -> u32 {
        self.day - self.calendar.start + 1
    }
}

/// A month of the calendar.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Month {
    /// The day number of its first.
    pub(crate) start: u32,
    /// How many days it has: 28-31.
    pub(crate) length: u8,
    /// The day of the week of its first: 0 is Sunday, 6 is Saturday.
    pub(crate) weekday: u8,
}

#[allow(clippy::cast_possible_truncation, reason = "a day of the week is below 7")]
const fn calendar() -> [Month; MONTHS + 1] {
    let mut calendar = [Month { start: 0, length: 0, weekday: 0 }; MONTHS + 1];
    let (mut start, mut index) = (0, 0);
    while index <= MONTHS {
        let year = FIRST_YEAR as usize + index / 12;
        let length = match index % 12 + 1 {
            2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        // 1970-01-01 was a Thursday.
        calendar[index] = Month { start, length, weekday: ((start + 4) % 7) as u8 };
        start += length as u32;
        index += 1;
    }
    calendar
}

/// A month (1-12) of a year (an index below [`YEARS`]).
pub(crate) fn month(year: u32, month: u32) -> Month {
    CALENDAR[(12 * year + month - 1) as usize]
}

/// The year (an index), the month (1-12) and that month in the calendar, of a day number up to [`DAYS`].
fn month_of(day: u32) -> (u32, u32, Month) {
    // 400 years have 4800 months and 146 097 days. Months and years are not all alike, so this is the month that is
    // sought or, with three days more, the one after it.
    let mut index = 4800 * (day + 3) / 146_097;
    if CALENDAR[index as usize].start > day {
        index -= 1;
    }
    (index / 12, index % 12 + 1, CALENDAR[index as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_jiff_on_every_day() {
        let mut expected = jiff::civil::date(1970, 1, 1);
        for day in 0..DAYS {
            let (year, month_of_year, found) = month_of(day);
            assert_eq!(
                (1970 + year, month_of_year, day - found.start + 1),
                (
                    u32::from(expected.year().unsigned_abs()),
                    u32::from(expected.month().unsigned_abs()),
                    u32::from(expected.day().unsigned_abs())
                ),
                "{expected}"
            );
            assert_eq!(found.length, expected.days_in_month().unsigned_abs());
            let weekday = expected.first_of_month().weekday().to_sunday_zero_offset().unsigned_abs();
            assert_eq!(found.weekday, weekday, "{expected}");
            assert_eq!(month(year, month_of_year).start, found.start);
            expected = expected.tomorrow().unwrap();
        }
        assert_eq!(expected, jiff::civil::date(2200, 1, 1));
    }
}
