//! Parsing and next fire time of the expressions that are in use, beside other crates, each on those that it understands.

mod peers;

use std::collections::BTreeSet;
use std::hint::black_box;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kairos::expression::Expression;
use kairos::{Timetable, zone};

use crate::measure::{Cost, in_turns};
use crate::paths::CRONS;
use crate::table::{Table, number};
use peers::{Cron, Croner, CronerZoned, Cronexpr, Fields, Peer, Saffron};

/// Expressions found in public repositories.
const WILD: &str = include_str!("../../kairos/tests/data/expressions_in_the_wild.tsv");
/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600;
const YEAR: i64 = 365 * 86_400;
const ROUNDS: usize = 15;
/// How many fire times of each expression are compared, at most up to 2099-12-31: `cron` goes no further.
const COMPARED: usize = 100;
const HORIZON: i64 = 4_102_358_400;
/// The zones in which searches are measured; the first never changes.
const ZONES: [&str; 3] = ["UTC", "America/New_York", "America/Santiago"];

/// An expression from the wild, as Kairos reads it.
struct Sample {
    text: &'static str,
    fields: Fields<'static>,
    expression: Expression,
}

/// One that a peer understands too, and its own reading of it.
struct Shared<'a, P: Peer> {
    sample: &'a Sample,
    text: String,
    cron: P::Cron,
    timetable: Timetable,
}

/// Prints what expressions cost.
pub(crate) fn run() {
    let samples = samples();
    println!(
        "{} distinct expressions from public repositories are sound, {} of them cron expressions\n",
        WILD.lines().skip(1).filter_map(accepted).collect::<BTreeSet<_>>().len(),
        samples.len()
    );
    parsing(&samples);
    for name in ZONES {
        searching(&samples, name);
    }
    kinds();
    years();
    rare();
    sizes(&samples);
}

/// The expression of a row, if it is sound.
fn accepted(row: &'static str) -> Option<&'static str> {
    row.split('\t').next().filter(|text| Expression::parse(text).is_ok())
}

fn samples() -> Vec<Sample> {
    let texts: BTreeSet<&str> = WILD.lines().skip(1).filter_map(accepted).collect();
    texts.into_iter().filter_map(sample).collect()
}

fn sample(text: &'static str) -> Option<Sample> {
    let fields: Vec<&str> = text.strip_prefix("cron(")?.strip_suffix(')')?.split_whitespace().collect();
    Some(Sample { text, fields: fields.try_into().ok()?, expression: Expression::parse(text).ok()? })
}

fn zone(name: &str) -> TimeZone {
    zone::get(name).unwrap_or(TimeZone::UTC)
}

fn understood<'a, P: Peer>(samples: &'a [Sample], name: &str) -> Vec<Shared<'a, P>> {
    let zone = zone(name);
    let named = (zone != TimeZone::UTC).then_some(name);
    let shared = samples.iter().filter_map(|sample| {
        let text = P::translate(sample.fields, named)?;
        let cron = P::parse(&text)?;
        Some(Shared { sample, text, cron, timetable: Timetable::new(sample.expression, zone.clone()) })
    });
    shared.collect()
}

impl<P: Peer> Shared<'_, P> {
    /// The first of the fire times from the start on at which the two differ: ours and theirs.
    fn difference(&self) -> Option<(Option<Timestamp>, Option<Timestamp>)> {
        let mut last = START;
        for _ in 0..COMPARED {
            let ours = self.timetable.next_after(Timestamp::from_second(last).ok()?);
            let theirs = P::instant(last, self.timetable.zone()).and_then(|after| P::next(&self.cron, &after));
            let theirs = theirs.and_then(|next| Timestamp::from_second(P::second(&next)).ok());
            let [ours, theirs] = [ours, theirs].map(|at| at.filter(|at| at.as_second() < HORIZON));
            if ours != theirs {
                return Some((ours, theirs));
            }
            last = ours?.as_second();
        }
        None
    }

    /// Whether it fires after the last of the instants that are asked about.
    fn goes_on(&self) -> bool {
        instants().last().is_some_and(|last| self.timetable.next_after(last).is_some())
    }
}

