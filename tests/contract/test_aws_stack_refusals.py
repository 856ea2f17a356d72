"""What the AWS stack refuses to start with, as a deployment would refuse it, or time out on."""

import json
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import requests
from botocore.exceptions import ClientError

from emulators.aws import AwsStack, StackError
from emulators.aws.dynamodb_local import DynamoDBLocal
from emulators.aws.errors import PolicyError, ProjectError, ScheduleError, TemplateError

PROJECT = Path(__file__).parent / "fixtures" / "aws_project"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    copy = tmp_path / "project"
    shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def start(project: Path) -> AwsStack:
    return AwsStack(project, templates=[project / "infra/template.json"], state_dir=project.parent / "state").start()


def policy(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda project: change(project / ".chalice" / name, old, new)


def source(old: str, new: str) -> Callable[[Path], None]:
    return lambda project: change(project / "app.py", old, new)


def template(old: str, new: str) -> Callable[[Path], None]:
    return lambda project: change(project / "infra/template.json", old, new)


@pytest.mark.parametrize(
    ("damage", "error", "named"),
    [
        (source("import json\n", "import json\nimport no_such_module\n"), ProjectError, "no_such_module"),
        (source('queue="small-work"', 'queue="elsewhere"'), StackError, "no queue elsewhere"),
        (source("Rate(1, unit=Rate.MINUTES)", '"cron(0 0 L * ? *)"'), ScheduleError, "'L'"),
        (policy("policy-work.json", '"sqs:DeleteMessage", ', ""), StackError, "sqs:DeleteMessage"),
        (policy("policy-tick.json", "2012-10-17", "2008-10-17"), PolicyError, "policy-tick.json: Version"),
        (policy("policy-tick.json", "Notes", "Nothing"), TemplateError, "policy-tick.json.*Nothing"),
        (lambda project: (project / ".chalice/policy-tick.json").unlink(), StackError, "no policy file"),
        (template('"BillingMode"', '"BillingMood"'), TemplateError, "Notes: .*BillingMood"),
        (template('"Ref": "NamesKey"', '"Fn::ImportValue": "x"'), TemplateError, "NamesAlias.*Fn::ImportValue"),
        (template('{"Ref": "SealName"}', '{"Ref": "SealNames"}'), TemplateError, "SEAL_FUNCTION: .*SealNames"),
    ],
)
def test_what_a_deployment_would_refuse_does_not_start(
    project: Path, damage: Callable[[Path], None], error: type[Exception], named: str
) -> None:
    damage(project)
    with pytest.raises(error, match=named):
        start(project)
    # Nothing is left behind: the next stack starts.
    shutil.rmtree(project)
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("__pycache__"))
    start(project).stop()


def test_a_function_over_its_time_out_is_ended_and_the_next_event_finds_another(project: Path) -> None:
    config = json.loads((project / ".chalice/config.json").read_text())
    config["stages"]["prod"]["lambda_functions"]["api_handler"]["lambda_timeout"] = 1
    (project / ".chalice/config.json").write_text(json.dumps(config))
    stack = start(project)
    try:
        answer = requests.get(stack.gateway_url + "/sleep/30", timeout=10)
        assert (answer.status_code, answer.json()) == (502, {"message": "Internal server error"})
        assert requests.get(stack.gateway_url + "/login", timeout=10).status_code == 401
    finally:
        stack.stop()


def test_partial_failures_count_where_the_template_asks_for_them(project: Path) -> None:
    change(project / "app.py", "batch_size=1", "batch_size=10")
    change(
        project / "app.py",
        "    for record in event:",
        "    records = event.to_dict()['Records']\n"
        "    kept = [{'itemIdentifier': r['messageId']} for r in records if 'fail' in r['body']]\n"
        "    return {'batchItemFailures': kept}\n"
        "    for record in event:",
    )
    path = project / "infra/template.json"
    template = json.loads(path.read_text())
    asked = {"WorkSqsEventSource": {"Properties": {"FunctionResponseTypes": ["ReportBatchItemFailures"]}}}
    template["Resources"]["Work"]["Properties"]["Events"] = asked
    path.write_text(json.dumps(template))
    stack = start(project)
    try:
        sqs, queue = stack.client("sqs"), stack.created.refs["WorkQueue"]
        entries = [{"Id": str(n), "MessageBody": "fail" if n % 2 else "pass"} for n in range(4)]
        sqs.send_message_batch(QueueUrl=queue, Entries=entries)
        counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        left = {"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "2"}
        deadline = time.monotonic() + 10
        while sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=counts)["Attributes"] != left:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        stack.stop()


def test_the_gateways_own_address_can_be_a_parameter_and_a_setting(project: Path) -> None:
    path = project / "infra/template.json"
    template = json.loads(path.read_text())
    template["Parameters"] = {"BaseUrl": {"Type": "String"}}
    template["Resources"]["APIHandler"]["Properties"]["Environment"]["Variables"]["BASE_URL"] = {"Ref": "BaseUrl"}
    path.write_text(json.dumps(template))
    stack = AwsStack(
        project,
        templates=[path],
        state_dir=project.parent / "state",
        parameters={"BaseUrl": "${Gateway.Url}"},
        environment={"work": {"AT": "${Gateway.Url}/notes"}},
    )
    with stack:
        assert stack.function_environment("api_handler")["BASE_URL"] == stack.gateway_url
        assert stack.function_environment("work")["AT"] == stack.gateway_url + "/notes"
        assert "AT" not in stack.function_environment("api_handler")


@pytest.mark.java
def test_the_tables_may_live_in_dynamodb_local_behind_the_same_gate(
    project: Path, dynamodb_local: DynamoDBLocal
) -> None:
    template, direct = project / "infra/template.json", dynamodb_local.client()
    stack = AwsStack(project, templates=[template], state_dir=project.parent / "state", dynamodb=dynamodb_local.url)
    with closing(direct), stack:
        answer = requests.post(stack.gateway_url + "/notes", json={"id": "x", "text": "y"}, timeout=10)
        assert answer.status_code == 201
        found = direct.get_item(TableName="small-notes", Key={"id": {"S": "x"}})
        assert found["Item"]["text"]["S"] == "y"
        with pytest.raises(ClientError, match="dynamodb:Scan"):
            stack.client("dynamodb", "api_handler").scan(TableName="small-notes")
        direct.delete_table(TableName="small-notes")


def test_settings_given_by_hand_go_before_the_templates_and_may_refer(project: Path) -> None:
    environment = {"*": {"EXTRA": "${Notes}"}, "api_handler": {"NOTES_TABLE": "${Notes.Arn}"}}
    stack = AwsStack(
        project,
        templates=[project / "infra/template.json"],
        state_dir=project.parent / "state",
        environment=environment,
    )
    with stack:
        assert "EXTRA" in requests.get(stack.gateway_url + "/environment", timeout=10).json()["names"]
        assert requests.post(stack.gateway_url + "/notes", json={"id": "x", "text": "y"}, timeout=10).status_code == 201
