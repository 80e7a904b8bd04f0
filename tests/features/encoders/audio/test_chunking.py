import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike

from features.encoders.audio.chunking import TokenGrid, joined_on_disk, plan
from features.media.sound.audio_cache import Moments, Spool

WAV2VEC2 = TokenGrid.of_convolutions([10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2], 16000)


def test_wav2vec2_convolutions_hear_400_samples_every_320() -> None:
    assert TokenGrid(hop=320, field=400, rate=16000) == WAV2VEC2


@pytest.mark.parametrize(
    ("samples", "tokens"), [(0, 0), (399, 0), (400, 1), (719, 1), (720, 2), (16000, 49)]
)
def test_count_of_tokens(samples: int, tokens: int) -> None:
    assert WAV2VEC2.count(samples) == tokens


def test_centres_are_at_the_middle_of_the_field() -> None:
    assert WAV2VEC2.centres(3).tolist() == [200 / 16000, 520 / 16000, 840 / 16000]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 500), st.integers(1, 60), st.data())
def test_plan_covers_every_token_once_and_far_from_borders(
    total: int, length: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, length - 1))
    pieces = plan(total, length, overlap)
    kept = [token for piece in pieces for token in range(piece.keep_start, piece.keep_stop)]
    assert kept == list(range(total))
    for piece in pieces:
        assert piece.stop - piece.start == min(length, total)
        assert piece.keep_start == 0 or piece.keep_start - piece.start >= overlap // 2
        assert piece.keep_stop == total or piece.stop - piece.keep_stop >= overlap // 2
    assert not pieces or pieces[-1].stop == total


def test_plan_refuses_an_overlap_as_long_as_the_piece() -> None:
    with pytest.raises(ValueError, match="overlap"):
        plan(10, 4, 4)


def test_spool_gives_back_any_part_and_the_statistics_of_all() -> None:
    sound = np.random.default_rng(0).normal(3, 2, 5000).astype(np.float32)
    with Spool([sound[:1000], sound[1000:1000], sound[1000:]]) as spool:
        assert len(spool) == 5000
        np.testing.assert_array_equal(spool.read(900, 1100), sound[900:1100])
        np.testing.assert_array_equal(spool.read(4990, 6000), sound[4990:])
        assert spool.mean == pytest.approx(sound.mean(dtype=float))
        assert spool.variance == pytest.approx(sound.var(dtype=float))


def test_spool_walks_each_token_once() -> None:
    grid = TokenGrid(hop=5, field=10, rate=16000)
    sound = np.arange(1003, dtype=np.float32)
    with Spool([sound]) as spool:
        stretches = list(grid.walk(spool, 7))
    assert sum(grid.count(len(stretch)) for stretch in stretches) == grid.count(len(sound))
    starts = [stretch[0] for stretch in stretches]
    assert starts == list(range(0, 1000 - 5, 35))


def test_spool_of_nothing_is_empty_and_finite() -> None:
    with Spool([]) as spool:
        assert (len(spool), spool.mean, spool.variance) == (0, 0.0, 0.0)


def test_spool_refuses_stereo() -> None:
    with pytest.raises(ValueError, match=r"\(N,\)"):
        Spool([np.zeros((10, 2), np.float32)])


def test_moments_equal_those_of_the_whole() -> None:
    values = np.random.default_rng(1).normal(-1, 3, (4, 1000)).astype(np.float32)
    moments = Moments(4)
    for start in range(0, 1000, 333):
        moments.add(values[:, start : start + 333])
    np.testing.assert_allclose(moments.mean, values.mean(1, dtype=float))
    np.testing.assert_allclose(moments.variance, values.var(1, dtype=float))


@given(st.lists(st.integers(0, 5), max_size=6), st.sampled_from([np.float16, np.float32]))
def test_parts_joined_on_disk_are_what_they_are_in_memory(
    lengths: list[int], dtype: DTypeLike
) -> None:
    numbers = np.random.default_rng(0)
    parts = [numbers.normal(size=(2 * length, 3))[::2] for length in lengths]
    joined = joined_on_disk(iter(parts), 3, dtype)
    assert joined.dtype == dtype
    np.testing.assert_array_equal(joined, np.concatenate([np.zeros((0, 3)), *parts]).astype(dtype))
