//! What every binary begins with.

use std::sync::Arc;

use aws_config::SdkConfig;
use kairos::clock::{Clock, SystemClock};
use kairos_aws::Config;

use super::connections;
use crate::telemetry::{self, Metrics};

/// What keeps a program from starting.
pub type SetupError = Box<dyn std::error::Error + Send + Sync>;

/// What a program is part of: its names, and how it reaches the services.
#[derive(Clone, Debug)]
pub struct Installation {
    /// What everything is called.
    pub config: Config,
    /// Region, credentials, endpoints.
    pub sdk: SdkConfig,
    /// The clock that everything runs on.
    pub clock: Arc<dyn Clock>,
    namespace: String,
}

impl Installation {
    /// Starts logging, and reads the environment and what it refers to. Clients are made of it once, before the first event.
    ///
    /// # Errors
    /// If the parameter store is to be asked and does not answer.
    pub async fn from_environment() -> Result<Self, SetupError> {
        telemetry::start();
        let sdk = connections::load().await;
        let app = variable("KAIROS_APP").unwrap_or_else(|| "Kairos".into());
        let config = match variable("KAIROS_PARAMETER_STORE").as_deref() {
            Some("off") => Config::new(app),
            _ => Config::from_parameters(app, &aws_sdk_ssm::Client::new(&sdk)).await?,
        };
        Ok(Self {
            config: config.with_environment(),
            sdk,
            clock: Arc::new(SystemClock),
            namespace: variable("KAIROS_METRICS_NAMESPACE").unwrap_or_else(|| "Kairos".into()),
        })
    }

    /// Metrics of this application.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::new(self.namespace.as_str(), self.config.app.as_str())
    }
}

/// A variable that is set and not empty.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
