"""Fixtures that several files share."""

import pytest

from features.media import frames as frames_module


@pytest.fixture(params=["decord", "pyav"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test with each decoder; without decord's wheel there is only PyAV."""
    if request.param == "decord":
        pytest.importorskip("decord")
    else:
        monkeypatch.setattr(frames_module, "decord", None)
    return request.param
