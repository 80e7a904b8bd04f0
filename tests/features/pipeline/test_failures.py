"""Failures: named with their cause, passed over until something changes, never the others' end."""

import csv
import errno
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st

from features.cli.app import run
from features.cli.scratch import TemporaryFault
from features.errors import UserError
from features.extract import ExtractSettings, SourceSettings, command, extract
from features.pipeline.discovery import Source
from features.pipeline.extractor import Extractor
from features.pipeline.failures import FILE, Failures, cause_of, is_out_of_memory, is_the_runs
from features.pipeline.planner import Plan
from features.store.claims import Claims
from features.store.cleanup import sweep
from features.store.fingerprint import sha256_of
from features.store.track_store import TrackStore
from tests.media import plain_frames, tone, write_sound, write_video


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A good sound and a bad one."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_sound(folder / "good.wav", tone(0.2, 16_000), 16_000, "pcm_s16le")
    (folder / "bad.wav").write_text("no sound at all")
    return folder


def settings(root: Path, **changes: object) -> ExtractSettings:
    data, names = SourceSettings(root=root), ["prosody"]
    return ExtractSettings(data=data, encoders=names, workers="0", **changes)  # type: ignore[arg-type]


def rows(root: Path) -> list[dict[str, str]]:
    with (root / "tracks" / FILE).open(newline="") as file:
        return list(csv.DictReader(file))


