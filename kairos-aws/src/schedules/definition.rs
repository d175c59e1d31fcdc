//! What a trigger is at the service, and back.

use std::time::Duration;

use aws_sdk_scheduler::operation::get_schedule::GetScheduleOutput;
use aws_sdk_scheduler::primitives::DateTime;
use aws_sdk_scheduler::types::{FlexibleTimeWindow, FlexibleTimeWindowMode, ScheduleState};
use jiff::Timestamp;
use kairos::backend::Trigger;
use kairos::clock::{earlier, later, whole_second};
use kairos::{Expression, Result, ScheduleId, Specification, Timetable, TriggerInput};
use serde::{Deserialize, Serialize};

/// By how much this clock may be ahead of the service's. What was due so little ago may still be due there.
const SKEW: Duration = Duration::from_secs(60);

/// A trigger as the service holds it, but for its name, its group and where it delivers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Definition {
    pub(super) expression: String,
    pub(super) time_zone: String,
    /// In whole seconds, and of the future: the service refuses others.
    pub(super) start: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) window_minutes: Option<u32>,
    pub(super) is_enabled: bool,
    pub(super) input: String,
}

/// The input of a trigger, as it is handed to the dispatcher; readers ignore what they do not know.
#[derive(Serialize, Deserialize)]
struct Input<S> {
    #[serde(rename = "IdCalendarizacion")]
    schedule_id: S,
    #[serde(rename = "FechaProgramada", default)]
    scheduled_time: Option<S>,
    /// What was written, where the service's own fields do not say it.
    #[serde(rename = "Definicion", default, skip_serializing_if = "Option::is_none")]
    written: Option<Specification>,
}

impl Definition {
    /// `home` is the group of triggers that name none.
    pub(super) fn of(trigger: &Trigger, timetable: &Timetable, now: Timestamp, home: &str) -> Self {
        let Specification { expression, time_zone, start, end, window_minutes, .. } = &trigger.specification;
        let is_future = |instant: &Timestamp| *instant > now;
        let definition = Self {
            start: match timetable.expression() {
                // A rate counts from its start, or from its creation if it has none: this way it goes on from its anchor.
                Expression::Rate(_) => timetable.next_after(now).map(rounded_up),
                _ => start.map(rounded_up).filter(is_future),
            },
            end: end.map(whole_second).filter(is_future),
            expression: at_service(expression),
            time_zone: time_zone.clone().unwrap_or_else(|| "UTC".into()),
            window_minutes: *window_minutes,
            is_enabled: timetable.next_after(earlier(now, SKEW)).is_some(),
            input: input(&trigger.schedule_id, None),
        };
        let read = definition.specification(&trigger.schedule_id, trigger.specification.group.as_deref(), home);
        if read == trigger.specification {
            definition
        } else {
            Self { input: input(&trigger.schedule_id, Some(&trigger.specification)), ..definition }
        }
    }

    pub(super) fn found(schedule: &GetScheduleOutput) -> Self {
        let instant = |at: Option<&DateTime>| at.and_then(|at| Timestamp::new(at.secs(), 0).ok());
        let window = schedule.flexible_time_window().and_then(FlexibleTimeWindow::maximum_window_in_minutes);
        Self {
            expression: schedule.schedule_expression().unwrap_or_default().to_owned(),
            time_zone: schedule.schedule_expression_timezone().unwrap_or("UTC").to_owned(),
            start: instant(schedule.start_date()),
            end: instant(schedule.end_date()),
            window_minutes: window.and_then(|minutes| u32::try_from(minutes).ok()),
            is_enabled: schedule.state() != Some(&ScheduleState::Disabled),
            input: schedule.target().and_then(|target| target.input()).unwrap_or_default().to_owned(),
        }
    }

    /// What it means, as it was written. `group` is the one it lies in, unless that is `home`.
    ///
    /// What the service's own fields do not say stands in the input, or in the name, which may be made of the expression. Both hold only as
    /// long as nobody has changed the trigger at the service.
    pub(super) fn specification(&self, id: &ScheduleId, group: Option<&str>, home: &str) -> Specification {
        let written = serde_json::from_str(&self.input).ok().and_then(|input: Input<String>| input.written);
        if let Some(written) = written.filter(|written| self.is_of(written, group, home)) {
            return written;
        }
        let named = id.expression().filter(|expression| at_service(expression) == self.expression);
        let mut specification = Specification::new(named.unwrap_or_else(|| self.expression.clone()));
        specification = specification.with_time_zone(&*self.time_zone);
        specification.start = self.start;
        specification.end = self.end;
        specification.window_minutes = self.window_minutes;
        specification.group = group.filter(|group| *group != home).map(str::to_owned);
        specification
    }

    /// Whether the service's fields are those of what was written. The start of a rate is the service's own business, and bounds that had passed
    /// were left out.
    fn is_of(&self, written: &Specification, group: Option<&str>, home: &str) -> bool {
        self.expression == at_service(&written.expression)
            && self.time_zone == written.time_zone.as_deref().unwrap_or("UTC")
            && self.window_minutes == written.window_minutes
            && (self.end.is_none() || self.end == written.end.map(whole_second))
            && group.unwrap_or(home) == written.group.as_deref().unwrap_or(home)
    }

    /// As the service wants it.
    pub(super) fn window(&self) -> Result<FlexibleTimeWindow> {
        let window = match self.window_minutes.and_then(|minutes| i32::try_from(minutes).ok()) {
            Some(minutes) => {
                FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Flexible).maximum_window_in_minutes(minutes)
            }
            None => FlexibleTimeWindow::builder().mode(FlexibleTimeWindowMode::Off),
        };
        window.build().map_err(super::unmade)
    }

    pub(super) fn state(&self) -> ScheduleState {
        if self.is_enabled { ScheduleState::Enabled } else { ScheduleState::Disabled }
    }
}

pub(super) fn date(instant: Timestamp) -> DateTime {
    DateTime::from_secs(instant.as_second())
}

fn rounded_up(instant: Timestamp) -> Timestamp {
    let second = whole_second(instant);
    if second == instant { second } else { later(second, Duration::from_secs(1)) }
}

fn input(id: &ScheduleId, written: Option<&Specification>) -> String {
    let input = Input {
        schedule_id: id.as_str(),
        scheduled_time: Some(TriggerInput::SCHEDULED_TIME),
        written: written.cloned(),
    };
    serde_json::to_string(&input).unwrap_or_default()
}

/// The service knows no bare fields.
fn at_service(expression: &str) -> String {
    if expression.contains('(') { expression.to_owned() } else { format!("cron({expression})") }
}
