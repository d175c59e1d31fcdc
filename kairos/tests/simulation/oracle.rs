//! Whether every promise was kept, from what was promised, what happened, and what is there at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use kairos::backend::{ExecutionFilter, History as _, ProcessFilter, ScheduleBackend as _, Store as _};
use kairos::clock::earlier;
use kairos::page::PageRequest;
use kairos::{Execution, ExecutionId, ExecutionState, Origin, Process, ScheduleId, ScheduleState, Timetable};

use crate::journal::{Entries, Event, Known, Since};
use crate::world::{World, specifications};

/// What is due this shortly before the triggers stop may still be on its way then.
const MARGIN: Duration = Duration::from_secs(15 * 60);

pub(crate) fn judge(world: &World) -> Vec<String> {
    let entries = world.journal.entries();
    let mut wrong = Vec::new();
    let end = End::of(world);
    required_occurrences_are_sent(world, &entries, &mut wrong);
    nothing_is_sent_once_it_was_stopped(&entries, &mut wrong);
    what_is_sent_comes_to_an_end(&entries, &end, &mut wrong);
    nothing_runs_again_without_cause(&entries, &mut wrong);
    history_agrees_with_the_targets(&entries, &end, &mut wrong);
    drop(entries);
    registrations_are_sound(world, &mut wrong);
    wrong
}

/// How many executions ran more than once.
pub(crate) fn repeated(entries: &Entries) -> usize {
    let runs = |events: &Vec<(u64, Event)>| events.iter().filter(|(_, event)| matches!(event, Event::Taken(_))).count();
    entries.executions.values().filter(|events| runs(events) > 1).count()
}

/// What is there at the end.
struct End {
    history: BTreeMap<ExecutionId, Execution>,
    /// With the reason of each.
    dead_letters: BTreeMap<ExecutionId, String>,
    /// Messages that nobody is done with.
    queued: usize,
}

impl End {
    fn of(world: &World) -> Self {
        let mut history = BTreeMap::new();
        let mut page = PageRequest::first(PageRequest::MAX_LIMIT);
        loop {
            let listed = world.history.list(&ExecutionFilter::all(), &page).now_or_never().unwrap().unwrap();
            history.extend(listed.items.into_iter().map(|execution| (execution.id, execution)));
            match listed.next {
                Some(cursor) => page = page.with_cursor(cursor),
                None => break,
            }
        }
        let letters = world.queue.dead_letters().into_iter();
        let dead_letters = letters.map(|letter| (letter.reason.execution_id.unwrap(), letter.reason.failure.text));
        Self { history, dead_letters: dead_letters.collect(), queued: world.queue.len() }
    }
}

/// Promises 1 and 4: who was registered and enabled from before an occurrence until it was dispatched, is on the queue.
fn required_occurrences_are_sent(world: &World, entries: &Entries, wrong: &mut Vec<String>) {
    let sent: BTreeSet<_> =
        entries.sent.iter().map(|sent| (&*sent.work.process.name, sent.work.scheduled_time)).collect();
    let last = earlier(world.stopped_at, MARGIN);
    for (name, timeline) in &entries.known {
        for (since, next) in spans(timeline) {
            let Known::Registered { schedule_id, enabled: true } = &since.known else { continue };
            let until = next.map_or(last, |next| next.at.min(last));
            for at in timetable(schedule_id).after(since.at).take_while(|at| *at <= until) {
                let dispatched = entries.dispatched.get(&(schedule_id.clone(), at));
                let is_required = match (dispatched, next) {
                    (Some(step), Some(next)) => *step < next.step,
                    (_, None) => true,
                    (None, Some(_)) => false,
                };
                if is_required && !sent.contains(&(&**name, at)) {
                    wrong.push(format!(
                        "{name} was registered and enabled at {at}, and was not queued ({dispatched:?})"
                    ));
                }
            }
        }
    }
}

