//! Spanish.

use super::{At, Clock, DayRule, Pattern, Run, Times, Unit, Voice, has_range, join, scattered, spell};

const AND: &str = " y ";
const WEEKDAYS: [&str; 7] = ["domingo", "lunes", "martes", "miércoles", "jueves", "viernes", "sábado"];
const MONTHS: [&str; 12] = [
    "enero",
    "febrero",
    "marzo",
    "abril",
    "mayo",
    "junio",
    "julio",
    "agosto",
    "septiembre",
    "octubre",
    "noviembre",
    "diciembre",
];
const ORDINALS: [&str; 5] = ["primer", "segundo", "tercer", "cuarto", "quinto"];

pub(super) struct Spanish;

fn every(count: u32, one: &str, many: &str) -> String {
    if count == 1 { format!("cada {one}") } else { format!("cada {count} {many}") }
}

/// The hour takes the article, and one o'clock is singular.
fn with_article(time: Clock) -> String {
    format!("{} {time}", if time.0 == 1 { "a la" } else { "a las" })
}

fn month(number: u16) -> String {
    MONTHS[usize::from(number) - 1].to_owned()
}

fn weekday(number: u16) -> &'static str {
    WEEKDAYS[usize::from(number) - 1]
}

/// Weekdays in -s have no plural of their own.
fn weekdays_plural(number: u16) -> String {
    let name = weekday(number);
    if name.ends_with('s') { name.to_owned() } else { format!("{name}s") }
}

fn numbers(runs: &[Run]) -> String {
    spell(runs, AND, |value| value.to_string(), |from, to| format!("{from} a {to}"))
}

fn spans(spans: &[(Clock, Clock)]) -> String {
    let span = |&(from, to): &(Clock, Clock)| {
        if from == to { with_article(from) } else { format!("de {from} a {to}") }
    };
    match spans {
        [] => String::new(),
        _ => format!(" {}", join(&spans.iter().map(span).collect::<Vec<_>>(), AND)),
    }
}

/// The month or months that a day belongs to, or else this.
fn of_months(months: &Pattern, all: &str) -> String {
    match months {
        Pattern::Runs(runs) if has_range(runs) => {
            let range = |from, to| format!("cada mes de {} a {}", month(from), month(to));
            format!(" de {}", spell(runs, AND, month, range))
        }
        Pattern::Runs(runs) => format!(" de {}", spell(runs, AND, month, |_, _| String::new())),
        _ => all.to_owned(),
    }
}

impl Voice for Spanish {
    fn every(&self, count: u32, unit: Unit) -> String {
        let (one, many) = match unit {
            Unit::Minutes => ("minuto", "minutos"),
            Unit::Hours => ("hora", "horas"),
            Unit::Days => ("día", "días"),
        };
        every(count, one, many)
    }

    fn once(&self, at: At) -> String {
        let local = at.local();
        let month = MONTHS[usize::from(local.month().unsigned_abs()) - 1];
        let time = local.time().strftime(if local.second() == 0 { "%H:%M" } else { "%H:%M:%S" });
        let article = if local.hour() == 1 { "a la" } else { "a las" };
        format!("una vez, el {} de {month} de {} {article} {time}", local.day(), local.year())
    }

    fn times(&self, times: &Times) -> String {
        match times {
            Times::At(times) if times.iter().any(|time| time.0 == 1) => {
                join(&times.iter().copied().map(with_article).collect::<Vec<_>>(), AND)
            }
            Times::At(times) => {
                format!("a las {}", join(&times.iter().map(Clock::to_string).collect::<Vec<_>>(), AND))
            }
            Times::EveryMinutes(step, within) => every(u32::from(*step), "minuto", "minutos") + &spans(within),
            Times::EveryHours(1, minute @ 1.., within) if within.is_empty() => {
                format!("cada hora en el minuto {minute}")
            }
            Times::EveryHours(step, _, within) => every(u32::from(*step), "hora", "horas") + &spans(within),
            Times::Minutes(minutes, hours) => {
                let minutes = match minutes {
                    Pattern::All => String::from("cada minuto"),
                    Pattern::Stride(from, to, step) => {
                        format!("cada {step} minutos del minuto {from} al minuto {to}")
                    }
                    Pattern::Runs(runs) => match runs[..] {
                        [(from, to)] if has_range(runs) => format!("cada minuto del minuto {from} al minuto {to}"),
                        [(from, to)] if from == to => format!("en el minuto {from}"),
                        _ => format!("en los minutos {}", numbers(runs)),
                    },
                };
                let hours = match hours {
                    Pattern::All => String::from("de cada hora"),
                    Pattern::Stride(from, to, step) => format!("cada {step} horas de las {from} a las {to}"),
                    Pattern::Runs(runs) => match runs[..] {
                        [(from, to)] if from == to => format!("de la hora {from}"),
                        _ => format!("de las horas {}", numbers(runs)),
                    },
                };
                format!("{minutes} {hours}")
            }
        }
    }

