"""Damaged files, some of each sort of `experiments.benchmarks.fuzz_media`: right, or listed."""

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.benchmarks.damage import Mutant, make_mutants
from experiments.benchmarks.fuzz_media import FuzzSettings, Verdict, judge, page, smallest_clips
from features.errors import UserError
from features.extract import ExtractSettings, SourceSettings, extract
from features.store.track_store import TrackStore
from tests.media import face_frame, plain_frames, tone, write_video

KINDS = [
    "3 bits flipped",
    "10 bits of the index flipped",
    "cut in half",
    "zeros in place of 20 % of the pictures",
    "first 1000 bytes noise",
    "noise behind the end",
    "one picture is noise",
    "a tenth of the sound is noise",
    "half of the sound dropped",
    "times out of order",
    "times twice",
    "as Matroska",
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [face_frame(192, 160, [(90 + i, 80)], size=110) for i in range(12)]
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", frames, sound=tone(0.48))


@pytest.fixture(scope="module")
def extracted(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Mutant], Path]:
    root = tmp_path_factory.mktemp("fuzz")
    mutants = make_mutants([clip], root / "files", len(KINDS), KINDS)
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
    again = make_mutants([clip], tmp_path, len(KINDS), KINDS)
    for one, other in zip(again, extracted[0], strict=True):
        assert one.path.read_bytes() == other.path.read_bytes(), one.kind


def test_folder_without_three_clips_is_named(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", plain_frames(3))
    with pytest.raises(UserError, match="fewer than 3 mp4 files with sound"):
        smallest_clips(tmp_path)


def test_the_page_counts_by_kind_and_by_cause(tmp_path: Path) -> None:
    cut = [Mutant(tmp_path / f"{n}.mp4", "cut in half", None) for n in (1, 2)]
    whole = Mutant(tmp_path / "3.mp4", "as Matroska", 12)
    verdicts = [
        Verdict(cut[0], f"{cut[0].path}: breaks off after frame 7; copy it again", ""),
        Verdict(cut[1], f"{cut[1].path}: breaks off after frame 9; copy it again", ""),
        Verdict(whole, "", "11 rows for 12 frames"),
    ]
    text = page(FuzzSettings(Path("clips"), 3), [Path("a.mp4")], verdicts, "")
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    assert ["cut in half", "", "2", "0", "2"] in rows
    assert ["as Matroska", "yes", "1", "1", "0"] in rows
    line = "`1.mp4: breaks off after frame 7; copy it again`"
    assert ["breaks off after frame N", "2", "cut in half", line] in rows
    assert "- 3.mp4 (as Matroska): 11 rows for 12 frames" in text
