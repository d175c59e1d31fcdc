//! How long a call of a service may take: every call ends by itself.

use std::time::Duration;

use aws_smithy_types::timeout::TimeoutConfig;

/// The timeouts that a client was made with, and these where it has none.
pub(crate) fn bounded(configured: Option<&TimeoutConfig>, attempt: Duration, operation: Duration) -> TimeoutConfig {
    let defaults = TimeoutConfig::builder().operation_attempt_timeout(attempt).operation_timeout(operation).build();
    let timeouts = configured.map(TimeoutConfig::to_builder).unwrap_or_default();
    timeouts.take_unset_from(defaults.into_builder()).build()
}
