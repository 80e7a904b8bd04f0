import re

import pytest

from experiments.benchmarks.pitch_error import (
    PitchErrorSettings,
    by_prosody,
    cents_off,
    command,
    sounds,
)


def test_prosody_is_within_three_and_a_half_cents_of_voices_with_little_noise() -> None:
    for name, sound, truth in sounds(8.0):
        limit = 8.0 if name == "glides in noise" else 3.5
        assert cents_off(*by_prosody(sound), truth).mean() < limit, name


def test_a_line_for_each_sound_and_tracker(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(PitchErrorSettings(seconds=1.5, pyin=False)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert all(re.search(r"mean [0-9.]+, 95 % [0-9.]+; [0-9]+ times real", line) for line in lines)
