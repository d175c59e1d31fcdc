//! The sessions of roles: each role is assumed once, by whoever needs it first, and renewed before its session ends.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sts::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_sts::types::Tag;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use jiff::Timestamp;
use kairos::clock::{Clock, between, earlier, later};
use kairos::retry::Backoff;
use kairos::{Error, ErrorKind, ProcessId, Result};
use parking_lot::Mutex;
use uuid::Uuid;

use super::config::{SessionConfig, tags_of};
use super::failure::Refusal;
use super::names::bounded;
use crate::error;

/// Whose credentials a call is made with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// The executor's own.
    Own,
    /// Those of a session.
    Role(Key),
}

/// Which session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) role: Box<str>,
    /// Of which process, if each has its own.
    pub(super) process: Option<ProcessId>,
}

/// Credentials, and how long they are good.
#[derive(Debug)]
pub(super) struct Session {
    /// `None` are the executor's own.
    pub(super) credentials: Option<SharedCredentialsProvider>,
    made_at: Timestamp,
    renewed_from: Timestamp,
    ends_at: Timestamp,
}

/// How often a role is assumed again only because it may not do what is asked of it.
const REVOCATION: Duration = Duration::from_secs(60);
/// How long a session that could not be renewed is used on before that is tried again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(15);

impl Session {
    fn own() -> Self {
        Self { credentials: None, made_at: Timestamp::MIN, renewed_from: Timestamp::MAX, ends_at: Timestamp::MAX }
    }

    fn new(credentials: Credentials, made_at: Timestamp, lifetime: Duration, renewal: Duration) -> Self {
        let renewal = renewal.min(lifetime / 3);
        // Executors that started together do not renew together: no two sessions have the same key.
        let seed = Uuid::new_v5(&Uuid::NAMESPACE_OID, credentials.access_key_id().as_bytes());
        let early = Backoff::new(renewal, renewal).delay(1, seed.as_u128());
        let ends_at = later(made_at, lifetime);
        let credentials = Some(SharedCredentialsProvider::new(credentials));
        Self { credentials, made_at, renewed_from: earlier(ends_at, early), ends_at }
    }

    /// Whether a fresh session of the same role could do what this one was refused.
    ///
    /// Sessions are revoked by denying what was issued before a moment. A role that may not do something in the first place would be
    /// assumed for every message of it.
    fn may_be_revoked(&self, refusal: Refusal, now: Timestamp) -> bool {
        self.credentials.is_some()
            && match refusal {
                Refusal::Token => true,
                Refusal::Access => between(self.made_at, now) >= REVOCATION,
            }
    }
}

type Answer = BoxFuture<'static, Result<Arc<Session>, Arc<Error>>>;
type Flight = Shared<Answer>;

#[derive(Debug)]
struct Slot {
    session: Option<Arc<Session>>,
    /// The call under way. Whoever waits for it holds it: if all of them go away, so does the call.
    flight: Option<WeakShared<Answer>>,
    /// Not to be renewed before.
    renewed_after: Timestamp,
    used_at: Timestamp,
}

/// What to do for somebody who needs a session.
enum Step {
    Use(Arc<Session>),
    Join(Flight),
    /// And go on with what there is if that fails.
    Assume(Option<Arc<Session>>),
}

impl Slot {
    const fn new(now: Timestamp) -> Self {
        Self { session: None, flight: None, renewed_after: Timestamp::MIN, used_at: now }
    }

    fn step(&self, now: Timestamp) -> Step {
        let good = self.session.as_ref().filter(|session| now < session.ends_at);
        let flight = self.flight.as_ref().and_then(WeakShared::upgrade);
        match (good, flight) {
            // One of those who call renews it, the others need not wait.
            (Some(session), Some(_)) => Step::Use(session.clone()),
            (Some(session), None) if now < session.renewed_from.max(self.renewed_after) => Step::Use(session.clone()),
            (None, Some(flight)) => Step::Join(flight),
            (good, None) => Step::Assume(good.cloned()),
        }
    }
}

type Slots = HashMap<Key, Slot>;

/// The sessions of all roles.
pub(super) struct Sessions {
    assumer: Arc<Assumer>,
    own: Arc<Session>,
    slots: Arc<Mutex<Slots>>,
}

impl Sessions {
    pub(super) fn new(sts: aws_sdk_sts::Client, clock: Arc<dyn Clock>, config: SessionConfig) -> Self {
        let assumer = Arc::new(Assumer { sts, clock, config });
        Self { assumer, own: Arc::new(Session::own()), slots: Arc::default() }
    }

