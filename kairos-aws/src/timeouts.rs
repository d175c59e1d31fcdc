//! How long a call of a service may take: every call ends by itself.

use std::time::Duration;

use aws_smithy_types::timeout::TimeoutConfig;

/// The timeouts that a client was made with, and these where it has none.
pub(crate) fn bounded(configured: Option<&TimeoutConfig>, attempt: Duration, operation: Duration) -> TimeoutConfig {
    let defaults = TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(operation).build();
    let timeouts = configured.map(TimeoutConfig::to_builder).unwrap_or_default();
    timeouts.take_unset_from(defaults.into_builder()).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_was_made_with_stays_and_the_rest_is_bounded() {
        let [one, two, three] = [1, 2, 3].map(Duration::from_secs);
        let bare = bounded(None, one, two);
        assert_eq!((bare.operation_attempt_timeout(), bare.operation_timeout()), (Some(one), Some(two)));
        let configured = TimeoutConfig::builder().connect_timeout(one).operation_timeout(three).build();
        let filled = bounded(Some(&configured), one, two);
        assert_eq!((filled.operation_attempt_timeout(), filled.operation_timeout()), (Some(one), Some(three)));
        assert_eq!(filled.connect_timeout(), Some(one));
    }
}
