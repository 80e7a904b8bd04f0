"""Imitated valence-arousal files: lengths, distribution and movement of the real ones."""

from pathlib import Path

import numpy as np
import pytest

from experiments.studies.simulation.imitation import (
    QUANTILES,
    TRAIN,
    VALIDATION,
    SplitFigures,
    label_tracks,
    split_lengths,
    write_imitation,
)
from fusion.corpora import read_corpus

MEAN, STD, BETWEEN, LAG30 = (0.0743, 0.2973), (0.4023, 0.2984), (0.511, 0.366), (0.819, 0.786)
"""Of Aff-Wild2's training labels: pooled; share of the variance between videos; autocorrelation at
30 frames with each video's own mean removed."""


@pytest.mark.parametrize("split", [TRAIN, VALIDATION], ids=lambda split: split.folder)
def test_lengths_have_the_quantiles_and_the_total_of_the_real_files(split: SplitFigures) -> None:
    lengths = split_lengths(split, np.random.default_rng(3))
    assert len(lengths) == split.files
    assert lengths.sum() == pytest.approx(split.rows, rel=0.001)
    np.testing.assert_allclose(np.quantile(lengths, QUANTILES), split.lengths, rtol=0.05)


def test_tracks_are_distributed_and_move_as_labels_do() -> None:
    tracks = label_tracks([3000] * 150, TRAIN, np.random.default_rng(0))
    values = np.concatenate(tracks)
    assert np.abs(values).max() == 1
    np.testing.assert_allclose(values.mean(0), MEAN, atol=0.03)
    np.testing.assert_allclose(values.std(0), STD, atol=0.03)
    np.testing.assert_allclose((values == 0).mean(0), TRAIN.zeros, atol=0.005)
    between = np.var([track.mean(0) for track in tracks], axis=0) / values.var(0)
    np.testing.assert_allclose(between, BETWEEN, atol=0.1)
    still = np.concatenate([np.diff(track, axis=0) == 0 for track in tracks])
    held = [*still.mean(0), still.all(axis=1).mean()]
    np.testing.assert_allclose(held, TRAIN.held, atol=0.05)
    centred = [track - track.mean(0) for track in tracks]
    pairs = sum((one[30:] * one[:-30]).sum(0) for one in centred)
    np.testing.assert_allclose(pairs / sum((c**2).sum(0) for c in centred), LAG30, atol=0.1)
    edges = np.linspace(-1, 1, 11)
    found = np.histogram2d(values[:, 1], values[:, 0], (edges, edges))[0][::-1] / len(values)
    assert np.abs(100 * found - TRAIN.histogram).sum() / 2 < 12


def test_what_is_written_is_read_and_the_same_for_equal_seeds(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_imitation(tmp_path / name, scale=0.02)
    clips = list(read_corpus(tmp_path / "one"))
    assert [clip.split for clip in clips].count("train") == TRAIN.files
    assert len(clips) == TRAIN.files + VALIDATION.files
    assert all(clip.labels["va"].mask.all() for clip in clips)
    header, *rates = (tmp_path / "one/videos_fps.csv").read_text().splitlines()
    assert header == "video_name,fps"
    found = [float(line.split(",")[1]) for line in rates]
    assert len(found) == len(clips)
    assert min(found) >= 18
    assert np.mean(np.array(found) == 30) == pytest.approx(0.43, abs=0.07)
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*")]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()
