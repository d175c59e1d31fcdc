//! The algorithms over the services of one installation.
//!
//! Each part asks only for the names that it needs, and only for the services that it calls: a dispatcher can do without the roles of
//! the triggers, and its binary without their SDK.

use std::sync::Arc;

use aws_config::SdkConfig;
use kairos::Result;
use kairos::clock::SystemClock;

use crate::{Config, DynamoStore, SqsQueue, TableNames};

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

    /// What queues the processes of an occurrence, over the tables and the queue.
    ///
    /// # Errors
    /// [`Invalid`](kairos::ErrorKind::Invalid) if a name that is needed is not configured.
    pub fn dispatcher(&self, sdk: &SdkConfig) -> Result<kairos::Dispatcher> {
        let queue = Arc::new(self.queue(sdk)?);
        Ok(kairos::Dispatcher::new(self.store(sdk)?, queue, Arc::new(SystemClock)))
    }

    /// What executes what is on the queue, with history, calling the targets whose features are on. Its sessions are called as the
    /// application is.
    ///
    /// # Errors
    /// [`Invalid`](kairos::ErrorKind::Invalid) if a name that is needed is not configured.
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
        let history = crate::DynamoHistory::new(&aws_sdk_dynamodb::Client::new(sdk), &self.tables()?);
        let executor = kairos::Executor::new(receiver, Arc::new(invoker), clock);
        Ok(executor.with_history(Arc::new(history)).with_config(ExecutorConfig::default().with_policy(policy)))
    }
}
