"""Synthetic compounds of pictures, and the comparison that learns from them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.studies.systems import train_compound
from experiments.studies.systems.compound_pictures import (
    MIXERS,
    Part,
    compound_pictures,
    half_cutmix,
    held_out_pictures,
    make_parts,
)
from experiments.studies.systems.train_compound import (
    ARMS,
    ZERO_SHOT,
    TrainCompound,
    command,
    draw,
    fit,
    judge,
)
from features.encoders.visual.expression_net import ExpressionNet
from fusion.tasks.compound import COMPOUND_PAIRS, COMPOUNDS
from fusion.tasks.learning.mixtures import compound_targets
from tests.shared import shared_data

LEGAL = {tuple(two) for two in COMPOUND_PAIRS.tolist()}


def coded_pictures(basic: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, 1, 8, 8) pictures of one value each, the number of their expression plus 1."""
    labels = torch.tensor(basic)
    return (labels + 1.0).view(-1, 1, 1, 1).expand(-1, 1, 8, 8), labels


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(0, 99))
def test_halves_are_of_the_two_expressions_of_their_compound(basic: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    pictures, compounds = compound_pictures(*coded_pictures(basic), 12, half_cutmix)
    possible = any(set(two) <= set(basic) for two in LEGAL)
    assert len(pictures) == len(compounds) == (12 if possible else 0)
    for picture, compound in zip(pictures, compounds.tolist(), strict=True):
        upper, lower = picture[0, :4].unique(), picture[0, 4:].unique()
        assert len(upper) == len(lower) == 1
        halves = {int(upper) - 1, int(lower) - 1}
        assert halves == set(COMPOUND_PAIRS[compound].tolist())


def test_either_of_the_two_is_the_upper_half_about_as_often() -> None:
    torch.manual_seed(0)
    mixed = half_cutmix(torch.ones(2000, 1, 4, 4), torch.zeros(2000, 1, 4, 4))
    assert mixed[:, 0, 0, 0].mean().item() == pytest.approx(0.5, abs=0.05)
    assert torch.equal(mixed[:, 0, 0], 1 - mixed[:, 0, 3])


def test_mixup_of_pictures_lies_between_its_two_everywhere() -> None:
    torch.manual_seed(0)
    pictures, compounds = compound_pictures(
        *coded_pictures([0, 1, 2, 3, 4, 5]), 200, MIXERS["mixup"]
    )
    low, high = (COMPOUND_PAIRS[compounds] + 1).min(1), (COMPOUND_PAIRS[compounds] + 1).max(1)
    values = pictures[:, 0, 0, 0].numpy()
    assert ((values > low) & (values < high)).all()
    assert torch.equal(pictures, pictures[:, :, :1, :1].expand_as(pictures))


def part(kind: str, count: int = 12) -> Part:
    """Inputs that tell the kind: 1 for singles, 2 and 3 for the makings of mixtures."""
    value = {"basic": 1.0, "mixup": 2.0, "half": 3.0}[kind]
    truth = torch.arange(count) % (6 if kind == "basic" else 7)
    return Part(torch.full((count, 4), value), torch.rand(count, 6), truth)


@pytest.mark.parametrize(("share", "mixtures"), [(0.0, 0), (0.4, 40), (1.0, 100)])
def test_a_batch_has_the_share_of_mixtures_of_every_making(share: float, mixtures: int) -> None:
    torch.manual_seed(0)
    single = part("basic", 100)
    inputs, wanted = draw(single.inputs, single.truth, [part("mixup"), part("half")], share)
    assert len(inputs) == 100
    assert (inputs[:, 0] > 1).sum() == (wanted.sum(1) == 2).sum() == mixtures
    assert torch.equal(inputs[:, 0] > 1, wanted.sum(1) == 2)
    if mixtures:
        assert {2.0, 3.0} <= set(inputs[:, 0].tolist())


def test_scores_by_hand() -> None:
    basic = Part(torch.zeros(4, 1), torch.eye(6)[[0, 1, 2, 3]], torch.tensor([0, 1, 2, 4]))
    mixed = Part(torch.zeros(7, 1), compound_targets(torch.arange(7)).float(), torch.arange(7))
    wrong = replace(mixed, truth=(torch.arange(7) + torch.tensor([0, 0, 0, 0, 0, 1, 2])) % 7)
    found = judge(lambda one: one.softmax, {"basic": basic, "mixup": mixed, "half": wrong})
    assert found == pytest.approx({"basic": 3 / 5, "mixup": 1.0, "half": 5 / 7})


def test_without_kinds_of_mixtures_none_is_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []

    def noted(inputs, basic, made, share):  # type: ignore[no-untyped-def]
        shares.append(share)
        return draw(inputs, basic, made, share)

    monkeypatch.setattr(train_compound, "draw", noted)
    net = ExpressionNet(dim=4)
    parts = {kind: part(kind) for kind in ("basic", "mixup", "half")}
    for kinds in ARMS.values():
        shares.clear()
        fit(net, parts, kinds, 0, TrainCompound(Path()))
        assert shares == ([0.0] * 5 + [0.2] * 5 + [0.4] * 3 + [1.0] * 3 if kinds else [0.0] * 16)


def write_pictures(folder: Path) -> None:
    """FER2013's files with 24 training and 28 test pictures, all seven expressions."""
    import io

    from PIL import Image

    chance = np.random.default_rng(0)
    buffers = []
    for _ in range(24):
        with io.BytesIO() as file:
            Image.fromarray(chance.integers(0, 256, (48, 48), np.uint8)).save(file, "WEBP")
            buffers.append(file.getvalue())
    np.savez(
        folder / "train.npz",
        webp=np.frombuffer(b"".join(buffers), np.uint8),
        offsets=np.cumsum([0, *map(len, buffers)]),
        labels=np.arange(24) % 7,
        to_abaw=np.arange(7),
        same_as=np.arange(24),
        in_test=np.zeros(24, bool),
    )
    np.savez(
        folder / "test.npz",
        images=chance.integers(0, 256, (28, 48, 48), np.uint8),
        labels=np.arange(28) % 7,
        to_abaw=np.arange(7),
        in_train=np.arange(28) >= 21,
    )


def test_held_out_pictures_are_basic_and_no_copies(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    faces, basic = held_out_pictures(tmp_path)
    assert faces.shape == (18, 1, 48, 48)
    assert basic.tolist() == [0, 1, 2, 3, 4, 5] * 3
    assert faces.min() >= -1
    assert faces.max() <= 1


def settings_of(folder: Path) -> TrainCompound:
    return TrainCompound(
        folder,
        result=folder / "page.md",
        state=folder / "state",
        pictures=12,
        mixtures=6,
        test_mixtures=6,
        seeds=2,
    )


def test_a_killed_comparison_goes_on_and_writes_the_same_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path)
    asked = settings_of(tmp_path)
    assert command(asked) == 0
    page = asked.result.read_text()
    for name in (ZERO_SHOT, *ARMS):
        assert f"| {name} | 0." in page
    assert "--pictures 12 --mixtures 6 --test_mixtures 6 --seeds 2`" in page
    assert str(tmp_path) not in page
    asked.state = tmp_path / "another"

    trained: list[tuple[str, ...]] = []

    def dying(net, parts, kinds, seed, one):  # type: ignore[no-untyped-def]
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(kinds)
        return fit(net, parts, kinds, seed, one)

    asked.result.unlink()
    monkeypatch.setattr(train_compound, "fit", dying)
    with pytest.raises(KeyboardInterrupt):
        command(asked)
    assert not asked.result.exists()
    trained.append(())  # three are done, so that from now on none dies
    assert command(asked) == 0
    assert len(trained) == 1 + 2 * len(ARMS)
    tables = [[r for r in t.splitlines() if r[:1] == "|"] for t in (page, asked.result.read_text())]
    assert tables[0] == tables[1]


def test_fine_tuning_trains_a_copy_of_the_net(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_compound, "SCHEDULE", [(1, 0.0), (1, 1.0)])
    write_pictures(tmp_path)
    torch.manual_seed(0)
    net = ExpressionNet(dim=8).eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    asked = replace(settings_of(tmp_path), finetune=True)
    faces, basic = held_out_pictures(tmp_path)
    parts = make_parts(net, (faces[:6], basic[:6]), 4, pictures=True)
    assert parts["half"].inputs.shape == (4, 1, 48, 48)
    model = fit(net, parts, ("half",), 0, asked)
    assert model.net is not None
    assert not any(part.training for part in model.net.modules())
    assert (model.net.embed[0].weight != before["embed.0.weight"]).any()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_real_pictures_have_all_compounds_to_mix() -> None:
    faces, basic = held_out_pictures(shared_data() / "fer2013")
    assert len(faces) == len(basic) == 2732
    _, compounds = compound_pictures(faces, basic, 70, half_cutmix)
    assert set(compounds.tolist()) == set(range(len(COMPOUNDS)))