    fn every_day(&self) -> &'static str {
        " todos los días"
    }

    fn days(&self, rule: DayRule, months: &Pattern) -> String {
        let of = of_months(months, " del mes");
        let name = |index: u8| WEEKDAYS[usize::from(index)];
        match rule {
            DayRule::Days(days) => {
                let of = of_months(months, " de cada mes");
                let days = super::values(super::Field::DayOfMonth, u64::from(days));
                match Pattern::of(super::Field::DayOfMonth, &days, false) {
                    Pattern::Stride(from, to, step) => format!(", cada {step} días del {from} al {to}{of}"),
                    Pattern::Runs(runs) if has_range(&runs) => {
                        let range = |from, to| format!("del {from} al {to}");
                        format!(", {}{of}", spell(&runs, AND, |day| format!("el {day}"), range))
                    }
                    Pattern::Runs(runs) => match runs[..] {
                        [(from, to)] if from == to => format!(" el día {from}{of}"),
                        _ => format!(" los días {}{of}", numbers(&runs)),
                    },
                    Pattern::All => of,
                }
            }
            DayRule::BeforeLast(0) => format!(" el último día{of}"),
            DayRule::BeforeLast(1) => format!(" el penúltimo día{of}"),
            DayRule::BeforeLast(days) => format!(", {days} días antes del último día{of}"),
            DayRule::LastWorkday => format!(" el último día hábil{of}"),
            DayRule::Workday(day) => {
                let of = if *months == Pattern::All { String::new() } else { of };
                format!(" el día hábil más cercano al {day}{of}")
            }
            DayRule::LastWeekday(weekday) => format!(" el último {}{of}", name(weekday)),
            DayRule::NthWeekday(weekday, nth) => {
                format!(" el {} {}{of}", ORDINALS[usize::from(nth) - 1], name(weekday))
            }
            DayRule::Weekdays(_) => String::new(),
        }
    }

    fn weekdays(&self, weekdays: &[Run]) -> String {
        if has_range(weekdays) {
            let range = |from, to| format!("de {} a {}", weekday(from), weekday(to));
            format!(", {}", spell(weekdays, AND, |day| format!("los {}", weekdays_plural(day)), range))
        } else {
            format!(" los {}", spell(weekdays, AND, weekdays_plural, |_, _| String::new()))
        }
    }

    fn months(&self, months: &Pattern) -> String {
        match months {
            Pattern::Runs(runs) if has_range(runs) => {
                let range = |from, to| format!("de {} a {}", month(from), month(to));
                format!(", {}", spell(runs, AND, |number| format!("en {}", month(number)), range))
            }
            Pattern::Runs(runs) => format!(" en {}", spell(runs, AND, month, |_, _| String::new())),
            _ => String::new(),
        }
    }

    fn years(&self, years: &Pattern, months: &Pattern) -> String {
        match years {
            Pattern::Runs(runs) if let Some((count, from, to)) = scattered(runs) => {
                format!(", en {count} de los años de {from} a {to}")
            }
            Pattern::All => String::new(),
            Pattern::Stride(from, to, step) => format!(", cada {step} años de {from} a {to}"),
            Pattern::Runs(runs) if has_range(runs) => {
                let range = |from, to| format!("de {from} a {to}");
                format!(", {}", spell(runs, AND, |year| format!("en {year}"), range))
            }
            Pattern::Runs(runs) => {
                let of = if *months == Pattern::All { "en" } else { "de" };
                format!(" {of} {}", numbers(runs))
            }
        }
    }
}
