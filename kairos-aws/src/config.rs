//! What the parts of an installation are called, from wherever that is written down.

use kairos::{Error, ErrorKind, Policy, Result};

macro_rules! names {
    ($($(#[$doc:meta])* $field:ident: $parameter:literal, $variable:literal;)*) => {
        /// The names of everything that an installation consists of, and its numbers: by hand, from [environment variables](Self::with_environment), or from
        /// the parameter store (`from_parameters`, with the feature `ssm`), where the older system keeps them too. Variables override parameters.
        ///
        /// | field | parameter | variable |
        /// | --- | --- | --- |
        $(#[doc = concat!("| [`", stringify!($field), "`](Self::", stringify!($field), ") | `/{App}/", $parameter, "` | `", $variable, "` |")])*
        ///
        /// ```
        /// use kairos_aws::Config;
        ///
        /// let config = Config::new("Kairos");
        /// assert_eq!(config.process_table.as_deref(), Some("KairosProcesos"));
        /// let error = config.required("SQS/QueueUrl").unwrap_err();
        /// assert!(error.to_string().contains("KAIROS_SQS_QUEUE_URL"), "{error}");
        /// ```
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Config {
            /// The name of the application, which all its parameters begin with.
            pub app: String,
            $($(#[$doc])* pub $field: Option<String>,)*
        }

        impl Config {
            /// Nothing but the name of the application.
            fn empty(app: String) -> Self {
                Self { app, $($field: None,)* }
            }

            /// Every name with where it is written down: parameter, below the application's, and variable.
            fn names(&self) -> Vec<(&'static str, &'static str, &Option<String>)> {
                vec![$(($parameter, $variable, &self.$field),)*]
            }

            fn names_mut(&mut self) -> Vec<(&'static str, &'static str, &mut Option<String>)> {
                vec![$(($parameter, $variable, &mut self.$field),)*]
            }
        }
    };
}

names! {
    /// The table of processes.
    process_table: "DynamoDB/NombreTablaProcesos", "KAIROS_DYNAMODB_NOMBRE_TABLA_PROCESOS";
    /// The table of schedule records.
    schedule_table: "DynamoDB/NombreTablaCalendarizaciones", "KAIROS_DYNAMODB_NOMBRE_TABLA_CALENDARIZACIONES";
    /// The table of executions.
    execution_table: "DynamoDB/NombreTablaEjecuciones", "KAIROS_DYNAMODB_NOMBRE_TABLA_EJECUCIONES";
    /// The execution queue.
    queue_url: "SQS/QueueUrl", "KAIROS_SQS_QUEUE_URL";
    /// Its dead-letter queue.
    dead_letter_queue_url: "SQS/DeadLetterQueueUrl", "KAIROS_SQS_DEAD_LETTER_QUEUE_URL";
    /// What triggers call: the dispatcher's function, or the queue that it reads.
    dispatcher_arn: "Dispatcher/LambdaArn", "KAIROS_DISPATCHER_LAMBDA_ARN";
    /// As whom executors run.
    executor_role_arn: "Executor/RoleArn", "KAIROS_EXECUTOR_ROLE_ARN";
    /// What the roles of processes must begin with.
    role_prefix: "Executor/PrefixRoles", "KAIROS_EXECUTOR_PREFIX_ROLES";
    /// The external id that the trust policies of these roles ask for, if they do.
    external_id: "Executor/ExternalId", "KAIROS_EXECUTOR_EXTERNAL_ID";
    /// The group of the triggers.
    schedule_group: "Schedule/NombreGrupo", "KAIROS_SCHEDULE_NOMBRE_GRUPO";
    /// Where firings go that could not be delivered.
    trigger_dead_letter_arn: "Schedule/DeadLetterQueueArn", "KAIROS_SCHEDULE_DEAD_LETTER_QUEUE_ARN";
    /// As whom triggers call the dispatcher.
    trigger_role_arn: "Schedule/RoleArn", "KAIROS_SCHEDULE_ROLE_ARN";
    /// Where the API is served.
    api_url: "Api/Url", "KAIROS_API_URL";
    /// The id of the API's key.
    api_key_id: "Api/KeyId", "KAIROS_API_KEY_ID";
    /// How many partitions each state has in the index of executions by state, 1 to 255; 4 if nothing is said. It must be the same for everything that
    /// writes or reads executions: executors, and whatever lists them. More can be given at any time; with fewer, listings by state miss
    /// what was written to the others, until it changes its state or expires.
    history_partitions: "DynamoDB/ParticionesEjecuciones", "KAIROS_DYNAMODB_PARTICIONES_EJECUCIONES";
    /// Over how many seconds dispatchers spread an occurrence, 0 to 900: as far as a queue delays a message. 0, or nothing, is not at all.
    spread_seconds: "Dispatcher/RepartoSegundos", "KAIROS_DISPATCHER_REPARTO_SEGUNDOS";
}

impl Config {
    /// The tables that an application of this name has, and nothing else yet.
    #[must_use]
    pub fn new(app: impl Into<String>) -> Self {
        let app = app.into();
        let table = |what| Some(format!("{app}{what}"));
        let (process_table, schedule_table, execution_table) =
            (table("Procesos"), table("Calendarizaciones"), table("Ejecuciones"));
        Self { process_table, schedule_table, execution_table, ..Self::empty(app) }
    }

    /// The same, overridden by the environment variables that are set and not empty.
    #[must_use]
    pub fn with_environment(self) -> Self {
        self.overridden_by(|variable| std::env::var(variable).ok())
    }

    pub(crate) fn overridden_by(mut self, value: impl Fn(&'static str) -> Option<String>) -> Self {
        for (_, variable, name) in self.names_mut() {
            if let Some(value) = value(variable).filter(|value| !value.is_empty()) {
                *name = Some(value);
            }
        }
        self
    }

    /// What the parameter store knows of an application, over what it is [called by default](Self::new).
    ///
    /// Each parameter is read by a call of its own: the older system's roles allow no other.
    ///
    /// # Errors
    /// [`Denied`](ErrorKind::Denied), [`Throttled`](ErrorKind::Throttled) and so on, as the parameter store answers. A parameter that is not
    /// there leaves its field as it is.
    #[cfg(feature = "ssm")]
    pub async fn from_parameters(app: impl Into<String>, client: &aws_sdk_ssm::Client) -> Result<Self> {
        use aws_sdk_ssm::operation::get_parameter::GetParameterError;
        use futures_util::{StreamExt as _, TryStreamExt as _, stream};

        let mut config = Self::new(app);
        let app = config.app.clone();
        let parameters: Vec<_> = config.names().iter().map(|(parameter, ..)| *parameter).collect();
        let read = |parameter: &'static str| {
            let request = client.get_parameter().name(format!("/{app}/{parameter}"));
            async move {
                match request.send().await {
                    Ok(answer) => Ok(answer.parameter.and_then(|parameter| parameter.value)),
                    Err(error) if error.as_service_error().is_some_and(GetParameterError::is_parameter_not_found) => {
                        Ok(None)
                    }
                    Err(error) => Err(crate::error::failed(error, |_| None).during("read parameter").about(parameter)),
                }
            }
        };
        // Made beforehand, so that the compiler sees that whoever waits for all this may be sent to another thread.
        let reads: Vec<_> = parameters.into_iter().map(read).collect();
        let values: Vec<_> = stream::iter(reads).buffered(4).try_collect().await?;
        for ((_, _, name), value) in config.names_mut().into_iter().zip(values) {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                *name = Some(value);
            }
        }
        Ok(config)
    }

    /// The name that stands under a parameter, as `SQS/QueueUrl`.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if there is none, saying where to put it.
    pub fn required(&self, parameter: &str) -> Result<&str> {
        let app = &self.app;
        match self.names().into_iter().find(|(name, ..)| *name == parameter) {
            Some((_, _, Some(name))) => Ok(name),
            Some((parameter, variable, None)) => Err(Error::new(
                ErrorKind::Invalid,
                format!(
                    "'{parameter}' is not configured: set {variable}, or put it into the parameter store as /{app}/{parameter}"
                ),
            )),
            None => Err(Error::new(ErrorKind::Invalid, format!("there is no parameter '{parameter}'"))),
        }
    }

    /// The whole number that stands under a parameter, if there is one.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) if it is none of the range, saying where it may have come from.
    #[cfg(all(feature = "dynamodb", feature = "sqs"))]
    pub(crate) fn number(&self, parameter: &str, range: std::ops::RangeInclusive<u16>) -> Result<Option<u16>> {
        let app = &self.app;
        let names = self.names();
        let Some((_, variable, Some(text))) = names.into_iter().find(|(name, ..)| *name == parameter) else {
            return Ok(None);
        };
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        let refused = || {
            let (least, most) = (range.start(), range.end());
            let text = format!(
                "{variable}, or the parameter /{app}/{parameter}, is '{text}': it must be a whole number from {least} to {most}"
            );
            Error::new(ErrorKind::Invalid, text)
        };
        number.ok_or_else(refused).map(Some)
    }

    /// What an installation of this configuration lets in: roles with its prefix, if it has one.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let policy = Policy::default();
        match &self.role_prefix {
            Some(prefix) => policy.with_role_prefix(prefix),
            None => policy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_overrides_and_what_is_empty_does_not() {
        let config = Config::new("App").overridden_by(|variable| match variable {
            "KAIROS_SQS_QUEUE_URL" => Some("https://queue".into()),
            "KAIROS_DYNAMODB_NOMBRE_TABLA_PROCESOS" => Some("Otra".into()),
            "KAIROS_DYNAMODB_NOMBRE_TABLA_EJECUCIONES" => Some(String::new()),
            _ => None,
        });
        assert_eq!(config.required("SQS/QueueUrl").unwrap(), "https://queue");
        assert_eq!(config.process_table.as_deref(), Some("Otra"));
        assert_eq!(config.schedule_table.as_deref(), Some("AppCalendarizaciones"));
        assert_eq!(config.execution_table.as_deref(), Some("AppEjecuciones"));
    }

    #[test]
    fn what_is_missing_says_where_to_put_it() {
        let error = Config::new("App").required("Schedule/RoleArn").unwrap_err().to_string();
        assert_eq!(
            error,
            "'Schedule/RoleArn' is not configured: set KAIROS_SCHEDULE_ROLE_ARN, or put it into the parameter store as \
             /App/Schedule/RoleArn"
        );
        assert!(Config::new("App").required("SQS").is_err());
    }

    #[test]
    fn roles_are_let_in_by_the_prefix() {
        let mut config = Config::new("App");
        assert_eq!(config.policy(), Policy::default());
        config.role_prefix = Some("kairos-".into());
        assert_eq!(config.policy(), Policy::default().with_role_prefix("kairos-"));
    }

    /// The names of the parameters are the older system's (single-parameter calls).
    #[cfg(feature = "ssm")]
    mod parameters {
        use aws_sdk_ssm::Client;
        use aws_sdk_ssm::operation::get_parameter::{GetParameterError, GetParameterOutput};
        use aws_sdk_ssm::types::Parameter;
        use aws_sdk_ssm::types::error::ParameterNotFound;
        use aws_smithy_mocks::{RuleMode, mock, mock_client};

        use super::*;

        #[tokio::test]
        async fn each_is_read_by_itself_and_what_is_missing_stays_as_it_is() {
            let queue = mock!(Client::get_parameter)
                .match_requests(|request| request.name() == Some("/App/SQS/QueueUrl"))
                .then_output(|| {
                    let parameter = Parameter::builder().value("https://queue").build();
                    GetParameterOutput::builder().parameter(parameter).build()
                });
            let missing = mock!(Client::get_parameter)
                .then_error(|| GetParameterError::ParameterNotFound(ParameterNotFound::builder().build()));
            let client = mock_client!(aws_sdk_ssm, RuleMode::MatchAny, [&queue, &missing]);
            let config = Config::from_parameters("App", &client).await.unwrap();
            assert_eq!(config.queue_url.as_deref(), Some("https://queue"));
            assert_eq!(config.process_table.as_deref(), Some("AppProcesos"));
            assert_eq!((queue.num_calls(), missing.num_calls()), (1, config.names().len() - 1));
        }

        #[tokio::test]
        async fn a_denial_names_the_parameter() {
            let denied = mock!(Client::get_parameter).then_http_response(|| {
                aws_smithy_runtime_api::client::orchestrator::HttpResponse::new(
                    400.try_into().unwrap(),
                    aws_smithy_types::body::SdkBody::from(r#"{"__type":"AccessDeniedException","Message":"no"}"#),
                )
            });
            let client = mock_client!(aws_sdk_ssm, RuleMode::MatchAny, [&denied]);
            let error = Config::from_parameters("App", &client).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Denied);
            assert!(error.to_string().starts_with("read parameter DynamoDB/NombreTablaProcesos: "), "{error}");
        }
    }
}
