//! EventBridge Scheduler as far as its API says: names are taken once, listings have pages, what it refuses is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::operation::create_schedule::{CreateScheduleError, CreateScheduleInput, CreateScheduleOutput};
use aws_sdk_scheduler::operation::create_schedule_group::CreateScheduleGroupOutput;
use aws_sdk_scheduler::operation::delete_schedule::{DeleteScheduleError, DeleteScheduleOutput};
use aws_sdk_scheduler::operation::get_schedule::{GetScheduleError, GetScheduleOutput};
use aws_sdk_scheduler::operation::list_schedules::{ListSchedulesError, ListSchedulesOutput};
use aws_sdk_scheduler::operation::update_schedule::{UpdateScheduleError, UpdateScheduleOutput};
use aws_sdk_scheduler::primitives::DateTime;
use aws_sdk_scheduler::types::ScheduleSummary;
use aws_sdk_scheduler::types::error::{ConflictException, ResourceNotFoundException, ValidationException};
use aws_smithy_mocks::{MockResponse, MockResponseInterceptor, RuleMode, create_mock_http_client, mock};
use jiff::Timestamp;
use kairos::clock::{Clock as _, SystemClock};

/// The service's state. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Model(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    /// By group and name.
    pub(crate) schedules: BTreeMap<(String, String), CreateScheduleInput>,
    pub(crate) groups: BTreeSet<String>,
    /// What was asked, in order.
    pub(crate) calls: Vec<&'static str>,
    pub(crate) tokens: BTreeSet<String>,
    /// The time there, if it is not the system's.
    pub(crate) now: Option<Timestamp>,
    /// How many changes are still refused, as each meets another one.
    pub(crate) conflicts: usize,
    /// The tags of the group that was created last.
    pub(crate) tags: Vec<(String, String)>,
    /// Whether no token of a listing is known any more.
    pub(crate) stale_tokens: bool,
}

fn conflict() -> ConflictException {
    ConflictException::builder().message("taken").build().unwrap()
}

fn missing() -> ResourceNotFoundException {
    ResourceNotFoundException::builder().message("there is none").build().unwrap()
}

fn invalid(why: &str) -> ValidationException {
    ValidationException::builder().message(why).build().unwrap()
}

fn arn(group: &str, name: &str) -> String {
    format!("arn:aws:scheduler:us-east-1:123456789012:schedule/{group}/{name}")
}

/// What the service says is wrong with a schedule.
fn fault(
    now: Option<Timestamp>,
    expression: &str,
    start: Option<&DateTime>,
    description: &str,
    input: &str,
) -> Option<&'static str> {
    let recurs = !expression.starts_with("at(");
    let long_ago = now.unwrap_or_else(|| SystemClock.now()).as_second() - 5 * 60;
    if !["cron(", "rate(", "at("].iter().any(|kind| expression.starts_with(kind)) || expression.len() > 256 {
        Some("Invalid Schedule Expression")
    } else if recurs && start.is_some_and(|start| start.secs() < long_ago) {
        Some("The StartDate you specify cannot be earlier than 5 minutes ago.")
    } else if description.chars().count() > 512 || input.len() > 256 * 1024 {
        Some("Member must have length less than or equal to")
    } else {
        None
    }
}

impl State {
    fn of_group(&self, group: &str) -> bool {
        self.groups.contains(group)
    }

    fn meets_another(&mut self) -> bool {
        let left = self.conflicts.checked_sub(1);
        self.conflicts = left.unwrap_or_default();
        left.is_some()
    }
}

