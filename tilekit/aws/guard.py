"""A one-time entry of EventBridge Scheduler that stops a model, even if this machine sleeps."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from tilekit.aws.service import Service
from tilekit.errors import InvalidArgument
from tilekit.rekognition.arns import parse_version_arn
from tilekit.storage.s3 import Access

_TARGET = "arn:{partition}:scheduler:::aws-sdk:rekognition:stopProjectVersion"


class CloudGuard:
    """The schedule of one model. `role`: ARN of a role that EventBridge Scheduler may take and that may call
    rekognition:StopProjectVersion on the model.
    """

    def __init__(self, access: Access, arn: str, role: str | None = None) -> None:
        self.arn = arn
        self.role = role
        parsed = parse_version_arn(arn)
        self.partition = parsed.partition
        digest = hashlib.sha256(arn.encode()).hexdigest()[:16]
        self.name = f"tilekit-stop-{parsed.version[:30]}-{digest}"
        self.service = Service(access, name="scheduler")

    def arm(self, until: float) -> None:
        """Stop the model at `until` (epoch seconds); replaces an earlier entry. The entry removes itself."""
        if not self.role:
            raise InvalidArgument(
                "guard: give the ARN of a role that EventBridge Scheduler can take and that may stop the model "
                "(--guard-role; docs/aws.md shows its policies)"
            )
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(until))
        entry: dict[str, Any] = {
            "Name": self.name,
            "Description": "Stops a Rekognition Custom Labels model that tilekit started",
            "ScheduleExpression": f"at({at})",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {
                "Arn": _TARGET.format(partition=self.partition),
                "RoleArn": self.role,
                "Input": json.dumps({"ProjectVersionArn": self.arn}),
                "RetryPolicy": {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185},
            },
        }
        answer = self.service.call("CreateSchedule", self.name, expect=("ConflictException",), **entry)
        if "expected" in answer:
            self.service.call("UpdateSchedule", self.name, **entry)

    def disarm(self) -> None:
        """Remove the entry; one that is gone is fine."""
        self.service.call("DeleteSchedule", self.name, expect=("ResourceNotFoundException",), Name=self.name)
