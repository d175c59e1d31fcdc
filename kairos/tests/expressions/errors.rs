//! Each refusal: where, why, and what was meant.

use std::fmt::Write as _;

use kairos::expression::Expression;

/// Texts between bars, each followed by a mark below its culprit, the message, and the suggestion where there is one.
const REFUSED: &str = include_str!("../data/refused.txt");

#[test]
fn each_refusal_tells_what_to_change() {
    let mut answers = String::from(REFUSED.lines().next().unwrap()) + "\n";
    for text in REFUSED.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|')) {
        let error = Expression::parse(text).expect_err(text);
        let place = text[..error.at()].chars().count() + 2;
        write!(answers, "\n|{text}|\n{:>place$}\n{}\n", '^', error.message()).unwrap();
        if let Some(suggestion) = error.suggestion() {
            assert!(Expression::parse(suggestion).is_ok(), "{suggestion}");
            assert_eq!(error.to_string(), format!("{}: {suggestion}", error.message()));
            writeln!(answers, "=> {suggestion}").unwrap();
        }
    }
    if std::env::var_os("KAIROS_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/refused.txt"), &answers).unwrap();
        return;
    }
    assert_eq!(answers, REFUSED);
}

/// What a line of the file cannot hold.
#[test]
fn only_spaces_and_tabs_separate_fields() {
    let rows = [
        ("cron(0 0\n* * ? *)", 8, "'\\n'", Some("cron(0 0 * * ? *)")),
        ("cron(71 0\n* * ? *)", 9, "'\\n'", None),
        ("cron(0\r\n0 * * ? *)", 6, "'\\r'", Some("cron(0 0 * * ? *)")),
        ("cron(0 0 *\u{b}* ? *)", 10, "'\\u{b}'", Some("cron(0 0 * * ? *)")),
        ("0 0 * * ? *\n", 11, "'\\n'", Some("0 0 * * ? *")),
    ];
    for (text, at, character, suggestion) in rows {
        let error = Expression::parse(text).unwrap_err();
        assert_eq!(error.at(), at, "{text:?}");
        assert_eq!(error.message(), format!("unexpected character {character}; only spaces and tabs separate fields"));
        assert_eq!(error.suggestion(), suggestion, "{text:?}");
    }
}

#[test]
fn the_error_is_an_error() {
    let error: Box<dyn std::error::Error> = Box::new(Expression::parse("cron(0 9 * * * *)").unwrap_err());
    assert!(error.to_string().contains("use ? in one of them: cron(0 9 * * ? *)"));
}
