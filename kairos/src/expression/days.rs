//! Which days of a month an expression names, as one word of bits.

use super::civil::Month;

/// Bits 1 to 31.
const ALL_DAYS: u32 = 0xffff_fffe;
/// Bits 0 to 6.
const ALL_WEEKDAYS: u8 = 0x7f;
/// Every seventh bit: multiplying by it repeats a week five times.
const WEEKS: u64 = 1 | 1 << 7 | 1 << 14 | 1 << 21 | 1 << 28;

/// The rule of the one day field that is not `?`. Days of the week count from 0, Sunday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum DayRule {
    /// Days of the month, bits 1 to 31.
    Days(u32),
    /// So many days before the last of the month: 0 for `L`, 3 for `L-3`.
    BeforeLast(u8),
    /// The last day from Monday to Friday: `LW`.
    LastWorkday,
    /// The day from Monday to Friday nearest to this one in the same month: `15W`.
    Workday(u8),
    /// Days of the week, bits 0 to 6.
    Weekdays(u8),
    /// The last of one day of the week: `6L`.
    LastWeekday(u8),
    /// The nth (1 to 5) of one day of the week: `6#3`.
    NthWeekday(u8, u8),
}

impl DayRule {
    /// Every day, written in the day-of-month field.
    pub(crate) const EVERY_DAY: DayRule = DayRule::Days(ALL_DAYS);
    /// Every day, written in the day-of-week field.
    pub(crate) const EVERY_WEEKDAY: DayRule = DayRule::Weekdays(ALL_WEEKDAYS);

    /// Whether every day of every month is named.
    pub(crate) fn is_every_day(self) -> bool {
        self == DayRule::EVERY_DAY || self == DayRule::EVERY_WEEKDAY
    }

    /// The days of a month that the rule names: bit 1 is the first. Constant time, by shifting and masking.
    pub(crate) fn days_in(self, month: Month) -> u32 {
        #[cfg(test)]
        steps::count();
        let (length, first) = (u32::from(month.length), u32::from(month.weekday));
        let in_month = ALL_DAYS & (u32::MAX >> (31 - length));
        match self {
            DayRule::Days(days) => days & in_month,
            DayRule::BeforeLast(before) => (1 << length >> before) & in_month,
            DayRule::LastWorkday => match (first + length - 1) % 7 {
                0 => 1 << (length - 2),
                6 => 1 << (length - 1),
                _ => 1 << length,
            },
            DayRule::Workday(day) => {
                let day = u32::from(day);
                if day > length {
                    return 0;
                }
                match (first + day - 1) % 7 {
                    0 if day == length => 1 << (day - 2),
                    0 => 1 << (day + 1),
                    6 if day == 1 => 1 << 3,
                    6 => 1 << (day - 1),
                    _ => 1 << day,
                }
            }
            DayRule::Weekdays(week) => repeat(week, first) & in_month,
            DayRule::LastWeekday(weekday) => {
                let last = (first + length - 1) % 7;
                1 << (length - (last + 7 - u32::from(weekday)) % 7)
            }
            DayRule::NthWeekday(weekday, nth) => {
                let day = 1 + (u32::from(weekday) + 7 - first) % 7 + 7 * (u32::from(nth) - 1);
                if day <= length { 1 << day } else { 0 }
            }
        }
    }
}

/// Lays a week of bits out over a month that begins on the given day of the week.
#[allow(clippy::cast_possible_truncation, reason = "the bits above the 31st are those to drop")]
const fn repeat(week: u8, first: u32) -> u32 {
    let week = week as u64;
    let rotated = ((week | week << 7) >> first) & ALL_WEEKDAYS as u64;
    ((rotated * WEEKS) << 1) as u32
}

/// Counts how many months a search looked at, so that tests bound work instead of time.
#[cfg(test)]
pub(crate) mod steps {
    use std::cell::Cell;

    thread_local!(static STEPS: Cell<usize> = const { Cell::new(0) });

    pub(crate) fn count() {
        STEPS.with(|steps| steps.set(steps.get() + 1));
    }

    pub(crate) fn taken<R>(work: impl FnOnce() -> R) -> (R, usize) {
        STEPS.with(|steps| steps.set(0));
        let result = work();
        (result, STEPS.with(Cell::get))
    }
}

#[cfg(test)]
mod tests {
    use super::super::civil;
    use super::*;

    fn days(rule: DayRule, year: u32, month: u32) -> Vec<u32> {
        let mask = rule.days_in(civil::month(year - 1970, month));
        (0..32).filter(|day| mask >> day & 1 == 1).collect()
    }

    #[test]
    fn each_rule_names_its_days() {
        // February 2026 begins on a Sunday and ends on a Saturday; May 2026 begins on a Friday and ends on a Sunday;
        // August 2026 begins on a Saturday and ends on a Monday.
        assert_eq!(days(DayRule::EVERY_DAY, 2026, 2), (1..=28).collect::<Vec<_>>());
        assert_eq!(days(DayRule::EVERY_WEEKDAY, 2026, 8), (1..=31).collect::<Vec<_>>());
        assert_eq!(days(DayRule::BeforeLast(0), 2028, 2), [29]);
        assert_eq!(days(DayRule::BeforeLast(0), 2100, 2), [28]);
        assert_eq!(days(DayRule::BeforeLast(3), 2026, 4), [27]);
        assert_eq!(days(DayRule::BeforeLast(30), 2026, 8), [1]);
        assert_eq!(days(DayRule::BeforeLast(30), 2026, 4), [0; 0]);
        assert_eq!(days(DayRule::LastWorkday, 2026, 2), [27]);
        assert_eq!(days(DayRule::LastWorkday, 2026, 5), [29]);
        assert_eq!(days(DayRule::LastWorkday, 2026, 8), [31]);
        assert_eq!(days(DayRule::Workday(1), 2026, 8), [3], "the first is a Saturday: never back into July");
        assert_eq!(days(DayRule::Workday(1), 2026, 2), [2]);
        assert_eq!(days(DayRule::Workday(31), 2026, 5), [29], "the 31st is a Sunday: never on into June");
        assert_eq!(days(DayRule::Workday(31), 2026, 4), [0; 0]);
        assert_eq!(days(DayRule::Workday(15), 2026, 8), [14]);
        assert_eq!(days(DayRule::Workday(16), 2026, 8), [17]);
        assert_eq!(days(DayRule::Workday(18), 2026, 8), [18]);
        assert_eq!(days(DayRule::Weekdays(0b100_0001), 2026, 8), [1, 2, 8, 9, 15, 16, 22, 23, 29, 30]);
        assert_eq!(days(DayRule::LastWeekday(5), 2026, 5), [29]);
        assert_eq!(days(DayRule::LastWeekday(0), 2026, 5), [31]);
        assert_eq!(days(DayRule::NthWeekday(2, 2), 2026, 5), [12]);
        assert_eq!(days(DayRule::NthWeekday(5, 5), 2026, 5), [29]);
        assert_eq!(days(DayRule::NthWeekday(1, 5), 2026, 5), [0; 0]);
    }
}
