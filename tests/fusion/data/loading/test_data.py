"""The data module: order, processes, Trainer, normalisation and refusals."""

import warnings

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.data.loading.config import DataSettings
from tests.fusion.small_corpora import clip, identity, module, put, put_video


def test_the_order_depends_on_seed_and_epoch_alone(corpus, store):
    def order(seed, epoch):
        data = module(corpus, store, seed=seed)
        data.setup("fit")
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        return [
            tuple(pair)
            for b in loader
            for pair in zip(b.clip.tolist(), b.start.tolist(), strict=True)
        ]

    assert order(1, 0) == order(1, 0)
    assert len({tuple(order(seed, epoch)) for seed in (1, 2) for epoch in (0, 1)}) == 4
    assert sorted(order(1, 0)) == sorted(order(2, 1))


def test_worker_processes_give_the_same_batches(corpus, store):
    def first(workers):
        data = module(corpus, store, workers=workers)
        data.setup("fit")
        return next(iter(data.train_dataloader()))

    one, two = first(0), first(1)
    assert torch.equal(one.streams["voice"], two.streams["voice"])
    assert torch.equal(one.targets["va"].values, two.targets["va"].values)


class Probe(pl.LightningModule):
    """Learns nothing; notes which windows each epoch brought."""

    def __init__(self):
        super().__init__()
        self.weight, self.epochs, self.validated = torch.nn.Parameter(torch.zeros(1)), {}, 0

    def training_step(self, batch, _):
        pairs = zip(batch.clip.tolist(), batch.start.tolist(), strict=True)
        self.epochs.setdefault(self.current_epoch, []).extend(pairs)
        return self.weight.sum()

    def validation_step(self, batch, _):
        self.validated += len(batch.clip)

    def predict_step(self, batch, _):
        return batch.start

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_trainer_runs_on_it_and_shuffles_each_epoch(corpus, store, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
            num_sanity_val_steps=0,
        )  # fmt: skip
        probe, data = Probe(), module(corpus, store)
        trainer.fit(probe, datamodule=data)
        predicted = trainer.predict(probe, datamodule=data)
    epochs = list(probe.epochs.values())
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert sorted(epochs[0]) == sorted(epochs[2])
    assert probe.validated == 3 * 3
    assert torch.cat(predicted).tolist() == [0, 10]


def test_normalisers_come_from_valid_training_frames_only(store):
    rng = np.random.default_rng(0)
    clock = np.arange(50) / 30
    train = rng.normal(5, 2, (50, 4)) * [1, 100, 1e-3, 1]
    valid = rng.random(50) < 0.6
    put(store, "face", "1", clock, np.where(valid[:, None], train, 1e4), valid=valid)
    put(store, "face", "2", clock, rng.normal(-50, 9, (50, 4)))
    data = module([clip("1", frames=50), clip("2", "validation", 50)], store, streams=["face"])
    data.setup("fit")
    kept = train.astype(np.float32)[valid].astype(np.float64)
    normaliser = data.normalisers["face"]
    np.testing.assert_allclose(normaliser.mean, kept.mean(0), rtol=1e-5)
    np.testing.assert_allclose(normaliser.std, kept.std(0), rtol=1e-5)
    batch = next(iter(data.train_dataloader()))
    assert not batch.streams["face"][~batch.valid["face"]].any()


def test_handed_in_normalisers_are_used_and_the_training_clips_not_read(corpus, store):
    data = module(corpus, store, normalisers=identity())
    data.setup("predict")
    assert list(data.datasets) == ["test"]
    batch = next(iter(data.predict_dataloader()))
    torch.testing.assert_close(batch.streams["face"][0, :, 0], torch.arange(20) / 30)
    assert not batch.targets["va"].mask.any()


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"streams": []}, "data.streams"),
        ({"window": 0}, "data.window"),
        ({"stride": 21}, "data.stride"),
        ({"align_window": -0.1}, "data.align_window"),
        ({"batch": 0}, "data.batch"),
        ({"workers": -1}, "data.workers"),
        ({"fold": 5}, "data.fold"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(corpus, store, settings, name):
    with pytest.raises(UserError, match=name):
        module(corpus, store, **settings)


def test_the_store_lies_in_the_corpus_unless_it_is_named(tmp_path):
    assert DataSettings(root=tmp_path).tracks().root == tmp_path / "tracks"
    assert DataSettings(root=tmp_path, store=tmp_path / "x").tracks().root == tmp_path / "x"
    with pytest.raises(UserError, match=r"data\.root"):
        DataSettings().tracks()


def test_empty_splits_are_refused_with_the_remedy(corpus, store):
    with pytest.raises(UserError, match="no train clips"):
        module(corpus[2:], store).setup("fit")
    with pytest.raises(UserError, match=r"no validation clips.*data\.fold"):
        module(corpus[:2], store).setup("fit")
    with pytest.raises(UserError, match=r"no tracks of the 1 train clip.*features\.extract"):
        module([clip("lost"), *corpus[2:]], store).setup("fit")


def test_ids_that_do_not_match_are_shown_beside_each_other(tmp_path):
    store = TrackStore(tmp_path)
    put_video(store, "Talk", 20)
    for name, said in (
        ("talk", "the labels say 'talk', the tracks 'Talk'; name both alike"),
        ("Talk1", "the labels have such as 'Talk1', the tracks such as 'Talk'"),
    ):
        with pytest.raises(UserError, match=said):
            module([clip(name), clip("w", "validation")], store).setup("fit")


def test_a_split_that_is_not_there_is_refused(corpus, store):
    with pytest.raises(UserError, match="no test clips"):
        module(corpus[:3], store).setup("predict")