/// Promise 2: no occurrence after the answer dispatches what was unregistered, disabled or moved away.
fn nothing_is_sent_once_it_was_stopped(entries: &Entries, wrong: &mut Vec<String>) {
    for sent in entries.sent.iter().filter(|sent| sent.work.origin == Origin::Schedule) {
        let process = &sent.work.process;
        let Some(timeline) = entries.known.get(&process.name) else { continue };
        let Some(since) = timeline.iter().rev().find(|since| since.step < sent.step) else { continue };
        let is_stopped = match &since.known {
            Known::Unregistered => true,
            Known::Registered { schedule_id, enabled } => !enabled || *schedule_id != process.schedule_id,
            Known::Nothing => false,
        };
        if is_stopped && sent.work.scheduled_time > since.at {
            wrong.push(format!(
                "{} is {:?} since {}, and was queued: {:?}",
                process.name, since.known, since.at, sent.work
            ));
        }
    }
}

/// Promises 4 to 6: what is on the queue runs, or lies with the dead letters with its reason, or came too late.
fn what_is_sent_comes_to_an_end(entries: &Entries, end: &End, wrong: &mut Vec<String>) {
    if end.queued > 0 {
        wrong.push(format!("{} messages are left on the queue", end.queued));
    }
    for sent in &entries.sent {
        let id = sent.work.execution_id;
        let letter = end.dead_letters.get(&id);
        let has_run = has(entries, id, |event| matches!(event, Event::Taken(_)));
        let state = end.history.get(&id).map(|execution| execution.state);
        let is_at_end = match state {
            Some(ExecutionState::Succeeded) => has_run,
            Some(ExecutionState::Dead) => letter.is_some_and(|reason| !reason.is_empty()),
            Some(ExecutionState::Skipped) => sent.work.process.max_age_seconds.is_some(),
            // Recording failed, or its worker died before it: the message tells.
            Some(ExecutionState::Running | ExecutionState::Failed) => {
                is_unrecorded(entries, id) && (has_run || letter.is_some())
            }
            _ => false,
        };
        if !is_at_end {
            wrong.push(format!("{:?} is left {state:?}, has run: {has_run}, dead letter: {letter:?}", sent.work));
        }
    }
}

/// Promise 5: a target is called again only where its executor could not know, or could not tell, that it had been called.
fn nothing_runs_again_without_cause(entries: &Entries, wrong: &mut Vec<String>) {
    for (id, events) in &entries.executions {
        let taken = events.iter().filter_map(|(step, event)| match event {
            Event::Taken(worker) => Some((*step, *worker)),
            _ => None,
        });
        for ((first, worker), (again, other)) in taken.clone().zip(taken.skip(1)) {
            let was = |wanted: Event| events.iter().any(|(step, event)| *step < again && *event == wanted);
            let was_since =
                |wanted: Event| events.iter().any(|(step, event)| first < *step && *step < again && *event == wanted);
            let has_died = entries.deaths.iter().any(|(step, dead)| *dead == worker && *step < again);
            // One whose claim ran out while its call was under way: it could not hear of the other.
            let is_late = was(Event::Unrenewed(other));
            let is_unknown = !was_since(Event::Answered(worker))
                || was_since(Event::Unrecorded(worker))
                || was(Event::Unrenewed(worker))
                || has_died;
            if !is_late && (was(Event::Recorded) || !is_unknown) {
                wrong.push(format!("{id} ran again without cause: {events:?}"));
            }
        }
    }
}

/// Promises 5 and 7: whatever a target did, history knows of, and it holds nothing that no target did.
fn history_agrees_with_the_targets(entries: &Entries, end: &End, wrong: &mut Vec<String>) {
    for (id, events) in &entries.executions {
        let has_run = events.iter().any(|(_, event)| matches!(event, Event::Taken(_)));
        let was_told = events.iter().any(|(_, event)| *event == Event::Recorded);
        match end.history.get(id) {
            None => wrong.push(format!("{id} is unknown to history: {events:?}")),
            Some(execution) if was_told && execution.state != ExecutionState::Succeeded => {
                wrong.push(format!("history was told that {id} has run, and says {execution:?}"));
            }
            Some(execution) if execution.state == ExecutionState::Succeeded && !has_run => {
                wrong.push(format!("history says that {id} has run, and its target was never called: {events:?}"));
            }
            Some(_) => {}
        }
    }
}

