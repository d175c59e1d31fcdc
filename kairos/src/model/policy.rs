//! What is let in: every check of a registration, and those that are made again before an execution.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::id::{ExecutionId, ProcessId, ScheduleId};
use super::message::{Origin, WorkItem, name_breaks_line, to_json};
use super::payload::{check_shape, check_size, name_fault};
use super::placeholders::Placeholders;
use super::process::Process;
use super::registration::Registration;
use crate::arn::Role;
use crate::backend::InvokerCapabilities;
use crate::error::{Error, ErrorKind, Fault};
use crate::target::{Target, TargetError};

/// What an installation lets in.
///
/// ```
/// use kairos::{ErrorKind, Policy, Registration};
///
/// let policy = Policy::default().with_role_prefix("kairos-");
/// let registration = Registration::new("ventas", "cron(0 9 * * * *)", "arn:aws:lambda:us-east-1:123456789012:function:ventas")
///     .with_role("arn:aws:iam::123456789012:role/admin");
/// let error = policy.check(&registration).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Invalid);
/// let fields: Vec<_> = error.faults().iter().map(|fault| fault.field).collect();
/// assert_eq!(fields, ["cron", "arnRol"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// What a role must begin with: its whole ARN if this begins with `arn:`, else its path and name. `None` lets every role in.
    pub role_prefix: Option<String>,
    /// The accounts, of 12 digits, whose targets and roles are let in; `None` lets those of every account in.
    pub accounts: Option<BTreeSet<String>>,
    /// What the executors can call; `None` lets every well-formed target in.
    pub targets: Option<InvokerCapabilities>,
}

/// Limits on what a registration may hold. Each is the least of those that the services on its way have.
pub mod limits {
    use super::super::id::is_like_id;
    use crate::target::TargetKind;

    /// Largest request, in bytes of JSON: more than any that could be let in, however it escapes its text.
    pub const REQUEST: usize = 2 * 1024 * 1024;
    /// Longest name of a process, in bytes.
    pub const NAME: usize = 256;
    /// Longest id, in bytes: no table holds a longer one, of whichever system (DynamoDB, partition key).
    pub const ID: usize = 2_048;
    /// Largest parameters, in bytes of UTF-8, also once placeholders are filled in (Step Functions `StartExecution`, SNS `Publish`).
    pub const PARAMETERS: usize = 256 * 1024;
    /// Largest queue message, in bytes (SQS `SendMessage`).
    pub const MESSAGE: usize = 1024 * 1024;
    /// Largest payload of a kind of target, in bytes, with what the call says beside it: the attributes of a message (SNS `Publish`, SQS
    /// `SendMessage`), the other fields of an event (EventBridge `PutEvents`; 1 MB where that has come, less than 256 KB elsewhere).
    ///
    /// Other sources: Lambda quotas, "Invocation payload (asynchronous)"; Step Functions `StartExecution`. A queue may have a smaller limit
    /// of its own. What a cluster takes is [`OVERRIDES`].
    #[must_use]
    pub const fn payload(kind: TargetKind) -> usize {
        match kind {
            TargetKind::Lambda | TargetKind::Sqs => 1024 * 1024,
            TargetKind::EventBus => 256 * 1024 - 1,
            _ => 256 * 1024,
        }
    }
    /// Largest overrides of a container task, in bytes of JSON, with what its containers are told (ECS `RunTask`).
    pub const OVERRIDES: usize = 8_192;
    /// Longest detail type of an event, in characters; it is the name of the process (EventBridge `PutEvents`).
    pub const DETAIL_TYPE: usize = 128;
    /// Longest description, in characters (EventBridge Scheduler `CreateSchedule`).
    pub const DESCRIPTION: usize = 512;
    /// Most labels, and the longest key and value in characters (the limits of AWS tags).
    pub const TAGS: (usize, usize, usize) = (50, 128, 256);
    /// Longest name of a trigger and of a group, in characters (EventBridge Scheduler `CreateSchedule`, `Name`, `GroupName`).
    pub const TRIGGER_NAME: usize = 64;
    /// Longest identity of a caller, in bytes: room for the longest ARN that a service names one by (AWS IAM, `aws:userid`, `aws:PrincipalArn`).
    pub const CALLER: usize = 1_024;
    /// Range of the flexible window, in minutes (EventBridge Scheduler `FlexibleTimeWindow`).
    pub const WINDOW_MINUTES: std::ops::RangeInclusive<u32> = 1..=1_440;
    /// Range of a process's own limit on tries (EventBridge Scheduler `RetryPolicy`, which starts at 0 retries).
    pub const ATTEMPTS: std::ops::RangeInclusive<u32> = 1..=185;
    /// Range of a process's own limit on age, in seconds; no message outlives 14 days (SQS `MessageRetentionPeriod`).
    pub const AGE_SECONDS: std::ops::RangeInclusive<u64> = 60..=1_209_600;

