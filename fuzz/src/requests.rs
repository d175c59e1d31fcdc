//! Bodies of API calls: read, checked, carried out on the backends in memory.

use std::sync::Arc;

use jiff::Timestamp;
use kairos::backend::{InvokerCapabilities, ScheduleBackend as _};
use kairos::chance::Chance;
use kairos::clock::ManualClock;
use kairos::page::PageRequest;
use kairos::scheduler::{ReconcileMode, SchedulerConfig};
use kairos::{Body, Changes, Error, ErrorKind, Policy, Process, Registration, Scheduler, TargetKind, limits};
use kairos_memory::{MemoryQueue, MemorySchedules, MemoryStore};
use serde_json::{Map, Value};

use crate::driving::at_once;
use crate::refusal::check_error;
use crate::stored::check_round_trip;

const ROLE_PREFIX: &str = "kairos-";
/// What may be absent, in lower case.
const FIELDS: [&str; 11] = [
    "arnrol",
    "parametros",
    "zonahoraria",
    "inicio",
    "fin",
    "ventanaminutos",
    "grupo",
    "etiquetas",
    "descripcion",
    "maximointentos",
    "edadmaximasegundos",
];

/// A registration that passes the policy is registered, shown, changed and unregistered, and leaves nothing behind; what does not pass
/// is refused by field.
pub fn requests(text: &str) {
    let (text, text_of_changes) = text.split_once('\n').unwrap_or((text, "{}"));
    let changes = read(text_of_changes, Changes::from_json);
    let Some(registration) = read(text, Registration::from_json) else { return };
    check_reading(&registration);
    check_values(&registration, text);
    let policies = [
        Policy::default().with_role_prefix(ROLE_PREFIX),
        Policy::default().with_targets(InvokerCapabilities::new([TargetKind::Task, TargetKind::Sqs])),
    ];
    for policy in &policies {
        passes(policy, &registration);
    }
    let changed = changes.as_ref().map(|changes| registration.clone().changed_by(changes.clone()));
    changed.iter().for_each(|changed| check_values(changed, text_of_changes));
    for registration in [Some(&registration), changed.as_ref()].into_iter().flatten() {
        passes(&Policy::default(), registration);
    }
    if passes(&Policy::default(), &registration) {
        Api::new().live(&registration, changes.as_ref());
    }
}

fn read<T>(text: &str, from_json: impl Fn(&str) -> Result<T, Error>) -> Option<T> {
    match from_json(text) {
        Ok(read) => {
            let tree: Value = serde_json::from_str(text).expect("it was read before");
            assert_eq!(keys_written(text), keys_kept(&tree), "a key is there twice in {text}");
            Some(read)
        }
        Err(error) => {
            assert!(error.kind() == ErrorKind::Invalid && !error.faults().is_empty());
            if error.to_string().contains("' is there twice at line ")
                && let Ok(tree) = serde_json::from_str::<Value>(text)
            {
                assert!(keys_written(text) > keys_kept(&tree), "no key is there twice in {text}");
            }
            check_error(&error, |_| None);
            None
        }
    }
}

/// How many keys JSON has: each is followed by a colon, and no other colon stands outside of texts.
fn keys_written(json: &str) -> usize {
    let (mut is_text, mut is_escaped, mut keys) = (false, false, 0);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => is_text = !is_text,
            b':' if !is_text => keys += 1,
            _ => {}
        }
    }
    keys
}

/// How many are left where the last of two with the same key counts.
fn keys_kept(tree: &Value) -> usize {
    match tree {
        Value::Object(object) => object.values().map(|value| 1 + keys_kept(value)).sum(),
        Value::Array(items) => items.iter().map(keys_kept).sum(),
        _ => 0,
    }
}