    /// A session that is good now.
    pub(super) async fn get(&self, identity: &Identity) -> Result<Arc<Session>> {
        let Identity::Role(key) = identity else { return Ok(self.own.clone()) };
        let now = self.assumer.clock.now();
        let (flight, good) = {
            let mut slots = self.slots.lock();
            make_room(&mut slots, key, self.assumer.config.most, now);
            let slot = slots.entry(key.clone()).or_insert_with(|| Slot::new(now));
            slot.used_at = now;
            match slot.step(now) {
                Step::Use(session) => return Ok(session),
                Step::Join(flight) => (flight, None),
                Step::Assume(good) => {
                    let flight = self.take_off(key.clone());
                    slot.flight = flight.downgrade();
                    (flight, good)
                }
            }
        };
        match (flight.await, good) {
            (Ok(session), _) => Ok(session),
            (Err(error), Some(good)) => {
                tracing::warn!(role = %key.role, error = format!("{error:#}"), "a session could not be renewed; it is used on");
                Ok(good)
            }
            (Err(error), None) => Err(shared(error).about(&key.role)),
        }
    }

    /// Forgets a session that was refused. Whether it is worth trying again with a fresh one.
    pub(super) fn refused(&self, identity: &Identity, session: &Arc<Session>, refusal: Refusal) -> bool {
        let Identity::Role(key) = identity else { return false };
        let mut slots = self.slots.lock();
        let Some(slot) = slots.get_mut(key) else { return true };
        if !slot.session.as_ref().is_some_and(|current| Arc::ptr_eq(current, session)) {
            // Somebody else has found out already.
            return true;
        }
        let is_over = session.may_be_revoked(refusal, self.assumer.clock.now());
        if is_over {
            slot.session = None;
        }
        is_over
    }

    /// One call for all who wait for it. What comes of it is kept by the call itself: they may have gone away.
    fn take_off(&self, key: Key) -> Flight {
        let (assumer, slots) = (self.assumer.clone(), self.slots.clone());
        async move {
            let made = assumer.assume(&key).await;
            let mut slots = slots.lock();
            if let Some(slot) = slots.get_mut(&key) {
                slot.flight = None;
                match &made {
                    Ok(session) => slot.session = Some(session.clone()),
                    Err(_) => slot.renewed_after = later(assumer.clock.now(), RENEWAL_PAUSE),
                }
            }
            made.map_err(Arc::new)
        }
        .boxed()
        .shared()
    }
}

/// Forgets what is over, or else what was not used for longest.
fn make_room(slots: &mut Slots, key: &Key, most: usize, now: Timestamp) {
    if slots.len() < most || slots.contains_key(key) {
        return;
    }
    slots.retain(|_, slot| !matches!(slot.step(now), Step::Assume(None)));
    while slots.len() >= most {
        let Some(oldest) = slots.iter().min_by_key(|(_, slot)| slot.used_at).map(|(key, _)| key.clone()) else {
            return;
        };
        slots.remove(&oldest);
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("config", &self.assumer.config)
            .field("kept", &self.slots.lock().len())
            .finish_non_exhaustive()
    }
}

/// What assumes roles.
struct Assumer {
    sts: aws_sdk_sts::Client,
    clock: Arc<dyn Clock>,
    config: SessionConfig,
}

impl Assumer {
    async fn assume(&self, key: &Key) -> Result<Arc<Session>> {
        let seconds = i32::try_from(self.config.duration.as_secs()).unwrap_or(i32::MAX);
        let mut request = self
            .sts
            .assume_role()
            .role_arn(&*key.role)
            .role_session_name(&self.config.name)
            .duration_seconds(seconds)
            .set_external_id(self.config.external_id.clone());
        if let Some(process) = &key.process {
            request = request.source_identity(bounded(process.as_str(), 64));
            for (key, value) in tags_of(process) {
                let tag = Tag::builder().key(key).value(value).build();
                request = request.tags(tag.map_err(|error| error::no_request(error).during("assume role"))?);
            }
        }
        let asked_at = self.clock.now();
        let answer = request.send().await;
        let answer = answer.map_err(|error| error::failed(error, error::of_assume_role).during("assume role"))?;
        let Some(given) = answer.credentials else {
            return Err(
                Error::new(ErrorKind::Unavailable, "the service answered without credentials").during("assume role")
            );
        };
        let lifetime = lifetime(asked_at, given.expiration.secs(), self.config.duration);
        let credentials =
            Credentials::new(given.access_key_id, given.secret_access_key, Some(given.session_token), None, "kairos");
        Ok(Arc::new(Session::new(credentials, asked_at, lifetime, self.config.renewal)))
    }
}

