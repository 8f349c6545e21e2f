from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable

import pytest

from tests.aws.building import TILING, make_tile
from tests.aws.conftest import QUICK
from tilekit.aws.deadlines import Watch, Watcher
from tilekit.aws.leases import LeaseBook, Started
from tilekit.aws.model import Model
from tilekit.aws.project import RekognitionProject
from tilekit.errors import InvalidArgument, ModelNotReady, QuotaExceeded, RecipeMismatch, ServiceError
from tilekit.grid import Tiling
from tilekit.storage.s3 import S3Location, S3Store

MakeProject = Callable[..., RekognitionProject]


def wait_for(what: Callable[[], bool], seconds: float = 30) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.05)
    return False


def test_running_starts_detects_and_stops(model: Model, notes: list[str]) -> None:
    with model.running(units=2, tiling=TILING) as detector:
        assert model.status == "RUNNING"
        assert model.switch.describe()["MinInferenceUnits"] == 2
        found = detector.detect([make_tile(0), make_tile(1, 40, 30)])
        assert detector.names == ("arrow", "triangle")
        assert found[0].labels == ["arrow"]
        assert found[0].boxes[0] == pytest.approx([51.2, 51.2, 76.8, 76.8])
        # padded to 64 x 64 px: the box of the middle is beyond the tile's 40 x 30, but for its corner
        assert found[1].boxes[0] == pytest.approx([25.6, 25.6, 38.4, 30.0])
    assert model.status in {"STOPPING", "STOPPED"}
    assert LeaseBook(model.store, model.folder).started() is None
    assert not list(model.store.list(model.folder / "leases/"))
    assert any("2 units, US$ 8.00 an hour" in note for note in notes)


def test_an_error_inside_stops_it(model: Model) -> None:
    with pytest.raises(RuntimeError, match="mine"), model.running():
        raise RuntimeError("mine")
    assert model.status in {"STOPPING", "STOPPED"}


def test_a_running_model_is_used_and_left_running(model: Model, notes: list[str]) -> None:
    assert model.start()
    assert not model.start()
    with model.running() as detector:
        assert len(detector.detect([make_tile()])) == 1
    assert model.status == "RUNNING"
    assert any("was running already; it is used, and left running" in note for note in notes)


def test_the_last_worker_out_stops_it(model: Model, notes: list[str]) -> None:
    with model.running():
        with model.running() as second:
            assert len(second.detect([make_tile()])) == 1
        assert model.status == "RUNNING"
    assert model.status in {"STOPPING", "STOPPED"}
    assert any("shared, the last one out stops it" in note for note in notes)
    assert any("others still use it" in note for note in notes)


