//! How roles are assumed.

use std::time::Duration;

use kairos::{Error, Fault, ProcessId, Result};

use super::names::{fits, fits_tag};

/// How an [`AwsInvoker`](super::AwsInvoker) assumes roles.
///
/// The limits are those of `AssumeRole` (STS API); [`AwsInvoker::with_sessions`](super::AwsInvoker::with_sessions) checks them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionConfig {
    /// What all sessions are called in the logs of the account: 2 to 64 letters, digits and `_+=,.@-`.
    pub name: String,
    /// What the roles' trust policies ask for, if they do: 2 to 1224 letters, digits and `_+=,.@:/-`.
    pub external_id: Option<String>,
    /// How long a session lasts: 15 min to 12 h, in whole seconds; no longer than its role allows, and 1 h where the executor's own
    /// credentials are those of a role.
    pub duration: Duration,
    /// How long before its end a session is renewed at the earliest; at the latest half as long before. A third of the session at most.
    pub renewal: Duration,
    /// Whether each process has a session of its own, with the process as source identity and in session tags, so that the logs
    /// of the account tell who did what.
    ///
    /// The roles' trust policies then have to allow `sts:SetSourceIdentity` and `sts:TagSession`. The tags are `kairos:process-id` and, where
    /// a tag can hold it, `kairos:process-name`. The labels of a process are not among them: who may register processes
    /// must not choose what a policy asks for.
    pub per_process: bool,
    /// How many sessions are kept, at least 1. Beyond it the one that was not used for longest is forgotten, and its role assumed again
    /// when it is needed.
    pub most: usize,
}

impl Default for SessionConfig {
    /// One session per role, called `kairos`, of an hour, renewed 5 min before its end; no external id; 1000 sessions at most.
    fn default() -> Self {
        Self {
            name: "kairos".into(),
            external_id: None,
            duration: Duration::from_secs(60 * 60),
            renewal: Duration::from_secs(5 * 60),
            per_process: false,
            most: 1_000,
        }
    }
}

impl SessionConfig {
    /// The same under another name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same with an external id.
    #[must_use]
    pub fn with_external_id(mut self, external_id: impl Into<String>) -> Self {
        self.external_id = Some(external_id.into());
        self
    }

    /// The same with sessions of this length.
    #[must_use]
    pub fn with_duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// The same, renewing sessions this long before their end.
    #[must_use]
    pub fn with_renewal(mut self, renewal: Duration) -> Self {
        self.renewal = renewal;
        self
    }

    /// The same with a session for each role and process.
    #[must_use]
    pub fn with_one_per_process(mut self) -> Self {
        self.per_process = true;
        self
    }

    /// The same, keeping this many sessions.
    #[must_use]
    pub fn with_most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        let mut faults = Vec::new();
        if !(2..=64).contains(&self.name.len()) || !self.name.chars().all(fits) {
            faults.push(Fault::new("name", "must be 2 to 64 letters, digits and '_+=,.@-'"));
        }
        let may_be_external =
            |id: &String| (2..=1_224).contains(&id.len()) && id.chars().all(|c| fits(c) || matches!(c, ':' | '/'));
        if !self.external_id.as_ref().is_none_or(may_be_external) {
            faults.push(Fault::new("external_id", "must be 2 to 1224 letters, digits and '_+=,.@:/-'"));
        }
        if !(900..=43_200).contains(&self.duration.as_secs()) || self.duration.subsec_nanos() != 0 {
            let message =
                format!("{:?} is out of range: whole seconds from 15 min to 12 h are expected", self.duration);
            faults.push(Fault::new("duration", message));
        }
        if self.most == 0 {
            faults.push(Fault::new("most", "must be 1 at least"));
        }
        if faults.is_empty() { Ok(()) } else { Err(Error::invalid(faults)) }
    }
}

/// The tags of a session of a process.
pub(super) fn tags_of(process: &ProcessId) -> Vec<(&'static str, String)> {
    let id = super::names::bounded(process.as_str(), 256).into_owned();
    let name = process.name().filter(|name| fits_tag(name)).map(|name| ("kairos:process-name", name));
    std::iter::once(("kairos:process-id", id)).chain(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(config: &SessionConfig) -> Vec<&'static str> {
        config.check().err().map_or(Vec::new(), |error| error.faults().iter().map(|fault| fault.field).collect())
    }

    #[test]
    fn each_limit_is_checked_and_named() {
        let config = SessionConfig::default();
        let sound = config.clone().with_name("kairos@prod").with_external_id("arn:x/1").with_most(1);
        assert!(fields(&sound).is_empty() && fields(&config).is_empty());
        for seconds in [900, 43_200] {
            assert!(fields(&config.clone().with_duration(Duration::from_secs(seconds))).is_empty());
        }
        for seconds in [899.0, 43_201.0, 900.5] {
            assert_eq!(fields(&config.clone().with_duration(Duration::from_secs_f64(seconds))), ["duration"]);
        }
        for name in ["k", "a b", "ñandú", &"k".repeat(65)] {
            assert_eq!(fields(&config.clone().with_name(name)), ["name"]);
        }
        for id in ["k", "a b", &"k".repeat(1_225)] {
            assert_eq!(fields(&config.clone().with_external_id(id)), ["external_id"]);
        }
        assert_eq!(fields(&config.with_most(0).with_name("")), ["name", "most"]);
    }

    #[test]
    fn tags_name_the_process_and_never_break_a_request() {
        let tags = tags_of(&ProcessId::of("cierre del día"));
        let expected =
            [("kairos:process-id", "proceso-Y2llcnJlIGRlbCBkw61h"), ("kairos:process-name", "cierre del día")];
        assert_eq!(tags, expected.map(|(key, value)| (key, value.to_owned())));
        let tags = tags_of(&ProcessId::of(&"日".repeat(85)));
        assert!(tags.len() == 1 && tags[0].1.len() == 256, "{tags:?}");
    }
}
