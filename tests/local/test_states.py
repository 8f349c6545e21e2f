"""Any order of calls keeps the service's state machine."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.local.clients import Clients

STATES = ("TRAINING_COMPLETED", "RUNNING", "STOPPED")


class ModelLife(RuleBasedStateMachine):
    """A few models of one project, each in the state that the calls so far lead to."""

    clients: Clients

    def __init__(self) -> None:
        super().__init__()
        self.project = self.clients.project()
        self.clients.trained(self.project)
        self.model = {"v1": "TRAINING_COMPLETED"}
        self.made = 1

    def arn(self, name: str) -> str:
        arn: str = self.clients.describe(self.project, name)["ProjectVersionArn"]
        return arn

    @rule()
    @precondition(lambda self: self.made < 4)
    def train(self) -> None:
        self.made += 1
        name = f"v{self.made}"
        assert self.clients.version(self.project, name)["Status"] == "TRAINING_COMPLETED"
        self.model[name] = "TRAINING_COMPLETED"

    @rule(data=st.data())
    @precondition(lambda self: self.model)
    def start(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        running = sum(state == "RUNNING" for state in self.model.values())
        code = self.clients.code(
            self.clients.service.start_project_version, ProjectVersionArn=self.arn(name), MinInferenceUnits=1
        )
        if self.model[name] == "RUNNING":
            assert code == "ResourceInUseException"
        elif running >= 2:
            assert code == "LimitExceededException"
        else:
            assert code == ""
            self.model[name] = "RUNNING"

    @rule(data=st.data())
    @precondition(lambda self: self.model)
    def stop(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        code = self.clients.code(self.clients.service.stop_project_version, ProjectVersionArn=self.arn(name))
        if self.model[name] == "RUNNING":
            assert code == ""
            self.model[name] = "STOPPED"
        else:
            assert code == "ResourceInUseException"

    @rule(data=st.data())
    @precondition(lambda self: self.model)
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        code = self.clients.code(
            self.clients.service.delete_project_version, ProjectVersionArn=self.arn(name)
        )
        if self.model[name] == "RUNNING":
            assert code == "ResourceInUseException"
        else:
            assert code == ""
            del self.model[name]

    @rule(data=st.data())
    @precondition(lambda self: self.model)
    def detect(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model)))
        where = self.clients.s3.list_objects_v2(Bucket=self.clients.bucket)["Contents"]
        key = next(item["Key"] for item in where if item["Key"].endswith(".jpg"))
        image = {"S3Object": {"Bucket": self.clients.bucket, "Name": key}}
        code = self.clients.code(
            self.clients.service.detect_custom_labels, ProjectVersionArn=self.arn(name), Image=image
        )
        assert code == ("" if self.model[name] == "RUNNING" else "ResourceNotReadyException")

    @rule()
    def delete_project(self) -> None:
        if self.model:
            assert (
                self.clients.code(self.clients.service.delete_project, ProjectArn=self.project)
                == "ResourceInUseException"
            )

    @invariant()
    def the_service_says_the_same(self) -> None:
        found = self.clients.service.describe_project_versions(ProjectArn=self.project)
        shown = found["ProjectVersionDescriptions"]
        names = {
            item["ProjectVersionArn"].split("/version/")[1].split("/")[0]: item["Status"] for item in shown
        }
        assert names == self.model

    def teardown(self) -> None:
        for name, state in self.model.items():
            if state == "RUNNING":
                self.clients.service.stop_project_version(ProjectVersionArn=self.arn(name))


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_models_live_as_the_service_says(canned: Clients) -> None:
    ModelLife.clients = canned
    run_state_machine_as_test(
        ModelLife, settings=settings(max_examples=8, stateful_step_count=12, deadline=None)
    )
