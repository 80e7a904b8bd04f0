from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from features.encoders.registry import EncoderSettings, build_encoder
from features.errors import UserError
from fusion.abaw.rules import Source, knows_aff_wild2, rule_warnings
from fusion.inference.provenance import sources_of_checkpoint, sources_of_predictions, trained_on
from fusion.streams.stream_spec import StreamSpec

MODEL = Source("model best.ckpt", "s-Aff-Wild2", ("VA", "EXPR", "AU"), corpus=True)
FACE = Source("stream face (net)", "ImageNet-1k, without labels")


@pytest.mark.parametrize(
    ("data", "known"),
    [
        ("Aff-Wild2", "full"),
        ("affwild2", "full"),
        ("5th_ABAW_Annotations", "full"),
        ("s-Aff-Wild2", "small"),
        ("S_AFF_WILD2", "small"),
        ("s-Aff-Wild2 and Aff-Wild2", "full"),
        ("pictures-Aff-Wild2", "full"),
        ("demo", ""),
        ("RAVDESS", ""),
        ("corpus", None),
        ("unknown", None),
        (None, None),
    ],
)
def test_the_corpus_is_told_by_its_name(data: str | None, known: str | None) -> None:
    assert knows_aff_wild2(Source("model", data, corpus=True)) == known


@pytest.mark.parametrize(
    ("data", "known"),
    [
        ("FER2013 training part, without copies of test pictures", ""),
        ("nothing", ""),
        ("AffectNet, then Aff-Wild2", "full"),
        ("see the card of facebook/some-model", None),
        ("see the origin of weights.pt", None),
        ("unknown; backbone: VGGFace2", None),
    ],
)
def test_weights_tell_their_data_in_their_own_words(data: str, known: str | None) -> None:
    assert knows_aff_wild2(Source("stream", data)) == known


@pytest.mark.parametrize("edition", [4, 7, 11])
def test_mtl_forbids_the_full_corpus_in_models_and_in_encoders(edition: int) -> None:
    assert rule_warnings("MTL", edition, [MODEL, FACE]) == []
    full = [replace(MODEL, data="Aff-Wild2"), replace(FACE, data="VGGFace2, then Aff-Wild2")]
    first, second = rule_warnings("MTL", edition, full)
    assert f"edition {edition}, MTL: only s-Aff-Wild2 is allowed" in first
    assert "model best.ckpt was trained on Aff-Wild2" in first
    assert "stream face (net) was trained on VGGFace2, then Aff-Wild2" in second


def test_mtl_of_edition_3_has_the_full_corpus() -> None:
    assert rule_warnings("MTL", 3, [replace(MODEL, data="Aff-Wild2")]) == []


def test_what_is_unknown_is_said_to_be_unknown() -> None:
    (line,) = rule_warnings("MTL", 7, [replace(FACE, data=None)])
    assert "it is unknown whether stream face (net) was trained on Aff-Wild2" in line
    (line,) = rule_warnings("MTL", 7, [replace(MODEL, data="videos")])
    assert "unknown whether model best.ckpt" in line
    assert "(it says: videos)" in line
    (line,) = rule_warnings("VA", 7, [replace(MODEL, tasks=None)])
    assert "it is unknown which labels model best.ckpt was trained on" in line


def test_a_single_task_allows_its_own_labels_only() -> None:
    assert rule_warnings("VA", 5, [replace(MODEL, tasks=("VA",)), FACE]) == []
    (line,) = rule_warnings("VA", 5, [MODEL])
    assert line == (
        "edition 5, VA: only VA labels are allowed,"
        " but model best.ckpt was trained on EXPR and AU labels too"
    )
    (line,) = rule_warnings("AU", 2, [replace(FACE, data="Aff-Wild2")])
    assert "unknown which labels stream face (net) was trained on (it says: Aff-Wild2)" in line


def test_a_challenge_without_a_known_rule_warns_of_nothing() -> None:
    assert rule_warnings("CE", 7, [replace(MODEL, data="Aff-Wild2")]) == []


def test_unknown_editions_and_challenges_are_refused() -> None:
    with pytest.raises(UserError, match="unknown edition 12; known are 2 to 11"):
        rule_warnings("VA", 12, [])
    with pytest.raises(UserError, match="unknown challenge 'XY'"):
        rule_warnings("XY", 5, [])


# What checkpoints and predictions tell


def checkpoint(provenance: dict) -> SimpleNamespace:
    spec = StreamSpec(dim=1, encoder="prosody", revision="other", settings="s")
    return SimpleNamespace(path=Path("best.ckpt"), provenance=provenance, specs={"voice": spec})


def test_a_checkpoint_tells_its_corpus_tasks_and_streams() -> None:
    origin = {"corpus": "Aff-Wild2", "tasks": ["au", "va"]}
    assert sources_of_checkpoint(checkpoint(origin)) == [  # type: ignore[arg-type]
        Source("model best.ckpt", "Aff-Wild2", ("VA", "AU"), corpus=True),
        Source("stream voice (prosody)", None),
    ]
    model, _ = sources_of_checkpoint(checkpoint({}))  # type: ignore[arg-type]
    assert (model.data, model.tasks) == (None, None)


def test_an_encoder_speaks_only_for_the_weights_at_hand() -> None:
    revision = build_encoder("prosody", EncoderSettings(device="cpu")).revision
    assert trained_on("prosody", revision) == "nothing"
    assert trained_on("prosody", "other") is None
    assert trained_on("somebodys", revision) is None


def test_predictions_tell_what_all_their_models_have_seen(tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").write_bytes(b"another")
    first = {"checkpoint": "abc", "corpus": "Aff-Wild2", "tasks": "VA", "stream voice": "net r1"}
    second = {"checkpoint #2": "def", "corpus #2": "Aff-Wild2 + demo", "tasks #2": "EXPR VA"}
    models = "model abc, def"
    assert sources_of_predictions([first, second], tmp_path / "best.ckpt") == [
        Source(models, "Aff-Wild2", ("VA", "EXPR"), corpus=True),
        Source(models, "demo", ("VA", "EXPR"), corpus=True),
        Source("stream voice (net)", None),
    ]
    silent = {"checkpoint": "abc", "corpus": "", "tasks": ""}
    assert sources_of_predictions([silent], tmp_path / "absent.ckpt") == [
        Source("model abc", None, None)
    ]
    assert sources_of_predictions([{}], tmp_path / "absent.ckpt") == [
        Source("the model", None, None)
    ]
