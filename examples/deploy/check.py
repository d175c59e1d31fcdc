"""Deploys both templates and follows processes through what they make, over real HTTP, with IAM enforced.

scripts/deployed runs it: python3 check.py ENDPOINT FOLDER-OF-ZIPS. Each step that is not as it should be ends it with what was seen.
"""

import base64
import datetime
import json
import pathlib
import sys
import time
import urllib.error
import urllib.request

import boto3
from botocore.config import Config

ACCOUNT, REGION = "123456789012", "us-east-1"
HERE = pathlib.Path(__file__).parent
ENDPOINT, ZIPS = sys.argv[1], pathlib.Path(sys.argv[2])
EXTERNAL_ID = "solo-kairos"
# In which the server differs from AWS: batches are actions of their own, every trigger is one of the group "default", and a number that is a
# parameter is text.
DIFFERENCES = [
    ("Action: sqs:SendMessage\n", "Action: [sqs:SendMessage, sqs:SendMessageBatch]\n"),
    ("Action: sqs:SendMessage,", "Action: [sqs:SendMessage, sqs:SendMessageBatch],"),
    ("sqs:DeleteMessage, sqs:Change", "sqs:DeleteMessage, sqs:DeleteMessageBatch, sqs:Change"),
    ("schedule/${ScheduleGroup}/*", "schedule/default/*"),
    ("MaximumConcurrency: !Ref MaxConcurrency", "MaximumConcurrency: 50"),
]


def client(service, key=ACCOUNT, secret="secret", token=None):
    return boto3.client(
        service, endpoint_url=ENDPOINT, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret,
        aws_session_token=token, config=Config(retries={"max_attempts": 1}),
    )


def say(text):
    print(f"   {text}", flush=True)


def expect(condition, seen):
    if not condition:
        sys.exit(f"not as it should be: {seen}")


