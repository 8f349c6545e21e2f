"""What is configured of an account: where credentials, region and endpoint come from. Asks no network."""

from __future__ import annotations

import os

_ASK_THE_NETWORK = ("container-role", "iam-role")


def configured(region: str | None = None) -> dict[str, str | None]:
    """`credentials` (the way they are found, no secret), `region`, `endpoint`, and `wrong`: what a profile lacks."""
    import boto3
    from botocore.exceptions import BotoCoreError

    endpoint = os.environ.get("AWS_ENDPOINT_URL_REKOGNITION") or os.environ.get("AWS_ENDPOINT_URL")
    try:
        session = boto3.Session(region_name=region)
        chain = session._session.get_component("credential_provider")
        for name in _ASK_THE_NETWORK:
            chain.remove(name)
        found = session.get_credentials()
        return {
            "credentials": found.method if found else None,
            "region": session.region_name,
            "endpoint": endpoint,
        }
    except BotoCoreError as exc:
        return {"credentials": None, "region": None, "endpoint": endpoint, "wrong": str(exc)}
