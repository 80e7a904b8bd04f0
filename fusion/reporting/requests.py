"""What a report is asked for. Data flow: folder of predictions, or media file > Request."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import UserError
from features.pipeline.discovery import find_sources
from features.pipeline.source_hashes import SourceHashes
from fusion.data.prediction_files import list_predictions, read_metadata, read_provenance
from fusion.inference.origins import CONTENT, PLACE, origin_of_source


@dataclass(frozen=True)
class Request:
    """One video that is to be shown.

    Attributes:
        video: Its id.
        people: Id of a person to the file of predictions.
        media: The clip; None if it is not known where it is.
    """

    video: str
    people: Mapping[str, Path]
    media: Path | None


def choose(paths: dict[str, Path], ids: str | None, folder: Path) -> dict[str, Path]:
    """The paths of the wanted ids, all if `ids` is None.

    Raises:
        UserError: If there is nothing to choose from, or an id is not there.
    """
    if not paths:
        raise UserError(f"{folder}: no predictions in it (.parquet or .csv); run fusion.predict")
    if ids is None or ids in paths:
        return paths if ids is None else {ids: paths[ids]}
    wanted = [name.strip() for name in ids.split(",") if name.strip()]
    for name in wanted:
        if name not in paths:
            near = difflib.get_close_matches(name, paths, n=1, cutoff=0.0)[0]
            raise UserError(f"{folder}: no predictions of '{name}'; did you mean '{near}'?")
    return {name: paths[name] for name in wanted}


def of_folder(paths: Mapping[str, Path], videos: Path | None) -> list[Request]:
    """Files of predictions by video, in order of the videos.

    Args:
        paths: Id to file.
        videos: Video or folder of videos, where clips are; without, and for those that are not
            there, where they lay when they were predicted.
    """
    media = {one.id: one.media for one in find_sources(videos)} if videos else {}
    people: dict[str, dict[str, Path]] = {}
    for name, path in paths.items():
        video = str((read_metadata(path) or {}).get("video", name))
        people.setdefault(video, {})[name] = path
    return [
        Request(video, each, media.get(video) or _place_of(each.values()))
        for video, each in sorted(people.items())
    ]


def _place_of(paths: Iterable[Path]) -> Path | None:
    """Where the clip lay when it was predicted, if it still lies there."""
    said = (read_provenance(path).get(PLACE) for path in paths)
    return next((place for text in said if text and (place := Path(text)).is_file()), None)


def of_media(media: Path, folder: Path, ids: str | None) -> Request:
    """A media file with its predictions, as far as they are in a folder.

    Args:
        media: Video or sound file.
        folder: Folder of predictions, which may be absent.
        ids: Ids of people, separated by commas; None: all.

    Raises:
        UserError: If it is no media file, an id is unknown, or the predictions of another file of
            its name are in the way.
    """
    (source,) = find_sources(media)
    origin = origin_of_source(source, SourceHashes(folder / "tracks" / "sources.json"))
    mine: dict[str, Path] = {}
    for name, path in (list_predictions(folder) if folder.is_dir() else {}).items():
        if (read_metadata(path) or {}).get("video") != source.id:
            continue
        said = read_provenance(path)
        if said.get(PLACE) != str(origin.place) and said.get(CONTENT) != origin.content():
            raise UserError(
                f"{path}: of {said.get(PLACE) or 'a source that it does not name'}, not of {media};"
                " give another folder by --predictions"
            )
        mine[name] = path
    return Request(source.id, choose(mine, ids, folder) if mine else {}, source.media)
