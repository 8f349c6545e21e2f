"""The service behind the port: who asks what, and the answer as bytes."""

from __future__ import annotations

import logging
import time
import uuid
from dataclasses import dataclass, field

from tilekit.local import (
    dataset_operations,
    policy_operations,
    project_operations,
    tag_operations,
    version_operations,
)
from tilekit.local.clock import Throttle
from tilekit.local.context import Backend, Caller, Operation, settle
from tilekit.local.detection_operations import DetectionOperation
from tilekit.local.faults import FaultRule
from tilekit.local.protocol import (
    BODY_LIMIT,
    ServiceFault,
    encode_answer,
    encode_fault,
    operation_of,
    parse_request,
)
from tilekit.local.signing import Keys, Request, read_signature

_LOG = logging.getLogger("tilekit.local")


def operations() -> dict[str, Operation]:
    """The operations done here, by name."""
    return {
        "CreateProject": project_operations.create_project,
        "DescribeProjects": project_operations.describe_projects,
        "DeleteProject": project_operations.delete_project,
        "PutProjectPolicy": policy_operations.put_project_policy,
        "ListProjectPolicies": policy_operations.list_project_policies,
        "DeleteProjectPolicy": policy_operations.delete_project_policy,
        "TagResource": tag_operations.tag_resource,
        "UntagResource": tag_operations.untag_resource,
        "ListTagsForResource": tag_operations.list_tags,
        "CreateDataset": dataset_operations.create_dataset,
        "DescribeDataset": dataset_operations.describe_dataset,
        "UpdateDatasetEntries": dataset_operations.update_dataset_entries,
        "ListDatasetEntries": dataset_operations.list_dataset_entries,
        "ListDatasetLabels": dataset_operations.list_dataset_labels,
        "DistributeDatasetEntries": dataset_operations.distribute_dataset_entries,
        "DeleteDataset": dataset_operations.delete_dataset,
        "CreateProjectVersion": version_operations.create_project_version,
        "DescribeProjectVersions": version_operations.describe_project_versions,
        "StartProjectVersion": version_operations.start_project_version,
        "StopProjectVersion": version_operations.stop_project_version,
        "CopyProjectVersion": version_operations.copy_project_version,
        "DeleteProjectVersion": version_operations.delete_project_version,
        "DetectCustomLabels": DetectionOperation(),
    }


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer. `drop`: the connection is closed after `body`, which then is less than announced."""

    status: int
    body: bytes
    request_id: str
    drop: bool = False


@dataclass(slots=True)
class Application:
    """Answers requests with an `X-Amz-Target` of the service."""

    backend: Backend
    keys: Keys
    table: dict[str, Operation] = field(default_factory=operations)
    _limiter: Throttle = field(default_factory=Throttle)

    def answer(self, request: Request, body: bytes) -> Reply:
        """The service's answer to one request; never raises."""
        request_id = str(uuid.uuid4())
        try:
            operation = operation_of(request.headers.get("X-Amz-Target"))
            caller = self._caller(request)
            rule = self.backend.faults.next_fault(operation)
            if rule is None:
                return Reply(200, self._run(operation, caller, body), request_id)
            return self._faulty(rule, operation, caller, body, request_id)
        except ServiceFault as fault:
            return _refusal(fault, request_id)
        except Exception:  # noqa: BLE001 - one bad request must not take the server with it
            _LOG.exception("request %s failed", request_id)
            broken = ServiceFault("InternalServerError", "The server failed; its log has the reason.", 500)
            return _refusal(broken, request_id)

    def refusal(self, fault: ServiceFault) -> Reply:
        """The answer to a request that is not looked at."""
        return _refusal(fault, str(uuid.uuid4()))

    def _faulty(self, rule: FaultRule, operation: str, caller: Caller, body: bytes, request_id: str) -> Reply:
        """The answer to a call that meets a rule; `late` rules let the call be done first."""
        time.sleep(rule.delay)
        answer = self._run(operation, caller, body) if rule.late or not rule.fails else b""
        if rule.drop:
            return Reply(200 if rule.late else 0, answer, request_id, drop=True)
        if rule.error is not None:
            raise ServiceFault(rule.error, rule.message or "A fault on demand.", rule.http_status)
        return Reply(200, answer, request_id)

    def _run(self, operation: str, caller: Caller, body: bytes) -> bytes:
        if len(body) > BODY_LIMIT:
            raise ServiceFault("RequestEntityTooLargeException", "The request body is too large.", 413)
        request = parse_request(operation, body)
        run = self.table.get(operation)
        if run is None:
            raise ServiceFault(
                "AccessDeniedException",
                f"Not authorized to perform rekognition:{operation}: this local server does Custom Labels only.",
            )
        rate = self.backend.settings.control_tps
        if (
            rate is not None
            and operation != "DetectCustomLabels"
            and not self._limiter.allows(f"{caller.account}/{caller.region}/{operation}", rate)
        ):
            raise ServiceFault("ThrottlingException", "Rate exceeded")
        answer = run(self.backend, caller, request)
        settle(self.backend)
        return encode_answer(answer)

    def _caller(self, request: Request) -> Caller:
        authorization = request.headers.get("Authorization")
        if not authorization:
            raise ServiceFault("MissingAuthenticationTokenException", "Missing Authentication Token")
        signature = read_signature(request)
        assert signature is not None
        if signature.service != "rekognition":
            raise ServiceFault(
                "InvalidSignatureException", "Credential should be scoped to correct service: 'rekognition'."
            )
        self.keys.check(request, signature)
        return Caller(signature.region, self.keys.account(signature.access_key))


def _refusal(fault: ServiceFault, request_id: str) -> Reply:
    return Reply(fault.status, encode_fault(fault, request_id), request_id)