    /// Whether a trigger or a group can bear this name: letters, digits, `-`, `_` and `.`, as many as [`TRIGGER_NAME`] says.
    #[must_use]
    pub fn is_trigger_name(text: &str) -> bool {
        is_like_id(text, TRIGGER_NAME)
    }

    pub(crate) fn no_trigger_name(text: &str, what: &str) -> String {
        format!("'{text}' is no {what}: 1 to {TRIGGER_NAME} letters, digits, '-', '_' and '.' are expected")
    }
}

impl Policy {
    /// The same, letting in roles with this prefix only.
    #[must_use]
    pub fn with_role_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.role_prefix = Some(prefix.into());
        self
    }

    /// The same, letting in only targets and roles of these accounts, each of 12 digits.
    ///
    /// Tasks and endpoints are of no account and pass. An ARN that names none, or `aws` instead of one, is of no account that could be
    /// listed, and no target or role in the first place: it is refused with or without this list. What is listed in another form
    /// than 12 digits lets nothing in.
    #[must_use]
    pub fn with_accounts(mut self, accounts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.accounts = Some(accounts.into_iter().map(Into::into).collect());
        self
    }

    /// The same, letting in only targets that the executors can call.
    #[must_use]
    pub fn with_targets(mut self, targets: InvokerCapabilities) -> Self {
        self.targets = Some(targets);
        self
    }

    /// Checks a registration from end to end.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), with every fault of every field.
    pub fn check(&self, registration: &Registration) -> Result<(), Error> {
        let mut faults = Vec::new();
        check_name(&registration.name, &mut faults);
        faults.extend(registration.specification().checked(Timestamp::UNIX_EPOCH).err().into_iter().flatten());
        check_labels(registration, &mut faults);
        check_caller(registration, &mut faults);
        check_characters(registration, &mut faults);
        faults.extend(limits_out_of_range(registration.max_attempts, registration.max_age_seconds));
        let target =
            Target::parse(&registration.target).map_err(|error| faults.push(target_refused(&error).fault)).ok();
        let checked = target.as_ref().map_or(Ok(()), |target| self.check_target(target));
        faults.extend(checked.err().map(|refused| refused.fault));
        let checked = self.check_role(target.as_ref(), registration.role.as_deref());
        faults.extend(checked.err().map(|refused| refused.fault));
        faults.extend(target.as_ref().and_then(|target| name_fault(target.kind(), &registration.name)));
        if let Err(message) = check_parameters(registration, target.as_ref()) {
            faults.push(Fault::new("parametros", message));
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::invalid(faults)) }
    }

    /// Checks a process once more, before it is executed or queued out of turn: its row may have been written, and its message
    /// made, by hand; or it was registered when more was let in.
    ///
    /// The shape of its parameters is left to its target, which refuses what it cannot read.
    ///
    /// # Errors
    /// Each names its field: [`Invalid`](ErrorKind::Invalid) for a target that cannot be told, parameters that are too large and limits
    /// out of range; [`Unsupported`](ErrorKind::Unsupported) for a target that no executor calls; [`Denied`](ErrorKind::Denied) for a
    /// role, or an account, that is not let in.
    pub fn admit(&self, process: &Process) -> Result<Target, Error> {
        let target = Target::parse_shared(&process.target).map_err(|error| target_refused(&error))?;
        self.check_target(&target)?;
        self.check_role(Some(&target), process.role.as_deref())?;
        if let Some(fault) = limits_out_of_range(process.max_attempts, process.max_age_seconds).next() {
            return Err(Refused { kind: ErrorKind::Invalid, fault }.into());
        }
        check_length(process.parameters.as_deref().unwrap_or_default()).map_err(parameters_refused)?;
        Ok(target)
    }

    fn check_target(&self, target: &Target) -> Result<(), Refused> {
        if let Some(message) = self.uncovered(target) {
            return Err(Refused::new(ErrorKind::Unsupported, "arnProceso", message));
        }
        let arn = target.arn();
        arn.map_or(Ok(()), |arn| self.check_account(arn.account()).map_err(|message| denied("arnProceso", message)))
    }

    fn uncovered(&self, target: &Target) -> Option<String> {
        let targets = self.targets.as_ref().filter(|targets| !targets.covers(target))?;
        Some(match target.task().filter(|_| targets.kinds.contains(&target.kind())) {
            Some(name) => {
                let known = list(&targets.tasks);
                format!("no task is registered under the name '{name}'; those that are: {known}")
            }
            None => {
                let known = list(&targets.kinds);
                format!("no executor calls {} targets; those that are called: {known}", target.kind())
            }
        })
    }

    fn check_account(&self, account: &str) -> Result<(), String> {
        match &self.accounts {
            Some(accounts) if !accounts.contains(account) => {
                Err(format!("is of account {account}, which is not let in; those that are: {}", list(accounts)))
            }
            _ => Ok(()),
        }
    }

    fn check_role(&self, target: Option<&Target>, role: Option<&str>) -> Result<(), Refused> {
        let refused = |message: String| denied("arnRol", message);
        let Some(role) = role else {
            return match target.map(Target::kind) {
                Some(kind) if kind.needs_role() => {
                    Err(refused(format!("is missing: a {kind} target is called as a role")))
                }
                _ => Ok(()),
            };
        };
        let parsed = Role::parse(role).map_err(|error| refused(error.to_string()))?;
        self.check_account(parsed.account()).map_err(refused)?;
        match &self.role_prefix {
            Some(prefix) if !parsed.begins_with(prefix) => {
                Err(refused(format!("'{role}' is not let in: a role must begin with '{prefix}'")))
            }
            _ => Ok(()),
        }
    }
}

