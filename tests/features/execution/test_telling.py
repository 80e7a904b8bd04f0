"""An extraction in this process tells how far its only item is."""

from pathlib import Path

from features.cli.progress import heard_by
from features.extract import ExtractSettings, SourceSettings, extract
from tests.media import plain_frames, tone, write_sound, write_video


def shares(root: Path, encoder: str) -> list[float]:
    told: list[tuple[str, float]] = []
    with heard_by(lambda title, share: told.append((title, share))):
        data = SourceSettings(root, root.parent / "tracks")
        extract(ExtractSettings(data=data, encoders=[encoder], workers="0"))
    assert {title for title, _ in told} == {"extract"}
    return [share for _, share in told]


def test_the_share_of_a_video_rises_to_one(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "a.mp4", plain_frames(150))
    told = shares(clip, "expression")
    assert told == sorted(told)
    assert 0 < told[0] < 1 == told[-1]


def test_of_several_whole_ones_are_told(tmp_path: Path) -> None:
    for name in "ab":
        write_sound(tmp_path / f"{name}.wav", tone(1.0, 8000), 8000, "pcm_s16le")
    assert len(shares(tmp_path, "prosody")) == 2
