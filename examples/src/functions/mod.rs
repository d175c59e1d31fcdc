//! What is deployed on AWS: the functions, and the worker for containers. Each binary starts, wires up and runs one of these modules.
//!
//! | binary | takes | answers |
//! | --- | --- | --- |
//! | `api` | a request through API Gateway, as REST proxy or HTTP API | its answer |
//! | `dispatcher` | a trigger's input | how many executions it queued; goes on by calling itself where its time runs out |
//! | `executor` | a batch of the execution queue | the messages that stay on it (`ReportBatchItemFailures` must be on) |
//! | `reconciler` | anything, hourly | what it found and repaired |
//! | `worker` | both queues, without end | health, on a port |
//!
//! All of them read the same environment:
//!
//! | variable | meaning | if not set |
//! | --- | --- | --- |
//! | `KAIROS_APP` | name of the application, with which tables and parameters begin | `Kairos` |
//! | `KAIROS_PARAMETER_STORE` | `off` reads no parameters: every name is in the environment | parameters are read |
//! | `KAIROS_METRICS_NAMESPACE` | where metrics go | `Kairos` |
//! | `AWS_LAMBDA_LOG_LEVEL` | the least level that is logged | `INFO` |
//!
//! and the names and numbers of [`kairos_aws::Config`]. What dispatches reads another one, [`KAIROS_DISPATCH_RELAY`](dispatch::Relay).

pub mod connections;
pub mod dispatch;
pub mod event_source;
pub mod execute;
pub mod gateway;
pub mod reconcile;
pub mod worker;

mod setup;

pub use setup::{Installation, SetupError};