impl Model {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state().schedules.is_empty()
    }

    pub(crate) fn client(&self) -> Client {
        let shared = |name: &'static str| {
            let model = self.clone();
            move || {
                let mut state = model.0.lock().unwrap();
                state.calls.push(name);
                drop(state);
                model.clone()
            }
        };
        let model = shared("create");
        let create = mock!(Client::create_schedule).then_compute_response(move |input| {
            let (model, input) = (model(), input.clone());
            let mut state = model.state();
            let key = (input.group_name().unwrap().to_owned(), input.name().unwrap().to_owned());
            let text = input.target().and_then(|target| target.input()).unwrap_or_default();
            assert!(input.client_token().is_some_and(|token| state.tokens.insert(token.to_owned())), "a fresh token");
            let expression = input.schedule_expression().unwrap();
            let description = input.description().unwrap_or_default();
            let refused = fault(state.now, expression, input.start_date(), description, text);
            MockResponse::Error(if !state.of_group(&key.0) {
                CreateScheduleError::ResourceNotFoundException(missing())
            } else if let Some(why) = refused {
                CreateScheduleError::ValidationException(invalid(why))
            } else if state.schedules.contains_key(&key) || state.meets_another() {
                CreateScheduleError::ConflictException(conflict())
            } else {
                let output = CreateScheduleOutput::builder().schedule_arn(arn(&key.0, &key.1)).build().unwrap();
                state.schedules.insert(key, input);
                return MockResponse::Output(output);
            })
        });
        let model = shared("update");
        let update = mock!(Client::update_schedule).then_compute_response(move |input| {
            let model = model();
            let mut state = model.state();
            let key = (input.group_name().unwrap().to_owned(), input.name().unwrap().to_owned());
            if !state.schedules.contains_key(&key) {
                return MockResponse::Error(UpdateScheduleError::ResourceNotFoundException(missing()));
            }
            if let Some(why) = fault(state.now, input.schedule_expression().unwrap(), input.start_date(), "", "") {
                return MockResponse::Error(UpdateScheduleError::ValidationException(invalid(why)));
            }
            if state.meets_another() {
                return MockResponse::Error(UpdateScheduleError::ConflictException(conflict()));
            }
            let schedule = CreateScheduleInput::builder()
                .group_name(&key.0)
                .name(&key.1)
                .set_schedule_expression(input.schedule_expression.clone())
                .set_schedule_expression_timezone(input.schedule_expression_timezone.clone())
                .set_start_date(input.start_date)
                .set_end_date(input.end_date)
                .set_flexible_time_window(input.flexible_time_window.clone())
                .set_description(input.description.clone())
                .set_state(input.state.clone())
                .set_action_after_completion(input.action_after_completion.clone())
                .set_target(input.target.clone())
                .build()
                .unwrap();
            state.schedules.insert(key.clone(), schedule);
            MockResponse::Output(UpdateScheduleOutput::builder().schedule_arn(arn(&key.0, &key.1)).build().unwrap())
        });
        let model = shared("get");
        let get = mock!(Client::get_schedule).then_compute_response(move |input| {
            let key = (input.group_name().unwrap().to_owned(), input.name().unwrap().to_owned());
            let model = model();
            let state = model.state();
            let Some(found) = state.schedules.get(&key) else {
                return MockResponse::Error(GetScheduleError::ResourceNotFoundException(missing()));
            };
            let output = GetScheduleOutput::builder()
                .arn(arn(&key.0, &key.1))
                .group_name(&key.0)
                .name(&key.1)
                .set_schedule_expression(found.schedule_expression.clone())
                .set_schedule_expression_timezone(found.schedule_expression_timezone.clone())
                .set_start_date(found.start_date)
                .set_end_date(found.end_date)
                .set_flexible_time_window(found.flexible_time_window.clone())
                .set_description(found.description.clone())
                .set_state(found.state.clone())
                .set_action_after_completion(found.action_after_completion.clone())
                .set_target(found.target.clone());
            MockResponse::Output(output.build())
        });
        let model = shared("delete");
        let delete = mock!(Client::delete_schedule).then_compute_response(move |input| {
            let key = (input.group_name().unwrap().to_owned(), input.name().unwrap().to_owned());
            let model = model();
            let mut state = model.state();
            if state.meets_another() {
                return MockResponse::Error(DeleteScheduleError::ConflictException(conflict()));
            }
            match state.schedules.remove(&key) {
                Some(_) => MockResponse::Output(DeleteScheduleOutput::builder().build()),
                None => MockResponse::Error(DeleteScheduleError::ResourceNotFoundException(missing())),
            }
        });
        let model = shared("list");
        let list = mock!(Client::list_schedules).then_compute_response(move |input| {
            let group = input.group_name().unwrap();
            let model = model();
            let state = model.state();
            if !state.of_group(group) {
                return MockResponse::Error(ListSchedulesError::ResourceNotFoundException(missing()));
            }
            let after = match input.next_token() {
                Some(token) => match token.strip_prefix("tras ").filter(|_| !state.stale_tokens) {
                    Some(name) => name.to_owned(),
                    None => return MockResponse::Error(ListSchedulesError::ValidationException(invalid("token"))),
                },
                None => String::new(),
            };
            let most = usize::try_from(input.max_results().unwrap()).unwrap();
            assert!((1..=100).contains(&most));
            let range = (Bound::Excluded((group.to_owned(), after)), Bound::Unbounded);
            let mut rest = state.schedules.range(range).filter(|((of, _), _)| of == group);
            let names: Vec<_> = rest.by_ref().take(most).map(|((_, name), _)| name.clone()).collect();
            let token = rest.next().and_then(|_| names.last()).map(|name| format!("tras {name}"));
            let summary = |name: &String| ScheduleSummary::builder().group_name(group).name(name).build();
            let page = ListSchedulesOutput::builder()
                .set_schedules(Some(names.iter().map(summary).collect()))
                .set_next_token(token);
            MockResponse::Output(page.build().unwrap())
        });
        let model = shared("create group");
        let create_group = mock!(Client::create_schedule_group).then_compute_output(move |input| {
            let name = input.name().unwrap();
            let model = model();
            let mut state = model.state();
            assert!(state.groups.insert(name.to_owned()));
            state.tags = input.tags().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect();
            let arn = format!("arn:aws:scheduler:us-east-1:123456789012:schedule-group/{name}");
            CreateScheduleGroupOutput::builder().schedule_group_arn(arn).build().unwrap()
        });
        let mut mocks = MockResponseInterceptor::new().rule_mode(RuleMode::MatchAny);
        for rule in [&create, &update, &get, &delete, &list, &create_group] {
            mocks = mocks.with_rule(rule);
        }
        Client::from_conf(super::config().http_client(create_mock_http_client()).interceptor(mocks).build())
    }
}
