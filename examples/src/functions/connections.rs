//! How every binary reaches the services: one configuration, and one set of connections for all clients.
//!
//! By itself each client of the SDK, and each that is made of one with other timeouts, has connections of its own, and prepares TLS for them when
//! it is made and once more at its first call, going through every certificate that the machine trusts. For an executor that was sixteen times.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_smithy_async::rt::sleep::SharedAsyncSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use parking_lot::Mutex;

/// Region, credentials and endpoints as the environment has them, and connections that are ready to be opened: at the start Lambda gives a
/// function more of a processor than later on.
pub async fn load() -> SdkConfig {
    Connections::default().load(aws_config::defaults(BehaviorVersion::latest())).await
}

/// How long connecting may take, and how long an answer.
type Limits = (Option<Duration>, Option<Duration>);

/// Connections as the SDK makes them by default, once for each pair of limits.
#[derive(Clone, Debug, Default)]
struct Connections(Arc<Mutex<HashMap<Limits, SharedHttpConnector>>>);

impl Connections {
    async fn load(&self, loader: ConfigLoader) -> SdkConfig {
        let sdk = loader.http_client(self.clone()).load().await;
        let timeouts = sdk.timeout_config();
        let mut settings = HttpConnectorSettings::builder();
        settings.set_connect_timeout(timeouts.and_then(TimeoutConfig::connect_timeout));
        settings.set_read_timeout(timeouts.and_then(TimeoutConfig::read_timeout));
        self.connector(&settings.build(), sdk.sleep_impl());
        sdk
    }

    fn connector(&self, settings: &HttpConnectorSettings, sleep: Option<SharedAsyncSleep>) -> SharedHttpConnector {
        let make = || {
            let tls = Connector::builder().tls_provider(Provider::rustls(CryptoMode::AwsLc));
            let mut builder = tls.proxy_config(ProxyConfig::from_env()).connector_settings(settings.clone());
            builder.set_sleep_impl(sleep);
            SharedHttpConnector::new(builder.build())
        };
        let mut connectors = self.0.lock();
        connectors.entry((settings.connect_timeout(), settings.read_timeout())).or_insert_with(make).clone()
    }
}

impl HttpClient for Connections {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.connector(settings, components.sleep_impl())
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("hyper", Some("1.x".into())))
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{Region, retry::RetryConfig};
    use aws_sdk_sqs::config::Credentials;
    use kairos::backend::{History as _, Message, Queue as _, Receiver as _};
    use kairos::{Body, ExecutionId};
    use kairos_aws::Config;

    use super::*;

    #[tokio::test]
    async fn what_is_made_at_the_start_is_all_that_clients_and_their_calls_need() {
        let connections = Connections::default();
        let made = || connections.0.lock().len();
        let loader = aws_config::defaults(BehaviorVersion::latest()).region(Region::new("us-east-1"));
        let loader = loader.credentials_provider(Credentials::new("a", "b", None, None, "tests"));
        // Nobody listens there.
        let loader = loader.endpoint_url("http://127.0.0.1:1").retry_config(RetryConfig::disabled());
        let sdk = connections.load(loader).await;
        assert_eq!(made(), 1);

        let mut config = Config::new("App");
        config.queue_url = Some("http://127.0.0.1:1/123456789012/q".into());
        let (queue, history) = (config.queue(&sdk).unwrap(), config.history(&sdk).unwrap());
        config.executor(&sdk).unwrap();
        queue.send(&[Message::new(Body::from_json("{}"))]).await.unwrap_err();
        history.get(ExecutionId::of_request(&"".into(), "")).await.unwrap_err();
        assert_eq!(made(), 1);
        // Waiting for messages takes longer than an answer may.
        queue.receive(1, Duration::ZERO).await.unwrap_err();
        assert_eq!(made(), 2);
    }
}
