"""How a machine is divided: by what this process may use of it, and by what there is to do."""

from pathlib import Path

import pytest

from features.errors import UserError
from features.execution import resources as cores
from features.execution.resources import GPU_BYTES, GPU_WORKERS, WORKER_BYTES, Share, share


def machine(monkeypatch: pytest.MonkeyPatch, number: int, workers_of_memory: float = 1e9) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: number)
    monkeypatch.setattr(cores, "free_memory", lambda: workers_of_memory * WORKER_BYTES)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)


@pytest.mark.parametrize(
    ("number", "memory", "items", "workers"),
    [(8, 99, 100, 8), (8, 99, 3, 3), (8, 2.5, 100, 2), (8, 0.1, 9, 1), (1, 9, 9, 1)],
)
def test_auto_goes_by_cores_memory_and_items(
    monkeypatch: pytest.MonkeyPatch, number: int, memory: float, items: int, workers: int
) -> None:
    machine(monkeypatch, number, memory)
    assert share("auto", items, "cpu") == Share(workers, ("cpu",))


def test_the_threads_of_a_worker_do_not_depend_on_how_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine(monkeypatch, 8)
    assert {share(workers, 100, "cpu").threads for workers in ("auto", "0", "1", "3")} == {1}


def test_a_number_is_kept_but_for_useless_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 4)
    assert share("6", 100, "cpu").workers == 6
    assert share("6", 2, "cpu").workers == 2
    assert share("0", 2, "cpu").workers == 0


@pytest.mark.parametrize("text", ["", "two", "-1", "1.5", "Auto"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--workers .*give auto or a number"):
        share(text, 1, "cpu")


@pytest.mark.parametrize(
    ("device", "size", "workers", "devices"),
    [
        ("auto", 10 * GPU_BYTES, 2 * GPU_WORKERS, ("cuda:0", "cuda:1")),
        ("auto", 1.5 * GPU_BYTES, 2, ("cuda:0", "cuda:1")),
        ("auto", 0.5 * GPU_BYTES, 2, ("cuda:0", "cuda:1")),
        ("cuda:1", 2.5 * GPU_BYTES, 2, ("cuda:1",)),
        ("cpu", 10 * GPU_BYTES, 16, ("cpu",)),
    ],
)
def test_workers_are_spread_over_gpus_as_their_memory_allows(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    size: float,
    workers: int,
    devices: tuple[str, ...],
) -> None:
    class Properties:
        total_memory = size

    machine(monkeypatch, 16)
    monkeypatch.setattr("features.execution.resources.may_have_gpu", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _: Properties)
    got = share("auto", 100, device)
    assert (got.workers, got.devices) == (workers, devices)
    assert [got.device(i) for i in range(3)] == [devices[i % len(devices)] for i in range(3)]


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Control groups of this process, and eight cores."""
    monkeypatch.setattr(cores, "GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    (tmp_path / "own").write_text("4:memory:/job/7\n3:cpu,cpuacct:/job/7\n0::/job/7\n")
    return tmp_path / "cgroup"


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("file", "text", "usable"),
    [
        ("job/7/cpu.max", "250000 100000", 2),
        ("job/cpu.max", "400000 100000", 4),  # the group above
        ("cpu.max", "50000 100000", 1),
        ("job/7/cpu.max", "max 100000", 8),
        ("other/cpu.max", "100000 100000", 8),
        ("cpu/job/7/cpu.cfs_quota_us", "300000", 3),
        ("cpu/job/7/cpu.cfs_quota_us", "-1", 8),
    ],
)
def test_quotas_of_control_groups_are_kept_to(
    groups: Path, file: str, text: str, usable: int
) -> None:
    put(groups / "cpu/job/7/cpu.cfs_period_us", "100000")
    put(groups / file, text)
    assert cores.usable_cores() == usable


def test_memory_that_a_control_group_allows_is_what_is_free(groups: Path) -> None:
    before = cores.free_memory()
    assert before > 0
    put(groups / "job/memory.max", "max")
    put(groups / "memory/job/7/memory.limit_in_bytes", str(0x7FFFFFFFFFFFF000))
    assert cores.free_memory() == pytest.approx(before, rel=0.2)
    put(groups / "job/7/memory.max", "900")
    put(groups / "job/7/memory.current", "700")
    put(groups / "job/7/memory.stat", "anon 600\ninactive_file 100")
    assert cores.free_memory() == 300  # the cache of files is given back at need
    put(groups / "memory/job/7/memory.limit_in_bytes", "250")
    assert cores.free_memory() == 250
