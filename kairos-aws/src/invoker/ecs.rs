//! Clusters: a task is run under the execution id, so that it is run once.

use aws_sdk_ecs::Client;
use aws_sdk_ecs::operation::run_task::builders::RunTaskFluentBuilder;
use aws_sdk_ecs::operation::run_task::{RunTaskError, RunTaskOutput};
use aws_sdk_ecs::types;
use kairos::container_task as ours;
use kairos::{ContainerTask, Error, ErrorKind, Fault};

use super::failure::Failure;
use super::{Call, send_as};
use crate::error;

pub(super) async fn invoke(client: &Client, call: &Call<'_>) -> Result<(), Failure> {
    let id = call.invocation.execution_id.to_string();
    let request = request(client.run_task(), call.invocation.container_task()?)?;
    let request = request.cluster(call.target.as_str()).client_token(&id).started_by(id);
    match send_as!(aws_sdk_ecs, call, request) {
        Ok(answer) => Ok(outcome(&answer)?),
        Err(error) if error.as_service_error().is_some_and(has_been_run) => Ok(()),
        Err(error) => Err(Failure::of(error, error::of_run_task)),
    }
}

/// One task was asked for: it is run, or there is a failure.
fn outcome(answer: &RunTaskOutput) -> Result<(), Error> {
    if !answer.tasks().is_empty() {
        return Ok(());
    }
    let failure = answer.failures().first();
    let (reason, detail) = failure.map_or((None, None), |failure| (failure.reason(), failure.detail()));
    Err(error::task_not_run(reason, detail))
}

/// An earlier try has run it, and its parameters said which try it was.
fn has_been_run(error: &RunTaskError) -> bool {
    matches!(error, RunTaskError::ConflictException(conflict) if !conflict.resource_ids().is_empty())
}

fn request(request: RunTaskFluentBuilder, task: ContainerTask) -> Result<RunTaskFluentBuilder, Error> {
    let overrides =
        (task.overrides != ours::TaskOverrides::default()).then(|| overrides(task.overrides)).transpose()?;
    let network = task.network_configuration.map(|network| network_configuration(network.awsvpc_configuration));
    let providers = task.capacity_provider_strategy.into_iter().map(capacity_provider).collect::<Result<_, _>>()?;
    let constraint = |constraint: ours::PlacementConstraint| {
        types::PlacementConstraint::builder()
            .r#type(constraint.r#type.as_str().into())
            .set_expression(constraint.expression)
            .build()
    };
    let strategy = |strategy: ours::PlacementStrategy| {
        types::PlacementStrategy::builder().r#type(strategy.r#type.as_str().into()).set_field(strategy.field).build()
    };
    let tag = |tag: ours::TaskTag| types::Tag::builder().key(tag.key).value(tag.value).build();
    Ok(request
        .task_definition(task.task_definition)
        .set_launch_type(task.launch_type.as_deref().map(Into::into))
        .set_capacity_provider_strategy(list(providers))
        .set_platform_version(task.platform_version)
        .set_network_configuration(network.transpose()?)
        .set_placement_constraints(list(task.placement_constraints.into_iter().map(constraint).collect()))
        .set_placement_strategy(list(task.placement_strategy.into_iter().map(strategy).collect()))
        .set_group(task.group)
        .set_tags(list(task.tags.into_iter().map(tag).collect()))
        .set_propagate_tags(task.propagate_tags.as_deref().map(Into::into))
        .set_enable_ecs_managed_tags(task.enable_ecs_managed_tags)
        .set_enable_execute_command(task.enable_execute_command)
        .set_overrides(overrides))
}

/// An empty list is not sent: to some fields that means something else than nothing.
fn list<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn capacity_provider(provider: ours::CapacityProvider) -> Result<types::CapacityProviderStrategyItem, Error> {
    types::CapacityProviderStrategyItem::builder()
        .capacity_provider(provider.capacity_provider)
        .weight(provider.weight)
        .base(provider.base)
        .build()
        .map_err(error::no_request)
}

