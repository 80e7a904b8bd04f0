"""Clips with what was predicted in their pictures: clocks are kept, nothing is left half done."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from features.errors import UserError
from features.faces.detect import FaceDetector, FaceSettings
from features.media import frame_times, read_frames, read_sound
from fusion.data.prediction_files import save_predictions
from fusion.data.predictions import FramePredictions
from fusion.inference.origins import PLACE
from fusion.report import main
from fusion.reporting.film.drawing import HELD, blurred, held, shown
from fusion.reporting.film.overlay import write_overlay
from tests.fusion.measuring.made import box, person
from tests.media import face_frame, tone, write_video

FRAMES = 20


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [face_frame(192, 160, [(80, 80)], size=110) for _ in range(FRAMES)]
    path = tmp_path_factory.mktemp("film") / "talk.mp4"
    return write_video(path, frames, fps=10, sound=tone(2.0))


def said(clip: Path, frames: int = FRAMES) -> FramePredictions:
    made = person(frames, box=np.tile([30.0, 25.0, 130.0, 135.0], (frames, 1)))
    return replace(made, times=np.asarray(frame_times(clip)[:frames], float))


def pictures(path: Path) -> np.ndarray:
    return np.concatenate([block.images for block in read_frames(path)])


def test_pictures_are_drawn_on_and_both_clocks_are_kept(clip: Path, tmp_path: Path) -> None:
    told: list[float] = []
    write_overlay(clip, [said(clip)], tmp_path / "out.mp4", progress=told.append)
    before, after = pictures(clip), pictures(tmp_path / "out.mp4")
    assert len(after) == FRAMES
    assert after.shape[1] > before.shape[1]  # the timeline stands below
    np.testing.assert_allclose(frame_times(tmp_path / "out.mp4"), frame_times(clip), atol=1e-3)
    inside = np.abs(after[5, 60:100, 60:100].astype(int) - before[5, 60:100, 60:100]).mean()
    edge = np.abs(after[5, 25:27, 40:120].astype(int) - before[5, 25:27, 40:120]).mean()
    assert edge > 3 * inside
    sound = read_sound(tmp_path / "out.mp4", 16000)
    assert sound is not None
    assert sound.offset == pytest.approx(0, abs=0.03)
    assert np.abs(np.concatenate(list(sound.blocks))).max() > 0.1
    assert told[-1] == 1
    assert told == sorted(told)


def test_uneven_frames_stay_uneven(tmp_path: Path) -> None:
    times = np.cumsum([0, 0.1, 0.3, 0.05, 0.2, 0.1])
    path = tmp_path / "vfr.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 192, 160, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(face_frame(192, 160, [(80, 80)], size=110))
            frame.pts, frame.time_base = round(time * 90000), Fraction(1, 90000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    write_overlay(path, [said(path, len(times))], tmp_path / "out.mp4")
    np.testing.assert_allclose(frame_times(tmp_path / "out.mp4"), frame_times(path), atol=2e-3)


def test_blurred_faces_cannot_be_made_out_and_the_rest_stays(clip: Path, tmp_path: Path) -> None:
    write_overlay(clip, [said(clip)], tmp_path / "out.mp4", "blur")
    before, after = pictures(clip)[3], pictures(tmp_path / "out.mp4")[3]
    search = FaceDetector(FaceSettings())
    assert len(search.detect(before[None])[0]) == 1
    assert len(search.detect(after[None])[0]) == 0
    corner = (slice(140, 158), slice(160, 190))
    assert np.abs(after[corner].astype(int) - before[corner]).mean() < 4


def test_a_face_that_is_lost_for_a_moment_stays_blurred() -> None:
    places = box(50, 60).astype(np.float32)
    places[10:20] = np.nan
    places[30:] = np.nan  # at 25 frames a second
    (drawn,) = shown([person(50, box=places)])
    kept = ~np.isnan(held(drawn)).any(axis=1)
    assert kept[:30].all()
    assert kept.sum() == 30 + min(20, int(HELD * 25))
    picture = np.random.default_rng(0).integers(0, 255, (160, 192, 3), dtype=np.uint8)
    outside = blurred(picture, [np.array([300.0, 300, 400, 400])])
    np.testing.assert_array_equal(outside, picture)


def test_what_is_no_overlay_of_this_clip_is_refused_and_leaves_nothing(
    clip: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="20 frames, but 9 were predicted"):
        write_overlay(clip, [said(clip).first(9)], tmp_path / "out.mp4")
    with pytest.raises(UserError, match="name another file"):
        write_overlay(clip, [said(clip)], clip)
    with pytest.raises(UserError, match=r"an overlay is an \.mp4"):
        write_overlay(clip, [said(clip)], tmp_path / "out.avi")

    def full(share: float) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_overlay(clip, [said(clip)], tmp_path / "out.mp4", progress=full)
    assert list(tmp_path.iterdir()) == []


def test_the_command_makes_the_film_of_a_clip_that_was_predicted(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_predictions(
        replace(said(clip), provenance={PLACE: str(clip.resolve())}), tmp_path / "p/talk.parquet"
    )
    words = ["--predictions", str(tmp_path / "p"), "--overlay", str(tmp_path / "seen.mp4")]
    with pytest.raises(SystemExit) as ended:
        main(argv=[str(clip), *words, "--faces", "none"])
    assert ended.value.code == 0
    assert "1 film, 0 failed" in capsys.readouterr().out
    assert len(pictures(tmp_path / "seen.mp4")) == FRAMES
    with pytest.raises(SystemExit) as ended:
        main(argv=[str(tmp_path / "p"), *words])
    assert ended.value.code == 1
    assert "an overlay is of one video" in capsys.readouterr().err