/// Promises 2 and 3: where no call was disturbed there is nothing to be repaired; else one reconciliation leaves nothing, and
/// everything is as was promised.
fn registrations_are_sound(world: &World, wrong: &mut Vec<String>) {
    let first = world.reconcile();
    if !first.is_clean() {
        wrong.push(format!("reconcile could not repair: {first:?}"));
    }
    if !world.network.faults().has_disturbed_calls() && !first.findings.is_empty() {
        wrong.push(format!("nothing went wrong, and reconcile found something: {first:?}"));
    }
    let second = world.reconcile();
    if !second.findings.is_empty() {
        wrong.push(format!("reconcile finds something after a reconcile: {second:?}"));
    }
    let page = PageRequest::first(PageRequest::MAX_LIMIT);
    let processes = world.store.list_processes(&ProcessFilter::default(), &page).now_or_never().unwrap().unwrap().items;
    let records = world.store.list_schedules(&page).now_or_never().unwrap().unwrap().items;
    let triggers = world.schedules.list(&page).now_or_never().unwrap().unwrap().items;
    let mut members: BTreeMap<&ScheduleId, u64> = BTreeMap::new();
    for process in &processes {
        *members.entry(&process.schedule_id).or_default() += 1;
    }
    let recorded: BTreeMap<_, _> =
        records.iter().map(|record| (&record.id, record.process_count.unwrap_or(0))).collect();
    let fired: BTreeSet<_> = triggers.iter().map(|trigger| &trigger.schedule_id).collect();
    if members != recorded || !members.keys().copied().eq(fired.iter().copied()) {
        wrong.push(format!("processes {members:?}, records {recorded:?} and triggers {fired:?} differ"));
    }
    if let Some(held) = records.iter().find(|record| record.state != ScheduleState::Active) {
        wrong.push(format!("is held by nobody: {held:?}"));
    }
    for (name, timeline) in &world.journal.entries().known {
        let stored = processes.iter().find(|process| process.name == *name);
        let known = timeline.last().map(|since| &since.known);
        let is_so = match known {
            Some(known @ Known::Registered { .. }) => {
                stored.map(|process: &Arc<Process>| Known::of(process)).as_ref() == Some(known)
            }
            Some(Known::Unregistered) => stored.is_none(),
            Some(Known::Nothing) | None => true,
        };
        if !is_so {
            wrong.push(format!("{name} should be {known:?}, and is {stored:?}"));
        }
    }
}

/// Each thing that was known, and what came after it.
fn spans(timeline: &[Since]) -> impl Iterator<Item = (&Since, Option<&Since>)> {
    timeline.iter().enumerate().map(|(index, since)| (since, timeline.get(index + 1)))
}

fn timetable(schedule_id: &ScheduleId) -> Timetable {
    let all = specifications();
    let specification = all.iter().find(|specification| specification.schedule_id() == *schedule_id).unwrap();
    specification.timetable(Timestamp::UNIX_EPOCH).unwrap()
}

fn has(entries: &Entries, id: ExecutionId, is_such: impl Fn(&Event) -> bool) -> bool {
    entries.executions.get(&id).is_some_and(|events| events.iter().any(|(_, event)| is_such(event)))
}

/// Whether somebody failed to record how a try of it ended, or died over it, or tried it once more as its dead letter came back twice.
fn is_unrecorded(entries: &Entries, id: ExecutionId) -> bool {
    !entries.deaths.is_empty()
        || has(entries, id, |event| matches!(event, Event::Unrecorded(_) | Event::Unburied(_) | Event::Redriven))
}
