//! The embedded metric format, by the rules of its specification (Amazon `CloudWatch` User Guide, "Specification: Embedded metric format").

use std::time::Duration;

use kairos::page::Cursor;
use kairos::{ScheduleId, TriggerInput};
use kairos_examples::functions::dispatch::late;
use kairos_examples::telemetry::Metrics;
use serde_json::Value;

/// The units that a metric may have (API Reference, `MetricDatum`).
const UNITS: &str = "Seconds Microseconds Milliseconds Bytes Kilobytes Megabytes Gigabytes Terabytes Bits Kilobits Megabits Gigabits \
    Terabits Percent Count Bytes/Second Kilobytes/Second Megabytes/Second Gigabytes/Second Terabytes/Second Bits/Second Kilobits/Second \
    Megabits/Second Gigabits/Second Terabits/Second Count/Second None";

/// A line that `CloudWatch` makes metrics of; panics if it would not.
pub(crate) fn checked(line: &str) -> Value {
    assert!(!line.contains('\n') && line.len() <= 1024 * 1024, "{line}");
    let root: Value = serde_json::from_str(line).unwrap();
    let aws = root["_aws"].as_object().unwrap();
    let at = aws["Timestamp"].as_i64().unwrap();
    assert!(at > 0);
    let directives = aws["CloudWatchMetrics"].as_array().unwrap();
    assert!(!directives.is_empty());
    for directive in directives {
        let namespace = directive["Namespace"].as_str().unwrap();
        assert!((1..=1024).contains(&namespace.len()), "{line}");
        let sets = directive["Dimensions"].as_array().unwrap();
        assert!(!sets.is_empty(), "{line}");
        for set in sets {
            let keys = set.as_array().unwrap();
            assert!(keys.len() <= 30, "{line}");
            for key in keys {
                let value = root[key.as_str().unwrap()].as_str().unwrap_or_else(|| panic!("{key} is no text: {line}"));
                assert!((1..=1024).contains(&value.len()), "{line}");
            }
        }
        let metrics = directive["Metrics"].as_array().unwrap();
        assert!(metrics.len() <= 100, "{line}");
        for metric in metrics {
            let name = metric["Name"].as_str().unwrap();
            assert!((1..=1024).contains(&name.len()), "{line}");
            assert!(UNITS.split_whitespace().any(|unit| metric["Unit"] == unit), "{line}");
            let values = match &root[name] {
                Value::Array(values) => {
                    assert!((1..=100).contains(&values.len()), "{line}");
                    values.clone()
                }
                value => vec![value.clone()],
            };
            assert!(values.iter().all(Value::is_number), "{name} is no number: {line}");
        }
    }
    root
}

#[test]
fn a_line_is_what_the_specification_asks_for() {
    let mut metrics = Metrics::new("Kairos", "Tareas");
    metrics.count("Executed", 0);
    metrics.count("Executed", 2);
    for millis in [5, 900, 40] {
        metrics.duration("Lateness", Duration::from_millis(millis));
    }
    metrics.property("requestId", "8f1b2c3d");
    let line = metrics.line("2026-01-05T09:00:01.5Z".parse().unwrap());
    let expected = r#"{"Application":"Tareas","Executed":2,"Lateness":[900,40,5],"_aws":{"CloudWatchMetrics":[{"Dimensions":[["Application"]],"Metrics":[{"Name":"Executed","Unit":"Count"},{"Name":"Lateness","Unit":"Milliseconds"}],"Namespace":"Kairos"}],"Timestamp":1767603601500},"requestId":"8f1b2c3d"}"#;
    let expected: Value = serde_json::from_str(expected).unwrap();
    assert_eq!(checked(&line), expected);
}

#[test]
fn of_many_values_the_longest_are_kept() {
    let mut metrics = Metrics::new("Kairos", "Tareas");
    for millis in (0..250).rev().step_by(2).chain((0..250).step_by(2)) {
        metrics.duration("Lateness", Duration::from_millis(millis));
    }
    let line = checked(&metrics.line("2026-01-05T09:00:00Z".parse().unwrap()));
    let expected: Vec<_> = (150..250).rev().collect();
    assert_eq!(line["Lateness"], serde_json::json!(expected));
}

#[test]
fn nothing_but_zeros_is_idle() {
    let mut metrics = Metrics::new("Kairos", "Tareas");
    metrics.count("Executed", 0);
    assert!(metrics.is_idle());
    metrics.count("Executed", 1);
    assert!(!metrics.is_idle());
}

#[test]
fn a_dispatch_is_late_where_its_trigger_says_when_it_should_be() {
    let lateness = |input: TriggerInput| {
        let mut metrics = Metrics::new("Kairos", "Tareas");
        late(&mut metrics, &input, "2026-01-05T09:00:07Z".parse().unwrap());
        let line: Value = serde_json::from_str(&metrics.line("2026-01-05T09:00:07Z".parse().unwrap())).unwrap();
        line.get("DispatchLateness").cloned()
    };
    let nine = TriggerInput::new(ScheduleId::from("calendarizacion-x"), "2026-01-05T09:00:00Z".parse().unwrap());
    assert_eq!(lateness(nine.clone()), Some(serde_json::json!([7_000])));
    // What goes on is as late as it takes, and an older trigger does not say.
    let mut rest = nine.clone();
    rest.cursor = Some(Cursor::new("siguiente"));
    assert_eq!(lateness(rest), None);
    let mut older = nine;
    older.scheduled_time = None;
    assert_eq!(lateness(older), None);
}