/// Instants all over a year, at various times of the day.
fn instants() -> impl DoubleEndedIterator<Item = Timestamp> {
    (0..16).filter_map(|index| Timestamp::from_second(START + index * (YEAR / 16 + 4_567)).ok())
}

fn parsing(samples: &[Sample]) {
    let mut table = Table::new(&["ns to parse", "takes", "kairos", "peer", "peer / kairos", "allocations", "peer's"]);
    parsing_beside::<Saffron>(samples, &mut table);
    parsing_beside::<Croner>(samples, &mut table);
    parsing_beside::<Cron>(samples, &mut table);
    parsing_beside::<Cronexpr>(samples, &mut table);
    table.print();
}

fn parsing_beside<P: Peer>(samples: &[Sample], table: &mut Table) {
    let shared = understood::<P>(samples, "UTC");
    let [ours, theirs] = in_turns(
        ROUNDS,
        [&mut || each(&shared, |shared| Expression::parse(black_box(shared.sample.text)).is_ok()), &mut || {
            each(&shared, |shared| P::parse(black_box(&shared.text)).is_some())
        }],
    );
    row::<P>(table, shared.len(), ours, theirs);
}

fn row<P: Peer>(table: &mut Table, count: usize, ours: Cost, theirs: Cost) {
    let ratio = number(theirs.nanos_each() / ours.nanos_each());
    let (allocations, peers) = (number(ours.allocations_each()), number(theirs.allocations_each()));
    table.row(
        P::NAME,
        [count.to_string(), number(ours.nanos_each()), number(theirs.nanos_each()), ratio, allocations, peers],
    );
}

fn each<T, R>(items: &[T], mut work: impl FnMut(&T) -> R) -> usize {
    for item in items {
        black_box(work(item));
    }
    items.len()
}

/// One search for the next fire time from each of the instants.
fn searching(samples: &[Sample], name: &str) {
    let column = format!("ns to the next fire time, {name}");
    let mut table = Table::new(&[&column, "agree", "kairos", "peer", "peer / kairos", "allocations", "peer's"]);
    let mut differences = Vec::new();
    if name == ZONES[0] {
        searching_beside::<Saffron>(samples, name, &mut table, &mut differences);
        searching_beside::<Croner>(samples, name, &mut table, &mut differences);
        searching_beside::<Cron>(samples, name, &mut table, &mut differences);
    } else {
        searching_beside::<CronerZoned>(samples, name, &mut table, &mut differences);
    }
    searching_beside::<Cronexpr>(samples, name, &mut table, &mut differences);
    table.print();
    for difference in differences {
        println!("{difference}");
    }
    println!();
}

fn searching_beside<P: Peer>(samples: &[Sample], name: &str, table: &mut Table, differences: &mut Vec<String>) {
    let mut shared = understood::<P>(samples, name);
    let all = shared.len();
    let mut different = Vec::new();
    shared.retain(|shared| {
        let difference = shared.difference();
        if let Some((ours, theirs)) = difference {
            let instant = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
            different.push(format!("{}: {}, {} {}", shared.sample.text, instant(ours), P::NAME, instant(theirs)));
        }
        difference.is_none()
    });
    if let Some(first) = different.first() {
        differences.push(format!("{} of {all} fire otherwise in {}, such as {first}", different.len(), P::NAME));
    }
    shared.retain(Shared::goes_on);
    let ours: Vec<Timestamp> = instants().collect();
    let zone = zone(name);
    let theirs: Vec<P::Instant> = instants().filter_map(|at| P::instant(at.as_second(), &zone)).collect();
    let [ours, theirs] = in_turns(
        ROUNDS,
        [
            &mut || shared.iter().map(|shared| each(&ours, |at| shared.timetable.next_after(black_box(*at)))).sum(),
            &mut || shared.iter().map(|shared| each(&theirs, |at| P::next(&shared.cron, black_box(at)))).sum(),
        ],
    );
    row::<P>(table, shared.len(), ours, theirs);
}

