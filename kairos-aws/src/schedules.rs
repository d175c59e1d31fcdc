//! Triggers on Amazon EventBridge Scheduler.

mod cursor;
mod definition;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::config::retry::RetryConfig;
use aws_sdk_scheduler::operation::create_schedule::CreateScheduleError;
use aws_sdk_scheduler::operation::create_schedule_group::CreateScheduleGroupError;
use aws_sdk_scheduler::operation::delete_schedule::DeleteScheduleError;
use aws_sdk_scheduler::operation::get_schedule::{GetScheduleError, GetScheduleOutput};
use aws_sdk_scheduler::operation::list_schedules::ListSchedulesError;
use aws_sdk_scheduler::operation::update_schedule::UpdateScheduleError;
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, DeadLetterConfig, RetryPolicy, ScheduleState, ScheduleSummary, SqsParameters, Tag, Target,
};
use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;
use kairos::backend::{ScheduleBackend, Trigger, TriggerKey};
use kairos::chance::Chance;
use kairos::clock::{Clock, ClockExt as _, SystemClock};
use kairos::page::{Page, PageRequest};
use kairos::retry::Backoff;
use kairos::{Arn, Error, ErrorKind, Fault, Result, ScheduleId, TargetKind, Timetable, limits};

use self::cursor::Place;
use self::definition::{Definition, date};
use crate::error::scheduler::{foreign_cursor, other_trigger, restless, scheduler};
use crate::timeouts::bounded;

/// Most triggers of one page (EventBridge Scheduler API, `ListSchedules`, `MaxResults`).
const MAX_PAGE: usize = 100;
/// How many triggers of a page are read at once.
const CONCURRENCY: usize = 8;
/// How often a change that met another one is tried.
const ATTEMPTS: u32 = 5;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
/// A call and all its tries, where the client has no timeouts of its own. Shorter than what a scheduler gives a creation.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(4);
const CALL_TIMEOUT: Duration = Duration::from_secs(12);

/// A [`ScheduleBackend`] on Amazon EventBridge Scheduler, whose triggers hand their input to a Lambda function or an SQS queue.
///
/// # Groups
/// Triggers that name no group lie in the configured one; others may name [further groups](Self::with_groups), and only those. All
/// triggers in these groups are listed, as Kairos's own: no two installations may share a group. A listing reads each trigger by itself, as
/// the service's own does not say when they fire.
///
/// # What is written, and what the service holds
/// Six bare cron fields are stored as `cron(…)`. A rate gets a start, which is its next occurrence, so that it fires at whole intervals from its
/// own start or its [anchor](Trigger::anchor), as Kairos computes it, and not from when its trigger was created. A start and an end that have
/// passed are left out, as the service refuses them, and parts of seconds are cut off where no occurrence can lie. A trigger with no
/// occurrence left is disabled. Where the service's fields therefore say something else than what was written, and the trigger's name
/// does not say it either, that stands in the trigger's input, as `Definicion`, which dispatchers do not look at. It counts as long as the
/// service's fields are still those that were made of it.
///
/// # A trigger that exists
/// A creation that finds one with the same specification that delivers elsewhere, with another input, another role or other retries, or that
/// somebody disabled, brings that up to date: once it has been answered, the trigger fires where this backend is configured to.
///
/// What a client has no timeouts for ends after 4 seconds a try, 12 in all.
#[derive(Clone)]
pub struct EventBridgeSchedules {
    client: Client,
    clock: Arc<dyn Clock>,
    chance: Arc<Chance>,
    group: String,
    others: Vec<String>,
    /// The tags of groups that are created where they are missing; `None` if none are.
    group_tags: Option<BTreeMap<String, String>>,
    delivery: Delivery,
}

/// Where a trigger delivers, and how often it tries.
#[derive(Clone, Debug)]
struct Delivery {
    target: String,
    is_fifo: bool,
    role: String,
    dead_letters: Option<String>,
    retries: i32,
    max_age: i32,
}

