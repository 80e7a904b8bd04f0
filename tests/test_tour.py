"""The tour of CONTRIBUTING.md: rooms that are there, and stops that a frame really makes."""

import importlib
import inspect
import pkgutil
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from pathlib import Path
from types import CodeType, FrameType

import pytest

from features.cli.app import run
from features.extract import ExtractSettings, SourceSettings, extract
from fusion import predict, submit
from fusion.data.loading.config import DataSettings
from fusion.model.settings import ModelSettings
from fusion.training.config import TrainSettings
from fusion.training.stages import train
from tests.fusion.tiny import write_corpus
from tests.media import face_frame, tone, write_video
from tests.page import PAGE, ROOT, section

MOST = 20
NOT_YET = {"fusion/recipes"}
"""There when installed; see setup.py."""
ROW = re.compile(r"^\| \d+ \| (?:`(.+?)`)? \| (?:`(.+?)`)? \|$", re.MULTILINE)
MEDIA, TRACKS = (
    [stop for stop in column if stop]
    for column in zip(*ROW.findall(section("A frame's trip")), strict=True)
)


def code_of(stop: str) -> CodeType:
    """What runs at a stop `path/file.py: function` or `path/file.py: Class.method`."""
    path, _, name = stop.partition(": ")
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    assert (ROOT / path).samefile(str(module.__file__))
    return inspect.unwrap(reduce(getattr, name.split("."), module)).__code__


@contextmanager
def seen() -> Iterator[set[CodeType]]:
    """What is called meanwhile, in this thread and those that it starts."""
    called: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


@pytest.mark.parametrize("stops", [MEDIA, TRACKS], ids=["media", "tracks"])
def test_the_trip_is_short_and_every_stop_is_there(stops: list[str]) -> None:
    assert 10 < len(stops) <= MOST
    assert len({code_of(stop) for stop in stops}) == len(stops)


def test_a_frame_passes_every_stop_from_media_to_tracks(tmp_path: Path) -> None:
    frames = [face_frame(192, 160, [(90 + i, 80)], size=110) for i in range(4)]
    write_video(tmp_path / "a.mp4", frames, fps=10, sound=tone(0.4))
    settings = ExtractSettings(
        data=SourceSettings(root=tmp_path), encoders=["expression"], workers="0"
    )
    with seen() as called:
        assert extract(settings).complete
    assert [stop for stop in MEDIA if code_of(stop) not in called] == []


def test_a_frame_passes_every_stop_from_tracks_to_a_submission(tmp_path: Path) -> None:
    root = write_corpus(tmp_path / "corpus")
    best = train(
        TrainSettings(
            runs=tmp_path / "runs",
            data=DataSettings(root=root, streams=["face", "voice"], window=20, stride=15),
            model=ModelSettings(dim=8, stream_dim=8, tcn_levels=0, temporal={"name": "none"}),
            epochs=1,
        )
    )
    told = ["--checkpoint", str(best), "--store", str(root / "tracks")]
    sample = str(root / "test/VA_sample_submission.txt")
    asked = ["--pred", str(tmp_path / "out"), "--template", sample, "--out", str(tmp_path / "va")]
    with seen() as called:
        for kind, command, argv in (
            (predict.PredictSettings, predict.command, [*told, "--out", str(tmp_path / "out")]),
            (submit.SubmitSettings, submit.command, ["--challenge", "VA", *asked]),
        ):
            with pytest.raises(SystemExit) as stop:
                run(kind, command, prog="t", description="", argv=argv)
            assert not stop.value.code
    assert [stop for stop in TRACKS if code_of(stop) not in called] == []


def test_the_rooms_of_the_page_are_those_that_there_are() -> None:
    told: dict[str, set[str]] = {}
    for indent, room in re.findall(r"^    (  )?([\w]+)/ ", section("The house"), re.MULTILINE):
        if indent:
            told[next(reversed(told))].add(room)
        else:
            told[room] = set()
    for house in ("features", "fusion", "experiments"):
        there = {p.parent.name for p in (ROOT / house).glob("*/__init__.py")}
        assert told[house] == there, house
    assert told.keys() == {"features", "fusion", "configs", "experiments", "tests"}


@pytest.mark.parametrize("page", [PAGE.name, "README.md"])
def test_every_module_that_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    files = re.findall(
        r"(?<![\w./*-])(?:features|fusion|experiments|tests)/[\w/-]+(?:\.\w+)?", text
    )
    assert files
    absent = {f for f in files if not (ROOT / f).exists() and Path(f).stem != "NAME"}
    assert absent <= NOT_YET
    names = re.findall(r"(?:python -m |`)((?:features|fusion|experiments|tests)\.[\w.]+)", text)
    assert names
    assert [name for name in names if not is_there(name)] == []


def is_there(name: str) -> bool:
    """Whether a dotted name is a module's, or of something in one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True
