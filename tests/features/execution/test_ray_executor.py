"""A Ray cluster of two nodes, one of which is killed in mid-run: the run ends complete."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from features.errors import UserError
from features.execution.ray_executor import ActorNeeds, actor_needs
from features.extract import ExtractSettings, SourceSettings, extract
from tests.features.faulty import spoil
from tests.media import tone, write_sound
from tests.waiting import eventually

ROOT = Path(__file__).parents[3]
NAMES = [str(number) for number in range(4)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four short sounds; the last is the longest."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        sound = tone(0.2 + 0.1 * number, 16_000, hertz=200 + 50 * number)
        write_sound(folder / f"{name}.wav", sound, 16_000, "pcm_s16le")
    return folder


def settings(root: Path, store: Path, **changes: object) -> ExtractSettings:
    data, names = SourceSettings(root=root, store=store), ["prosody"]
    return ExtractSettings(data=data, encoders=names, **changes)  # type: ignore[arg-type]


def content(store: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and path.name != "sources.json"
    }


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes of one core each on this machine, quick to notice that one is gone."""
    pytest.importorskip("ray", reason="the extra affuse[ray] is not installed")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_DEDUP_LOGS", "0")
    from ray.cluster_utils import Cluster

    on_sigterm = signal.getsignal(signal.SIGTERM)
    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
    options = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 << 20}
    started = Cluster(
        initialize_head=True,
        head_node_args={
            **options,
            "_system_config": {**quick, "health_check_failure_threshold": 3},
        },
    )
    started.other = started.add_node(**options)
    try:
        yield started
    finally:
        started.shutdown()
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray leaves its own


def descendants(pid: int) -> set[int]:
    """A process's living descendants."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found, new = set[int](), {pid}
    while new:
        found |= new
        new = {child for child, parent in parents.items() if parent in found} - found
    return found


@pytest.mark.slow
def test_a_run_whose_node_is_killed_ends_complete(
    cluster: Any,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    monkeypatch.setattr("features.extract._recipe", spoil(notes, dict.fromkeys(NAMES, "meet")))
    raylet = next(
        info.process.pid for kind, infos in cluster.other.all_processes.items()
        if kind == "raylet" for info in infos
    )  # fmt: skip
    lost = list[str]()

    def kill_the_node_once_it_works() -> None:
        there = set[int]()

        def works() -> bool:
            there.update(descendants(raylet))
            lost.extend(p.name for p in notes.iterdir() if int(p.name.split(".")[1]) in there)
            return bool(lost)

        eventually(works, 90)
        for pid in (raylet, *there - {raylet}):  # as a power cut does: all at once
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        cluster.remove_node(cluster.other, allow_graceful=False)

    killer = threading.Thread(target=kill_the_node_once_it_works)
    killer.start()
    wanted = settings(root, tmp_path / "store", executor="ray", ray_address=cluster.address)
    summary = extract(wanted)
    killer.join()
    assert len(lost) >= 1
    assert (summary.complete, summary.extracted) == (True, len(NAMES))
    again = lost[-1].split(".")[0]
    assert len(list(notes.glob(f"{again}.*"))) == 2
    assert f"{again}: lost with its node; goes to another" in caplog.text
    monkeypatch.undo()
    extract(settings(root, tmp_path / "whole", workers="0"))
    assert content(tmp_path / "store") == content(tmp_path / "whole")
    assert not list((tmp_path / "store").rglob(".*"))


def test_without_ray_the_remedy_is_told(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'affuse\[ray\]'"):
        extract(settings(root, tmp_path / "store", executor="ray"))
    assert not list((tmp_path / "store").rglob(".claims"))


def test_a_cluster_that_is_not_there_is_one_line(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the extra affuse[ray] is not installed")
    with pytest.raises(UserError, match="--ray_address auto: no Ray cluster"):
        extract(settings(root, tmp_path / "store", executor="ray"))


GIB = float(1 << 30)


@pytest.mark.parametrize(
    ("nodes", "workers", "items", "device", "needs"),
    [
        ([{"CPU": 8, "memory": 64 * GIB}] * 2, "auto", 99, "auto", ActorNeeds(16, 0)),
        ([{"CPU": 8, "memory": 64 * GIB}] * 2, "auto", 4, "auto", ActorNeeds(4, 0)),
        ([{"CPU": 8, "memory": 3 * GIB}] * 2, "auto", 99, "auto", ActorNeeds(4, 0)),
        ([{"CPU": 8}, {"CPU": 2}, {}], "1", 99, "auto", ActorNeeds(1, 0)),
        ([{"CPU": 16, "GPU": 2}], "auto", 99, "auto", ActorNeeds(8, 0.25)),
        ([{"CPU": 16, "GPU": 2}], "auto", 99, "cpu", ActorNeeds(16, 0)),
        ([{"CPU": 16, "GPU": 2}], "1", 99, "auto", ActorNeeds(1, 1)),
        ([{"CPU": 16, "GPU": 1}], "3", 99, "cuda", ActorNeeds(3, 0.3333)),
    ],
)
def test_a_cluster_is_divided_by_cores_memory_and_gpus(
    nodes: list[dict[str, float]], workers: str, items: int, device: str, needs: ActorNeeds
) -> None:
    assert actor_needs(nodes, workers, items, device) == needs


@pytest.mark.parametrize(("nodes", "workers"), [([{"CPU": 4.0}], "0"), ([{"CPU": 0.0}], "auto")])
def test_a_cluster_on_which_nobody_can_work_is_refused(
    nodes: list[dict[str, float]], workers: str
) -> None:
    with pytest.raises(UserError, match="needs a node with CPUs"):
        actor_needs(nodes, workers, 1, "auto")
