"""Project policies: who in another account may copy a model. A policy's text read, and asked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tilekit.local.protocol import ServiceFault

COPY = "rekognition:CopyProjectVersion"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: "Allow" or "Deny", for whom, what, on which resources; `conditional` where it has a Condition."""

    allows: bool
    principals: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditional: bool

    def meets(self, account: str, action: str, resource: str) -> bool:
        """Whether it speaks of this call."""
        return (
            any(_is_account(principal, account) for principal in self.principals)
            and any(fnmatchcase(action.lower(), _glob(known.lower())) for known in self.actions)
            and any(fnmatchcase(resource, _glob(known)) for known in self.resources)
        )


def read_policy(document: str) -> tuple[Statement, ...]:
    """The statements of a policy document; MalformedPolicyDocumentException says what is wrong with it."""
    try:
        policy = json.loads(document)
    except (ValueError, RecursionError) as exc:
        raise _malformed("it is not JSON") from exc
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not statements:
        raise _malformed("it has no Statement")
    if policy.get("Version") not in ("2012-10-17", "2008-10-17"):
        raise _malformed('Version must be "2012-10-17"')
    return tuple(_statement(statement) for statement in statements)


def may_copy(statements: tuple[Statement, ...], account: str, version_arn: str) -> bool:
    """Whether an account may copy a model: allowed by a statement, denied by none.

    Conditions are not evaluated: an Allow with one does not count, a Deny with one does.
    """
    met = [statement for statement in statements if statement.meets(account, COPY, version_arn)]
    if any(not statement.allows for statement in met):
        return False
    return any(statement.allows and not statement.conditional for statement in met)


def _statement(part: Any) -> Statement:
    if not isinstance(part, dict) or part.get("Effect") not in ("Allow", "Deny"):
        raise _malformed('each Statement needs an Effect, "Allow" or "Deny"')
    principal = part.get("Principal")
    if isinstance(principal, dict):
        principal = principal.get("AWS")
    actions = _texts(part.get("Action"), "Action")
    if any(not fnmatchcase(COPY.lower(), _glob(action.lower())) for action in actions):
        raise _malformed(f"the only Action of a project policy is {COPY}")
    return Statement(
        part["Effect"] == "Allow",
        _texts(principal, "Principal"),
        actions,
        _texts(part.get("Resource"), "Resource"),
        bool(part.get("Condition")),
    )


def _texts(value: Any, name: str) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not values or not all(isinstance(text, str) for text in values):
        raise _malformed(f"each Statement needs {name}, a text or a list of texts")
    return tuple(values)


def _is_account(principal: str, account: str) -> bool:
    """`*`, an account's number, its root, or any user or role of it."""
    if principal in ("*", account):
        return True
    parts = principal.split(":")
    return len(parts) >= 6 and parts[2] in ("iam", "sts") and parts[4] == account


def _glob(pattern: str) -> str:
    """IAM knows `*` and `?` only."""
    return pattern.replace("[", "[[]")


def _malformed(why: str) -> ServiceFault:
    return ServiceFault("MalformedPolicyDocumentException", f"The policy document is malformed: {why}.")