/// How long a session lasts: as long as was asked for, or less if the service says so.
///
/// It says when by its own clock. Where ours is so far ahead that the session seems to be over before it began, every message would
/// assume its role anew.
fn lifetime(asked_at: Timestamp, expiration: i64, asked_for: Duration) -> Duration {
    let told = Timestamp::from_second(expiration).map_or(Duration::ZERO, |end| between(asked_at, end));
    if told.is_zero() { asked_for } else { told.min(asked_for) }
}

/// The error that several wait for, as one of each.
fn shared(error: Arc<Error>) -> Error {
    let retry_after = error.retry_after();
    let mut own = Error::new(error.kind(), error.message()).during("assume role");
    if let Some(delay) = retry_after {
        own = own.with_retry_after(delay);
    }
    if error.source().is_some() { own.with_source(Cause(error)) } else { own }
}

/// The cause of a shared error.
#[derive(Debug)]
struct Cause(Arc<Error>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source().map_or(Ok(()), |source| fmt::Display::fmt(source, f))
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source().and_then(StdError::source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + second).unwrap()
    }

    fn session(key: &str, made_at: i64, lifetime: u64) -> Session {
        let credentials = Credentials::new(key, "secret", Some("token".into()), None, "test");
        Session::new(credentials, at(made_at), Duration::from_secs(lifetime), Duration::from_secs(300))
    }

    #[test]
    fn sessions_are_renewed_apart_from_each_other_before_they_end() {
        let times: std::collections::BTreeSet<_> =
            (0..100).map(|key| session(&format!("ASIA{key}"), 0, 3_600).renewed_from).collect();
        assert!(times.len() > 90, "{times:?}");
        assert!(times.iter().all(|time| (at(3_300)..=at(3_450)).contains(time)), "{times:?}");
        let short = session("ASIA", 0, 90);
        assert!((at(60)..=at(75)).contains(&short.renewed_from), "a third at most: {}", short.renewed_from);
    }

    #[test]
    fn a_session_lasts_as_the_service_says_unless_the_clocks_are_too_far_apart() {
        let hour = Duration::from_secs(3_600);
        let told = |seconds: i64| lifetime(at(0), at(seconds).as_second(), hour).as_secs();
        assert_eq!([told(3_600), told(900), told(7_200), told(0), told(-60)], [3_600, 900, 3_600, 3_600, 3_600]);
        assert_eq!(lifetime(at(0), i64::MAX, hour), hour);
    }

    #[test]
    fn a_refusal_means_a_revoked_session_unless_it_is_young_and_just_may_not() {
        let session = session("ASIA", 0, 3_600);
        assert!(session.may_be_revoked(Refusal::Token, at(0)));
        assert!(!session.may_be_revoked(Refusal::Access, at(59)));
        assert!(session.may_be_revoked(Refusal::Access, at(60)));
        assert!(!Session::own().may_be_revoked(Refusal::Token, at(60)));
    }

    #[test]
    fn room_is_made_by_what_is_over_and_then_by_what_was_not_used_for_longest() {
        let key = |name: &str| Key { role: name.into(), process: None };
        let slot = |used_at: i64, lifetime: u64| Slot {
            session: Some(Arc::new(session("ASIA", 0, lifetime))),
            used_at: at(used_at),
            ..Slot::new(at(0))
        };
        let slots =
            || Slots::from([(key("over"), slot(50, 90)), (key("old"), slot(10, 3_600)), (key("new"), slot(40, 3_600))]);
        let kept = |mut slots: Slots, wanted: &str, most: usize| {
            make_room(&mut slots, &key(wanted), most, at(100));
            let mut kept: Vec<_> = slots.into_keys().map(|key| key.role.into_string()).collect();
            kept.sort();
            kept
        };
        assert_eq!(kept(slots(), "other", 4), ["new", "old", "over"]);
        assert_eq!(kept(slots(), "new", 3), ["new", "old", "over"]);
        assert_eq!(kept(slots(), "other", 3), ["new", "old"]);
        assert_eq!(kept(slots(), "other", 2), ["new"]);
        assert_eq!(kept(slots(), "other", 1), [""; 0]);
    }
}
