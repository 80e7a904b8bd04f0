"""Ready-made crops: both parents merged, frames by number, bad pictures left out by name."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from features.faces.precropped import crop_numbers, crop_person, find_crops, read_crops
from features.media import MediaError


def add_crop(folder: Path, number: int, value: int = 0, side: int = 112) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number:05d}.jpg"
    Image.new("RGB", (side, side), (value, value, value)).save(path)
    return path


def read_all(folders: list[Path], batch: int = 64) -> tuple[np.ndarray, np.ndarray]:
    blocks = list(read_crops(folders, batch))
    return np.concatenate([b[0] for b in blocks]), np.concatenate([b[1] for b in blocks])


def test_both_parents_are_found_at_any_depth_in_any_case(tmp_path: Path) -> None:
    add_crop(tmp_path / "data" / "Cropped_Aligned" / "12", 1)
    add_crop(tmp_path / "data" / "Cropped_Aligned" / "12_left", 1)
    add_crop(tmp_path / "more" / "deep" / "cropped_aligned_new_50_vids" / "12", 2)
    add_crop(tmp_path / "more" / "deep" / "cropped_aligned_new_50_vids" / "video7_2", 1)
    add_crop(tmp_path / "pictures" / "13", 1)
    found = find_crops(tmp_path)
    assert sorted(found) == ["12", "12_left", "video7_2"]
    assert [folder.parent.name for folder in found["12"]] == [
        "Cropped_Aligned",
        "cropped_aligned_new_50_vids",
    ]
    assert crop_numbers(found["12"]).tolist() == [1, 2]


def test_parent_itself_can_be_given(tmp_path: Path) -> None:
    add_crop(tmp_path / "cropped_aligned" / "12", 1)
    assert list(find_crops(tmp_path / "cropped_aligned")) == ["12"]
    assert find_crops(tmp_path / "cropped_aligned" / "12") == {}


def test_pictures_come_with_their_frame_numbers_in_order(tmp_path: Path) -> None:
    for number, value in ((120, 90), (3, 60), (2, 30)):
        add_crop(tmp_path / "12", number, value)
    (tmp_path / "12" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "12" / "notes.txt").write_text("x")
    (tmp_path / "12" / "00000.jpg").write_bytes(b"x")
    numbers, images = read_all([tmp_path / "12"], batch=2)
    assert numbers.tolist() == [2, 3, 120]
    assert images.shape == (3, 112, 112, 3)
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), [30, 60, 90], atol=2)


def test_first_folder_wins_where_both_have_the_frame(tmp_path: Path) -> None:
    add_crop(tmp_path / "a" / "12", 1, 200)
    add_crop(tmp_path / "b" / "12", 1, 10)
    add_crop(tmp_path / "b" / "12", 2, 20)
    _, images = read_all([tmp_path / "a" / "12", tmp_path / "b" / "12"])
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)), [200, 20], atol=2)


def test_pictures_of_another_size_are_scaled(tmp_path: Path) -> None:
    add_crop(tmp_path / "12", 1, 50, side=160)
    assert read_all([tmp_path / "12"])[1].shape == (1, 112, 112, 3)


@pytest.mark.parametrize("damage", ["text", "empty", "truncated"])
def test_unreadable_picture_counts_as_no_face_and_is_named(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = add_crop(tmp_path / "12", 1)
    noise = np.random.default_rng(0).integers(0, 255, (112, 112, 3), dtype=np.uint8)
    bad = good.with_name("00002.jpg")
    Image.fromarray(noise).save(bad)
    content = {"text": b"hello", "empty": b"", "truncated": bad.read_bytes()[:2000]}
    bad.write_bytes(content[damage])
    told: list[Path] = []
    numbers = [n for n, _ in read_crops([tmp_path / "12"], on_unreadable=told.append)]
    assert np.concatenate(numbers).tolist() == [1]
    assert told == [bad]
    with caplog.at_level(logging.WARNING):
        list(read_crops([tmp_path / "12"]))
    assert f"{bad}: unreadable picture" in caplog.text


def test_folder_of_unreadable_pictures_only_is_refused(tmp_path: Path) -> None:
    (tmp_path / "12").mkdir()
    for number in (1, 2):
        (tmp_path / "12" / f"{number:05d}.jpg").write_bytes(b"hello")
    with pytest.raises(MediaError, match="12: none of its 2 pictures can be read"):
        list(read_crops([tmp_path / "12"], on_unreadable=lambda _: None))


def test_empty_folder_gives_nothing(tmp_path: Path) -> None:
    assert list(read_crops([tmp_path])) == []
    assert crop_numbers([tmp_path]).shape == (0,)


def test_person_of_crops_is_seen_at_their_frames_only() -> None:
    person = crop_person("left", np.array([2, 4, 9]), 5)
    assert person.name == "left"
    assert person.found.tolist() == [False, True, False, True, False]
    assert person.boxes[1].tolist() == [0, 0, 112, 112]
    assert not person.boxes[0].any()
