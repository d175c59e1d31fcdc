//! The algorithms over the services of one installation.
//!
//! Each part asks only for the names that it needs, and only for the services that it calls: a dispatcher can do without the roles of
//! the triggers, and its binary without their SDK.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use kairos::Result;
use kairos::clock::SystemClock;
use kairos::dispatcher::DispatcherConfig;

use crate::{Config, DynamoHistory, DynamoStore, SqsQueue, TableNames};

impl Config {
    /// The names of the tables.
    ///
    /// # Errors
    /// [`Invalid`](kairos::ErrorKind::Invalid) if one is not configured.
    pub fn tables(&self) -> Result<TableNames> {
        let mut names = TableNames::of(&self.app);
        names.processes = self.required("DynamoDB/NombreTablaProcesos")?.into();
        names.schedules = self.required("DynamoDB/NombreTablaCalendarizaciones")?.into();
        names.executions = self.required("DynamoDB/NombreTablaEjecuciones")?.into();
        Ok(names)
    }

    /// The execution queue.
    ///
    /// # Errors
    /// [`Invalid`](kairos::ErrorKind::Invalid) if its URL is not configured.
    pub fn queue(&self, sdk: &SdkConfig) -> Result<SqsQueue> {
        let queue = SqsQueue::new(&aws_sdk_sqs::Client::new(sdk), self.required("SQS/QueueUrl")?);
        Ok(match &self.dead_letter_queue_url {
            Some(url) => queue.with_dead_letters(url.as_str()),
            None => queue,
        })
    }

    /// The executions, in as many partitions as [are configured](Self::history_partitions).
    ///
    /// # Errors
    /// [`Invalid`](kairos::ErrorKind::Invalid) if the name of a table is not configured, or the number of partitions is none from 1 to 255.
    pub fn history(&self, sdk: &SdkConfig) -> Result<DynamoHistory> {
        let partitions = self.number("DynamoDB/ParticionesEjecuciones", 1..=u8::MAX.into())?;
        let history = DynamoHistory::new(&aws_sdk_dynamodb::Client::new(sdk), &self.tables()?);
        Ok(match partitions.and_then(|partitions| u8::try_from(partitions).ok()) {
            Some(partitions) => history.with_partitions(partitions),
            None => history,
        })
    }

    fn store(&self, sdk: &SdkConfig) -> Result<Arc<DynamoStore>> {
        Ok(Arc::new(DynamoStore::new(&aws_sdk_dynamodb::Client::new(sdk), &self.tables()?)))
    }

    /// What registers processes, over the tables, the triggers and the queue.
    ///
    /// Everything that the [`SdkConfig`] says holds for all of them: region, credentials, endpoints, retries, proxies.
    ///
    /// # Errors
    /// [`Invalid`](kairos::ErrorKind::Invalid) if a name that is needed is not configured, or is none.
    #[cfg(feature = "scheduler")]
    pub fn scheduler(&self, sdk: &SdkConfig) -> Result<kairos::Scheduler> {
        use kairos::scheduler::SchedulerConfig;

        let group = self.required("Schedule/NombreGrupo")?;
        let (dispatcher, role) = (self.required("Dispatcher/LambdaArn")?, self.required("Schedule/RoleArn")?);
        let client = aws_sdk_scheduler::Client::new(sdk);
        let mut schedules = crate::EventBridgeSchedules::new(&client, group, dispatcher, role)?;
        if let Some(arn) = &self.trigger_dead_letter_arn {
            schedules = schedules.with_dead_letters(arn.as_str());
        }
        let queue = Arc::new(self.queue(sdk)?);
        let scheduler = kairos::Scheduler::new(self.store(sdk)?, Arc::new(schedules), queue, Arc::new(SystemClock));
        Ok(scheduler.with_config(SchedulerConfig::default().with_policy(self.policy())))
    }

    /// What queues the processes of an occurrence, over the tables and the queue, [spread](Self::spread_seconds) if that is configured.
    ///
    /// # Errors
    /// [`Invalid`](kairos::ErrorKind::Invalid) if a name that is needed is not configured, or the spread is none from 0 to 900 s.
    pub fn dispatcher(&self, sdk: &SdkConfig) -> Result<kairos::Dispatcher> {
        let (store, queue) = (self.store(sdk)?, Arc::new(self.queue(sdk)?));
        Ok(kairos::Dispatcher::with_config(store, queue, Arc::new(SystemClock), self.dispatching()?))
    }

