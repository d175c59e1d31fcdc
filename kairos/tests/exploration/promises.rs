//! What must hold: of every call that was answered `Ok`, from then on.

use kairos::{ErrorKind, Specification};

use crate::scenario::{Call, MOST_CALLS};
use crate::world::{S, World};

const NAMES: [&str; 2] = ["a", "b"];

/// What has been promised to callers so far, by name of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Promised {
    /// Whether it is registered; `None` while a call about it is under way or has failed, or if calls about it have overlapped.
    registered: [Option<bool>; NAMES.len()],
    /// Whether it is enabled, likewise.
    enabled: [Option<bool>; NAMES.len()],
    calls: [Progress; MOST_CALLS],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Progress {
    begun: bool,
    /// Answered, or dead.
    ended: bool,
    /// Whether another call about the same process was under way meanwhile: either may have come last.
    overlapped: bool,
    /// Whether the process was registered when it began.
    registered_before: Option<bool>,
    /// Of a dispatch: the processes that it queues, and those that it does not, if it is answered `Ok`.
    queues: [Option<bool>; NAMES.len()],
}

impl Promised {
    pub(crate) fn at_start(world: &World) -> Self {
        // Nothing has been promised of a start that some call has abandoned.
        if world.is_sound().is_err() {
            return Self::default();
        }
        let registered = NAMES.map(|name| world.process(name).is_some());
        Self {
            registered: registered.map(Some),
            enabled: registered.map(|is| is.then_some(true)),
            calls: Default::default(),
        }
    }

    /// A call takes its first step: what it is about is open from now on.
    pub(crate) fn begin(&mut self, calls: &[Call], index: usize, world: &World) {
        self.calls[index].begun = true;
        if calls[index] == Call::FireS {
            self.calls[index].queues = self.dispatched(world);
        }
        let Some(subject) = subject(calls[index]) else { return };
        self.calls[index].registered_before = self.registered[subject].take();
        self.enabled[subject] = None;
        for other in (0..calls.len()).filter(|other| *other != index) {
            self.calls[other].queues[subject] = None;
            let is_under_way = self.calls[other].begun && !self.calls[other].ended;
            if is_under_way && calls[other].subject() == calls[index].subject() {
                self.calls[other].overlapped = true;
                self.calls[index].overlapped = true;
            }
        }
    }

    /// Which processes a dispatch of S that begins now queues, if nobody touches them meanwhile.
    fn dispatched(&self, world: &World) -> [Option<bool>; NAMES.len()] {
        let s = Specification::new(S).schedule_id();
        std::array::from_fn(|name| {
            let is_on_s = world.process(NAMES[name]).is_some_and(|process| process.schedule_id == s);
            match (self.registered[name], self.enabled[name]) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(is_on_s),
                _ => None,
            }
        })
    }

    /// A call dies: what it has done by now may hold or not.
    pub(crate) fn die(&mut self, index: usize) {
        self.calls[index].ended = true;
    }

    /// A call is answered: if it was alone with what it is about, that holds from now on.
    pub(crate) fn answer(
        &mut self,
        calls: &[Call],
        index: usize,
        error: Option<ErrorKind>,
        world: &World,
    ) -> Result<(), String> {
        self.calls[index].ended = true;
        let is_lost =
            |name: &usize| self.calls[index].queues[*name] == Some(true) && !world.queued.contains(NAMES[*name]);
        if error.is_none()
            && let Some(lost) = (0..NAMES.len()).find(is_lost)
        {
            return Err(format!("the occurrence was dispatched, and '{}' is not on the queue", NAMES[lost]));
        }
        let Some(subject) = subject(calls[index]).filter(|_| !self.calls[index].overlapped) else { return Ok(()) };
        let before = self.calls[index].registered_before;
        let (registered, enabled) = match (calls[index], error) {
            (_, Some(ErrorKind::NotFound)) | (Call::UnregisterA | Call::UnregisterB, None) => (Some(false), None),
            (_, Some(ErrorKind::Conflict)) => (before, None),
            (_, Some(_)) => (None, None),
            (Call::DisableA, None) => (before, Some(false)),
            (Call::EnableA, None) => (before, Some(true)),
            (_, None) => (Some(true), Some(true)),
        };
        self.registered[subject] = registered;
        self.enabled[subject] = enabled;
        Ok(())
    }

    /// Whether a dispatch may send these processes.
    pub(crate) fn may_send(&self, index: usize, names: &[String]) -> Result<(), String> {
        let is_sent = |name: &usize| names.iter().any(|sent| sent == NAMES[*name]);
        match (0..NAMES.len()).filter(is_sent).find(|name| self.calls[index].queues[*name] == Some(false)) {
            Some(name) => Err(format!("'{}' was unregistered, moved or disabled, and is dispatched", NAMES[name])),
            None => Ok(()),
        }
    }

    /// Whether everything promised is so.
    pub(crate) fn hold(&self, world: &World) -> Result<(), String> {
        for (index, name) in NAMES.into_iter().enumerate() {
            let process = world.process(name);
            match (self.registered[index], process) {
                (Some(true), None) => return Err(format!("'{name}' was registered, and is gone")),
                (Some(true), Some(process)) if !world.has_trigger(&process.schedule_id) => {
                    return Err(format!("'{name}' is registered and has no trigger"));
                }
                (Some(false), Some(_)) => return Err(format!("'{name}' was unregistered, and is there")),
                _ => {}
            }
            if let (Some(enabled), Some(process)) = (self.enabled[index], process)
                && enabled != process.enabled
            {
                return Err(format!("'{name}' should be enabled: {enabled}, and is: {}", process.enabled));
            }
        }
        Ok(())
    }
}

/// The number of the process that a call is about.
fn subject(call: Call) -> Option<usize> {
    call.subject().and_then(|subject| NAMES.iter().position(|name| *name == subject))
}
