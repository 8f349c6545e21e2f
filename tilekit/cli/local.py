"""`tilekit local`: the local Rekognition server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from tilekit.cli.grouping import grouped
from tilekit.cli.hints import detect_with, next_variables
from tilekit.cli.output import json_option, print_json, print_json_line, say
from tilekit.cli.parameters import caps_options
from tilekit.errors import MissingExtra

_ANY_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@click.group()
def local() -> None:
    """A local Rekognition Custom Labels that really trains."""


@dataclass(frozen=True)
class ServeOptions:
    """Options of `tilekit local serve`."""

    port: int
    host: str
    state: Path
    limit: int
    no_shrink_inference: bool
    latency: float
    tps_per_unit: float | None
    control_tps: float | None
    time_scale: float
    faults: Path | None
    keys: Path | None
    hosts: tuple[str, ...]
    bucket: str
    canned: bool
    seed: int
    steps: int | None
    minutes: float
    threads: int


@local.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5000,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; beyond loopback anyone may call.",
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tilekit-local"),
    show_default=True,
    help="Folder that keeps projects, datasets, models and buckets.",
)
@click.option("--limit", default=1280, show_default=True, help="Images with a longer side (px) are shrunk.")
@click.option("--no-shrink-inference", is_flag=True, help="Shrink for training only.")
@click.option("--latency", default=0.0, show_default=True, help="Seconds added to each detection.")
@click.option("--tps-per-unit", type=float, help="Detections a second that one inference unit takes.")
@click.option(
    "--control-tps", type=float, help="Calls a second that each other operation takes (the service: 5)."
)
@click.option(
    "--time-scale",
    default=0.001,
    show_default=True,
    help="Wall seconds per second the service takes to start, stop, ...",
)
@click.option(
    "--faults", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="JSON file of fault rules."
)
@click.option(
    "--keys",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON file of access keys with their secrets; only what they signed is answered.",
)
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="NAME", help="A further name clients reach it by."
)
@click.option(
    "--bucket", default="tilekit-local", show_default=True, help='Bucket made at the start; "" for none.'
)
@click.option("--canned", is_flag=True, help="No training: each detection gives the same box.")
@click.option("--seed", default=0, show_default=True, help="Of training.")
@caps_options
@click.option(
    "--threads", default=1, show_default=True, help="Threads of a training; a second brings little."
)
@json_option
@grouped(ServeOptions)
def serve(
    as_json: bool,
    options: ServeOptions,
) -> None:
    """Serve until interrupted. Any AWS SDK or the AWS CLI reaches it by AWS_ENDPOINT_URL."""
    from tilekit.local import ServerSettings
    from tilekit.local import serve as serve_until_interrupted
    from tilekit.local.gate import is_loopback

    settings = ServerSettings(
        limit=options.limit,
        shrink_inference=not options.no_shrink_inference,
        latency=options.latency,
        tps_per_unit=options.tps_per_unit,
        control_tps=options.control_tps,
        time_scale=options.time_scale,
        canned=options.canned,
        seed=options.seed,
        steps=options.steps,
        minutes=options.minutes,
        threads=options.threads,
        bucket=options.bucket,
        hosts=options.hosts,
    )
    if options.keys is None and not is_loopback(options.host):
        say(f"anyone who reaches {options.host} may call this server; --keys lets only holders of a key in")

    def ready(url: str) -> None:
        if as_json:
            print_json_line({"endpoint": url, "state": str(options.state), "bucket": options.bucket})
            return
        named = f", with a bucket {options.bucket}" if options.bucket else ""
        say(
            f"serving Rekognition Custom Labels and S3 at {url}{named}, state in {options.state}; Ctrl-C ends it"
        )
        next_variables({"AWS_ENDPOINT_URL": url, **_ANY_CREDENTIALS})

    try:
        serve_until_interrupted(
            options.state,
            options.port,
            host=options.host,
            settings=settings,
            faults=options.faults,
            keys=options.keys,
            ready=ready,
        )
    except KeyboardInterrupt:
        say("stopped; the state is kept")


@local.command()
@click.argument("model", metavar="MODEL")
@click.argument("out", metavar="OUT.onnx", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tilekit-local"),
    show_default=True,
    help="The server's folder.",
)
@click.option(
    "--tiling",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="tiling.json of its dataset; the file then refuses other tiles, and drops its decoys.",
)
@click.option("--decoy", "decoys", multiple=True, metavar="LABEL", help="A label to drop after merging.")
@json_option
def export(
    model: str, out: Path, state: Path, tiling: Path | None, decoys: tuple[str, ...], as_json: bool
) -> None:
    """Write a locally trained MODEL (project/version, or its folder) as an ONNX file."""
    import json

    from tilekit.scales import tiling_from_json

    try:
        from tilekit.local.exporting import export_model, trained_folder
    except ModuleNotFoundError as exc:
        raise MissingExtra(f"the export needs {exc.name}", "local") from exc

    folder = Path(model) if Path(model).exists() else trained_folder(state, model)
    made = json.loads(tiling.read_text(encoding="utf-8")) if tiling else {}
    recipe = tiling_from_json(made) if made else None
    dropped = dict.fromkeys((*decoys, *([made["decoy"]] if made.get("decoy") else ())))
    names = export_model(folder, out, tiling=recipe, decoys=tuple(dropped))
    if as_json:
        print_json({"out": str(out), "names": list(names)})
        return
    say(f"wrote {out}, {len(names)} labels: {', '.join(names)}")
    detect_with("SCANS", out)