def test_many_workers_at_once_leave_nothing_running(model: Model) -> None:
    errors: list[BaseException] = []

    def work(delay: float) -> None:
        time.sleep(delay)
        try:
            with model.running(watchdog=False) as detector:
                time.sleep(delay)
                detector.detect([make_tile()])
        except BaseException as exc:  # noqa: BLE001
            errors.append(exc)

    threads = [threading.Thread(target=work, args=(number * 0.03,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert model.status in {"STOPPING", "STOPPED"}


def test_what_a_dead_worker_left_is_taken_over(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    book = LeaseBook(model.store, model.folder)
    book.write_started(Started("run"))
    model.switch.start()
    book.put("dead")
    monkeypatch.setattr("tilekit.aws.leases.LEASE_SECONDS", -1.0)
    with model.running():
        assert model.status == "RUNNING"
    assert model.status in {"STOPPING", "STOPPED"}


def test_without_sharing_nothing_is_written(model: Model) -> None:
    before = [item.location.key for item in model.store.list(model.folder)]
    with model.running(share=False):
        assert [item.location.key for item in model.store.list(model.folder)] == before
    assert model.status in {"STOPPING", "STOPPED"}


def test_other_tiles_are_refused_unless_forced(model: Model) -> None:
    with (
        pytest.raises(RecipeMismatch, match="tiles of 128 x 128 px, not on tiles of 256"),
        model.running(tiling=Tiling(256)),
    ):
        pass
    assert model.status == "TRAINING_COMPLETED"
    with model.running(tiling=Tiling(128, overlap=64)):
        pass
    model.check_tiling(Tiling(256), force=True)
    with pytest.raises(RecipeMismatch, match="whole pages"):
        model.check_tiling(None)


def test_arguments_are_checked(model: Model) -> None:
    for wrong in ({"units": 0}, {"units": True}, {"units": 2, "max_units": 1}, {"max_units": 0}):
        with pytest.raises(InvalidArgument), model.running(**wrong):
            pass
    with pytest.raises(QuotaExceeded, match="inference units"), model.running(units=6):
        pass
    assert LeaseBook(model.store, model.folder).started() is None


def test_a_model_that_is_not_there_or_not_running(model: Model, endpoint: str) -> None:
    with pytest.raises(ModelNotReady, match="tilekit deploy"):
        model.detector().detect([make_tile()])
    with pytest.raises(ServiceError, match="no such model"):
        Model.find(model.arn.rsplit("/", 1)[0] + "/1", endpoint_url=endpoint)
    assert Model.find(model.arn, endpoint_url=endpoint).arn == model.arn


def test_a_stop_that_fails_is_shouted(model: Model) -> None:
    model.start()
    model.service.client.meta.events.register(
        "before-send.rekognition.StopProjectVersion", lambda **_: (_ for _ in ()).throw(_reset())
    )
    with pytest.raises(ServiceError, match="MAY STILL BE BILLED"):
        model.switch.stop(patience=0.0)
    model.service.client.meta.events.unregister("before-send.rekognition.StopProjectVersion")
    model.service._client = None
    model.stop()


def _reset() -> Exception:
    from botocore.exceptions import ConnectionClosedError

    return ConnectionClosedError(endpoint_url="http://x")


SCRIPT = textwrap.dedent(
    """
    import sys, time
    from tilekit.aws.model import Model
    from tilekit.aws.waiting import Polling
    arn, endpoint = sys.argv[1:3]
    model = Model.find(arn, endpoint_url=endpoint, polling=Polling(0.05, 0.05, 0.05),
                       note=lambda text: print(text, file=sys.stderr, flush=True))
    with model.running() as detector:
        print("running", flush=True)
        time.sleep(60)
    """
)


def start_script(model: Model, endpoint: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, model.arn, endpoint],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)])
def test_signals_stop_it(model: Model, endpoint: str, number: int, code: int) -> None:
    process = start_script(model, endpoint)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode in {code, 1, 130}
    assert model.status in {"STOPPING", "STOPPED"}


def test_a_second_interrupt_does_not_skip_the_stop(model: Model, endpoint: str) -> None:
    process = start_script(model, endpoint)
    process.send_signal(signal.SIGINT)
    time.sleep(0.01)
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    _, errors = process.communicate(timeout=30)
    assert model.status in {"STOPPING", "STOPPED"}
    assert "KeyboardInterrupt" in errors


def test_the_watchdog_stops_it_when_the_process_is_killed(model: Model, endpoint: str) -> None:
    process = start_script(model, endpoint)
    process.kill()
    process.communicate(timeout=30)
    assert wait_for(lambda: model.status in {"STOPPING", "STOPPED"})
    assert wait_for(lambda: LeaseBook(model.store, model.folder).started() is None)


@pytest.mark.slow
def test_the_watchdog_leaves_it_to_others(model: Model, endpoint: str) -> None:
    with model.running():
        process = start_script(model, endpoint)
        process.kill()
        process.communicate(timeout=30)
        time.sleep(2)
        assert model.status == "RUNNING"


def deploy_watch(model: Model, endpoint: str, **when: float | None) -> Watcher:
    return Watcher(
        Watch(model.arn, model.project_arn, str(model.folder), "us-east-1", None, endpoint, every=0.1, **when)
    )


def test_a_deadline_outlives_the_command(model: Model, endpoint: str) -> None:
    model.start()
    watcher = deploy_watch(model, endpoint, until=time.time() + 2)
    assert model.status == "RUNNING"
    assert wait_for(lambda: model.status in {"STOPPING", "STOPPED"})
    watcher.dismiss()


def test_an_idle_model_is_stopped(model: Model, endpoint: str) -> None:
    LeaseBook(model.store, model.folder).write_started(Started("deploy", idle=1.0))
    model.start()
    watcher = deploy_watch(model, endpoint, idle=1.0)
    assert wait_for(lambda: model.status in {"STOPPING", "STOPPED"})
    assert wait_for(lambda: LeaseBook(model.store, model.folder).started() is None)
    watcher.dismiss()


def test_leases_and_closing_do_not_miss_each_other(store: S3Store) -> None:
    book = LeaseBook(store, S3Location("aws-tests", "leases-alone"))
    lease = book.take()
    stopped: list[str] = []
    assert not book.close(lambda: stopped.append("x"))
    assert not book.is_closing(lease.touch())
    lease.end()
    assert book.close(lambda: stopped.append("x"), lease.name)
    assert stopped == ["x"]
    with pytest.raises(RuntimeError):
        book.close(lambda: (_ for _ in ()).throw(RuntimeError()))
    assert book.is_closing(book.put("newcomer"))
    assert QUICK.scaled(2).dataset == 0.1


def test_a_closing_that_ends_does_not_hide_another(store: S3Store) -> None:
    book = LeaseBook(store, S3Location("aws-tests", "leases-two-closings"))
    seen: list[bool] = []

    def stop() -> None:  # while one is stopping the model, another finds that it need not
        newcomer = book.put("newcomer")
        assert not book.close(lambda: seen.append(False), "somebody")
        seen.append(book.is_closing(newcomer))

    assert book.close(stop)
    assert seen == [True]
