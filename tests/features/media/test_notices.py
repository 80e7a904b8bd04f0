import logging
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image

from features.extract import ExtractSettings, SourceSettings, command
from features.media.notices import gathered_notices

log = logging.getLogger("features.media.anything")


def test_notices_of_all_threads_are_gathered_once_each(capfd: pytest.CaptureFixture[str]) -> None:
    with gathered_notices() as notices:
        log.warning("%s: one", "a.mp4")
        for _ in range(2):
            thread = Thread(target=log.warning, args=("a.mp4: two\n",))
            thread.start()
            thread.join()
        log.info("nothing of note")
    assert notices == ["a.mp4: one", "a.mp4: two"]
    log.warning("afterwards")
    assert len(notices) == 2
    assert "a.mp4" not in capfd.readouterr().err


def test_what_is_said_of_an_item_is_in_the_closing_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cropped_aligned" / "12"
    folder.mkdir(parents=True)
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(folder / "00001.jpg")
    (folder / "00002.jpg").write_bytes(b"no picture")
    data = SourceSettings(root=tmp_path, crops_fps=25.0)
    assert command(ExtractSettings(data=data, encoders=["expression"], workers="0")) == 0
    line = f"note: {folder / '00002.jpg'}: unreadable picture; its frame counts as one without"
    assert line in capsys.readouterr().out