/// The parameters of a process with the values of one try filled in.
///
/// # Errors
/// [`Invalid`](ErrorKind::Invalid) if that is more than any target takes.
pub(crate) fn payload(process: &Process, placeholders: &Placeholders<'_>) -> Result<Option<Arc<str>>, Error> {
    let Some(parameters) = &process.parameters else { return Ok(None) };
    Ok(Some(match fill(parameters, placeholders).map_err(parameters_refused)? {
        Cow::Borrowed(_) => Arc::clone(parameters),
        Cow::Owned(filled) => filled.into(),
    }))
}

/// What is not let in: which field, and what kind of error that is where it is no registration.
struct Refused {
    kind: ErrorKind,
    fault: Fault,
}

impl Refused {
    fn new(kind: ErrorKind, field: &'static str, message: String) -> Self {
        Self { kind, fault: Fault::new(field, message) }
    }
}

impl From<Refused> for Error {
    fn from(Refused { kind, fault }: Refused) -> Self {
        Self::new(kind, "the process is not let in").with_faults(vec![fault])
    }
}

fn denied(field: &'static str, message: String) -> Refused {
    Refused::new(ErrorKind::Denied, field, message)
}

fn parameters_refused(message: String) -> Refused {
    Refused::new(ErrorKind::Invalid, "parametros", message)
}

fn target_refused(error: &TargetError) -> Refused {
    Refused::new(ErrorKind::Invalid, "arnProceso", error.to_string())
}