def worked_on(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the items worked on from now on."""
    ids: list[str] = []
    work = Extractor.work

    def noted(self: Extractor, todo: Plan) -> None:
        ids.append(todo.source.id)
        work(self, todo)

    monkeypatch.setattr(Extractor, "work", noted)
    return ids


def test_a_failure_is_written_down_with_its_cause(root: Path) -> None:
    assert command(settings(root)) == 1
    (row,) = rows(root)
    assert (row["id"], row["path"]) == ("bad", str(root / "bad.wav"))
    assert "not a video or sound file" in row["cause"]
    assert row["time"].startswith("20")


def test_what_failed_before_is_passed_over_and_counted(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    extract(settings(root))
    before = (root / "tracks" / FILE).read_bytes()
    ids = worked_on(monkeypatch)
    assert command(settings(root)) == 1
    out = capsys.readouterr().out
    assert "1 ready, 0 to do" in out
    assert "failed: bad: " in out
    assert "failed before: 1; python -m features.extract --retry_failed true" in out
    assert ids == []
    assert (root / "tracks" / FILE).read_bytes() == before


def test_retrying_tries_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extract(settings(root))
    ids = worked_on(monkeypatch)
    summary = extract(settings(root, retry_failed=True))
    assert ids == ["bad"]
    assert (len(summary.failures), summary.failed_before) == (1, 0)


def test_another_file_or_setting_is_tried_and_success_crosses_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(settings(root))
    ids = worked_on(monkeypatch)
    other = settings(root)
    other.prosody = type(other.prosody)(mel_bands=20)
    assert list(extract(other).failures) == ["bad"]
    assert ids.count("bad") == 1
    write_sound(root / "bad.wav", tone(0.2, 16_000), 16_000, "pcm_s16le")
    assert command(other) == 0
    assert not (root / "tracks" / FILE).exists()


def test_a_failure_without_its_file_no_longer_stands(root: Path) -> None:
    extract(settings(root))
    (root / "bad.wav").unlink()
    assert command(settings(root)) == 0


def test_sources_that_cannot_be_read_fail_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> str:
        if path.stem == "bad":
            raise OSError(errno.EIO, "Input/output error")  # as read() raises it: without a name
        return sha256_of(path)

    monkeypatch.setattr("features.pipeline.source_hashes.sha256_of", read)
    summary = extract(settings(root))
    assert "bad.wav: input/output error; mend it or leave it out" in summary.failures["bad"]
    assert summary.extracted == 1
    monkeypatch.undo()
    write_sound(root / "bad.wav", tone(0.2, 16_000), 16_000, "pcm_s16le")
    assert command(settings(root)) == 0


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_fault_of_the_store_stops_the_run(
    root: Path, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    def write(self: TrackStore, track: object) -> Path:
        name = None if fault == errno.ENOSPC else str(self.root / "prosody")
        raise OSError(fault, "lost", name)

    monkeypatch.setattr(TrackStore, "write", write)
    with pytest.raises(OSError, match="lost"):
        extract(settings(root))
    assert not (root / "tracks" / FILE).exists()  # no item is to blame
    assert not (root / "tracks" / ".claims").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_temporary_folder_ends_the_run_in_one_line_and_blames_no_item(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as full:
        device = Path("/dev/full")
        full.setattr("features.cli.scratch.TemporaryFile", lambda prefix: device.open("w+b"))
        argv = ["--data.root", str(root), "--encoders", "[prosody]", "--workers", "0"]
        with pytest.raises(SystemExit) as stopped:
            run(ExtractSettings, command, prog="features.extract", description="", argv=argv)
    assert stopped.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "no space left on the disk" in line
    assert f"(the folder of temporary files, {tempfile.gettempdir()}; TMPDIR chooses" in line
    assert "good" not in TrackStore(root / "tracks").ids("prosody")
    (root / "bad.wav").unlink()
    assert extract(settings(root)).extracted == 1


def test_a_temporary_folder_that_is_not_there_is_the_runs_fault(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(prefix: str) -> None:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("features.cli.scratch.TemporaryFile", refuse)
    (root / "bad.wav").unlink()
    with pytest.raises(TemporaryFault, match="No usable temporary directory"):
        extract(settings(root))
    assert not (root / "tracks" / FILE).exists()


@pytest.mark.parametrize("times", [1, 2])
def test_sound_without_memory_is_tried_alone_and_leaves_the_pictures_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}.mp4", plain_frames(4), sound=tone(0.2))
    hear, blocks, tries = Extractor._listen, list[int](), list[str]()

    def hungry(self: Extractor, todo: Plan) -> None:
        blocks.append(self._faces.batch)
        tries.append(todo.source.id)
        if todo.source.id == "a" and tries.count("a") <= times:
            raise MemoryError
        hear(self, todo)

    monkeypatch.setattr(Extractor, "_listen", hungry)
    summary = extract(replace(settings(tmp_path), encoders=["expression", "prosody"]))
    assert set(blocks) == {16}
    assert tries.count("a") == 2
    assert list(summary.failures) == (["a"] if times == 2 else [])
    if times == 2:
        assert "a: out of memory at its sound; end what else" in summary.failures["a"]


def test_the_next_item_gets_whole_blocks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        write_sound(tmp_path / f"{name}.wav", tone(0.2, 16_000), 16_000, "pcm_s16le")
    work, blocks = Extractor.work, list[tuple[str, int]]()

    def hungry(self: Extractor, todo: Plan) -> None:
        blocks.append((todo.source.id, self._faces.batch))
        if todo.source.id == "a" and self._faces.batch > 8:
            raise MemoryError
        work(self, todo)

    monkeypatch.setattr(Extractor, "work", hungry)
    assert extract(settings(tmp_path)).extracted == 2
    assert blocks == [("a", 16), ("a", 8), ("b", 16)]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
)
def test_a_block_too_large_for_memory_is_halved(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    work, blocks = Extractor.work, list[int]()

    def hungry(self: Extractor, todo: Plan) -> None:
        blocks.append(self._faces.batch)
        if self._faces.batch > 4:
            raise error
        work(self, todo)

    monkeypatch.setattr(Extractor, "work", hungry)
    (root / "bad.wav").unlink()
    assert extract(settings(root)).extracted == 1
    assert blocks == [16, 8, 4]


def test_an_item_that_never_fits_into_memory_fails_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Extractor.work

    def hungry(self: Extractor, todo: Plan) -> None:
        if todo.source.id == "bad":
            raise MemoryError
        work(self, todo)

    monkeypatch.setattr(Extractor, "work", hungry)
    summary = extract(settings(root))
    assert "out of memory even frame by frame" in summary.failures["bad"]
    assert summary.extracted == 1


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes\ncannot be multiplied"),
        OSError(errno.EIO, "Input/output error"),
        FileNotFoundError(errno.ENOENT, "No such file", "/elsewhere/x"),
        KeyError("layout"),
    ],
)
def test_what_nobody_foresaw_fails_its_item_alone_with_its_cause(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    work = Extractor.work

    def broken(self: Extractor, todo: Plan) -> None:
        if todo.source.id == "bad":
            raise error
        work(self, todo)

    monkeypatch.setattr(Extractor, "work", broken)
    summary = extract(settings(root))
    assert (summary.extracted, list(summary.failures)) == (1, ["bad"])
    assert str(error.args[-1]).split()[0].lower() in summary.failures["bad"].lower()
    assert "\n" not in summary.failures["bad"]
    if not isinstance(error, OSError):
        assert type(error).__name__ in summary.failures["bad"]
        assert "Traceback" in caplog.text


def test_faults_of_the_program_are_not_taken_for_lack_of_memory() -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_whose_fault_an_error_is_depends_on_the_file_it_names() -> None:
    source = Source("7", Path("/data/7.mp4"), {"left": (Path("/data/crops/7_left"),)})
    denied = errno.EACCES, "Permission denied"
    assert cause_of(UserError("7: broken"), source) == "7: broken"
    assert "7.mp4: permission denied" in cause_of(PermissionError(*denied, "/data/7.mp4"), source)
    assert cause_of(PermissionError(*denied, "/data/crops/7_left/1.jpg"), source)
    assert "rename" in cause_of(OSError(errno.ENAMETOOLONG, "File name too long", "x"), source)
    assert not is_the_runs(PermissionError(*denied, "/data/7.mp4"), source)
    assert not is_the_runs(PermissionError(*denied, b"/data/7.mp4"), source)
    assert is_the_runs(PermissionError(*denied, "/data/tracks/prosody"), source)
    assert is_the_runs(OSError(errno.ENOSPC, "full"), source)
    assert not is_the_runs(OSError(errno.EIO, "odd"), source)


@options(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text())
def test_any_name_and_cause_can_be_read_again(
    tmp_path_factory: pytest.TempPathFactory, name: str, cause: str
) -> None:
    store = tmp_path_factory.mktemp("store")
    cause = cause.encode(errors="replace").decode()
    with Claims(store) as claims:
        failures = Failures(store, claims)
        failures.add(Source(name, store, {}), cause, "key")
        (found,) = failures.standing().values()
    assert (found.id, found.cause, found.key) == (name, " ".join(cause.split()), "key")


def test_a_name_that_is_not_utf8_can_be_written_down(tmp_path: Path) -> None:
    with Claims(tmp_path) as claims:
        failures = Failures(tmp_path, claims)
        failures.add(Source("caf\udce9", tmp_path, {}), "broken", "")
        assert list(failures.standing()) == ["caf\udce9"]


def test_failures_of_runs_at_once_are_all_kept(tmp_path: Path) -> None:
    def fail(shard: int) -> None:
        claims = Claims(tmp_path)
        failures = Failures(tmp_path, claims)
        for number in range(8):
            sweep(tmp_path, (), claims)  # as a run does that starts now
            failures.add(Source(f"{shard}-{number}", tmp_path, {}), "broken", "")
        failures.drop([f"{shard}-0"])

    threads = [threading.Thread(target=fail, args=[shard]) for shard in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    standing = Failures(tmp_path, Claims(tmp_path)).standing()
    assert sorted(standing) == sorted(f"{i}-{k}" for i in range(3) for k in range(1, 8))
    assert np.all([path.name in (FILE, ".claims") for path in tmp_path.iterdir()])
