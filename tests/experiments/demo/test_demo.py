"""The demo corpus: layout, lengths, people, special clips, determinism and safety against kills."""

import csv
import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from experiments.demo import clips as demo_clips
from experiments.demo import corpus as demo
from experiments.demo.corpus import make_demo
from experiments.demo.faces import Face, Painter, cover
from experiments.demo.looks import draw_look
from experiments.demo.people import HOMES, RING, SHOWN, label, perform
from experiments.demo.voices import CONTROL_RATE, Speech, draw_voice, speak
from features.errors import UserError
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS

HEADERS = {
    "VA_Estimation_Challenge": "valence,arousal",
    "EXPR_Recognition_Challenge": ",".join(EXPRESSIONS),
    "AU_Detection_Challenge": ",".join(UNITS),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kinds of clips, short ones; module-wide because it takes seconds to make."""
    out = tmp_path_factory.mktemp("demo") / "demo"
    make_demo(out, clips=17, seconds=1)
    return out


def film(corpus: Path, special: str) -> Path:
    """The clip with a peculiarity."""
    index = next(i for i, name in demo_clips.SPECIAL.items() if name == special)
    return video_of(corpus, demo_clips.plan_clips(index + 1, 7, 1)[index].video)


def video_of(corpus: Path, video: str) -> Path:
    (path,) = (corpus / "videos").glob(f"batch*/{video}.mp4")
    return path


def frame_times(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.array([frame.time for frame in container.decode(video=0)])


def pictures(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def rows(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:]


def annotations(top: Path) -> list[Path]:
    return sorted(top.glob("annotations/*/*/*.txt"))


def video_name(id: str) -> str:
    return id.removesuffix("_left").removesuffix("_right")


def test_rows_equal_decoded_frames_but_for_the_two_ragged_files(corpus: Path) -> None:
    off = {}
    for path in annotations(corpus) + annotations(corpus.with_name("demo_truth")):
        frames = len(frame_times(video_of(corpus, video_name(path.stem))))
        if len(rows(path)) != frames:
            off[path.parent.parent.name, path.stem] = len(rows(path)) - frames
    assert sorted(off.values()) == [-3, 1]
    assert {challenge for challenge, _ in off} == {"VA_Estimation_Challenge"}


def test_annotation_files_follow_the_protocol(corpus: Path) -> None:
    for path in annotations(corpus):
        assert path.read_text().splitlines()[0] == HEADERS[path.parent.parent.name]
        values = np.array([[float(cell) for cell in row.split(",")] for row in rows(path)])
        if path.parent.parent.name.startswith("VA"):
            invalid = (values == -5).all(axis=1)
            assert values.shape[1] == 2
            assert (np.abs(values[~invalid]) <= 1).all()
        elif path.parent.parent.name.startswith("EXPR"):
            assert set(values[:, 0]) <= set(range(-1, 8))
            assert values.shape[1] == 1
        else:
            assert set(values.flat) <= {-1, 0, 1}
            assert values.shape[1] == 12


def test_some_rows_are_invalid_and_some_numbers_oddly_spelt(corpus: Path) -> None:
    text = {p.parent.parent.name: "" for p in annotations(corpus)}
    for path in annotations(corpus):
        text[path.parent.parent.name] += "\n".join(rows(path)) + "\n"
    assert "-5,-5\n" in text["VA_Estimation_Challenge"]
    assert "9.9e-9,1\n" in text["VA_Estimation_Challenge"]
    assert "\n1,-1\n" in text["VA_Estimation_Challenge"]
    assert "\n-1\n" in text["EXPR_Recognition_Challenge"]
    assert ",".join(["-1"] * 12) in text["AU_Detection_Challenge"]


def test_some_videos_carry_only_some_tasks(corpus: Path) -> None:
    carried: dict[str, int] = {}
    for path in annotations(corpus):
        carried[path.stem] = carried.get(path.stem, 0) + 1
    assert set(carried.values()) == {1, 2, 3}


def test_people_are_in_one_part_only(corpus: Path) -> None:
    with (corpus / "people.csv").open() as file:
        person = {row["id"]: row["person"] for row in csv.DictReader(file)}
    test_ids = (corpus / "test" / "MTL.txt").read_text().split()
    parts = {path.stem: path.parent.name for path in annotations(corpus)}
    parts |= dict.fromkeys(test_ids, "Test_Set")
    assert set(parts) == set(person)
    assert set(parts.values()) == {"Train_Set", "Validation_Set", "Test_Set"}
    homes: dict[str, set[str]] = {}
    for id, part in parts.items():
        homes.setdefault(person[id], set()).add(part)
    assert all(len(home) == 1 for home in homes.values())


def test_test_part_has_lists_and_samples_but_no_labels(corpus: Path) -> None:
    labelled = {path.stem for path in annotations(corpus)}
    for challenge, header in {
        "VA": "image_location,valence,arousal",
        "EXPR": "image_location," + ",".join(EXPRESSIONS),
        "AU": "image_location," + ",".join(UNITS),
        "MTL": "image,valence,arousal,expression,aus",
    }.items():
        ids = (corpus / "test" / f"{challenge}.txt").read_text().split()
        assert not labelled & set(ids)
        lines = (corpus / "test" / f"{challenge}_sample_submission.txt").read_text().splitlines()
        frames = [(i, n + 1) for i in ids for n in range(len(frame_times(video_of(corpus, i))))]
        assert lines[0] == header
        assert [line.split(",")[0] for line in lines[1:]] == [f"{i}/{n:05d}.jpg" for i, n in frames]
        fields = {"VA": 3, "EXPR": 2, "AU": 13, "MTL": 16}[challenge]
        assert {len(line.split(",")) for line in lines[1:]} == {fields}
    truth = annotations(corpus.with_name("demo_truth"))
    assert {path.parent.name for path in truth} == {"Test_Set"}
    assert sorted(path.stem for path in truth) == sorted(ids * 3)


def test_special_clips_are_what_they_claim(corpus: Path) -> None:
    def sound(special: str) -> float | None:
        """Start of the sound in seconds by the container; None without sound."""
        with av.open(str(film(corpus, special))) as container:
            streams = container.streams.audio
            return float(streams[0].start_time * streams[0].time_base) if streams else None

    assert sound("silent") is None
    assert sound("late") == pytest.approx(demo_clips.DELAY, abs=0.07)
    assert sound("two") == pytest.approx(0, abs=0.01)
    steps = {name: np.diff(frame_times(film(corpus, name))) for name in ("7.5", "50", "varying")}
    np.testing.assert_allclose(steps["7.5"], 1 / 7.5, atol=1e-3)
    np.testing.assert_allclose(steps["50"], 1 / 50, atol=1e-3)
    assert steps["varying"].max() > 1.5 * steps["varying"].min()
    annotated = {path.stem for path in annotations(corpus)}
    assert {f"{film(corpus, 'two').stem}_{side}" for side in ("left", "right")} <= annotated


def test_face_is_hidden_for_over_a_second(corpus: Path) -> None:
    path = film(corpus, "hidden")
    middle = pictures(path)[:, 100:140, 110:150].reshape(len(frame_times(path)), -1)
    covered = middle.std(axis=1) < 8
    times = frame_times(path)[covered]
    assert times[-1] - times[0] > 1
    assert 0 < covered.sum() < len(covered)


def test_pictures_and_sound_are_h264_and_aac(corpus: Path) -> None:
    for path in (corpus / "videos").glob("*/*.mp4"):
        with av.open(str(path)) as container:
            names = {stream.type: stream.codec_context.name for stream in container.streams}
        assert names["video"] == "h264"
        assert names.get("audio", "aac") == "aac"


def test_same_seed_gives_same_labels_and_pixels_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        make_demo(tmp_path / name, seed=seed, clips=3, seconds=1)

    def labels(name: str) -> list[bytes]:
        return [path.read_bytes() for path in annotations(tmp_path / name)]

    a, b, c = (pictures(video_of(tmp_path / name, "1")) for name in "abc")
    assert labels("a") == labels("b") != labels("c")
    np.testing.assert_array_equal(a, b)
    assert a.shape != c.shape or (a != c).any()


def test_second_run_does_nothing_and_other_settings_do(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    assert make_demo(out, clips=3, seconds=1).fresh
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again = make_demo(out, clips=3, seconds=1)
    assert not again.fresh
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert make_demo(out, clips=4, seconds=1).fresh
    assert again.counts["videos"] == 3


def test_corpus_without_marker_is_made_again(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    make_demo(out, clips=3, seconds=1)
    (out / demo.MARKER).unlink()
    next((out / "videos").rglob("*.mp4")).write_bytes(b"half")
    assert make_demo(out, clips=3, seconds=1).fresh
    assert all(len(frame_times(path)) for path in (out / "videos").rglob("*.mp4"))


def test_kill_leaves_no_half_corpus_under_the_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(demo, "_write_test_lists", die)
        with pytest.raises(KeyboardInterrupt):
            make_demo(tmp_path / "demo", clips=3, seconds=1)
    assert not (tmp_path / "demo").exists()
    assert make_demo(tmp_path / "demo", clips=3, seconds=1).fresh
    assert json.loads((tmp_path / "demo" / demo.MARKER).read_text())["counts"]["videos"] == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["demo", "demo_truth"]


def test_kill_while_publishing_is_mended_by_the_next_run(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    make_demo(out, clips=3, seconds=1)
    shutil.rmtree(tmp_path / "demo_truth")
    assert make_demo(out, clips=3, seconds=1).fresh
    assert annotations(tmp_path / "demo_truth")


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine" / "videos").mkdir(parents=True)
    (tmp_path / "mine" / "videos" / "holiday.mp4").write_bytes(b"x")
    with pytest.raises(UserError, match="mine"):
        make_demo(tmp_path / "mine", clips=3)
    assert (tmp_path / "mine" / "videos" / "holiday.mp4").exists()
    with pytest.raises(UserError, match="too small"):
        make_demo(tmp_path / "demo", clips=2)


def test_full_corpus_shows_every_expression_and_unit_in_every_part() -> None:
    seen: dict[str, list[np.ndarray]] = {}
    units: dict[str, list[np.ndarray]] = {}
    for plan in demo_clips.plan_clips(demo.CLIPS, 7, None):
        rng = np.random.default_rng([7, 2, plan.index])
        acts = [perform(plan.start + 3 * i, plan.seconds, rng) for i in range(len(plan.people))]
        times = demo_clips.frame_times(plan, rng)
        for act in acts:
            labels = label(act, times, np.random.default_rng(0))
            seen.setdefault(plan.part, []).append(labels["expr"].values)
            units.setdefault(plan.part, []).append(labels["au"].values)
    for part in demo_clips.PARTS:
        assert set(np.concatenate(seen[part])) == set(range(8)), part
        assert np.concatenate(units[part]).any(axis=0).all(), part


def test_tables_of_emotions_name_what_abaw_names() -> None:
    assert set(RING) == set(HOMES) == set(SHOWN) == set(EXPRESSIONS)
    assert {unit for shown in SHOWN.values() for unit in shown} == set(UNITS)


def still(**units: float) -> Face:
    strength = np.array([units.get(unit, 0.0) for unit in UNITS])
    return Face(strength, 0.0, 0.0, np.zeros(2), 0.0, np.zeros(2), 1.0)


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_moves_the_face(unit: str) -> None:
    look = draw_look(np.random.default_rng(1))

    def paint(face: Face) -> np.ndarray:
        return Painter(look, 256, 256, np.random.default_rng(2)).paint(face).astype(float)

    moved = np.abs(paint(still(**{unit: 1.0})) - paint(still())).mean(axis=2)
    assert moved.max() > 40
    assert (moved > 15).mean() < 0.1


def test_panel_covers_the_middle_and_stays_inside_the_picture() -> None:
    picture = np.zeros((120, 160, 3), np.uint8)
    cover(picture, (40.0, 60.0), np.array([9, 9, 9], np.uint8))
    assert (picture[60, 40] == 9).all()
    assert (picture[60, 0] == 9).all()
    assert (picture[60, 159] == 0).all()


def test_arousal_makes_the_voice_louder_higher_and_brighter() -> None:
    voice = draw_voice(np.random.default_rng(0))
    count = 2 * CONTROL_RATE

    def measure(arousal: float) -> tuple[float, float]:
        speech = Speech(
            np.ones(count), np.zeros(count, int), np.zeros(count), np.full(count, arousal)
        )
        sound = speak(voice, speech, 16_000, np.random.default_rng(0))
        power = np.abs(np.fft.rfft(sound)) ** 2
        hertz = np.fft.rfftfreq(len(sound), 1 / 16_000)
        return float(np.std(sound)), float((power * hertz).sum() / power.sum())

    (calm_loud, calm_bright), (loud, bright) = measure(0.0), measure(0.8)
    assert loud > 2 * calm_loud
    assert bright > 1.2 * calm_bright
