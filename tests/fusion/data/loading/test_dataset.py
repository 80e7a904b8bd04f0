"""Batches: shapes, masks, and rows that belong to their frames."""

import numpy as np
import torch
from lightning_fabric.utilities.apply_func import move_data_to_device

from fusion.data.windowing import WindowPool
from tests.fusion.small_corpora import clip, identity, module, put, put_video


def test_a_batch_has_the_shapes_and_types_of_the_contract(corpus, store):
    data = module(corpus, store)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert {name: tuple(x.shape) for name, x in batch.streams.items()} == {
        "face": (3, 20, 4),
        "voice": (3, 20, 3),
    }
    assert all(x.dtype == torch.float32 for x in batch.streams.values())
    assert all(x.shape == (3, 20) and x.dtype == torch.bool for x in batch.valid.values())
    kinds = {
        name: [(tuple(x.shape), x.dtype) for x in (each.values, each.mask)]
        for name, each in batch.targets.items()
    }
    assert kinds == {
        "va": [((3, 20, 2), torch.float32), ((3, 20), torch.bool)],
        "expr": [((3, 20), torch.int64), ((3, 20), torch.bool)],
        "au": [((3, 20, 12), torch.float32), ((3, 20, 12), torch.bool)],
    }
    assert batch.clip.dtype == batch.start.dtype == torch.int64
    moved = move_data_to_device(batch, torch.device("meta"))
    assert moved.targets["va"].values.is_meta
    assert moved.streams["face"].is_meta


def test_features_and_labels_of_a_row_belong_to_the_same_frame(corpus, store):
    data = module(corpus, store, normalisers=identity())
    data.setup("fit")
    rows = 0
    for batch in data.train_dataloader():
        for item in range(len(batch.clip)):
            inside = batch.frames[item]
            number = batch.start[item] + torch.arange(20)
            assert torch.equal(batch.targets["va"].values[item, inside, 0], number[inside].float())
            face = batch.streams["face"][item, inside, 0]
            torch.testing.assert_close(face, number[inside] / 30)
            rows += int(inside.sum())
    assert rows == 7 * 20  # windows at 0 15 30 45 50 of clip 1 and at 0 5 of clip 2


def test_a_short_clip_is_padded_behind_masks(store):
    put_video(store, "1", 7)
    put_video(store, "2", 30)
    data = module([clip("1", frames=7), clip("2", "validation", 30)], store)
    data.setup("fit")
    [batch] = data.train_dataloader()
    assert batch.frames.sum() == batch.valid["face"].sum() == 7
    assert batch.targets["expr"].mask.sum() == 7
    assert not batch.streams["face"][0, 7:].any()


def test_validation_windows_stitch_to_every_frame_of_every_clip_once(corpus, store):
    data = module(corpus, store)
    data.setup("validate")
    pool = WindowPool()
    for batch in [*data.val_dataloader(), *data.val_dataloader()]:
        pool.add(batch.clip, batch.start, batch.targets["va"].values.numpy())
    dataset = data.datasets["validation"]
    stitched = pool.stitched(dataset.lengths)
    assert dataset.lengths == [45]
    np.testing.assert_allclose(stitched[0][:, 0], np.arange(45), rtol=1e-6)


def test_labels_are_matched_by_frame_number_and_differences_are_counted(store):
    put_video(store, "1", 30)
    put_video(store, "2", 30)
    data = module([clip("1", frames=33), clip("2", frames=26), clip("2", "validation", 30)], store)
    data.setup("fit")
    more, fewer = data.datasets["train"].labels
    assert len(more) == len(fewer) == 30
    assert more["expr"].mask.all()
    assert fewer["expr"].mask.tolist() == [True] * 26 + [False] * 4
    assert data.summaries["train"].surplus == {"1": 3}
    assert data.summaries["train"].absent == {"2": 4}
    text = "\n".join(data.lines())
    assert "train: 3 label rows beyond the last frame cut: 1 clip (1)" in text
    assert "train: 4 frames beyond the last label row masked: 1 clip (2)" in text
    assert "train and validation share 1 video (2)" in text


def test_clips_without_tracks_are_skipped_and_listed_and_gaps_are_named(corpus, store):
    put(store, "faces", "5", np.arange(30) / 30)
    put(store, "face", "5", np.arange(30) / 30)
    data = module([clip("lost", frames=9), *corpus, clip("5", frames=30)], store)
    data.setup("fit")
    assert [c.id for c in data.datasets["train"].clips] == ["1", "2", "5"]
    assert data.summaries["train"].skipped == ["lost"]
    text = "\n".join(data.lines())
    assert "skipped, no track at all: 1 clip (lost)" in text
    assert "no 'voice': 1 clip (5)" in text
