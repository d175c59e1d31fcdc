//! English.

use super::{At, Clock, DayRule, Pattern, Run, Times, Unit, Voice, has_range, join, scattered, spell};

const AND: &str = " and ";
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const ORDINALS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

pub(super) struct English;

fn every(count: u32, unit: &str) -> String {
    if count == 1 { format!("every {unit}") } else { format!("every {count} {unit}s") }
}

fn nth(day: u16) -> String {
    let suffix = match day {
        1 | 21 | 31 => "st",
        2 | 22 => "nd",
        3 | 23 => "rd",
        _ => "th",
    };
    format!("{day}{suffix}")
}

fn month(number: u16) -> String {
    MONTHS[usize::from(number) - 1].to_owned()
}

fn weekday(number: u16) -> &'static str {
    WEEKDAYS[usize::from(number) - 1]
}

fn numbers(runs: &[Run]) -> String {
    spell(runs, AND, |value| value.to_string(), |from, to| format!("{from} to {to}"))
}

fn spans(spans: &[(Clock, Clock)]) -> String {
    let span = |(from, to): &(Clock, Clock)| {
        if from == to { format!("at {from}") } else { format!("from {from} to {to}") }
    };
    match spans {
        [] => String::new(),
        _ => format!(" {}", join(&spans.iter().map(span).collect::<Vec<_>>(), AND)),
    }
}

/// The month or months that a day belongs to.
fn of_months(months: &Pattern) -> String {
    match months {
        Pattern::Runs(runs) if has_range(runs) => {
            let range = |from, to| format!("each month from {} to {}", month(from), month(to));
            format!(" of {}", spell(runs, AND, month, range))
        }
        Pattern::Runs(runs) => format!(" of {}", spell(runs, AND, month, |_, _| String::new())),
        _ => String::from(" of the month"),
    }
}

impl Voice for English {
    fn every(&self, count: u32, unit: Unit) -> String {
        let unit = match unit {
            Unit::Minutes => "minute",
            Unit::Hours => "hour",
            Unit::Days => "day",
        };
        every(count, unit)
    }

    fn once(&self, at: At) -> String {
        let local = at.local();
        let month = MONTHS[usize::from(local.month().unsigned_abs()) - 1];
        let time = local.time().strftime(if local.second() == 0 { "%H:%M" } else { "%H:%M:%S" });
        format!("once, on {} {month} {} at {time}", local.day(), local.year())
    }

    fn times(&self, times: &Times) -> String {
        match times {
            Times::At(times) => {
                format!("at {}", join(&times.iter().map(Clock::to_string).collect::<Vec<_>>(), AND))
            }
            Times::EveryMinutes(step, within) => every(u32::from(*step), "minute") + &spans(within),
            Times::EveryHours(1, minute @ 1.., within) if within.is_empty() => {
                format!("every hour at minute {minute}")
            }
            Times::EveryHours(step, _, within) => every(u32::from(*step), "hour") + &spans(within),
            Times::Minutes(minutes, hours) => {
                let minutes = match minutes {
                    Pattern::All => String::from("every minute"),
                    Pattern::Stride(from, to, step) => {
                        format!("every {step} minutes from minute {from} to minute {to}")
                    }
                    Pattern::Runs(runs) => match runs[..] {
                        [(from, to)] if has_range(runs) => format!("every minute from minute {from} to minute {to}"),
                        [(from, to)] if from == to => format!("at minute {from}"),
                        _ => format!("at minutes {}", numbers(runs)),
                    },
                };
                let hours = match hours {
                    Pattern::All => String::from("every hour"),
                    Pattern::Stride(from, to, step) => format!("every {step} hours from {from} to {to}"),
                    Pattern::Runs(runs) => match runs[..] {
                        [(from, to)] if from == to => format!("hour {from}"),
                        _ => format!("hours {}", numbers(runs)),
                    },
                };
                format!("{minutes} of {hours}")
            }
        }
    }

    fn every_day(&self) -> &'static str {
        " every day"
    }

    fn days(&self, rule: DayRule, months: &Pattern) -> String {
        let of = of_months(months);
        let name = |index: u8| WEEKDAYS[usize::from(index)];
        match rule {
            DayRule::Days(days) => {
                let days = super::values(super::Field::DayOfMonth, u64::from(days));
                match Pattern::of(super::Field::DayOfMonth, &days, false) {
                    Pattern::Stride(from, to, step) => {
                        format!(", every {step} days from the {} to the {}{of}", nth(from), nth(to))
                    }
                    Pattern::Runs(runs) if has_range(&runs) => {
                        let range = |from, to| format!("from the {} to the {}", nth(from), nth(to));
                        format!(", {}{of}", spell(&runs, AND, |day| format!("on the {}", nth(day)), range))
                    }
                    Pattern::Runs(runs) => format!(" on the {}{of}", spell(&runs, AND, nth, |_, _| String::new())),
                    Pattern::All => of,
                }
            }
            DayRule::BeforeLast(0) => format!(" on the last day{of}"),
            DayRule::BeforeLast(1) => format!(" on the day before the last{of}"),
            DayRule::BeforeLast(days) => format!(", {days} days before the last day{of}"),
            DayRule::LastWorkday => format!(" on the last weekday{of}"),
            DayRule::Workday(day) => {
                let of = if *months == Pattern::All { String::new() } else { of };
                format!(" on the weekday nearest the {}{of}", nth(u16::from(day)))
            }
            DayRule::LastWeekday(weekday) => format!(" on the last {}{of}", name(weekday)),
            DayRule::NthWeekday(weekday, nth) => {
                format!(" on the {} {}{of}", ORDINALS[usize::from(nth) - 1], name(weekday))
            }
            DayRule::Weekdays(_) => String::new(),
        }
    }

    fn weekdays(&self, weekdays: &[Run]) -> String {
        if has_range(weekdays) {
            let range = |from, to| format!("{} to {}", weekday(from), weekday(to));
            format!(", {}", spell(weekdays, AND, |day| weekday(day).to_owned(), range))
        } else {
            format!(" on {}", spell(weekdays, AND, |day| format!("{}s", weekday(day)), |_, _| String::new()))
        }
    }

    fn months(&self, months: &Pattern) -> String {
        match months {
            Pattern::Runs(runs) if has_range(runs) => {
                let range = |from, to| format!("from {} to {}", month(from), month(to));
                format!(", {}", spell(runs, AND, |number| format!("in {}", month(number)), range))
            }
            Pattern::Runs(runs) => format!(" in {}", spell(runs, AND, month, |_, _| String::new())),
            _ => String::new(),
        }
    }

    fn years(&self, years: &Pattern, months: &Pattern) -> String {
        match years {
            Pattern::Runs(runs) if let Some((count, from, to)) = scattered(runs) => {
                format!(", in {count} of the years from {from} to {to}")
            }
            Pattern::All => String::new(),
            Pattern::Stride(from, to, step) => format!(", every {step} years from {from} to {to}"),
            Pattern::Runs(runs) if has_range(runs) => {
                let range = |from, to| format!("from {from} to {to}");
                format!(", {}", spell(runs, AND, |year| format!("in {year}"), range))
            }
            Pattern::Runs(runs) => match months {
                Pattern::Runs(months) if !has_range(months) => format!(" {}", numbers(runs)),
                _ => format!(" in {}", numbers(runs)),
            },
        }
    }
}
