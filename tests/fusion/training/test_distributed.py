"""Two processes: the same validation as one, every window and frame once, training that resumes.

One command, `python -m tests.fusion.training.test_distributed ROOT OUT`, which Lightning starts a
second
time for the second process, does everything that needs both; the tests look at what it has written.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import pytorch_lightning as pl

from fusion.corpora import read_corpus
from fusion.data.loading.config import DataSettings
from fusion.data.loading.datamodule import AffectDataModule
from fusion.data.loading.sampling import SetSampler, WindowSet
from fusion.data.run_identity import plain
from fusion.inference.payload import read_payload
from fusion.metrics.official import MetricAccumulator
from fusion.model.settings import ModelSettings
from fusion.training import lightning_module as module_file
from fusion.training.config import TrainSettings
from fusion.training.lightning_module import AffectModule
from fusion.training.run import make_module, train_run
from fusion.training.trainer import BEST, LAST, quiet_lightning
from fusion.training.validation import score_held_out
from tests.fusion.tiny import FRAMES, write_corpus
from tests.waiting import limit

EPOCHS = 3
VALIDATION_CLIPS, VALIDATION_WINDOWS, TRAINING_WINDOWS = 3, 9, 3


def settings(root: Path, runs: Path, devices: int) -> TrainSettings:
    data = DataSettings(root=root, streams=["face", "voice"], window=20, stride=15, batch=2)
    model = ModelSettings(
        dim=16,
        stream_dim=8,
        tcn_levels=1,
        temporal={"name": "transformer", "layers": 1, "heads": 2},
    )
    return TrainSettings("tiny", runs, data, model, epochs=EPOCHS, patience=EPOCHS, devices=devices)


def write_odd_corpus(root: Path) -> Path:
    """Nine windows of three clips to validate on, three windows of one clip to train on."""
    write_corpus(root)
    for path in list(root.glob("annotations/*/Train_Set/2.txt")):
        path.rename(path.parents[1] / "Validation_Set" / path.name)
    return root


def validate(root: Path, runs: Path, checkpoint: Path, devices: int) -> dict[str, object]:
    """What a Trainer says of the weights of a checkpoint, and what it has counted."""
    chosen = settings(root, runs, devices)
    data = AffectDataModule(read_corpus(root), chosen.data.tracks(), chosen.data)
    data.setup("fit")
    module = make_module(chosen, data, plain(chosen))
    module.load_state_dict(read_payload(checkpoint)["state_dict"])
    windows: list[tuple[int, int]] = []
    frames: list[int] = []
    with pytest.MonkeyPatch.context() as patch, quiet_lightning():
        score, add = module_file.official_window_scores, MetricAccumulator.add
        patch.setattr(
            module_file,
            "official_window_scores",
            lambda all_, *how: windows.extend((w.clip, w.start) for w in all_) or score(all_, *how),
        )
        patch.setattr(
            MetricAccumulator, "add", lambda self, *a: frames.append(len(a[0])) or add(self, *a)
        )
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=devices,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
        )
        scores = trainer.validate(module, datamodule=data, verbose=False)[0]
    return {"scores": scores, "windows": windows, "frames": sum(frames)}


class Killed(Exception):
    """Ends a run in the middle of its second epoch."""


def train_with_a_kill(root: Path, runs: Path) -> list[tuple[int, int, int]]:
    """Trains, dies, goes on; gives (epoch, clip, first frame) of this process's windows."""
    seen: list[tuple[int, int, int]] = []
    step, killed = AffectModule.training_step, False

    def watched(self: AffectModule, batch, index):
        nonlocal killed
        if self.current_epoch == 1 and not killed:
            killed = True
            raise Killed
        pairs = zip(batch.clip.tolist(), batch.start.tolist(), strict=True)
        seen.extend((self.current_epoch, *pair) for pair in pairs)
        return step(self, batch, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AffectModule, "training_step", watched)
        with pytest.raises(Killed):
            train_run(settings(root, runs, 2))
        train_run(settings(root, runs, 2))
    return seen


