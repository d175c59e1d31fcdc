//! Day arithmetic for the years that an expression can name, 1970 to 2199.
//!
//! A schedule is searched in whole local minutes and days, so that a general date library's checks of eras, nanoseconds
//! and ranges would cost more than the search itself. In this window the calendar is the Julian one but for a single
//! day, 29 February 2100, which does not exist (2000 is a leap year in both); everything below is built on that.

/// The first year, to which year indices and day numbers are relative.
pub(crate) const FIRST_YEAR: u16 = 1970;
/// The last year.
pub(crate) const LAST_YEAR: u16 = 2199;
/// How many years there are: a year index is below this.
pub(crate) const YEARS: u32 = 230;
/// How many days there are: a day number, counted from 1970-01-01, is below this.
pub(crate) const DAYS: u32 = year_start(YEARS);

pub(crate) const MINUTES_PER_DAY: u32 = 24 * 60;

/// The index of 2100, the only fourth year without a leap day.
const COMMON_CENTURY: u32 = 130;
/// The day number of 1 March 2100: from here on a day number is one behind the Julian calendar's.
const AFTER_MISSING_DAY: u32 = year_start(COMMON_CENTURY) + 59;

/// A date as the search uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Day {
    /// Years since 1970, 0-229.
    pub(crate) year: u32,
    /// 1-12.
    pub(crate) month: u32,
    /// 1-31.
    pub(crate) day: u32,
}

/// The day number of 1 January.
const fn year_start(year: u32) -> u32 {
    365 * year + (year + 1) / 4 - (year > COMMON_CENTURY) as u32
}

const fn is_leap(year: u32) -> bool {
    year % 4 == 2 && year != COMMON_CENTURY
}

/// Days before a month's first in a year whose February has 30 days, which makes month lengths alternate evenly enough
/// for one multiplication.
const fn days_before_padded(month: u32) -> u32 {
    (367 * month - 362) / 12
}

/// The day number of the first of a month (1-12) of a year (an index below [`YEARS`]).
pub(crate) const fn month_start(year: u32, month: u32) -> u32 {
    let padding = if month <= 2 { 0 } else { 2 - is_leap(year) as u32 };
    year_start(year) + days_before_padded(month) - padding
}

/// The number of days in a month (1-12) of a year (an index below [`YEARS`]).
pub(crate) const fn month_length(year: u32, month: u32) -> u32 {
    if month == 2 {
        28 + is_leap(year) as u32
    } else {
        // 31 days in odd months up to July, and in even ones from August on.
        30 + ((month ^ (month >> 3)) & 1)
    }
}

/// The day of the week of a day number: 0 is Sunday, 6 is Saturday.
pub(crate) const fn weekday(day: u32) -> u32 {
    // 1970-01-01 was a Thursday.
    (day + 4) % 7
}

/// The date of a day number below [`DAYS`].
pub(crate) const fn date(day: u32) -> Day {
    let julian = day + (day >= AFTER_MISSING_DAY) as u32;
    // The leap year is the third of each four, so that two of the four quarter days are owed before it.
    let year = (4 * julian + 2) / 1461;
    let of_year = julian - (365 * year + (year + 1) / 4);
    let leap = (year % 4 == 2) as u32;
    let padded = of_year + if of_year < 59 + leap { 0 } else { 2 - leap };
    let month = (12 * padded + 373) / 367;
    Day { year, month, day: padded - days_before_padded(month) + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_jiff_on_every_day() {
        let mut expected = jiff::civil::date(1970, 1, 1);
        for day in 0..DAYS {
            let found = date(day);
            let month = u32::from(expected.month().unsigned_abs());
            assert_eq!(
                (1970 + found.year, found.month, found.day),
                (u32::from(expected.year().unsigned_abs()), month, u32::from(expected.day().unsigned_abs())),
                "{expected}"
            );
            assert_eq!(weekday(day), u32::from(expected.weekday().to_sunday_zero_offset().unsigned_abs()));
            assert_eq!(month_start(found.year, month), day + 1 - found.day);
            assert_eq!(month_length(found.year, month), u32::from(expected.days_in_month().unsigned_abs()));
            expected = expected.tomorrow().unwrap();
        }
        assert_eq!(expected, jiff::civil::date(2200, 1, 1));
    }
}