    fn dispatching(&self) -> Result<DispatcherConfig> {
        let spread = self.number("Dispatcher/RepartoSegundos", 0..=900)?;
        Ok(DispatcherConfig::default().with_spread(Duration::from_secs(spread.unwrap_or_default().into())))
    }

    /// What executes what is on the queue, with [history](Self::history), calling the targets whose features are on. Its sessions are called as
    /// the application is.
    ///
    /// # Errors
    /// [`Invalid`](kairos::ErrorKind::Invalid) if a name that is needed is not configured, or a number is out of its range.
    #[cfg(feature = "invoker")]
    pub fn executor(&self, sdk: &SdkConfig) -> Result<kairos::Executor> {
        self.executor_receiving(sdk, Arc::new(self.queue(sdk)?))
    }

    /// The same, settling deliveries with what wraps the [execution queue](Self::queue): something that leaves a part of it to a Lambda event
    /// source, or watches it.
    ///
    /// # Errors
    /// [`Invalid`](kairos::ErrorKind::Invalid) if a name that is needed is not configured.
    #[cfg(feature = "invoker")]
    pub fn executor_receiving(
        &self,
        sdk: &SdkConfig,
        receiver: Arc<dyn kairos::backend::Receiver>,
    ) -> Result<kairos::Executor> {
        use kairos::backend::Invoker as _;
        use kairos::executor::ExecutorConfig;

        let clock = Arc::new(SystemClock);
        let mut sessions = crate::SessionConfig::default().with_name(&self.app);
        sessions.external_id.clone_from(&self.external_id);
        let invoker = crate::AwsInvoker::new(sdk, clock.clone()).with_sessions(sessions)?;
        let policy = self.policy().with_targets(invoker.capabilities());
        let history = self.history(sdk)?;
        let executor = kairos::Executor::new(receiver, Arc::new(invoker), clock);
        Ok(executor.with_history(Arc::new(history)).with_config(ExecutorConfig::default().with_policy(policy)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variable: &str, value: &str) -> Config {
        Config::new("App").overridden_by(|asked| (asked == variable).then(|| value.to_owned()))
    }

    #[test]
    fn partitions_and_spread_are_taken_as_configured() {
        let sdk = SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest()).build();
        for (number, expected) in [("", "partitions: 4,"), ("1", "partitions: 1,"), ("255", "partitions: 255,")] {
            let history = with("KAIROS_DYNAMODB_PARTICIONES_EJECUCIONES", number).history(&sdk).unwrap();
            assert!(format!("{history:?}").contains(expected), "{history:?}");
        }
        for (number, expected) in [("", 0), ("0", 0), ("900", 900)] {
            let dispatching = with("KAIROS_DISPATCHER_REPARTO_SEGUNDOS", number).dispatching().unwrap();
            assert_eq!(dispatching, DispatcherConfig::default().with_spread(Duration::from_secs(expected)));
        }
    }

    #[test]
    fn a_number_out_of_its_range_is_refused_by_the_name_of_its_variable() {
        let sdk = SdkConfig::builder().behavior_version(aws_config::BehaviorVersion::latest()).build();
        for number in ["0", "256", "-1", "4.5", "cuatro", "4294967297"] {
            let error = with("KAIROS_DYNAMODB_PARTICIONES_EJECUCIONES", number).history(&sdk).unwrap_err();
            let told = format!(
                "KAIROS_DYNAMODB_PARTICIONES_EJECUCIONES, or the parameter /App/DynamoDB/ParticionesEjecuciones, is '{number}': it must \
                 be a whole number from 1 to 255"
            );
            assert_eq!((error.kind(), error.to_string()), (kairos::ErrorKind::Invalid, told));
        }
        for number in ["901", "1 min"] {
            let error = with("KAIROS_DISPATCHER_REPARTO_SEGUNDOS", number).dispatching().unwrap_err().to_string();
            assert!(
                error.starts_with("KAIROS_DISPATCHER_REPARTO_SEGUNDOS, ") && error.ends_with(" 0 to 900"),
                "{error}"
            );
        }
    }
}
