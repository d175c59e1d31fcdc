//! What a cluster is handed: which task to run, and how.

use serde::{Deserialize, Serialize};

use super::payload::is_object;
use super::placeholders::Placeholders;
use super::policy::limits;

/// The parameters of a process whose target is an ECS cluster: JSON in the words of `RunTask` (ECS API), of which it takes what
/// EventBridge Scheduler lets a target say (`EcsParameters`), and `overrides`. Any other key is refused.
///
/// | left out | because |
/// | --- | --- |
/// | `cluster` | it is the target |
/// | `count` | an execution is one task |
/// | `clientToken`, `startedBy` | they are the execution id: a call that is repeated runs no second task, and the task can be listed |
/// | `overrides.taskRoleArn`, `overrides.executionRoleArn` | who may register processes must not choose as whom they run; the roles are those of the task definition |
///
/// Each container that `overrides` names, be it by `{"name":"app"}` alone, finds `KAIROS_EXECUTION_ID` and `KAIROS_SCHEDULED_TIME` in
/// its environment, unless that says otherwise; these count towards the [`limits::OVERRIDES`] that overrides may take. All else of the
/// execution is there as [`Placeholders`].
///
/// ```
/// use kairos::{Policy, Registration};
///
/// let parameters = r#"{
///     "taskDefinition": "cierre:7",
///     "launchType": "FARGATE",
///     "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
///     "overrides": {"containerOverrides": [{"name": "app", "command": ["cerrar", "<kairos.scheduled-time>"]}]}
/// }"#;
/// let registration = Registration::new("cierre", "rate(1 day)", "arn:aws:ecs:us-east-1:123456789012:cluster/lotes")
///     .with_role("arn:aws:iam::123456789012:role/kairos-cierre")
///     .with_parameters(parameters);
/// Policy::default().check(&registration).unwrap();
///
/// let misspelt = registration.with_parameters(parameters.replace("launchType", "lanchType"));
/// let error = Policy::default().check(&misspelt).unwrap_err();
/// assert!(error.to_string().contains("unknown field `lanchType`"), "{error}");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct ContainerTask {
    /// What to run: `FAMILY`, `FAMILY:REVISION` or an ARN.
    pub task_definition: String,
    /// `FARGATE`, `EC2` or `EXTERNAL`; what the cluster says, if absent.
    pub launch_type: Option<String>,
    /// On whose capacity, instead of a launch type.
    #[serde(default)]
    pub capacity_provider_strategy: Vec<CapacityProvider>,
    /// Version of the platform, of Fargate only.
    pub platform_version: Option<String>,
    /// Where it is connected, for task definitions of network mode `awsvpc`.
    pub network_configuration: Option<NetworkConfiguration>,
    /// Where it may be placed.
    #[serde(default)]
    pub placement_constraints: Vec<PlacementConstraint>,
    /// Where it is placed best.
    #[serde(default)]
    pub placement_strategy: Vec<PlacementStrategy>,
    /// Its task group; `family:FAMILY` if absent.
    pub group: Option<String>,
    /// Tags of the task. The role then has to allow `ecs:TagResource`.
    #[serde(default)]
    pub tags: Vec<TaskTag>,
    /// `TASK_DEFINITION`, if it is to bear the tags of its task definition too.
    pub propagate_tags: Option<String>,
    /// Whether it bears the tags that ECS gives.
    #[serde(rename = "enableECSManagedTags")]
    pub enable_ecs_managed_tags: Option<bool>,
    /// Whether commands may be executed in its containers.
    pub enable_execute_command: Option<bool>,
    /// What differs from the task definition.
    #[serde(default)]
    pub overrides: TaskOverrides,
}