/// Kairos alone, by what an expression uses.
fn kinds() {
    let mut table = Table::new(&[
        "ns",
        "to parse",
        "next, UTC",
        "New York",
        "Santiago",
        "ratio",
        "previous, UTC",
        "New York",
        "Santiago",
        "ratio",
        "allocations",
    ]);
    let at: Vec<Timestamp> = instants().collect();
    for text in CRONS.iter().copied().chain(["rate(15 minutes)", "at(2030-01-01T10:00:00)"]) {
        let Ok(expression) = Expression::parse(text) else { continue };
        let [utc, new_york, santiago] = ZONES.map(|name| Timetable::new(expression, zone(name)));
        let next = |timetable: &Timetable| each(&at, |at| timetable.next_after(black_box(*at)));
        let previous = |timetable: &Timetable| each(&at, |at| timetable.previous_before(black_box(*at)));
        let costs = in_turns(
            ROUNDS,
            [
                &mut || each(&at, |_| Expression::parse(black_box(text)).is_ok()),
                &mut || next(&utc),
                &mut || next(&new_york),
                &mut || next(&santiago),
                &mut || previous(&utc),
                &mut || previous(&new_york),
                &mut || previous(&santiago),
            ],
        );
        let [parse, next @ .., back, back_new_york, back_santiago] = costs.each_ref().map(Cost::nanos_each);
        let ratio = |[utc, changing @ ..]: [f64; 3]| number(changing.into_iter().fold(0.0, f64::max) / utc);
        let allocations: f64 = costs.iter().map(Cost::allocations_each).sum();
        let mut cells = vec![number(parse)];
        for three in [next, [back, back_new_york, back_santiago]] {
            cells.extend(three.map(number));
            cells.push(ratio(three));
        }
        cells.push(number(allocations));
        table.row(text, cells);
    }
    table.print();
}

/// Every fire time of a year, one after the other.
fn years() {
    let mut table =
        Table::new(&["ns for each fire time of 2026", "fires", "kairos", "saffron", "croner", "cron", "cronexpr"]);
    for (fields, name) in [
        (["*", "*", "*", "*", "?", "*"], ZONES[0]),
        (["0", "9", "1", "*", "?", "*"], ZONES[0]),
        (["*", "*", "*", "*", "?", "*"], ZONES[1]),
        (["0", "9", "1", "*", "?", "*"], ZONES[1]),
    ] {
        let zone = zone(name);
        let Ok(expression) = Expression::parse(&fields.join(" ")) else { continue };
        let timetable = Timetable::new(expression, zone.clone());
        let mut ours = || {
            let (Ok(start), Ok(end)) = (Timestamp::from_second(START), Timestamp::from_second(START + YEAR)) else {
                return 0;
            };
            timetable.after(black_box(start)).take_while(|&fire| fire < end).map(black_box).count()
        };
        let fires = ours();
        let [cost] = in_turns(3, [&mut ours]);
        let mut cells = vec![fires.to_string(), number(cost.nanos_each())];
        cells.push(year_of::<Saffron>(fields, name, fires));
        cells.push(if name == ZONES[0] {
            year_of::<Croner>(fields, name, fires)
        } else {
            year_of::<CronerZoned>(fields, name, fires)
        });
        cells.push(year_of::<Cron>(fields, name, fires));
        cells.push(year_of::<Cronexpr>(fields, name, fires));
        table.row(&format!("{}, {name}", fields.join(" ")), cells);
    }
    table.print();
}

/// What each takes a peer; nothing where it does not understand, and a mark where it does not fire as often.
fn year_of<P: Peer>(fields: Fields<'_>, name: &str, fires: usize) -> String {
    let zone = zone(name);
    let named = (zone != TimeZone::UTC).then_some(name);
    let Some(cron) = P::translate(fields, named).as_deref().and_then(P::parse) else { return "-".to_owned() };
    let mut found = 0;
    let [cost] = in_turns(
        3,
        [&mut || {
            let mut at = P::instant(black_box(START), &zone);
            found = 0;
            while let Some(next) = at.and_then(|at| P::next(&cron, &at)).filter(|next| P::second(next) < START + YEAR) {
                found += 1;
                at = Some(next);
            }
            found
        }],
    );
    format!("{}{}", number(cost.nanos_each()), if found == fires { "" } else { "!" })
}

