"""Damaged files of every kind: each comes out right, or is listed with its cause."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from features.extract import ExtractSettings, SourceSettings, extract
from features.pipeline.failures import FILE
from features.store.track_store import TrackStore
from features.verification.files import Kind
from features.verify import verify
from tests.damaged_media import DAMAGES, REMUXES, Mutant, make_mutants
from tests.media import face_frame, tone, write_video

KINDS = [*DAMAGES, *REMUXES]
STREAMS = ("faces", "expression", "prosody")


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        mutant: The file.
        cause: Why it is listed as failed; empty if it was extracted.
        fault: What extraction did wrong; empty if nothing.
    """

    mutant: Mutant
    cause: str
    fault: str


def judge(mutants: Sequence[Mutant], store: TrackStore) -> list[Verdict]:
    """Compares a store with the files it was made from."""
    causes = _listed(store.root)
    findings = verify(store.root)
    bad = {p.path.name: str(p) for p in findings.problems if p.kind is not Kind.STRAY}
    return [_verdict(mutant, causes.get(mutant.path.stem, ""), store, bad) for mutant in mutants]


def _verdict(mutant: Mutant, cause: str, store: TrackStore, bad: dict[str, str]) -> Verdict:
    name = mutant.path.stem
    if cause:
        refused = mutant.frames is not None
        return Verdict(mutant, cause, "refused, though its pictures are whole" if refused else "")
    missing = [stream for stream in STREAMS if not store.has(stream, name)]
    if missing:
        return Verdict(mutant, "", f"neither listed nor complete: no {missing[0]}")
    if problem := bad.get(f"{name}.safetensors"):
        return Verdict(mutant, "", problem)
    rows = {len(store.read(stream, name)) for stream in ("faces", "expression")}
    if len(rows) > 1 or mutant.frames not in (None, *rows):
        return Verdict(mutant, "", f"{rows} rows for {mutant.frames} frames")
    return Verdict(mutant, "", "")


def _listed(store: Path) -> dict[str, str]:
    """Causes in a store's `failures.csv` by id."""
    if not (store / FILE).exists():
        return {}
    with (store / FILE).open(newline="") as file:
        return {row["id"]: row["cause"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [face_frame(192, 160, [(90 + i, 80)], size=110) for i in range(12)]
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", frames, sound=tone(0.48))


@pytest.fixture(scope="module")
def extracted(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Mutant], Path]:
    root = tmp_path_factory.mktemp("fuzz")
    mutants = make_mutants([clip], root / "files")
    data = SourceSettings(root=root / "files", store=root / "tracks")
    extract(ExtractSettings(data=data, encoders=["expression", "prosody"], workers="0"))
    return mutants, root / "tracks"


def test_every_mutant_comes_out_right_or_is_listed(extracted: tuple[list[Mutant], Path]) -> None:
    mutants, store = extracted
    verdicts = judge(mutants, TrackStore(store))
    assert [v.fault for v in verdicts] == [""] * len(KINDS)
    causes = {v.mutant.kind: v.cause for v in verdicts}
    assert "breaks off" in causes["cut in half"]
    assert "not a video or sound file" in causes["first 1000 bytes noise"]
    for kind in ("noise behind the end", "one picture is noise", "times twice", "as Matroska"):
        assert not causes[kind]
    assert not list(store.rglob("*.partial"))


def test_judge_sees_what_is_missing_or_damaged_or_too_short(
    extracted: tuple[list[Mutant], Path], tmp_path: Path
) -> None:
    mutants, store = extracted
    whole = next(m for m in mutants if m.kind == "as Matroska")

    def fault(mutant: Mutant, stream: str = "", data: bytes | None = None) -> str:
        copy = tmp_path / f"{stream or 'frames'}-{data is None}"
        for name in ("faces", "expression", "expression.probs", "prosody"):
            path = copy / name / f"{whole.path.stem}.safetensors"
            path.parent.mkdir(parents=True)
            path.write_bytes((store / name / path.name).read_bytes())
            if name == stream and data is None:
                path.unlink()
            elif name == stream:
                path.write_bytes(data or b"")
        return judge([mutant], TrackStore(copy))[0].fault

    assert fault(whole) == ""
    assert "rows for 13 frames" in fault(replace(whole, frames=13), "none")
    assert "no prosody" in fault(whole, "prosody")
    assert "damaged" in fault(whole, "faces", b"nothing")


def test_refusing_a_whole_file_is_a_fault(extracted: tuple[list[Mutant], Path]) -> None:
    mutants, store = extracted
    cut = next(m for m in mutants if m.kind == "cut in half")
    (verdict,) = judge([replace(cut, frames=12)], TrackStore(store))
    assert "refused" in verdict.fault


def test_mutants_are_the_same_at_every_call(
    clip: Path, extracted: tuple[list[Mutant], Path], tmp_path: Path
) -> None:
    again = make_mutants([clip], tmp_path)
    for one, other in zip(again, extracted[0], strict=True):
        assert one.path.read_bytes() == other.path.read_bytes(), one.kind
