from pathlib import Path

import numpy as np
import pytest

from experiments.studies.simulation.affwild2_figures import (
    QUANTILES,
    TEST,
    TRAIN,
    TRAIN_LABELS,
    VALIDATION,
)
from experiments.studies.simulation.affwild2_files import (
    Imitation,
    Settings,
    as_text,
    command,
    deal_names,
    split_lengths,
    video_name,
    write_imitation,
)
from experiments.studies.simulation.affwild2_tracks import (
    histogram_of,
    label_tracks,
    share_between,
    share_held,
)
from features.errors import UserError
from fusion.abaw.reading.annotations import read_corpus
from fusion.abaw.reading.lists import read_template, read_test_list

SPLITS = (TRAIN, VALIDATION, TEST)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Imitation]]:
    root = tmp_path_factory.mktemp("imitation") / "aff"
    return root, write_imitation(root, scale=0.02)


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: split.name)
def test_lengths_have_the_quantiles_and_the_total_of_the_real_files(split) -> None:
    lengths = split_lengths(split, np.random.default_rng(3))
    assert len(lengths) == split.files
    assert lengths.sum() == split.rows
    np.testing.assert_allclose(np.quantile(lengths, QUANTILES), split.lengths, atol=1)


def test_names_are_as_many_of_each_kind_as_in_the_real_set() -> None:
    names = deal_names(np.random.default_rng(0))
    every = [name for split in SPLITS for name in names[split.name]]
    assert len(set(every)) == len(every) == 594
    assert [len({*map(video_name, names[s.name])}) for s in SPLITS] == [351, 73, 154]
    assert [sum(n.endswith("_left") for n in names[s.name]) for s in SPLITS] == [4, 2, 8]
    assert [sum(n.endswith("_right") for n in names[s.name]) for s in SPLITS] == [5, 3, 7]
    assert sum(name.isdecimal() for name in every) == 328
    videos = [{*map(video_name, names[split.name])} for split in SPLITS]
    assert not videos[0] & videos[1] | videos[0] & videos[2] | videos[1] & videos[2]


def test_tracks_are_distributed_and_move_as_labels_do() -> None:
    tracks = label_tracks([3000] * 150, TRAIN_LABELS, np.random.default_rng(0))
    values = np.concatenate(tracks)
    assert np.abs(values).max() == 1
    np.testing.assert_allclose(values.mean(0), TRAIN_LABELS.mean, atol=0.03)
    np.testing.assert_allclose(values.std(0), TRAIN_LABELS.std, atol=0.03)
    np.testing.assert_allclose(share_between(tracks), TRAIN_LABELS.between, atol=0.1)
    np.testing.assert_allclose(share_held(tracks), TRAIN_LABELS.held, atol=0.05)
    assert np.abs(histogram_of(values) - TRAIN_LABELS.histogram).sum() / 2 < 12


def test_what_is_written_is_what_is_read(small: tuple[Path, list[Imitation]]) -> None:
    root, made = small
    clips = {(clip.split, clip.id): clip for clip in read_corpus(root)}
    assert len(clips) == 594
    for imitation in made:
        for name, track in zip(imitation.ids, imitation.tracks, strict=True):
            labels = clips[imitation.split.name, name].labels
            valid = track[:, 0] != -5
            np.testing.assert_array_equal(labels.va_mask, valid)
            np.testing.assert_array_equal(labels.va[valid], track[valid].astype(np.float32))


def test_list_sample_and_placeholders_agree(small: tuple[Path, list[Imitation]]) -> None:
    root, _ = small
    template = read_template(root / "test/VA_sample_submission.txt")
    assert sorted(template.ids) == sorted(read_test_list(root / "test/VA.txt"))
    for name, last in template.last_frames().items():
        path = root / f"annotations/VA_Estimation_Challenge/Test_Set/{name}.txt"
        assert path.read_text() == "valence,arousal\n" + "0,0\n" * last


def test_every_video_has_a_frame_rate(small: tuple[Path, list[Imitation]]) -> None:
    root, made = small
    header, *lines = (root / "videos_fps.csv").read_text().splitlines()
    rates = dict(line.split(",") for line in lines)
    assert header == "video_name,fps"
    assert len(rates) == 598
    assert sum(name.endswith(".avi") for name in rates) == 128
    assert sum(rate == "30" for rate in rates.values()) == 292
    names = {name.rpartition(".")[0] for name in rates}
    assert {video_name(name) for imitation in made for name in imitation.ids} <= names


def test_equal_seeds_write_equal_files(tmp_path: Path, small: tuple[Path, list[Imitation]]) -> None:
    root, _ = small
    write_imitation(tmp_path, scale=0.02)
    files = [path.relative_to(root) for path in root.rglob("*.*") if path.is_file()]
    assert len(files) == 594 + 3
    assert all((root / file).read_bytes() == (tmp_path / file).read_bytes() for file in files)


def test_numbers_are_written_as_in_the_real_files() -> None:
    track = np.array([[0.5, -1.0], [-5.0, -5.0], [9.9e-9, 0.123456789012]])
    assert as_text(track) == "0.5,-1.0\n-5,-5\n9.9e-09,0.123456789012\n"


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UserError, match="not an empty folder"):
        command(Settings(tmp_path, scale=0.01))
    with pytest.raises(UserError, match="scale"):
        command(Settings(tmp_path / "new", scale=0))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