def both_processes(root: Path, out: Path) -> None:
    """What both processes do, in step."""
    seen = train_with_a_kill(root, out / "runs")
    rank = os.environ["LOCAL_RANK"]
    found = validate(root, out / "runs", out / "runs/tiny" / BEST, devices=2)
    (out / f"rank{rank}.json").write_text(json.dumps(found | {"seen": seen}))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_odd_corpus(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def out(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    command = [
        sys.executable,
        "-m",
        "tests.fusion.training.test_distributed",
        str(root),
        str(folder),
    ]
    made = subprocess.run(
        command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=limit(300)
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


@pytest.fixture(scope="module")
def processes(out):
    return [json.loads((out / f"rank{rank}.json").read_text()) for rank in range(2)]


def test_two_processes_validate_as_one_does(root, out, processes):
    alone = validate(root, out / "alone", out / "runs/tiny" / BEST, devices=1)
    assert len(alone["scores"]) == 6
    for both in processes:
        assert both["scores"] == pytest.approx(alone["scores"], abs=1e-6)
        assert both["frames"] == alone["frames"] == VALIDATION_CLIPS * FRAMES


def test_the_window_that_the_sampler_repeats_is_counted_once(processes):
    for both in processes:
        windows = [tuple(window) for window in both["windows"]]
        assert len(windows) == VALIDATION_WINDOWS + 1
        assert len(set(windows)) == VALIDATION_WINDOWS


def test_each_training_window_is_seen_in_each_epoch_by_one_of_them(processes):
    for epoch in range(EPOCHS):
        seen = [{tuple(w) for w in both["seen"] if w[0] == epoch} for both in processes]
        assert len(set.union(*seen)) == TRAINING_WINDOWS
        assert [len(windows) for windows in seen] == [2, 2]  # one is repeated, to be as many


def test_a_run_of_two_goes_on_where_it_was_killed(out):
    logs = sorted((out / "runs/tiny").glob("logs/*/metrics.csv"))
    epochs = [pd.read_csv(path).dropna(subset="val/P")["epoch"].tolist() for path in logs]
    assert epochs == [[0], [1, 2]]
    assert read_payload(out / "runs/tiny" / LAST)["epoch"] == EPOCHS - 1


def test_the_validation_score_of_a_run_of_two_is_that_of_its_checkpoint(root, out):
    logs = (out / "runs/tiny").glob("logs/*/metrics.csv")
    logged = max(pd.read_csv(path)["val/P"].max() for path in logs)
    best = out / "runs/tiny" / BEST
    scores = score_held_out(settings(root, out / "runs", 1), best).scores()
    assert scores["P"] == pytest.approx(logged, abs=1e-6)


def test_samplers_of_two_processes_deal_out_what_one_would():
    sets = [WindowSet("va", np.arange(8)), WindowSet("expr", np.arange(8, 16))]
    dealt = [list(SetSampler(sets, 8, seed=3, processes=2, rank=rank)) for rank in range(2)]
    assert sorted(dealt[0] + dealt[1]) == list(range(16))
    for order in dealt:
        assert [window // 8 for window in order] == [0, 1] * 4


@pytest.mark.parametrize("mix", ["tasks", "combinations"])
def test_mixed_data_is_dealt_by_the_processes_of_the_trainer(root, mix):
    data = AffectDataModule(
        read_corpus(root),
        settings(root, root, 1).data.tracks(),
        DataSettings(root=root, streams=["face"], window=20, stride=15, batch=3, mix=mix),
    )
    data.setup("fit")
    samplers = []
    for rank in range(2):
        data.trainer = SimpleNamespace(world_size=2, global_rank=rank)
        samplers.append(data.train_dataloader().sampler)
    assert [(s.num_replicas, s.rank) for s in samplers] == [(2, 0), (2, 1)]
    assert len(samplers[0]) == len(samplers[1])


if __name__ == "__main__":
    both_processes(Path(sys.argv[1]), Path(sys.argv[2]))