fn network_configuration(network: ours::AwsVpcConfiguration) -> Result<types::NetworkConfiguration, Error> {
    let network = types::AwsVpcConfiguration::builder()
        .set_subnets(Some(network.subnets))
        .set_security_groups(list(network.security_groups))
        .set_assign_public_ip(network.assign_public_ip.as_deref().map(Into::into))
        .build()
        .map_err(error::no_request)?;
    Ok(types::NetworkConfiguration::builder().awsvpc_configuration(network).build())
}

fn overrides(overrides: ours::TaskOverrides) -> Result<types::TaskOverride, Error> {
    let containers = overrides.container_overrides.into_iter().map(container).collect::<Result<_, _>>()?;
    let disk = overrides
        .ephemeral_storage
        .map(|disk| types::EphemeralStorage::builder().size_in_gib(disk.size_in_gib).build());
    Ok(types::TaskOverride::builder()
        .set_container_overrides(list(containers))
        .set_cpu(overrides.cpu)
        .set_memory(overrides.memory)
        .set_ephemeral_storage(disk)
        .build())
}

fn container(container: ours::ContainerOverride) -> Result<types::ContainerOverride, Error> {
    let variable =
        |variable: ours::Variable| types::KeyValuePair::builder().name(variable.name).value(variable.value).build();
    let file = |file: ours::Requirement| {
        types::EnvironmentFile::builder().r#type(file.r#type.as_str().into()).value(file.value).build()
    };
    let requirement = |requirement: ours::Requirement| {
        let builder = types::ResourceRequirement::builder().r#type(requirement.r#type.as_str().into());
        builder.value(requirement.value).build()
    };
    let files = container.environment_files.into_iter().map(file).collect::<Result<_, _>>();
    let requirements = container.resource_requirements.into_iter().map(requirement).collect::<Result<_, _>>();
    Ok(types::ContainerOverride::builder()
        .name(container.name)
        .set_command(container.command)
        .set_environment(list(container.environment.into_iter().map(variable).collect()))
        .set_environment_files(list(files.map_err(error::no_request)?))
        .set_cpu(container.cpu)
        .set_memory(container.memory)
        .set_memory_reservation(container.memory_reservation)
        .set_resource_requirements(list(requirements.map_err(error::no_request)?))
        .build())
}

/// Whether the cluster and the task definition are there.
pub(super) async fn check(client: &Client, call: &Call<'_>) -> Result<(), Failure> {
    let request = client.describe_clusters().clusters(call.target.as_str());
    let answer = send_as!(aws_sdk_ecs, call, request);
    let answer = answer.map_err(|error| Failure::of(error, error::of_describe_clusters))?;
    // One that was deleted may be shown for a while.
    if !answer.clusters().iter().any(|cluster| cluster.status() != Some("INACTIVE")) {
        return Err(Error::new(ErrorKind::NotFound, "the service knows no such cluster").into());
    }
    // Parameters that are no task have been told of already.
    let Ok(task) = call.invocation.container_task() else { return Ok(()) };
    let request = client.describe_task_definition().task_definition(&task.task_definition);
    let refused = |error: Error| {
        let message = format!("'{}' is no task definition that can be run: {}", task.task_definition, error.message());
        error.with_faults(vec![Fault::new("parametros", message)])
    };
    match send_as!(aws_sdk_ecs, call, request) {
        Ok(answer) => {
            let status = answer.task_definition().and_then(|definition| definition.status());
            if status.is_some_and(|status| *status != types::TaskDefinitionStatus::Active) {
                return Err(refused(Error::new(ErrorKind::Rejected, "it is not active")).into());
            }
            Ok(())
        }
        Err(error) => {
            let mut failure = Failure::of(error, error::of_describe_task_definition);
            if failure.error.kind() == ErrorKind::Rejected {
                failure.error = refused(failure.error);
            }
            Err(failure)
        }
    }
}