def within(seconds, what, ask):
    """What `ask` answers, once it answers anything."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if answer := ask():
            return answer
        time.sleep(0.5)
    sys.exit(f"not within {seconds} s: {what}")


def deploy(name, template, **parameters):
    formation = client("cloudformation")
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    body = (HERE / template).read_text()
    for ours, theirs in DIFFERENCES:
        body = body.replace(ours, theirs)
    # Without a bucket for the template itself CloudFormation takes no more.
    expect(len(body.encode()) <= 51_200, f"{template}, of {len(body.encode())} bytes")
    formation.create_stack(StackName=name, TemplateBody=body, Parameters=given, Capabilities=["CAPABILITY_NAMED_IAM"])

    def ended():
        stack = formation.describe_stacks(StackName=name)["Stacks"][0]
        return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack

    stack = within(120, f"stack {name}", ended)
    events = formation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [(event["LogicalResourceId"], event.get("ResourceStatusReason")) for event in events if "FAILED" in event["ResourceStatus"]]
    expect(stack["StackStatus"] == "CREATE_COMPLETE", (stack["StackStatus"], failed))
    made = formation.describe_stack_resources(StackName=name)["StackResources"]
    say(f"{template}: {len(made)} resources")
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


class Api:
    def __init__(self, outputs):
        self.base = f"{ENDPOINT}/restapis/{outputs['ApiId']}/v1/_user_request_"
        self.key = client("apigateway").get_api_key(apiKey=outputs["ApiKeyId"], includeValue=True)["value"]

    def call(self, method, path, body=None, key=True):
        """Status and answer."""
        headers = {"content-type": "application/json"} | ({"x-api-key": self.key} if key else {})
        data = None if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text


def check_policies():
    """Each role allows what kairos-aws says that its part needs, and the little more that a function does."""
    names = {"Partition": "aws", "Region": REGION, "Account": ACCOUNT, "App": "Kairos", "Group": "Kairos", "Queue": "Kairos-ejecuciones",
             "DeadLetters": "Kairos-ejecuciones-muertas", "RolePrefix": "kairos-", "TriggerRole": "Kairos-disparador"}
    more = {"api": {"KeepWhatFailed", "Log", "Executions", "ExecutionsOfAProcess", "ExecutionsByState"},
            "despachador": {"GoOn", "KeepWhatFailed", "Log"}, "ejecutor": {"Log", "EventSource"}}
    for role, part in (("api", "scheduler"), ("despachador", "dispatcher"), ("ejecutor", "executor")):
        text = (HERE.parent.parent / "kairos-aws" / "policies" / f"{part}.json").read_text()
        for name, value in names.items():
            text = text.replace("${" + name + "}", value)
        needed = {statement["Sid"]: statement for statement in json.loads(text)["Statement"]}
        policy = client("iam").get_role_policy(RoleName=f"Kairos-{role}", PolicyName=part)["PolicyDocument"]
        policy = json.dumps(policy) if not isinstance(policy, str) else policy
        has = {statement["Sid"]: statement for statement in json.loads(policy.replace("schedule/default/", "schedule/Kairos/"))["Statement"]}
        for statement in [*needed.values(), *has.values()]:
            actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            statement["Action"] = sorted(action for action in actions if not action.endswith("Batch"))
        expect(has.keys() - needed.keys() == more[role], (role, has.keys() ^ needed.keys()))
        for sid, statement in needed.items():
            expect(has.get(sid) == statement, (role, has.get(sid), statement))
    say("roles: as kairos-aws/policies has them")


def soon():
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=5)).strftime("at(%Y-%m-%dT%H:%M:%S)")


def order(**changes):
    given = json.loads((HERE.parent / "events" / "order.json").read_text())
    placeholders = {"IdEjecucion": "<kairos.execution-id>", "FechaProgramada": "<kairos.scheduled-time>"}
    return json.dumps(given | placeholders | changes)


def main():
    storage = client("s3")
    storage.create_bucket(Bucket="codigo")
    for path in ZIPS.glob("*.zip"):
        storage.upload_file(str(path), "codigo", f"1/{path.name}")
    code = {"CodeBucket": "codigo", "CodePrefix": "1/", "Architecture": "x86_64"}
    kairos = deploy("kairos", "template.yaml", **code, AlarmEmail="nadie@example.com", AlarmPeriod="10", ExternalId=EXTERNAL_ID, ExecutorTimeout="60")
    orders = deploy("pedidos", "orders.yaml", **code, ExecutorRoleArn=kairos["ExecutorRoleArn"], ExternalId=EXTERNAL_ID)
    check_policies()
    queues = client("sqs")
    allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    heard = queues.create_queue(QueueName="oidas", Attributes={"Policy": policy})["QueueUrl"]
    client("sns").subscribe(TopicArn=kairos["AlarmTopicArn"], Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:oidas")

    api = Api(kairos)
    status, answer = api.call("GET", "/Procesos", key=False)
    expect(status == 403, (status, answer))
    sound = {"nombre": "pedido", "cron": soon(), "arnRol": orders["ProcessRoleArn"], "arnProceso": orders["FunctionArn"], "parametros": order()}
    status, process = api.call("POST", "/Procesos", sound)
    expect(status == 200 and process["Nombre"] == "pedido", (status, process))
    status, answer = api.call("POST", "/Procesos", sound | {"nombre": "ajeno", "arnRol": f"arn:aws:iam::{ACCOUNT}:role/otro"})
    expect(status == 400 and "arnRol" in json.dumps(answer), (status, answer))
    say(f"registered through the API: {process['IdProceso']} ({sound['cron']})")

    table = client("dynamodb")
    state = {":estado": {"S": "pendiente"}}
    query = {"TableName": orders["TableName"], "IndexName": "PorEstado", "KeyConditionExpression": "Estado = :estado", "ExpressionAttributeValues": state}
    stored = within(90, "the order at its target", lambda: table.query(**query)["Items"])
    expect(len(stored) == 1, stored)
    execution = stored[0]["IdEjecucion"]["S"]
    say(f"the trigger fired, was dispatched and executed: order {execution} is stored")
    done = within(30, "its execution in the history", lambda: (api.call("GET", f"/Ejecuciones/{execution}")[1] or {}).get("Estado") == "Exitosa")
    expect(done, done)

    # A target that cannot read what it gets fails after it was called; one that is gone fails at the call, for good.
    client("lambda").delete_function(FunctionName=orders["FunctionArn"])
    status, answer = api.call("POST", "/Procesos", sound | {"nombre": "roto", "cron": soon()})
    expect(status == 200, (status, answer))
    dead = kairos["ExecutionDeadLetterQueueUrl"]

    def letter():
        messages = queues.receive_message(QueueUrl=dead, WaitTimeSeconds=5, MessageAttributeNames=["All"], VisibilityTimeout=0).get("Messages", [])
        return messages[0] if messages else None

    letter = within(90, "the dead letter", letter)
    reason = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    expect(orders["FunctionArn"] in reason.values() and any("not-found" in value for value in reason.values()), reason)
    say(f"the target was deleted: dead letter with {json.dumps(reason, ensure_ascii=False)}")
    alarm = "Kairos-ejecuciones-muertas"

    def raised():
        # SQS tells CloudWatch each minute how many messages there are; the server's does not, so what it would tell is told here.
        depth = int(queues.get_queue_attributes(QueueUrl=dead, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessages"])
        dimensions = [{"Name": "QueueName", "Value": dead.rsplit("/", 1)[1]}]
        point = {"MetricName": "ApproximateNumberOfMessagesVisible", "Dimensions": dimensions, "Value": depth}
        watch = client("cloudwatch")
        watch.put_metric_data(Namespace="AWS/SQS", MetricData=[point])
        return watch.describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]["StateValue"] == "ALARM"

    within(120, f"alarm {alarm}", raised)
    told = within(60, "the alarm's message", lambda: queues.receive_message(QueueUrl=heard, WaitTimeSeconds=5).get("Messages"))
    expect(alarm in told[0]["Body"], told)
    say(f"alarm {alarm} was raised and told")

    # Whatever a schedule would call hourly finds nothing to repair.
    answer = client("lambda").invoke(FunctionName="Kairos-conciliador", Payload=b"{}")
    report = json.loads(answer["Payload"].read())
    expect("FunctionError" not in answer and report.get("Hallazgos") == [], report)
    for name in ("pedido", "roto"):
        status, answer = api.call("DELETE", "/Procesos/proceso-" + base64.b64encode(name.encode()).decode().replace("=", "."))
        expect(status == 200, (status, answer))
    left = client("scheduler").list_schedules(GroupName="Kairos")["Schedules"]
    expect(left == [], left)
    say("reconciled, unregistered: no trigger is left")


if __name__ == "__main__":
    main()
