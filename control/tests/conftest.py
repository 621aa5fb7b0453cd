import pathlib
import sys
import tempfile

import botocore.loaders
import botocore.model
import botocore.session
import botocore.validate
import pytest
from botocore.exceptions import ClientError

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests")]
from control_process import EFS, NETWORK, ROLE, Control  # noqa: E402
from world.postgres import Postgres  # noqa: E402

# Modules whose tests run on both databases: those that are about rows.
ON_BOTH = {"test_agents", "test_durability", "test_events", "test_executions", "test_lists",
           "test_report_keys", "test_schedules", "test_tasks"}


def pytest_generate_tests(metafunc):
    if "postgres" in metafunc.fixturenames and metafunc.module.__name__ in ON_BOTH:
        databases = ["sqlite", "postgresql"]
        metafunc.parametrize("postgres", databases, indirect=True, scope="session")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory):
    with tempfile.TemporaryDirectory(prefix="pg") as directory:
        server = Postgres(directory, tmp_path_factory.mktemp("postgres")).start()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def postgres(request):
    """The server, where control is to use one."""
    if getattr(request, "param", "sqlite") == "postgresql":
        return request.getfixturevalue("postgres_server")
    return None


@pytest.fixture(scope="module")
def control(tmp_path_factory, postgres):
    running = Control(tmp_path_factory.mktemp("control"), postgres)
    yield running
    running.stop()


@pytest.fixture
def own_control(tmp_path, postgres):
    running = Control(tmp_path, postgres)
    yield running
    if running.process.poll() is None:
        running.kill()


@pytest.fixture
def api(control):
    return Checked(control.client())


class Checked:
    """A client whose answers must fit botocore's output shapes, member by member."""

    def __init__(self, client):
        self.client = client
        self.model = client.meta.service_model

    def __getattr__(self, method):
        operation = self.client.meta.method_to_api_mapping[method]
        shape = self.model.operation_model(operation).output_shape

        def call(**members):
            answer = getattr(self.client, method)(**members)
            metadata = answer.pop("ResponseMetadata")
            assert metadata["HTTPStatusCode"] == 200
            assert metadata["RequestId"]
            if shape is not None:
                problems = botocore.validate.ParamValidator().validate(answer, shape)
                assert not problems.has_errors(), problems.generate_report()
            return answer

        return call


def everything(method, **members):
    """The entries of every page: other tests may have filled the list."""
    found, token = [], {}
    while True:
        page = method(**members, **token)
        found += next(value for name, value in page.items() if name != "NextToken")
        if "NextToken" not in page:
            return found
        token = {"NextToken": page["NextToken"]}


class World:
    """Makes what a test needs."""

    def __init__(self, control, api):
        self.control, self.api = control, api

    def agent(self, **members):
        key = self.control.activation_key()
        return self.api.create_agent(ActivationKey=key, **members)["AgentArn"]

    def nfs(self, agent=None, **members):
        members = {"ServerHostname": "nas.example", "Subdirectory": "/export", **members}
        config = {"AgentArns": [agent or self.agent()]}
        return self.api.create_location_nfs(OnPremConfig=config, **members)["LocationArn"]

    def s3(self, **members):
        members = {"S3BucketArn": "arn:aws:s3:::bucket", **members}
        config = {"BucketAccessRoleArn": ROLE}
        return self.api.create_location_s3(S3Config=config, **members)["LocationArn"]

    def store(self, **members):
        members = {"ServerHostname": "s3.example", "BucketName": "bucket", **members}
        return self.api.create_location_object_storage(**members)["LocationArn"]

    def efs(self, **members):
        members = {"EfsFilesystemArn": EFS, "Ec2Config": NETWORK, **members}
        return self.api.create_location_efs(**members)["LocationArn"]

    def task(self, **members):
        members = {
            "SourceLocationArn": self.nfs(),
            "DestinationLocationArn": self.s3(),
            **members,
        }
        return self.api.create_task(**members)["TaskArn"]

    def start(self, task, **members):
        """Starts a task that an agent has found to be usable."""

        def available(record):
            record["readiness"] = {"status": "AVAILABLE"}

        for attempt in range(10):
            self.control.edit("task", task, available)
            try:
                started = self.api.start_task_execution(TaskArn=task, **members)
                return started["TaskExecutionArn"]
            except ClientError as error:
                # The fleet noticed in between that there is no agent.
                if "UNAVAILABLE" not in str(error) or attempt == 9:
                    raise


@pytest.fixture
def world(control, api):
    return World(control, api)


@pytest.fixture
def refused():
    def check(method, code, text, **members):
        with pytest.raises(ClientError) as caught:
            method(**members)
        error = caught.value.response
        assert error["Error"]["Code"] == code, error
        assert text in error["Error"]["Message"], error
        if code == "InvalidRequestException":
            assert error["errorCode"] and error["datasyncErrorCode"]
        return error

    return check
