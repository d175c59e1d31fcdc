//! What a deployed program says of itself: log lines as JSON, and metrics in the embedded metric format, both on standard output.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tracing_subscriber::filter::LevelFilter;

/// Most values of one metric in one line (`CloudWatch`, "Specification: Embedded metric format").
const MOST_VALUES: usize = 100;

/// Starts logging: one JSON object a line, with the fields of the event and of the spans around it, such as the request id.
///
/// The least level is that of `AWS_LAMBDA_LOG_LEVEL`, as functions have it, or INFO. Only the first call has an effect.
pub fn start() {
    let level = std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().and_then(|level| level.parse().ok());
    let _ = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_max_level(level.unwrap_or(LevelFilter::INFO))
        .try_init();
}

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Count,
    Milliseconds,
}

/// The metrics of one invocation, or of one minute of a worker: written as one line that `CloudWatch` reads as metrics.
///
/// ```
/// use kairos_examples::telemetry::Metrics;
///
/// let mut metrics = Metrics::new("Kairos", "Tareas");
/// metrics.count("Dispatched", 3);
/// let line: serde_json::Value = serde_json::from_str(&metrics.line("2026-01-01T00:00:00Z".parse().unwrap())).unwrap();
/// assert_eq!((&line["Dispatched"], &line["Application"]), (&3.into(), &"Tareas".into()));
/// ```
#[derive(Clone, Debug)]
pub struct Metrics {
    namespace: String,
    application: String,
    values: BTreeMap<&'static str, (Unit, Vec<u64>)>,
    properties: BTreeMap<&'static str, Value>,
}

impl Metrics {
    /// Nothing yet, of an application, in a namespace of 1 to 255 characters.
    #[must_use]
    pub fn new(namespace: impl Into<String>, application: impl Into<String>) -> Self {
        let (namespace, application) = (namespace.into(), application.into());
        Self { namespace, application, values: BTreeMap::new(), properties: BTreeMap::new() }
    }

    /// Adds to a counter; zero makes it appear.
    pub fn count(&mut self, name: &'static str, more: u64) {
        let (_, values) = self.values.entry(name).or_insert_with(|| (Unit::Count, vec![0]));
        values.iter_mut().for_each(|count| *count += more);
    }

    /// Adds one value of a duration. Of more than a hundred, the longest are kept.
    pub fn duration(&mut self, name: &'static str, value: Duration) {
        let (_, values) = self.values.entry(name).or_insert_with(|| (Unit::Milliseconds, Vec::new()));
        let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
        let place = values.partition_point(|longer| *longer >= millis);
        values.insert(place, millis);
        values.truncate(MOST_VALUES);
    }

    /// Says something besides, to be searched for in the logs.
    pub fn property(&mut self, name: &'static str, value: impl Into<Value>) {
        self.properties.insert(name, value.into());
    }

    /// Whether there is nothing but zeros.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.values.values().all(|(_, values)| values.iter().all(|value| *value == 0))
    }

    /// The line, with what happened taken for having happened at `at`.
    #[must_use]
    pub fn line(&self, at: Timestamp) -> String {
        let definition = |(name, (unit, _)): (&&str, &(Unit, Vec<u64>))| json!({"Name": name, "Unit": unit.name()});
        let definitions: Vec<_> = self.values.iter().map(definition).collect();
        let mut line = json!({
            "_aws": {
                "Timestamp": at.as_millisecond(),
                "CloudWatchMetrics": [
                    {"Namespace": self.namespace, "Dimensions": [["Application"]], "Metrics": definitions}
                ],
            },
            "Application": self.application,
        });
        for (name, value) in &self.properties {
            line[*name] = value.clone();
        }
        for (name, (unit, values)) in &self.values {
            line[*name] = match (unit, values.as_slice()) {
                (Unit::Count, [count]) => json!(count),
                (_, values) => json!(values),
            };
        }
        line.to_string()
    }

    /// Writes the line.
    pub fn emit(&self, at: Timestamp) {
        // A program whose output is gone has nobody to tell.
        let _ = writeln!(std::io::stdout().lock(), "{}", self.line(at));
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
        }
    }
}