impl EventBridgeSchedules {
    /// Triggers in a group that exists, handing their input to `target`, the ARN of a Lambda function or an SQS queue, as the role of ARN
    /// `role`. With 185 retries within 24 hours, the service's own default, and no dead letters.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid), with a fault for each of `group`, `target` and `role` that is none.
    pub fn new(client: &Client, group: &str, target: &str, role: &str) -> Result<Self> {
        let mut faults = Vec::new();
        if !limits::is_trigger_name(group) {
            faults.push(Fault::new("group", format!("'{group}' is no group name")));
        }
        let kind = kairos::Target::parse(target).map(|target| target.kind());
        if !matches!(kind, Ok(TargetKind::Lambda | TargetKind::Sqs)) {
            let expected = "the ARN of a Lambda function or an SQS queue is expected";
            faults.push(Fault::new("target", format!("'{target}' is nothing that a trigger delivers to: {expected}")));
        }
        if !Arn::parse(role).is_ok_and(|arn| arn.service() == "iam" && arn.resource().starts_with("role/")) {
            faults.push(Fault::new("role", format!("'{role}' is no ARN of a role")));
        }
        if !faults.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "the configuration is not valid").with_faults(faults));
        }
        let timeouts = bounded(client.config().timeout_config(), ATTEMPT_TIMEOUT, CALL_TIMEOUT);
        Ok(Self {
            client: Client::from_conf(client.config().to_builder().timeout_config(timeouts).build()),
            clock: Arc::new(SystemClock),
            chance: Arc::new(Chance::from_system()),
            group: group.into(),
            others: Vec::new(),
            group_tags: None,
            delivery: Delivery {
                target: target.into(),
                is_fifo: kind == Ok(TargetKind::Sqs) && target.ends_with(".fifo"),
                role: role.into(),
                dead_letters: None,
                retries: 185,
                max_age: 86_400,
            },
        })
    }

    /// The same with further groups that triggers may name.
    #[must_use]
    pub fn with_groups(mut self, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.others = groups.into_iter().map(Into::into).filter(|group| *group != self.group).collect();
        self
    }

    /// The same, creating a group with these tags where it is missing when a trigger is to be created in it.
    #[must_use]
    pub fn with_group_creation(mut self, tags: impl IntoIterator<Item = (String, String)>) -> Self {
        self.group_tags = Some(tags.into_iter().collect());
        self
    }

    /// The same with the ARN of a standard queue for what could not be delivered.
    #[must_use]
    pub fn with_dead_letters(mut self, queue_arn: impl Into<String>) -> Self {
        self.delivery.dead_letters = Some(queue_arn.into());
        self
    }

    /// The same with so many further tries of a delivery that failed, 0 to 185, up to an age of 60 to 86 400 whole seconds; both are brought
    /// within their range.
    #[must_use]
    pub fn with_retries(mut self, retries: u32, max_age: Duration) -> Self {
        self.delivery.retries = i32::try_from(retries.min(185)).unwrap_or(185);
        self.delivery.max_age = i32::try_from(max_age.as_secs().clamp(60, 86_400)).unwrap_or(86_400);
        self
    }

    /// The same on another clock: by it, what lies in the past is told, and waits end.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    fn group_of<'g>(&'g self, key: &'g TriggerKey) -> &'g str {
        key.group.as_deref().unwrap_or(&self.group)
    }

    fn target(&self, id: &ScheduleId, input: &str) -> Result<Target> {
        let Delivery { target, is_fifo, role, dead_letters, retries, max_age } = &self.delivery;
        let dead_letters = dead_letters.as_ref().map(|arn| DeadLetterConfig::builder().arn(arn).build());
        let parameters = is_fifo.then(|| SqsParameters::builder().message_group_id(id.as_str()).build());
        Target::builder()
            .arn(target)
            .role_arn(role)
            .input(input)
            .set_dead_letter_config(dead_letters)
            .retry_policy(
                RetryPolicy::builder().maximum_retry_attempts(*retries).maximum_event_age_in_seconds(*max_age).build(),
            )
            .set_sqs_parameters(parameters)
            .build()
            .map_err(unmade)
    }

    /// Each request has a client token of its own, so that the client's own tries are one, and a creation after a deletion is another.
    async fn put(&self, trigger: &Trigger, timetable: &Timetable, now: Timestamp) -> Result<Put> {
        let wanted = Definition::of(trigger, timetable, now, &self.group);
        let key = trigger.key();
        let request = self
            .client
            .create_schedule()
            .name(key.schedule_id.as_str())
            .group_name(self.group_of(&key))
            .schedule_expression(&wanted.expression)
            .schedule_expression_timezone(&wanted.time_zone)
            .set_start_date(wanted.start.map(date))
            .set_end_date(wanted.end.map(date))
            .flexible_time_window(wanted.window()?)
            .set_description(trigger.description.clone().filter(|text| !text.is_empty()))
            .state(wanted.state())
            .action_after_completion(ActionAfterCompletion::None)
            .target(self.target(&trigger.schedule_id, &wanted.input)?);
        match request.send().await {
            Ok(created) => Ok(Put::Done(created.schedule_arn)),
            Err(error) => match error.as_service_error() {
                Some(CreateScheduleError::ConflictException(_)) => Ok(Put::Taken),
                Some(CreateScheduleError::ResourceNotFoundException(_)) if self.group_tags.is_some() => {
                    Ok(Put::NoGroup)
                }
                _ => Err(scheduler(error)),
            },
        }
    }

    async fn create_group(&self, group: &str) -> Result<()> {
        let tags = self.group_tags.iter().flatten().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let tags: Vec<_> = tags.collect::<Result<_, _>>().map_err(unmade)?;
        let request = self.client.create_schedule_group().name(group);
        match request.set_tags(Some(tags).filter(|tags| !tags.is_empty())).send().await {
            Err(error) if matches!(error.as_service_error(), Some(CreateScheduleGroupError::ConflictException(_))) => {
                Ok(())
            }
            created => created.map(drop).map_err(scheduler),
        }
    }

    async fn read(&self, key: &TriggerKey) -> Result<Option<GetScheduleOutput>> {
        let request = self.client.get_schedule().name(key.schedule_id.as_str()).group_name(self.group_of(key));
        match request.send().await {
            Ok(found) => Ok(Some(found)),
            Err(error) => match error.as_service_error() {
                Some(GetScheduleError::ResourceNotFoundException(_)) => Ok(None),
                _ => Err(scheduler(error)),
            },
        }
    }

    fn trigger(&self, key: &TriggerKey, found: &GetScheduleOutput) -> Trigger {
        let definition = Definition::found(found);
        let specification = definition.specification(&key.schedule_id, key.group.as_deref(), &self.group);
        let description = found.description().filter(|text| !text.is_empty()).map(str::to_owned);
        Trigger::new(key.schedule_id.clone(), specification).with_description(description)
    }

    /// What to do about a trigger that exists: nothing, or bring its delivery up to date. `None` if it is gone by now.
    async fn adopt(&self, wanted: &Trigger, found: GetScheduleOutput, now: Timestamp) -> Result<Option<String>> {
        let key = wanted.key();
        let faults = self.trigger(&key, &found).specification.differences(&wanted.specification);
        if !faults.is_empty() {
            return Err(other_trigger(&wanted.schedule_id, faults));
        }
        // A rate goes on from where it counts.
        let counts_from = found.start_date().or(found.creation_date()).and_then(|at| Timestamp::new(at.secs(), 0).ok());
        let anchor = counts_from.or(wanted.anchor).unwrap_or(now);
        let timetable = wanted.specification.timetable(anchor)?;
        let definition = Definition::of(wanted, &timetable, now, &self.group);
        let target = self.target(&wanted.schedule_id, &definition.input)?;
        let is_on = !definition.is_enabled || found.state() != Some(&ScheduleState::Disabled);
        let stays = found.action_after_completion() != Some(&ActionAfterCompletion::Delete);
        if is_on && stays && found.target() == Some(&target) {
            return Ok(Some(found.arn.unwrap_or_default()));
        }
        let request = self
            .client
            .update_schedule()
            .name(wanted.schedule_id.as_str())
            .group_name(self.group_of(&key))
            .schedule_expression(&definition.expression)
            .schedule_expression_timezone(&definition.time_zone)
            .set_start_date(definition.start.map(date))
            .set_end_date(definition.end.map(date))
            .flexible_time_window(definition.window()?)
            .set_description(found.description)
            .state(definition.state())
            .action_after_completion(ActionAfterCompletion::None)
            .target(target);
        match request.send().await {
            Ok(updated) => Ok(Some(updated.schedule_arn)),
            Err(error) => match error.as_service_error() {
                Some(UpdateScheduleError::ResourceNotFoundException(_) | UpdateScheduleError::ConflictException(_)) => {
                    Ok(None)
                }
                _ => Err(scheduler(error)),
            },
        }
    }

    async fn create_checked(&self, trigger: &Trigger) -> Result<String> {
        let now = self.clock.now();
        let timetable = trigger.timetable(now)?;
        let key = trigger.key();
        let group = self.group_of(&key);
        if group != self.group && !self.others.iter().any(|other| other == group) {
            let known = self.others.join("', '");
            let why = format!("'{group}' is none of the groups that triggers may name: '{known}'");
            return Err(Error::invalid(vec![Fault::new("grupo", why)]));
        }
        let seed = self.chance.uuid().as_u128();
        for attempt in 1..=ATTEMPTS {
            match self.put(trigger, &timetable, now).await? {
                Put::Done(arn) => return Ok(arn),
                Put::NoGroup => {
                    self.create_group(group).await?;
                    continue;
                }
                Put::Taken => {}
            }
            if let Some(found) = self.read(&key).await?
                && let Some(arn) = self.adopt(trigger, found, now).await?
            {
                return Ok(arn);
            }
            self.clock.sleep(BACKOFF.delay(attempt, seed)).await;
        }
        Err(restless(&trigger.schedule_id))
    }

    /// Tries again only what the service has refused to do. The SDK would also send again what was not answered: the first request could
    /// then arrive after this call has succeeded, and take along what was created since.
    async fn delete_checked(&self, key: &TriggerKey) -> Result<()> {
        let seed = self.chance.uuid().as_u128();
        for attempt in 1.. {
            let request = self.client.delete_schedule().name(key.schedule_id.as_str()).group_name(self.group_of(key));
            let once = aws_sdk_scheduler::config::Config::builder().retry_config(RetryConfig::disabled());
            let Err(error) = request.customize().config_override(once).send().await else { break };
            match error.as_service_error() {
                Some(DeleteScheduleError::ResourceNotFoundException(_)) => break,
                Some(DeleteScheduleError::ConflictException(_) | DeleteScheduleError::ThrottlingException(_))
                    if attempt < ATTEMPTS =>
                {
                    self.clock.sleep(BACKOFF.delay(attempt, seed)).await;
                }
                _ => return Err(scheduler(error)),
            }
        }
        Ok(())
    }

    /// One page of the service's, and the place after it.
    async fn summaries(&self, place: &Place, limit: usize) -> Result<(Vec<ScheduleSummary>, Option<Place>)> {
        let request = self
            .client
            .list_schedules()
            .group_name(&place.group)
            .max_results(i32::try_from(limit.clamp(1, MAX_PAGE)).unwrap_or(1))
            .set_next_token(place.token.clone());
        let (summaries, token) = match request.send().await {
            Ok(page) => (page.schedules, page.next_token),
            Err(error) => match error.as_service_error() {
                Some(ListSchedulesError::ResourceNotFoundException(_)) if self.group_tags.is_some() => {
                    (Vec::new(), None)
                }
                // It has outlived its listing at the service.
                Some(ListSchedulesError::ValidationException(_)) if place.token.is_some() => {
                    return Err(foreign_cursor(place.cursor()).with_source(error));
                }
                _ => return Err(scheduler(error)),
            },
        };
        let next = match token {
            Some(token) => Some(Place { group: place.group.clone(), token: Some(token) }),
            None => self.group_after(&place.group).map(|group| Place { group, token: None }),
        };
        Ok((summaries, next))
    }

    fn group_after(&self, group: &str) -> Option<String> {
        let mut groups = std::iter::once(&self.group).chain(&self.others);
        groups.find(|one| *one == group);
        groups.next().cloned()
    }

    async fn listed(&self, page: &PageRequest) -> Result<Page<Trigger>> {
        let place = match &page.cursor {
            None => Place { group: self.group.clone(), token: None },
            Some(cursor) => {
                let place = Place::of(cursor)?;
                if place.group != self.group && !self.others.contains(&place.group) {
                    return Err(foreign_cursor(cursor));
                }
                place
            }
        };
        let (summaries, next) = self.summaries(&place, page.limit).await?;
        let group = Some(place.group).filter(|group| *group != self.group);
        let keys = summaries.into_iter().filter_map(|summary| {
            summary.name.map(|name| TriggerKey { schedule_id: name.into(), group: group.clone() })
        });
        // Boxed, as the compiler cannot follow such a stream through an async trait.
        let reads: Vec<_> = keys
            .map(|key| {
                Box::pin(async move {
                    let found = self.read(&key).await?;
                    Ok(found.map(|found| self.trigger(&key, &found)))
                })
            })
            .collect();
        let read: Vec<Result<Option<Trigger>>> = stream::iter(reads).buffered(CONCURRENCY).collect().await;
        // One that was deleted meanwhile is left out.
        let items = read.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?;
        Ok(Page { items, next: next.map(|place| place.cursor()) })
    }
}