/// What fires once in decades, or never.
fn rare() {
    let mut table =
        Table::new(&["ns to the next fire time", "fires", "kairos", "saffron", "croner", "cron", "cronexpr"]);
    for (fields, name) in [
        (["0", "0", "29", "2", "?", "*"], ZONES[0]),
        // The fifth Monday of a February is its 29th.
        (["0", "0", "?", "2", "2#5", "*"], ZONES[0]),
        (["0", "0", "31", "12", "?", "2199"], ZONES[0]),
        (["0", "0", "30", "2", "?", "*"], ZONES[0]),
        (["0", "0", "31", "2,4,6,9,11", "?", "*"], ZONES[0]),
        (["0", "0", "?", "2", "2#5", "2150-2199"], ZONES[0]),
        (["0", "9", "?", "*", "MON-FRI", "2024"], ZONES[0]),
        (["0", "0", "?", "2", "2#5", "*"], ZONES[1]),
        (["0", "0", "30", "2", "?", "*"], ZONES[1]),
        // The clocks go forward from 02:00 to 03:00 on that Sunday of every year.
        (["30", "2", "?", "3", "1#2", "2007-2199"], ZONES[1]),
    ] {
        let Ok(expression) = Expression::parse(&fields.join(" ")) else { continue };
        let Ok(start) = Timestamp::from_second(START) else { continue };
        let timetable = Timetable::new(expression, zone(name));
        let next = timetable.next_after(start);
        let [cost] = in_turns(5, [&mut || usize::from(black_box(timetable.next_after(black_box(start))) == next)]);
        let fires = next.map_or_else(|| "never".to_owned(), |next| next.strftime("%F").to_string());
        let mut cells = vec![fires, number(cost.nanos_each())];
        cells.push(rare_of::<Saffron>(fields, name, next));
        cells.push(if name == ZONES[0] {
            rare_of::<Croner>(fields, name, next)
        } else {
            rare_of::<CronerZoned>(fields, name, next)
        });
        cells.push(rare_of::<Cron>(fields, name, next));
        cells.push(rare_of::<Cronexpr>(fields, name, next));
        table.row(&format!("{}, {name}", fields.join(" ")), cells);
    }
    table.print();
    println!("-: not understood; !: another answer\n");
}

fn rare_of<P: Peer>(fields: Fields<'_>, name: &str, expected: Option<Timestamp>) -> String {
    let zone = zone(name);
    let named = (zone != TimeZone::UTC).then_some(name);
    let Some(cron) = P::translate(fields, named).as_deref().and_then(P::parse) else { return "-".to_owned() };
    let Some(start) = P::instant(START, &zone) else { return "-".to_owned() };
    let found = P::next(&cron, &start).map(|next| P::second(&next));
    let [cost] =
        in_turns(5, [&mut || usize::from(black_box(P::next(&cron, black_box(&start))).is_some() == found.is_some())]);
    let right = found == expected.map(Timestamp::as_second);
    format!("{}{}", number(cost.nanos_each()), if right { "" } else { "!" })
}

/// Bytes of an expression, those on the heap included.
fn sizes(samples: &[Sample]) {
    let mut table = Table::new(&["bytes an expression", "itself", "on the heap"]);
    let mut cost = Cost::default();
    let parsed: Vec<Expression> = Vec::with_capacity(samples.len());
    let parsed = cost.count(samples.len(), || {
        let mut parsed = parsed;
        parsed.extend(samples.iter().filter_map(|sample| Expression::parse(sample.text).ok()));
        parsed
    });
    assert_eq!(parsed.len(), samples.len(), "all are sound");
    table.row("kairos", [size_of::<Expression>().to_string(), number(cost.bytes_each())]);
    size_of_peer::<Saffron>(samples, &mut table);
    size_of_peer::<Croner>(samples, &mut table);
    size_of_peer::<Cron>(samples, &mut table);
    size_of_peer::<Cronexpr>(samples, &mut table);
    table.print();
}

fn size_of_peer<P: Peer>(samples: &[Sample], table: &mut Table) {
    let texts: Vec<String> = samples.iter().filter_map(|sample| P::translate(sample.fields, None)).collect();
    let mut cost = Cost::default();
    let mut parsed: Vec<P::Cron> = Vec::with_capacity(texts.len());
    cost.count(0, || parsed.extend(texts.iter().filter_map(|text| P::parse(text))));
    cost.counted = parsed.len();
    table.row(P::NAME, [size_of::<P::Cron>().to_string(), number(cost.bytes_each())]);
}
