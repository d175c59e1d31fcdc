//! `next`: what an expression means, and when it fires next.

use std::io::{BufRead, Write};

use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use jiff::Timestamp;
use kairos::expression::Language;
use kairos::timetable::Fire;
use kairos::{Expression, Timetable, zone};
use serde::{Deserialize, Serialize};

use super::{Result, instant_or_now};

/// What `next` is asked.
#[derive(Args, Debug)]
pub struct Arguments {
    /// cron(…), rate(…), at(…), or six bare cron fields.
    #[arg(required_unless_present = "jsonl")]
    expression: Option<String>,
    /// IANA name of the time zone.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    tz: String,
    /// Fires after this instant are shown; now if it is not given. A rate is counted from here.
    #[arg(long, value_name = "INSTANT")]
    from: Option<Timestamp>,
    /// How many.
    #[arg(short = 'n', value_name = "COUNT", default_value_t = 10)]
    count: usize,
    /// The language of the description.
    #[arg(long, value_enum, default_value_t = Lang::En)]
    lang: Lang,
    /// Answers one JSON request per line of standard input.
    #[arg(long, conflicts_with = "expression")]
    jsonl: bool,
}

/// A language by its ISO 639-1 code.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Lang {
    /// English.
    En,
    /// Spanish.
    Es,
}

/// More fires than this are not given at once.
const MOST: usize = 100_000;

/// Runs the command.
///
/// # Errors
/// If the expression or the zone cannot be read, or standard input or output fail.
pub fn main(arguments: &Arguments) -> Result<()> {
    let mut output = std::io::stdout().lock();
    if arguments.jsonl {
        return answer_lines(std::io::stdin().lock(), &mut output);
    }
    let text = arguments.expression.as_deref().unwrap_or_default();
    let expression = Expression::parse(text).map_err(|error| pointed_at(text, error.at(), &error.to_string()))?;
    let from = instant_or_now(arguments.from);
    let timetable = Timetable::new(expression, zone::get(&arguments.tz)?).with_anchor(from);
    let language = match arguments.lang {
        Lang::En => Language::English,
        Lang::Es => Language::Spanish,
    };
    writeln!(output, "{expression}: {}", expression.describe(language))?;
    let fires = timetable.upcoming(from, arguments.count.min(MOST));
    print_fires(&mut output, &fires)?;
    let last = fires.last().map_or(from, |fire| fire.at);
    if let Some(why) = timetable.why_never(last).filter(|_| fires.len() < arguments.count) {
        writeln!(output, "{why}")?;
    }
    Ok(())
}

fn print_fires(output: &mut impl Write, fires: &[Fire]) -> Result<()> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for fire in fires {
        let notes: Vec<_> = fire.notes.iter().map(ToString::to_string).collect();
        table.add_row([
            fire.local.strftime("%a %Y-%m-%d %H:%M:%S").to_string(),
            fire.offset.to_string(),
            fire.at.to_string(),
            notes.join("; "),
        ]);
    }
    if !fires.is_empty() {
        writeln!(output, "{}", table.trim_fmt())?;
    }
    Ok(())
}

/// The message under the text that it is about, pointing at the place.
fn pointed_at(text: &str, at: usize, message: &str) -> String {
    let column = text.get(..at).map_or(0, |before| before.chars().count());
    format!("{message}\n  {text}\n  {}^", " ".repeat(column))
}

#[derive(Debug, Deserialize)]
struct Request {
    expr: String,
    tz: Option<String>,
    from: Option<Timestamp>,
    n: Option<usize>,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    Next { next: Vec<Timestamp> },
    Error { error: String, at: usize },
}

/// Answers a request per line, in order, each as soon as it is read.
///
/// # Errors
/// If reading or writing fails.
pub fn answer_lines(input: impl BufRead, output: &mut impl Write) -> Result<()> {
    for line in input.split(b'\n') {
        let answer = match answer(&line?) {
            Ok(next) => Answer::Next { next },
            Err((error, at)) => Answer::Error { error, at },
        };
        writeln!(output, "{}", serde_json::to_string(&answer)?)?;
        output.flush()?;
    }
    Ok(())
}

/// The fires asked for, or what is wrong and at which byte: of the expression, or of the line if that is no request.
fn answer(line: &[u8]) -> std::result::Result<Vec<Timestamp>, (String, usize)> {
    let request: Request = serde_json::from_slice(line)
        .map_err(|error| (format!("the line is no request: {error}"), error.column().saturating_sub(1)))?;
    let expression = Expression::parse(&request.expr).map_err(|error| (error.to_string(), error.at()))?;
    let zone = zone::get(request.tz.as_deref().unwrap_or("UTC")).map_err(|error| (format!("tz: {error}"), 0))?;
    let from = instant_or_now(request.from);
    let timetable = Timetable::new(expression, zone).with_anchor(from).with_start(request.start).with_end(request.end);
    Ok(timetable.after(from).take(request.n.unwrap_or(10).min(MOST)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(lines: &str) -> String {
        let mut output = Vec::new();
        answer_lines(lines.as_bytes(), &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn each_line_is_answered_in_order() {
        let answers = answers(concat!(
            r#"{"expr":"cron(0 9 * * ? *)","tz":"America/Santiago","from":"2026-01-01T00:00:00Z","n":3}"#,
            "\n",
            r#"{"expr":"cron(0 9 * * * *)","from":"2026-01-01T00:00:00Z"}"#,
            "\n",
            r#"{"expr":"rate(1 hour)","from":"2026-01-01T00:00:30Z","n":1,"end":"2026-01-01T01:00:00Z"}"#,
            "\n",
            r#"{"expr":"rate(1 hour)","from":"2026-01-01T00:00:30Z","n":2,"start":"2026-01-01T00:10:00Z"}"#,
            "\nhello\n{\"expr\":\"\\u0000\"}\n",
            r#"{"expr":"rate(1 hour)","tz":"Mars/Olympus"}"#,
        ));
        let answers: Vec<_> = answers.lines().collect();
        assert_eq!(answers[0], r#"{"next":["2026-01-01T12:00:00Z","2026-01-02T12:00:00Z","2026-01-03T12:00:00Z"]}"#);
        assert!(answers[1].starts_with(r#"{"error":"#) && answers[1].contains(r#""at":"#), "{}", answers[1]);
        assert!(answers[1].contains("use ? in one of them: cron(0 9 * * ? *)"), "{}", answers[1]);
        assert_eq!(answers[2], r#"{"next":[]}"#);
        assert_eq!(answers[3], r#"{"next":["2026-01-01T00:10:00Z","2026-01-01T01:10:00Z"]}"#);
        assert!(answers[4].contains("the line is no request"), "{}", answers[4]);
        assert!(answers[5].starts_with(r#"{"error""#), "{}", answers[5]);
        assert!(answers[6].contains("tz: "), "{}", answers[6]);
    }

    #[test]
    fn a_line_that_is_no_text_harms_no_other() {
        let good = br#"{"expr":"rate(1 day)","from":"2026-01-01T00:00:00Z","n":1}"#.as_slice();
        let lines = [good, b"{\"expr\":\"\xff\"}", good].join(b"\n".as_slice());
        let mut output = Vec::new();
        answer_lines(lines.as_slice(), &mut output).unwrap();
        let answers = String::from_utf8(output).unwrap();
        let answers: Vec<_> = answers.lines().collect();
        assert_eq!((answers.len(), answers[0]), (3, answers[2]));
        assert!(answers[1].contains("the line is no request"), "{}", answers[1]);
    }
}