/// What became of a creation.
enum Put {
    Done(String),
    /// There is one of this name.
    Taken,
    /// There is no such group, and it may be created.
    NoGroup,
}

fn unmade(error: aws_smithy_types::error::operation::BuildError) -> Error {
    Error::new(ErrorKind::Invalid, "the request could not be made").with_source(error)
}

impl fmt::Debug for EventBridgeSchedules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBridgeSchedules")
            .field("group", &self.group)
            .field("others", &self.others)
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ScheduleBackend for EventBridgeSchedules {
    async fn create(&self, trigger: &Trigger) -> Result<String> {
        let created = self.create_checked(trigger).await;
        created.map_err(|error| error.during("create").about(&trigger.schedule_id))
    }

    async fn delete(&self, key: &TriggerKey) -> Result<()> {
        if !may_exist(key) {
            return Ok(());
        }
        let deleted = self.delete_checked(key).await;
        deleted.map_err(|error| error.during("delete").about(&key.schedule_id))
    }

    async fn get(&self, key: &TriggerKey) -> Result<Option<Trigger>> {
        if !may_exist(key) {
            return Ok(None);
        }
        let found = self.read(key).await.map_err(|error| error.during("get").about(&key.schedule_id))?;
        Ok(found.map(|found| self.trigger(key, &found)))
    }

    async fn list(&self, page: &PageRequest) -> Result<Page<Trigger>> {
        self.listed(page).await.map_err(|error| error.during("list"))
    }
}

/// No trigger bears another name, whatever a server would take.
fn may_exist(key: &TriggerKey) -> bool {
    limits::is_trigger_name(key.schedule_id.as_str()) && key.group.as_deref().is_none_or(limits::is_trigger_name)
}