macro_rules! part {
    ($(#[$doc:meta])* $name:ident { $($body:tt)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $name { $($body)* }
    };
}

part! {
    /// A share of a task's capacity.
    CapacityProvider {
        /// Its name, as `FARGATE_SPOT`.
        pub capacity_provider: String,
        /// Its share of the tasks.
        #[serde(default)]
        pub weight: i32,
        /// How many tasks it runs before shares count.
        #[serde(default)]
        pub base: i32,
    }
}

part! {
    /// Where a task is connected.
    NetworkConfiguration {
        /// Its network interface.
        pub awsvpc_configuration: AwsVpcConfiguration,
    }
}

part! {
    /// The network interface of a task.
    AwsVpcConfiguration {
        /// One subnet at least.
        pub subnets: Vec<String>,
        /// That of the network, if empty.
        #[serde(default)]
        pub security_groups: Vec<String>,
        /// `ENABLED` or `DISABLED`.
        pub assign_public_ip: Option<String>,
    }
}

part! {
    /// Where a task may be placed.
    PlacementConstraint {
        /// `distinctInstance` or `memberOf`.
        pub r#type: String,
        /// In the cluster query language.
        pub expression: Option<String>,
    }
}

part! {
    /// Where a task is placed best.
    PlacementStrategy {
        /// `random`, `spread` or `binpack`.
        pub r#type: String,
        /// What it goes by.
        pub field: Option<String>,
    }
}

part! {
    /// A tag of a task.
    TaskTag {
        /// Its key.
        pub key: String,
        /// Its value.
        #[serde(default)]
        pub value: String,
    }
}

part! {
    /// What differs from the task definition.
    TaskOverrides {
        /// By container.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub container_overrides: Vec<ContainerOverride>,
        /// Processor of the whole task, as `1 vCPU` or in units.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub cpu: Option<String>,
        /// Memory of the whole task, as `2 GB` or in MiB.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub memory: Option<String>,
        /// Its disk, of Fargate only.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub ephemeral_storage: Option<EphemeralStorage>,
    }
}

part! {
    /// What differs in a container.
    ContainerOverride {
        /// Its name in the task definition.
        pub name: String,
        /// What it runs.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub command: Option<Vec<String>>,
        /// Variables beside those of the task definition, or instead of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub environment: Vec<Variable>,
        /// Files of variables, of type `s3`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub environment_files: Vec<Requirement>,
        /// Processor, in units.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub cpu: Option<i32>,
        /// Most memory, in MiB.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub memory: Option<i32>,
        /// Least memory, in MiB.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub memory_reservation: Option<i32>,
        /// Its `GPU`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub resource_requirements: Vec<Requirement>,
    }
}

part! {
    /// A variable of an environment.
    Variable {
        /// Its name.
        pub name: String,
        /// Its value.
        pub value: String,
    }
}

part! {
    /// Something of a type.
    Requirement {
        /// Its type.
        pub r#type: String,
        /// Its value.
        pub value: String,
    }
}

part! {
    /// The disk of a task.
    EphemeralStorage {
        /// 21 to 200 GiB.
        #[serde(rename = "sizeInGiB")]
        pub size_in_gib: i32,
    }
}

impl ContainerTask {
    /// Reads it, and tells its containers about their execution.
    pub(crate) fn of(payload: Option<&str>, placeholders: &Placeholders<'_>) -> Result<Self, String> {
        let payload = payload.ok_or("is missing: it says which task to run on the cluster")?;
        let refused = |error: String| format!("is no task to run on a cluster: {error}");
        if !is_object(payload) {
            return Err(refused("a JSON object is expected".into()));
        }
        let mut task: Self = serde_json::from_str(payload).map_err(|error| refused(error.to_string()))?;
        let told = [
            ("KAIROS_EXECUTION_ID", placeholders.execution_id.to_string()),
            ("KAIROS_SCHEDULED_TIME", placeholders.scheduled_time.to_string()),
        ];
        for container in &mut task.overrides.container_overrides {
            for (name, value) in &told {
                if !container.environment.iter().any(|variable| variable.name == *name) {
                    container.environment.push(Variable { name: (*name).into(), value: value.clone() });
                }
            }
        }
        let (size, most) = (task.overrides.size(), limits::OVERRIDES);
        if size > most {
            return Err(format!(
                "makes overrides of {size} bytes with what its containers are told; {most} are allowed"
            ));
        }
        Ok(task)
    }
}

impl TaskOverrides {
    /// In bytes of the JSON that is sent.
    fn size(&self) -> usize {
        // They are of strings and numbers: nothing of them can fail to be written.
        serde_json::to_vec(self).map_or(usize::MAX, |text| text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProcessId;

    fn read(payload: &str) -> Result<ContainerTask, String> {
        let process_id = ProcessId::of("ventas");
        let placeholders = Placeholders {
            execution_id: uuid::Uuid::nil().into(),
            scheduled_time: "2026-01-01T09:00:00Z".parse().unwrap(),
            process_id: &process_id,
            schedule_id: &"calendarizacion-x".into(),
            attempt: 2,
        };
        ContainerTask::of(Some(payload), &placeholders)
    }

    #[test]
    fn every_key_is_read() {
        let task = read(
            r#"{"taskDefinition":"a","launchType":"FARGATE","platformVersion":"1.4.0","group":"g","propagateTags":"TASK_DEFINITION",
                "enableECSManagedTags":true,"enableExecuteCommand":false,"tags":[{"key":"k","value":"v"},{"key":"l"}],
                "capacityProviderStrategy":[{"capacityProvider":"FARGATE_SPOT","weight":2,"base":1}],
                "networkConfiguration":{"awsvpcConfiguration":{"subnets":["s"],"securityGroups":["g"],"assignPublicIp":"ENABLED"}},
                "placementConstraints":[{"type":"memberOf","expression":"e"}],"placementStrategy":[{"type":"spread","field":"f"}],
                "overrides":{"cpu":"256","memory":"512","ephemeralStorage":{"sizeInGiB":30},"containerOverrides":[
                    {"name":"app","command":["a","b"],"environment":[{"name":"N","value":"v"}],"cpu":1,"memory":2,
                     "memoryReservation":3,"environmentFiles":[{"type":"s3","value":"f"}],
                     "resourceRequirements":[{"type":"GPU","value":"1"}]}]}}"#,
        )
        .unwrap();
        assert_eq!((task.tags[1].value.as_str(), task.enable_ecs_managed_tags), ("", Some(true)));
        assert_eq!(task.overrides.container_overrides[0].environment.len(), 3);
    }

    #[test]
    fn what_is_not_the_callers_to_say_is_refused_with_its_name() {
        for (payload, expected) in [
            ("{}", "missing field `taskDefinition`"),
            (r#"["a"]"#, "is no task to run on a cluster"),
            (r#"{"taskDefinition":"a","cluster":"c"}"#, "unknown field `cluster`"),
            (r#"{"taskDefinition":"a","count":2}"#, "unknown field `count`"),
            (r#"{"taskDefinition":"a","clientToken":"t"}"#, "unknown field `clientToken`"),
            (r#"{"taskDefinition":"a","startedBy":"me"}"#, "unknown field `startedBy`"),
            (r#"{"taskDefinition":"a","overrides":{"taskRoleArn":"r"}}"#, "unknown field `taskRoleArn`"),
            (r#"{"taskDefinition":"a","overrides":{"executionRoleArn":"r"}}"#, "unknown field `executionRoleArn`"),
            (r#"{"taskDefinition":"a","taskDefinition":"b"}"#, "duplicate field `taskDefinition`"),
        ] {
            let message = read(payload).unwrap_err();
            assert!(message.contains(expected), "{payload}: {message}");
        }
    }

    #[test]
    fn containers_that_are_named_are_told_unless_they_say_otherwise() {
        let task = read(
            r#"{"taskDefinition":"a","overrides":{"containerOverrides":[
                {"name":"app"},{"name":"other","environment":[{"name":"KAIROS_EXECUTION_ID","value":"mine"}]}]}}"#,
        );
        let told: Vec<Vec<_>> = task
            .unwrap()
            .overrides
            .container_overrides
            .into_iter()
            .map(|container| {
                container.environment.into_iter().map(|variable| (variable.name, variable.value)).collect()
            })
            .collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let time = pair("KAIROS_SCHEDULED_TIME", "2026-01-01T09:00:00Z");
        let id = pair("KAIROS_EXECUTION_ID", "00000000-0000-0000-0000-000000000000");
        assert_eq!(told, [vec![id, time.clone()], vec![pair("KAIROS_EXECUTION_ID", "mine"), time]]);
    }
}
