"""Two trainings under one name: the second is refused, whatever they train."""

from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import UserError
from fusion.data.loading.config import DataSettings
from fusion.training import stages
from fusion.training.config import Stage, TrainSettings
from fusion.training.cross_validation import train_several
from fusion.training.run_folder import alone_in
from fusion.training.stages import train
from tests.features.store.test_leases import holder
from tests.fusion.tiny import write_corpus

OTHER = "another training .process .* is at work on it; .*choose another --name"


@pytest.fixture
def settings(tmp_path: Path) -> TrainSettings:
    data = DataSettings(root=write_corpus(tmp_path / "data"), streams=["face"])
    return TrainSettings("mine", tmp_path / "runs", data, epochs=1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"fresh": True},
        {"stages": [Stage("first")]},
        {"folds": 2},
        {"seeds": [1, 2], "fresh": True},
    ],
)
def test_a_second_training_of_one_name_is_refused_and_touches_nothing(
    settings: TrainSettings, changes: dict[str, object]
) -> None:
    folder = settings.runs / "mine"
    folder.mkdir(parents=True)
    (folder / "last.ckpt").write_bytes(b"of the first")
    first = holder(settings.runs / ".mine.lease")
    with pytest.raises(UserError, match=OTHER):
        train_several(replace(settings, **changes))  # type: ignore[arg-type]
    assert (folder / "last.ckpt").read_bytes() == b"of the first"
    first.kill()
    first.wait()


def test_a_training_keeps_others_out_to_its_end_and_leaves_no_lease(
    settings: TrainSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_run, refused = stages.train_run, []

    def with_a_second(*arguments: object) -> Path:
        with pytest.raises(UserError, match=OTHER) as error:
            train(replace(settings, fresh=True))
        with alone_in(settings.runs, "another"):
            pass
        refused.append(error)
        return train_run(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(stages, "train_run", with_a_second)
    train(settings)
    assert len(refused) == 1
    assert [path.name for path in settings.runs.iterdir()] == ["mine"]
