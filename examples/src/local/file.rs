//! The file of processes: a JSON array of registrations, as the API takes them.

use std::collections::BTreeSet;
use std::path::Path;

use kairos::{Error, Fault, Process, Registration, Result as KairosResult, Scheduler, Target};
use serde_json::Value;

use super::Result;

/// Reads a file of registrations.
///
/// # Errors
/// In a line per fault: what is wrong with which field of which process.
pub fn read(path: &Path) -> Result<Vec<Registration>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let values: Vec<Value> = serde_json::from_str(&text)
        .map_err(|error| format!("{}: a JSON array of processes is expected: {error}", path.display()))?;
    let read = values.iter().map(|value| (name_of(value), Registration::from_value(value)));
    all_or_faults(path, read)
}

/// Registers all of them, and gives them as they are stored.
///
/// # Errors
/// In a line per fault, as [`read`].
pub async fn register(path: &Path, scheduler: &Scheduler, registrations: &[Registration]) -> Result<Vec<Process>> {
    let mut registered = Vec::new();
    for registration in registrations {
        let answer = scheduler.register(registration).await;
        let process = answer.and_then(|registered| match registered.created {
            true => Ok((*registered.process).clone()),
            false => {
                Err(Error::invalid(vec![Fault::new("nombre", "stands in the file twice, with the same definition")]))
            }
        });
        registered.push((registration.name.clone(), process));
    }
    all_or_faults(path, registered.into_iter())
}

/// The tasks that registrations name.
#[must_use]
pub fn tasks(registrations: &[Registration]) -> BTreeSet<String> {
    registrations
        .iter()
        .filter_map(|registration| Target::parse(&registration.target).ok())
        .filter_map(|target| target.task().map(str::to_owned))
        .collect()
}

fn name_of(value: &Value) -> String {
    let fields = value.as_object().into_iter().flatten();
    let mut names = fields.filter(|(key, _)| key.eq_ignore_ascii_case("nombre"));
    names.next().and_then(|(_, name)| name.as_str()).unwrap_or("without a name").to_owned()
}

fn all_or_faults<T>(path: &Path, results: impl Iterator<Item = (String, KairosResult<T>)>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    let mut faults = Vec::new();
    for (index, (name, result)) in results.enumerate() {
        match result {
            Ok(value) => all.push(value),
            Err(error) if error.faults().is_empty() => faults.push(format!("  {} ({name}): {error}", index + 1)),
            Err(error) => {
                faults.extend(error.faults().iter().map(|fault| format!("  {} ({name}): {fault}", index + 1)));
            }
        }
    }
    if faults.is_empty() {
        return Ok(all);
    }
    Err(format!("{}: nothing was started, as these are wrong:\n{}", path.display(), faults.join("\n")).into())
}
