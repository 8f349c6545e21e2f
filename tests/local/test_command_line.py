"""The AWS CLI, command by command as AWS's guide writes them; and `tilekit local serve`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.local.clients import Clients, wait

AWS: str = shutil.which(
    "aws", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)


def aws(url: str, home: Path, *words: str) -> Any:
    environment = {
        **os.environ,
        "HOME": str(home),
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    done = subprocess.run([AWS, *words], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.strip().startswith("{") else done.stdout


@pytest.mark.slow
def test_from_create_project_to_stop_project_version(canned: Clients, tmp_path: Path) -> None:
    url = canned.url
    lines = [canned.put_page(f"{n}.jpg", [("square", 40, 40, 30, 30)]) for n in range(3)]
    for name in ("train", "test"):
        canned.put_manifest(f"{name}.manifest", lines)
    project = aws(url, tmp_path, "rekognition", "create-project", "--project-name", "from-the-shell")[
        "ProjectArn"
    ]
    for name in ("train", "test"):
        source = {"GroundTruthManifest": {"S3Object": {"Bucket": canned.bucket, "Name": f"{name}.manifest"}}}
        words = ["create-dataset", "--project-arn", project, "--dataset-type", name.upper()]
        made = aws(url, tmp_path, "rekognition", *words, "--dataset-source", json.dumps(source))
        wait(lambda arn=made["DatasetArn"]: canned.dataset_status(arn) == "CREATE_COMPLETE")
    output = json.dumps({"S3Bucket": canned.bucket, "S3KeyPrefix": "out"})
    words = [
        "create-project-version",
        "--project-arn",
        project,
        "--version-name",
        "v1",
        "--output-config",
        output,
    ]
    version = aws(url, tmp_path, "rekognition", *words)["ProjectVersionArn"]
    wait(lambda: canned.describe(project, "v1")["Status"] == "TRAINING_COMPLETED")
    aws(url, tmp_path, "rekognition", "wait", "project-version-training-completed", "--project-arn", project)
    start = ["start-project-version", "--project-version-arn", version, "--min-inference-units", "1"]
    aws(url, tmp_path, "rekognition", *start)
    aws(url, tmp_path, "rekognition", "wait", "project-version-running", "--project-arn", project)
    image = json.dumps({"S3Object": {"Bucket": canned.bucket, "Name": "0.jpg"}})
    detect = ["detect-custom-labels", "--project-version-arn", version, "--image", image]
    assert aws(url, tmp_path, "rekognition", *detect)["CustomLabels"][0]["Name"] == "square"
    stopped = aws(url, tmp_path, "rekognition", "stop-project-version", "--project-version-arn", version)
    assert stopped["Status"] == "STOPPING"


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        words = ["local", "serve", "--canned", "--port", str(port), "--state", str(tmp_path / "state")]
        done = subprocess.run(
            [sys.executable, "-m", "tilekit", *words], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: 127.0.0.1:{port}: the port cannot be used (Address already in use)"
    )
    assert done.stderr.count("\n") == 1


def test_serve_says_where_it_is_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    words = ["local", "serve", "--canned", "--port", "0", "--state", str(tmp_path / "state"), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tilekit", *words],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background ignores it
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert Clients(said["endpoint"]).project()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]