/// What is written is read as the same; read as changes, it changes everything.
fn check_reading(registration: &Registration) {
    let text = serde_json::to_string(registration).expect("plain data is always JSON");
    let again = Registration::from_json(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(again, *registration);
    assert_eq!(serde_json::to_string(&again).ok().as_ref(), Some(&text));
    let changes = Changes::from_json(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(Registration::new("", "", "").changed_by(changes.clone()), *registration);
    assert_eq!(registration.clone().changed_by(changes), *registration);
}

/// What is written holds each value that was given, and nothing for each null; keys are told apart without their case.
fn check_values(registration: &Registration, text: &str) {
    let written = serde_json::to_value(registration).expect("plain data is always JSON");
    let given: Map<String, Value> = serde_json::from_str(text).expect("it was read before");
    for (key, value) in given {
        let found =
            written.as_object().into_iter().flatten().find(|(known, _)| known.to_lowercase() == key.to_lowercase());
        let instant = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        match found {
            Some((known, found)) if ["inicio", "fin"].contains(&known.as_str()) => {
                assert_eq!(instant(found), instant(&value), "{known}");
            }
            Some((known, found)) => assert_eq!(*found, value, "{known}"),
            None if value.is_null() || value == "" => {}
            None => assert!(!FIELDS.contains(&key.to_lowercase().as_str()), "{key} is lost"),
        }
    }
}

fn passes(policy: &Policy, registration: &Registration) -> bool {
    let Err(error) = policy.check(registration) else { return true };
    check_refused(&error, registration);
    false
}

fn check_refused(error: &Error, registration: &Registration) {
    assert!(error.kind() == ErrorKind::Invalid && !error.faults().is_empty(), "{error}");
    check_error(error, |field| match field {
        "nombre" => Some(&registration.name),
        "cron" => Some(&registration.expression),
        "parametros" => registration.parameters.as_deref(),
        "descripcion" => registration.description.as_deref(),
        _ => None,
    });
}

struct Api {
    scheduler: Scheduler,
    schedules: Arc<MemorySchedules>,
    queue: Arc<MemoryQueue>,
}

impl Api {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at("2026-01-01T00:00:00Z".parse().expect("an instant")));
        let schedules = Arc::new(MemorySchedules::new(clock.clone()));
        let queue = Arc::new(MemoryQueue::new(clock.clone()));
        let scheduler = Scheduler::new(Arc::new(MemoryStore::new()), schedules.clone(), queue.clone(), clock)
            .with_config(SchedulerConfig::default())
            .with_chance(Arc::new(Chance::from_seed(0)));
        Self { scheduler, schedules, queue }
    }

    /// From its registration to its end.
    fn live(&self, registration: &Registration, changes: Option<&Changes>) {
        let scheduler = &self.scheduler;
        let registered = at_once(scheduler.register(registration)).unwrap_or_else(|error| panic!("{error}"));
        let again = at_once(scheduler.register(registration)).unwrap_or_else(|error| panic!("{error}"));
        assert!(registered.created && !again.created && registered.process == again.process);
        let process = registered.process;
        self.check_stored(&process, registration);

        at_once(scheduler.run_now(&process.id, None)).unwrap_or_else(|error| panic!("{error}"));
        for delivery in
            at_once(kairos::backend::Receiver::receive(&*self.queue, 1, std::time::Duration::ZERO)).expect("a queue")
        {
            let text = delivery.body.to_json().into_owned();
            assert!(text.len() <= limits::MESSAGE);
            let work =
                Body::from_json(text).work(delivery.message_id.as_str(), delivery.sent_at).expect("what was sent");
            assert_eq!(work.process, process);
        }

        if let Some(changes) = changes {
            self.change(&process, registration, changes);
        }
        assert!(at_once(scheduler.unregister(&process.id)).unwrap_or_else(|error| panic!("{error}")));
        assert!(!at_once(scheduler.unregister(&process.id)).unwrap_or_else(|error| panic!("{error}")));
        self.check_nothing_is_left();
    }

    fn change(&self, process: &Process, registration: &Registration, changes: &Changes) {
        let changed = registration.clone().changed_by(changes.clone());
        match at_once(self.scheduler.patch(&process.id, changes)) {
            Ok(patched) => {
                assert!(patched.id == process.id && patched.created_at == process.created_at);
                self.check_stored(&patched, &changed);
            }
            Err(error) => {
                check_refused(&error, &changed);
                self.check_stored(process, registration);
            }
        }
    }

    /// What is stored is what was asked for, and fires as its registration foretold.
    fn check_stored(&self, process: &Process, registration: &Registration) {
        check_round_trip(process);
        let stored = at_once(self.scheduler.process(&process.id)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(*stored, *process);
        let mut asked = registration.clone();
        asked.time_zone = asked.time_zone.filter(|zone| zone != "UTC");
        assert_eq!(Registration::of_stored(process, registration.expression.as_str()), asked);

        let schedule = at_once(self.scheduler.schedule(&process.schedule_id)).unwrap_or_else(|error| panic!("{error}"));
        check_round_trip(&schedule);
        assert!(schedule.process_count == Some(1) && schedule.specification == registration.specification());
        let triggers = at_once(self.schedules.list(&PageRequest::default())).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(triggers.items.len(), 1);
        assert_eq!(triggers.items[0].specification, schedule.specification);

        let preview = at_once(self.scheduler.preview(&process.id, 3)).unwrap_or_else(|error| panic!("{error}"));
        let timetable =
            registration.specification().timetable(schedule.created_at.timestamp()).expect("it was checked");
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("an instant");
        assert!(timetable.after(now).take(3).eq(preview.fires.iter().map(|fire| fire.at)));
    }

    fn check_nothing_is_left(&self) {
        let page = PageRequest::default();
        assert!(at_once(self.scheduler.processes(&Default::default(), &page)).is_ok_and(|page| page.items.is_empty()));
        assert!(at_once(self.scheduler.schedules(&page)).is_ok_and(|page| page.items.is_empty()));
        assert!(self.schedules.is_empty());
        let report = at_once(self.scheduler.reconcile(ReconcileMode::DryRun)).unwrap_or_else(|error| panic!("{error}"));
        assert!(report.is_clean(), "{report:?}");
    }
}
