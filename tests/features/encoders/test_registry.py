"""What all encoders of the registry have in common."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from features.encoders.base import READY as READY_STATUS
from features.encoders.base import AudioEncoder, Status, VisualEncoder, description_of
from features.encoders.registry import (
    ENCODERS,
    EncoderSettings,
    build_encoder,
    describe_encoder,
    encoder_class,
    encoder_names,
)
from features.errors import UserError

READY = [
    name
    for name in encoder_names("faces")
    if encoder_class(name).status(EncoderSettings().of(name)).word == "ready"
]


def test_every_encoder_has_settings_of_its_own_and_states_its_status_without_loading() -> None:
    settings = EncoderSettings()
    for name in ENCODERS:
        kind: Any = encoder_class(name)
        own = settings.of(name)
        assert dataclasses.is_dataclass(own)
        assert own.stream == kind.name == name
        status = kind.status(own)
        assert isinstance(status, Status)
        assert (status.word == "ready") == (status.remedy == "")


def test_the_packaged_visual_encoders_are_ready() -> None:
    assert {"expression", "pyramid"} <= set(READY)


@pytest.mark.parametrize("name", READY)
def test_a_batch_without_faces_gives_no_rows(name: str) -> None:
    encoder = build_encoder(name, EncoderSettings(device="cpu"))
    assert isinstance(encoder, VisualEncoder)
    out = encoder.encode_faces(np.zeros((0, 112, 112, 3), np.uint8))
    assert {s: v.shape for s, v in out.items()} == {s: (0, d) for s, d in encoder.streams.items()}


def test_an_audio_encoder_follows_the_protocol() -> None:
    encoder = build_encoder("prosody", EncoderSettings(device="cpu"))
    assert isinstance(encoder, AudioEncoder)
    assert encoder.token_rate == 50


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'pyramid'"):
        encoder_class("piramid")


def test_an_absent_device_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(UserError, match="cuda:99"):
        build_encoder("expression", EncoderSettings(device="cuda:99"))


def test_a_description_says_without_weights_what_the_encoder_says_when_built() -> None:
    settings = EncoderSettings(device="cpu")
    for name in ENCODERS:
        kind = encoder_class(name)
        if kind.status(settings.of(name)) == READY_STATUS:
            encoder = build_encoder(name, settings, margin=0.3)
            assert describe_encoder(name, settings, margin=0.3) == description_of(encoder)


def test_weights_are_not_read_to_describe(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("weights were read")

    for reader in ("weights_io.read_weights", "hf_checkpoint.Checkpoint.load"):
        monkeypatch.setattr(f"features.encoders.{reader}", read)
    for name in ("expression", "pyramid", "wav2vec2", "prosody"):
        assert describe_encoder(name, EncoderSettings()).streams
