"""What the service says no with, in our words: which errors pass by themselves, and what to do about the rest.

Sources: Rekognition guide, page "error-handling"; botocore's service model and retry tables (1.44).
"""

from __future__ import annotations

import re

from tilekit.errors import (
    InvalidArgument,
    ModelNotReady,
    QuotaExceeded,
    ServiceDenied,
    ServiceError,
    ServiceThrottled,
    TilekitError,
)
from tilekit.rekognition.limits import LIMITS, REGIONS

THROTTLES = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "ProvisionedThroughputExceededException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
    }
)
_PASSING = frozenset({"InternalServerError", "InternalFailure", "ServiceUnavailable", "RequestTimeout"})
_LOGIN = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidToken", "TokenRefreshRequired"}
)
_KEYS = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "MissingAuthenticationToken",
    }
)
_QUOTAS = {
    "StartProjectVersion": f"models running at once or inference units per model (defaults {LIMITS.max_running} and {LIMITS.max_units})",
    "CreateProjectVersion": f"concurrent trainings or models per project (defaults {LIMITS.max_trainings} and {LIMITS.max_models})",
    "CopyProjectVersion": f"models per project (default {LIMITS.max_models})",
    "CreateProject": f"projects per account (default {LIMITS.max_projects})",
    "CreateDataset": f"images per dataset (default {LIMITS.max_images})",
    "UpdateDatasetEntries": f"images per dataset (default {LIMITS.max_images})",
}
_ADVICE = {
    "ImageTooLargeException": "the image is over the service's size; use a smaller tile or a lower quality",
    "InvalidImageFormatException": "the service reads PNG and JPEG only",
    "InvalidS3ObjectException": "the object is missing, in another region, or the caller may not read it (s3:GetObject)",
    "ResourceNotFoundException": "there is no such project, dataset or model in this account and region",
    "ResourceInUseException": "the name is taken, or the state is just changing; wait and look with `tilekit models`",
    "ResourceAlreadyExistsException": "the project has such a dataset already",
    "InvalidPaginationTokenException": "the listing changed while it was read; run again",
}


def error_code(exc: Exception) -> str:
    """The service's own code of an error, "" where there is none."""
    response = getattr(exc, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def is_throttle(exc: Exception) -> bool:
    """Whether calls came too fast."""
    return error_code(exc) in THROTTLES


def is_passing(exc: Exception) -> bool:
    """Whether the same call may well work a little later: 5xx, resets, timeouts, an unreachable network."""
    import botocore.exceptions as known

    if isinstance(exc, known.ClientError):
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return error_code(exc) in _PASSING or (status >= 500 and not is_throttle(exc))
    passing = (
        known.HTTPClientError,  # the timeouts and closed connections are among them
        known.ConnectionError,  # an endpoint that cannot be reached
        known.IncompleteReadError,
        known.ResponseStreamingError,
    )
    # a bad certificate will not mend itself
    return isinstance(exc, passing) and not isinstance(exc, known.SSLError)


def is_answer(exc: Exception) -> bool:
    """Whether the service itself said no, so that it can be reached."""
    import botocore.exceptions as known

    return isinstance(exc, known.ClientError)


def service_error(exc: Exception, operation: str, subject: str = "") -> TilekitError:
    """Our error for one of botocore's: what `operation` did on `subject`, and what to do."""
    import botocore.exceptions as known

    where = f"{subject}: " if subject else ""
    if not isinstance(exc, known.ClientError):
        return _without_answer(exc, operation, where)
    code = error_code(exc)
    text = str(exc.response.get("Error", {}).get("Message") or "").strip()
    said = f"{where}{operation} failed with {code}" + (f": {text}" if text else "")

    def made(kind: type[ServiceError], advice: str) -> ServiceError:
        return kind(f"{said.rstrip('.')}; {advice}", code=code, operation=operation)

    if code in THROTTLES:
        return made(
            ServiceThrottled, "calls outrun the allowed rate; use fewer workers, or more inference units"
        )
    if code in {"AccessDeniedException", "AccessDenied"}:
        action = _denied_action(text) or f"rekognition:{operation}"
        return made(ServiceDenied, f"the caller's policy must allow {action} (see docs/aws.md)")
    if code in _LOGIN:
        return made(
            ServiceDenied, "the AWS login has expired; log in and run the same again, what is done is kept"
        )
    if code in _KEYS:
        return made(ServiceDenied, "AWS does not accept these credentials; see `aws sts get-caller-identity`")
    if code in {"InvalidSignatureException", "RequestTimeTooSkewed", "SignatureDoesNotMatch"}:
        return made(
            ServiceDenied, "either the secret key or this machine's clock is wrong; set the clock first"
        )
    if code in {"LimitExceededException", "ServiceQuotaExceededException"}:
        quota = _QUOTAS.get(operation, "a quota of the account")
        return made(QuotaExceeded, f"the quota is {quota}; free some, or ask for more in Service Quotas")
    if code == "ResourceNotReadyException":
        return made(
            ModelNotReady, "the model is not running; start it with `tilekit deploy` or Model.running()"
        )
    return made(ServiceError, _ADVICE.get(code, "see the message above"))


def _without_answer(exc: Exception, operation: str, where: str) -> TilekitError:
    import botocore.exceptions as known

    logins = (known.NoCredentialsError, known.PartialCredentialsError, known.CredentialRetrievalError)
    if isinstance(exc, logins) or type(exc).__name__ in {"UnauthorizedSSOTokenError", "SSOTokenLoadError"}:
        return ServiceDenied(
            f"{where}{operation}: no usable AWS credentials ({exc}); log in with `aws configure` or "
            "`aws sso login`, or set AWS_PROFILE",
            operation=operation,
        )
    if isinstance(exc, known.ParamValidationError):
        return InvalidArgument(f"{where}{operation}: {str(exc).splitlines()[-1].strip()}")
    unreachable = (known.EndpointConnectionError, known.ConnectTimeoutError, known.ProxyConnectionError)
    if isinstance(exc, unreachable):
        endpoint = str(getattr(exc, "kwargs", {}).get("endpoint_url", ""))
        advice = (
            f"check the network, and that the region is one with Custom Labels: {', '.join(REGIONS)}"
            if ".amazonaws." in endpoint
            else "start the server there, or mend --endpoint-url or AWS_ENDPOINT_URL"
        )
        return ServiceError(
            f"{where}{operation}: the service cannot be reached at {endpoint}; {advice}", operation=operation
        )
    return ServiceError(f"{where}{operation}: no answer from the service ({exc})", operation=operation)


def _denied_action(text: str) -> str:
    found = re.search(r"perform: ([a-z0-9-]+:[A-Za-z]+)", text)
    return found[1] if found else ""
