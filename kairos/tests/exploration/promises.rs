//! What must hold: of processes, records and triggers, and of every call that was answered `Ok`.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};

use kairos::backend::{ProcessFilter, ScheduleBackend as _, Store as _};
use kairos::clock::Clock as _;
use kairos::page::PageRequest;
use kairos::{ErrorKind, ScheduleId, ScheduleState};

use crate::explorer::Scenario;
use crate::gated::without_times;
use crate::world::{Call, World, now_or_never};

/// All rows and triggers at one moment.
pub(crate) struct Snapshot {
    /// By name: its schedule, and whether it is enabled.
    processes: BTreeMap<String, (ScheduleId, bool)>,
    records: BTreeMap<ScheduleId, (String, Option<u64>, bool)>,
    triggers: Vec<ScheduleId>,
    queued: usize,
}

impl Snapshot {
    pub(crate) fn of(world: &World) -> Self {
        let page = PageRequest::first(PageRequest::MAX_LIMIT);
        let processes = now_or_never(world.store.list_processes(&ProcessFilter::default(), &page)).unwrap();
        let records = now_or_never(world.store.list_schedules(&page)).unwrap();
        let triggers = now_or_never(world.schedules.list(&page)).unwrap();
        let describe = |process: &std::sync::Arc<kairos::Process>| {
            (process.name.clone(), (process.schedule_id.clone(), process.enabled))
        };
        Self {
            processes: processes.items.iter().map(describe).collect(),
            records: records
                .items
                .into_iter()
                .map(|record| {
                    let is_active = record.state == ScheduleState::Active;
                    let has_ended = record.state.hold().is_some_and(|hold| hold.has_ended(world.clock.now()));
                    let state = without_times(&format!("{:?}", record.state)).join(" ");
                    (record.id, (format!("{state} {has_ended}"), record.process_count, is_active))
                })
                .collect(),
            triggers: triggers.items.into_iter().map(|trigger| trigger.schedule_id).collect(),
            queued: world.queue.len(),
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.processes, &self.records, &self.triggers, self.queued).hash(&mut hasher);
        hasher.finish()
    }

    /// What is true whenever nothing is under way.
    pub(crate) fn is_sound(&self) -> Result<(), String> {
        for (id, (state, count, is_active)) in &self.records {
            let members = self.processes.values().filter(|(schedule, _)| schedule == id).count() as u64;
            if !is_active {
                return Err(format!("{id} is left in state {state}"));
            }
            if members == 0 {
                return Err(format!("{id} is a record without processes"));
            }
            if *count != Some(members) {
                return Err(format!("{id} counts {count:?} processes and has {members}"));
            }
        }
        for (name, (schedule, _)) in &self.processes {
            if !self.records.contains_key(schedule) {
                return Err(format!("'{name}' is a process without record"));
            }
            self.has_trigger(name, schedule)?;
        }
        match self.triggers.iter().find(|trigger| !self.records.contains_key(*trigger)) {
            Some(trigger) => Err(format!("{trigger} is a trigger without record")),
            None => Ok(()),
        }
    }

    fn has_trigger(&self, name: &str, schedule: &ScheduleId) -> Result<(), String> {
        if self.triggers.contains(schedule) {
            Ok(())
        } else {
            Err(format!("'{name}' is registered and has no trigger"))
        }
    }
}

/// What has been promised to callers so far, by name of the process.
#[derive(Hash)]
pub(crate) struct Promised {
    /// Whether it is registered; `None` while a call about it is under way or has died, or if calls about it have overlapped.
    registered: BTreeMap<&'static str, Option<bool>>,
    /// Whether it is enabled, likewise.
    enabled: BTreeMap<&'static str, Option<bool>>,
    calls: Vec<Progress>,
}

#[derive(Hash)]
struct Progress {
    call: Call,
    begun: bool,
    answered: bool,
    /// Whether another call about the same process was under way meanwhile: either may have come last.
    overlapped: bool,
}

const NAMES: [&str; 2] = ["a", "b"];

impl Promised {
    pub(crate) fn at_start(world: &World, scenario: &Scenario) -> Self {
        let snapshot = Snapshot::of(world);
        // Nothing has been promised of a start that some call has abandoned.
        let is_sound = snapshot.is_sound().is_ok();
        let registered = |name: &str| is_sound.then(|| snapshot.processes.contains_key(name));
        let progress = |call: &Call| Progress { call: *call, begun: false, answered: false, overlapped: false };
        Self {
            registered: NAMES.into_iter().map(|name| (name, registered(name))).collect(),
            enabled: NAMES.into_iter().map(|name| (name, registered(name).filter(|is| *is))).collect(),
            calls: scenario.calls.iter().map(progress).collect(),
        }
    }

    /// A call takes a step: what it is about is open from its first one on.
    pub(crate) fn begin(&mut self, index: usize) {
        if std::mem::replace(&mut self.calls[index].begun, true) {
            return;
        }
        let begun = self.calls[index].call;
        for name in NAMES.into_iter().filter(|name| begun.touches(name)) {
            self.registered.insert(name, None);
            self.enabled.insert(name, None);
            let about = |(other, call): &(usize, &mut Progress)| *other != index && call.call.touches(name);
            let mut overlapped = false;
            for (_, call) in self.calls.iter_mut().enumerate().filter(about) {
                if call.begun && !call.answered {
                    call.overlapped = true;
                    overlapped = true;
                }
            }
            self.calls[index].overlapped |= overlapped;
        }
    }

    /// A call is answered: if it was `Ok` and alone with what it is about, that holds from now on.
    pub(crate) fn answer(&mut self, index: usize, error: Option<ErrorKind>) {
        self.calls[index].answered = true;
        if error.is_some() || self.calls[index].overlapped {
            return;
        }
        match self.calls[index].call {
            Call::RegisterA | Call::MoveA => drop(self.registered.insert("a", Some(true))),
            Call::RegisterB => drop(self.registered.insert("b", Some(true))),
            Call::UnregisterA => drop(self.registered.insert("a", Some(false))),
            Call::UnregisterB => drop(self.registered.insert("b", Some(false))),
            Call::DisableA => drop(self.enabled.insert("a", Some(false))),
            Call::EnableA => drop(self.enabled.insert("a", Some(true))),
            Call::Reconcile | Call::FireS => {}
        }
    }

    /// Whether everything promised is so.
    pub(crate) fn hold(&self, now: &Snapshot) -> Result<(), String> {
        for (name, registered) in &self.registered {
            match (registered, now.processes.get(*name)) {
                (Some(true), None) => return Err(format!("'{name}' was registered, and is gone")),
                (Some(true), Some((schedule, _))) => now.has_trigger(name, schedule)?,
                (Some(false), Some(_)) => return Err(format!("'{name}' was unregistered, and is there")),
                _ => {}
            }
        }
        for (name, enabled) in &self.enabled {
            if let (Some(enabled), Some((_, is))) = (enabled, now.processes.get(*name))
                && enabled != is
            {
                return Err(format!("'{name}' should be enabled: {enabled}, and is: {is}"));
            }
        }
        Ok(())
    }
}
