//! Requests that were never sent, as something is not configured.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;

const NO_REGION: &str =
    "no region is configured to call the service in; set AWS_REGION, or give the SdkConfig a region";
const NO_CREDENTIALS: &str = "there are no credentials to call the service with; run where the default provider finds some (the role of a \
    function, task or instance, a profile, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or give the SdkConfig a credentials provider";

/// What is missing, if that is why a call failed.
///
/// The SDK has public types for credentials only; all else is told by its words, which are tested on the SDK itself.
pub(super) fn reason(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(cause) = next {
        match cause.downcast_ref() {
            Some(CredentialsError::CredentialsNotLoaded(_)) => return Some(NO_CREDENTIALS.into()),
            Some(failed) => return Some(format!("there are no credentials to call the service with: {failed}")),
            None => {}
        }
        let text = cause.to_string().to_lowercase();
        if text.contains("missing region") || text.contains("missing signing region") {
            return Some(NO_REGION.into());
        }
        if text.contains("no identity resolver") {
            return Some(NO_CREDENTIALS.into());
        }
        next = cause.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_config::retry::RetryConfig;
    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
    use kairos::ErrorKind;

    use super::*;
    use crate::error::sqs::sqs;

    #[derive(Debug)]
    struct Failing(fn() -> CredentialsError);

    impl ProvideCredentials for Failing {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::ready(Err(self.0()))
        }
    }

    fn keys() -> SharedCredentialsProvider {
        SharedCredentialsProvider::new(Credentials::new("key", "secret", None, None, "tests"))
    }

    async fn called(config: &SdkConfig) -> (ErrorKind, String) {
        let config = config.to_builder().behavior_version(BehaviorVersion::latest()).build();
        let error = sqs(aws_sdk_sqs::Client::new(&config).get_queue_url().queue_name("q").send().await.unwrap_err());
        (error.kind(), error.message().to_owned())
    }

    #[tokio::test]
    async fn a_region_that_is_missing_is_named() {
        let config = SdkConfig::builder().credentials_provider(keys()).build();
        let elsewhere = config.to_builder().endpoint_url("http://127.0.0.1:1").build();
        for config in [config, elsewhere] {
            assert_eq!(called(&config).await, (ErrorKind::Unavailable, NO_REGION.into()));
        }
    }

    #[tokio::test]
    async fn credentials_that_are_missing_are_named() {
        let none = SdkConfig::builder().region(Region::new("us-east-1")).build();
        assert_eq!(called(&none).await, (ErrorKind::Unavailable, NO_CREDENTIALS.into()));
        let failing = |error| none.to_builder().credentials_provider(SharedCredentialsProvider::new(Failing(error)));
        let not_loaded = failing(|| CredentialsError::not_loaded("no variable, no profile")).build();
        assert_eq!(called(&not_loaded).await, (ErrorKind::Unavailable, NO_CREDENTIALS.into()));
        let timed_out = failing(|| CredentialsError::provider_timed_out(Duration::from_secs(1))).build();
        let expected =
            "there are no credentials to call the service with: credentials provider timed out after 1 seconds";
        assert_eq!(called(&timed_out).await, (ErrorKind::Unavailable, expected.into()));
    }

    #[tokio::test]
    async fn a_service_that_is_not_there_is_something_else() {
        let config = SdkConfig::builder().region(Region::new("us-east-1")).credentials_provider(keys());
        let config = config.endpoint_url("http://127.0.0.1:1").retry_config(RetryConfig::disabled()).build();
        assert_eq!(called(&config).await, (ErrorKind::Unavailable, "the service could not be reached".into()));
    }
}
