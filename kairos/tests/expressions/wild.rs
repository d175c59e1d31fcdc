//! What the service was recorded to answer, and what people have deployed.

use std::fmt::Write as _;

use jiff::Timestamp;
use kairos::expression::Expression;
use kairos::timetable::Timetable;
use kairos::zone;

use crate::reference::Reference;

const RECORDED: &str = include_str!("../data/recorded_answers.tsv");
const WILD: &str = include_str!("../data/expressions_in_the_wild.tsv");
/// What is refused of what people have deployed, and in which words. Reviewed by hand: each tells the writer what to
/// change. `KAIROS_BLESS=1` writes it anew.
const REFUSED: &str = include_str!("../data/refused_in_the_wild.txt");

#[test]
fn recorded_answers_are_ours() {
    let rows: Vec<_> = RECORDED.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(rows.len(), 29);
    for row in rows {
        let (expression, answer) = row.split_once('\t').unwrap();
        let ours = if Expression::parse(expression).is_ok() { "accepted" } else { "rejected" };
        assert_eq!(ours, answer, "{expression:?}");
    }
}

#[test]
fn deployed_expressions_fire_like_the_reference_or_say_what_to_change() {
    let mut refused = String::new();
    let (mut fired, mut rows) = (0, 0);
    let after: Timestamp = "2021-03-01T12:34:56.789Z".parse().unwrap();
    for row in WILD.lines().skip(1) {
        let mut columns = row.split('\t');
        let (text, zone_name) = (columns.next().unwrap(), columns.next().unwrap());
        rows += 1;
        let zone = zone::get(if zone_name.is_empty() { "UTC" } else { zone_name });
        if let Err(error) = &zone {
            writeln!(refused, "{zone_name}\n    {error}").unwrap();
        }
        match Expression::parse(text) {
            Err(error) => writeln!(refused, "{text}\n{:>width$}\n    {error}", '^', width = error.at() + 1).unwrap(),
            Ok(expression) => {
                let zone = zone.or_else(|error| zone::get(error.suggestion().unwrap())).unwrap();
                let timetable = Timetable::new(expression, zone.clone());
                let found: Vec<_> = timetable.after(after).take(10).collect();
                match expression {
                    Expression::Cron(_) => {
                        assert_eq!(found, Reference::new(text, zone).after(after, 10, 84_100), "{text} {zone_name}");
                    }
                    Expression::At(at) => assert_eq!(found, [at.local().to_zoned(zone).unwrap().timestamp()], "{text}"),
                    _ => assert!(
                        found
                            .windows(2)
                            .all(|pair| pair[1].duration_since(pair[0]) == found[1].duration_since(found[0]))
                    ),
                }
                fired += 1;
            }
        }
    }
    assert_eq!((rows, fired), (409, 373));
    if std::env::var_os("KAIROS_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/refused_in_the_wild.txt"), &refused).unwrap();
        return;
    }
    assert_eq!(refused, REFUSED);
}