fn list<T: ToString>(names: &BTreeSet<T>) -> String {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn check_name(name: &str, faults: &mut Vec<Fault>) {
    let mut fault = |message: String| faults.push(Fault::new("nombre", message));
    if name.is_empty() {
        fault("must not be empty".into());
    } else if name.len() > limits::NAME {
        fault(format!("is {} bytes long; {} are allowed", name.len(), limits::NAME));
    } else if name_breaks_line(name) {
        fault("must not hold control characters or line separators".into());
    } else if name.trim() != name {
        fault("must not begin or end with a blank".into());
    }
}

/// Whether a description is longer than the service keeps.
pub(crate) fn check_description(description: Option<&str>) -> Option<Fault> {
    let length = description?.chars().count();
    (length > limits::DESCRIPTION)
        .then(|| Fault::new("descripcion", format!("is {length} characters long; {} are allowed", limits::DESCRIPTION)))
}

fn check_labels(registration: &Registration, faults: &mut Vec<Fault>) {
    faults.extend(check_description(registration.description.as_deref()));
    let (most, longest_key, longest_value) = limits::TAGS;
    if let Some(tags) = &registration.tags {
        if tags.len() > most {
            faults.push(Fault::new("etiquetas", format!("holds {} labels; {most} are allowed", tags.len())));
        }
        for (key, value) in tags {
            if key.is_empty() || key.chars().count() > longest_key || value.chars().count() > longest_value {
                faults.push(Fault::new(
                    "etiquetas",
                    format!("'{key}': keys hold 1 to {longest_key} characters, values up to {longest_value}"),
                ));
            }
        }
    }
}

fn check_caller(registration: &Registration, faults: &mut Vec<Fault>) {
    if let Some(caller) = &registration.registered_by
        && (caller.is_empty() || caller.len() > limits::CALLER || name_breaks_line(caller))
    {
        faults.push(Fault::new("registradoPor", format!("must be one line of 1 to {} bytes", limits::CALLER)));
    }
}

/// Two code points are no characters, and JSON does not escape them: a queue refuses any message that holds one
/// (SQS API, `SendMessage`, `MessageBody`).
fn check_characters(registration: &Registration, faults: &mut Vec<Fault>) {
    let tags = registration.tags.iter().flatten().flat_map(|(key, value)| [key, value]);
    let texts = [("descripcion", registration.description.as_ref()), ("parametros", registration.parameters.as_ref())]
        .into_iter()
        .chain(tags.map(|text| ("etiquetas", Some(text))));
    for (field, text) in texts {
        if let Some(at) = text.and_then(|text| text.find(['\u{fffe}', '\u{ffff}'])) {
            faults.push(Fault::new(field, "holds a code point that is no character").with_at(at));
        }
    }
}

pub(crate) fn out_of_range<T: PartialOrd + std::fmt::Display>(
    field: &'static str,
    value: Option<T>,
    range: &std::ops::RangeInclusive<T>,
) -> Option<Fault> {
    let value = value.filter(|value| !range.contains(value))?;
    Some(Fault::new(field, format!("{value} is out of range {}-{}", range.start(), range.end())))
}

/// Whether a process has limits of its own that would keep it on the queue for ever, or off it.
fn limits_out_of_range(max_attempts: Option<u32>, max_age_seconds: Option<u64>) -> impl Iterator<Item = Fault> {
    let attempts = out_of_range("maximoIntentos", max_attempts, &limits::ATTEMPTS);
    attempts.into_iter().chain(out_of_range("edadMaximaSegundos", max_age_seconds, &limits::AGE_SECONDS))
}

/// Whether parameters are of a size that every service on their way takes.
fn check_length(parameters: &str) -> Result<(), String> {
    let (size, most) = (parameters.len(), limits::PARAMETERS);
    if size > most { Err(format!("is {size} bytes long; {most} are allowed")) } else { Ok(()) }
}

/// The same with values filled in.
fn fill<'t>(parameters: &'t str, placeholders: &Placeholders<'_>) -> Result<Cow<'t, str>, String> {
    check_length(parameters)?;
    let most = limits::PARAMETERS;
    placeholders
        .fill_within(parameters, most)
        .map_err(|size| format!("is {size} bytes long with its placeholders filled in; {most} are allowed"))
}

fn check_parameters(registration: &Registration, target: Option<&Target>) -> Result<(), String> {
    with_longest_values(registration, |longest| {
        let filled = registration.parameters.as_deref().map(|text| fill(text, longest)).transpose()?;
        let (Some(target), payload) = (target, filled.as_deref()) else { return Ok(()) };
        check_shape(target.kind(), payload)?;
        check_size(target.kind(), &registration.name, payload, longest)
    })?;
    let size = longest_message(registration);
    if size > limits::MESSAGE {
        return Err(format!(
            "makes a queue message of {size} bytes, as control characters and quotes are escaped in it; {} are allowed",
            limits::MESSAGE
        ));
    }
    Ok(())
}

/// The values of the placeholders at the latest, most tried execution there can be.
fn with_longest_values<T>(registration: &Registration, fill: impl FnOnce(&Placeholders<'_>) -> T) -> T {
    let (process_id, schedule_id): (ProcessId, ScheduleId) =
        (ProcessId::of(&registration.name), registration.specification().schedule_id());
    fill(&Placeholders {
        execution_id: ExecutionId::of_occurrence(&process_id, Timestamp::UNIX_EPOCH),
        scheduled_time: Timestamp::MAX,
        process_id: &process_id,
        schedule_id: &schedule_id,
        attempt: u32::MAX,
    })
}

fn longest_message(registration: &Registration) -> usize {
    let process = registration.clone().into_process(Timestamp::MAX.into());
    let work = WorkItem::of_occurrence(process.into(), Timestamp::MAX, Origin::Schedule);
    to_json(&work).len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const LAMBDA: &str = "arn:aws:lambda:us-east-1:123456789012:function:ventas";
    const ROLE: &str = "arn:aws:iam::123456789012:role/kairos-ventas";

    fn lambda() -> Registration {
        Registration::new("ventas", "rate(5 minutes)", LAMBDA).with_role(ROLE)
    }

    fn lambda_to(target: &str) -> Registration {
        let mut other = lambda();
        other.target = format!("arn:aws:{target}");
        other
    }

    fn faults(registration: &Registration) -> Vec<String> {
        match Policy::default().with_role_prefix("kairos-").check(registration) {
            Ok(()) => Vec::new(),
            Err(error) => error.faults().iter().map(ToString::to_string).collect(),
        }
    }

    #[track_caller]
    fn refused(registration: &Registration, expected: &str) {
        let faults = faults(registration);
        assert!(faults.len() == 1 && faults[0].contains(expected), "{expected:?}: {faults:?}");
    }

    #[test]
    fn a_sound_registration_passes() {
        assert!(faults(&lambda()).is_empty());
        assert!(faults(&lambda().with_parameters(r#"{"n":<kairos.attempt>}"#)).is_empty());
        assert!(faults(&Registration::new("a", "0 9 * * ? *", "kairos:task:a")).is_empty());
    }

    #[test]
    fn each_field_is_checked() {
        let mut other = lambda();
        other.name = " ventas".into();
        refused(&other, "nombre: must not begin");
        other.name = "ven\ntas".into();
        refused(&other, "nombre: must not hold control");
        other.name = "ñ".repeat(129);
        refused(&other, "nombre: is 258 bytes long");
        other.name = String::new();
        refused(&other, "nombre: must not be empty");
        other = lambda();
        other.expression = "cron(0 9 * * * *)".into();
        refused(&other, "use ? in one of them");
        refused(&lambda().with_time_zone("America/Santiagoo"), "zonaHoraria");
        let instant: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        refused(&lambda().with_start(instant).with_end(instant), "fin: must be after inicio");
        refused(&lambda().with_window_minutes(1_441u32), "ventanaMinutos: 1441 is out of range 1-1440");
        refused(&lambda().with_max_attempts(0u32), "maximoIntentos");
        refused(&lambda().with_max_age_seconds(59u64), "edadMaximaSegundos");
        refused(&lambda().with_group("a b"), "grupo");
        refused(&lambda().with_description("x".repeat(513)), "descripcion: is 513");
        refused(
            &lambda().with_parameters("\"\u{ffff}\""),
            "parametros: holds a code point that is no character (at byte 1)",
        );
        refused(&lambda().with_tags(BTreeMap::from([(String::new(), String::new())])), "etiquetas");
    }

    #[test]
    fn a_role_is_needed_where_a_service_is_called_and_must_be_let_in() {
        let mut other = lambda();
        other.role = None;
        refused(&other, "arnRol: is missing");
        refused(&lambda().with_role("arn:aws:iam::123456789012:role/admin"), "must begin with 'kairos-'");
        refused(&lambda().with_role("kairos-ventas"), "arnRol: 'kairos-ventas' is not an ARN");
        let by_arn = Policy::default().with_role_prefix("arn:aws:iam::123456789012:role/kairos-");
        by_arn.check(&lambda()).unwrap();
        let process =
            lambda().with_role("arn:aws:iam::999999999999:role/kairos-x").into_process(Timestamp::UNIX_EPOCH.into());
        assert_eq!(by_arn.admit(&process).unwrap_err().kind(), ErrorKind::Denied);
    }

    #[test]
    fn only_targets_that_are_called_are_let_in() {
        let mut targets = InvokerCapabilities::new([crate::TargetKind::Task]);
        targets.tasks.insert("informe".into());
        let policy = Policy::default().with_targets(targets);
        policy.check(&Registration::new("a", "rate(1 day)", "kairos:task:informe")).unwrap();
        let error = policy.check(&Registration::new("a", "rate(1 day)", "kairos:task:infrome")).unwrap_err();
        assert!(error.faults()[0].message.ends_with("those that are: informe"), "{error}");
        let error = policy.check(&lambda()).unwrap_err();
        assert!(error.faults()[0].message.contains("no executor calls lambda targets"), "{error}");
    }

    #[test]
    fn parameters_fit_their_target() {
        refused(&lambda().with_parameters("hola"), "parametros: must be JSON for a lambda target");
        let mut queue = lambda();
        queue.target = "arn:aws:sqs:us-east-1:123456789012:pedidos".into();
        refused(&queue, "must not be empty for a sqs target");
        refused(&queue.clone().with_parameters("a\u{0}"), "holds \\u{0} at byte 1");
        assert!(faults(&queue.with_parameters("hola")).is_empty());
    }

    #[test]
    fn the_largest_parameters_pass_and_one_byte_more_does_not() {
        let task =
            |parameters: String| Registration::new("a", "rate(1 day)", "kairos:task:a").with_parameters(parameters);
        assert!(faults(&task("x".repeat(limits::PARAMETERS))).is_empty());
        refused(&task("x".repeat(limits::PARAMETERS + 1)), "262145 bytes");
        let placeholder = "<kairos.execution-id>";
        let tight = format!("{placeholder}{}", "x".repeat(limits::PARAMETERS - 36));
        assert!(faults(&task(tight.clone())).is_empty());
        refused(&task(format!("{tight}x")), "262145 bytes long with its placeholders");
        refused(&task("\u{1}".repeat(200_000)), "makes a queue message of");
    }

    /// The process executed as late and as often as can be, when all that a call says is longest.
    fn last_try(registration: &Registration) -> crate::backend::Invocation {
        let process = registration.clone().into_process(Timestamp::UNIX_EPOCH.into());
        let id = ExecutionId::of_occurrence(&process.id, Timestamp::MAX);
        let target = Policy::default().admit(&process).unwrap();
        crate::backend::Invocation::new(target, process.into(), id, Timestamp::MAX).with_attempt(u32::MAX)
    }

    #[test]
    fn the_largest_payload_of_a_target_is_registered_and_called_and_one_byte_more_is_not() {
        let (execution, process, schedule, time, attempt) = (36, "proceso-dmVudGFz".len(), 36, 30, 10);
        let names = ["execution-id", "process-id", "schedule-id", "scheduled-time", "attempt"];
        let attributes = names.map(|name| "kairos.".len() + name.len() + "String".len()).iter().sum::<usize>()
            + [execution, process, schedule, time, attempt].iter().sum::<usize>();
        let event = 14
            + "kairos".len()
            + "ventas".len()
            + ["kairos:execution:", "kairos:process:", "kairos:schedule:"].map(str::len).iter().sum::<usize>()
            + [execution, process, schedule].iter().sum::<usize>();
        let told = r#"{"name":"KAIROS_EXECUTION_ID","value":""},{"name":"KAIROS_SCHEDULED_TIME","value":""}"#.len()
            + execution
            + time;
        let overrides = r#"{"containerOverrides":[{"name":"app","command":["",""],"environment":[]}]}"#.len() + told;

        let text = |length: usize| "x".repeat(length);
        let object = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - r#"{"a":""}"#.len()));
        // Each quote and each letter that is no ASCII takes two bytes.
        let command = |length: usize| {
            format!(
                r#"{{"taskDefinition":"a","overrides":{{"containerOverrides":[{{"name":"app","command":["\"ñ","{}"]}}]}}}}"#,
                "x".repeat(length - 4)
            )
        };
        for (target, payload, most) in [
            ("sns:us-east-1:123456789012:avisos", &text as &dyn Fn(usize) -> String, 262_144 - attributes),
            ("sqs:us-east-1:123456789012:pedidos", &text, 262_144),
            ("states:us-east-1:123456789012:stateMachine:cierre", &object, 262_144),
            ("lambda:us-east-1:123456789012:function:ventas", &object, 262_144),
            ("events:us-east-1:123456789012:event-bus/default", &object, 262_143 - event),
            ("ecs:us-east-1:123456789012:cluster/lotes", &command, 8_192 - overrides),
        ] {
            let registration = lambda_to(target);
            let largest = registration.clone().with_parameters(payload(most));
            assert_eq!(faults(&largest), [""; 0], "{target}");
            last_try(&largest).check_size().unwrap();
            let larger = registration.with_parameters(payload(most + 1));
            refused(&larger, "allowed");
            // What is larger than any parameters is not executed in the first place.
            if most < limits::PARAMETERS {
                assert_eq!(last_try(&larger).check_size().unwrap_err().faults()[0].field, "parametros", "{target}");
            }
        }
    }

    #[test]
    fn the_values_of_placeholders_count_in_the_size_of_a_message() {
        let topic = lambda_to("sns:us-east-1:123456789012:avisos");
        let most = 262_144 - 247;
        let filled = |rest: usize| format!("<kairos.execution-id>{}", "x".repeat(rest - 36));
        assert!(faults(&topic.clone().with_parameters(filled(most))).is_empty());
        refused(
            &topic.with_parameters(filled(most + 1)),
            "262145 bytes, 247 of them about its execution; 262144 are allowed",
        );
    }

    #[test]
    fn the_detail_type_of_an_event_is_a_name_that_fits() {
        let mut event = lambda_to("events:us-east-1:123456789012:event-bus/default").with_parameters("{}");
        event.name = "ñn".repeat(limits::DETAIL_TYPE / 2);
        assert!(faults(&event).is_empty());
        event.name.push('n');
        refused(&event, "nombre: is 129 characters long; 128 are allowed for a events target");
        assert_eq!(last_try(&event).check_size().unwrap_err().faults()[0].field, "nombre");
        let mut other = lambda();
        other.name = event.name;
        assert!(faults(&other).is_empty());
        refused(
            &lambda_to("events:us-east-1:123456789012:event-bus/default").with_parameters("[]"),
            "must be a JSON object",
        );
        refused(&lambda_to("ecs:us-east-1:123456789012:cluster/lotes"), "parametros: is missing: it says which task");
    }
}
