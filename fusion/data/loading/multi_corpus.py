"""Several data sets, with different labels, in one training.

Data flow: main corpus + folders of further ones > their training clips under names of their own,
without people and videos that the main corpus is judged on > clips of one training.

A clip `1` of the corpus `other` is called `other/1` in a training, so that equal ids of two corpora
stay two clips. Its tracks come from the corpus's own store, `other/tracks`. People are told apart
by corpus too, unless `people.csv` of both corpora names them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from features.cli.wording import counted
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.abaw.reading.annotations import CorpusKind
from fusion.abaw.reading.layout import read_people
from fusion.corpora import read_corpus
from fusion.streams.clip_tracks import FACES, explained, find_track
from fusion.streams.stream_spec import EXTRACT, StreamSpec, stream_specs
from fusion.tasks.clips import Clip

_HASH = 64
"""Digits of a file's sha256; what is shorter tells no file from another."""


@dataclass(frozen=True)
class Source:
    """A clip, and where its tracks lie.

    Attributes:
        clip: As it is called in the training.
        own: As it is called in its store.
        store: Its tracks.
        cache: Folder of aligned tracks; None: in the store.
    """

    clip: Clip
    own: Clip
    store: TrackStore
    cache: Path | None = None


def corpus_names(root: Path | None, extra: Sequence[Path]) -> list[str]:
    """Name of each further corpus: its folder's, with a number where another has it already.

    Raises:
        UserError: If a folder is given twice.
    """
    folders = [folder.resolve() for folder in ([root] if root else []) + [*extra]]
    names = []
    for number, folder in enumerate(folders):
        if folder in folders[:number]:
            raise UserError(f"data.extra: {folder} is given twice; name it once")
        same = sum(one.name == folder.name for one in folders[:number])
        names.append(f"{folder.name}#{same + 1}" if same else folder.name)
    return names[len(names) - len(extra) :]


def read_extra(
    root: Path | None,
    extra: Sequence[Path],
    cache: Path | None,
    challenge: CorpusKind = "auto",
) -> dict[str, list[Source]]:
    """Training clips of further corpora, each of any data set, by the corpus's name.

    Args:
        root: Folder of the main corpus.
        extra: Folders of the others.
        cache: Folder of aligned tracks, in which each corpus gets one of its own; None: in the
            stores.
        challenge: Which of ABAW's annotations count in a folder that holds both kinds.

    Raises:
        UserError: If a folder is given twice, or has no annotations or no training clips.
    """
    named = set(read_people(root).values()) if root and extra else set()
    corpora = {}
    for name, folder in zip(corpus_names(root, extra), extra, strict=True):
        clips = [clip for clip in read_corpus(folder, challenge) if clip.split == "train"]
        if not clips:
            raise UserError(f"{folder}: no training clips; leave it out of data.extra")
        store = TrackStore(folder / "tracks")
        shared = named & set(read_people(folder).values())
        corpora[name] = [
            Source(_renamed(clip, name, shared), clip, store, cache and cache / name)
            for clip in clips
        ]
    return corpora


def _renamed(clip: Clip, corpus: str, shared: set[str]) -> Clip:
    """The clip under a name that no other corpus has; people in `shared` keep theirs."""
    group = clip.group if clip.group in shared else f"{corpus}/{clip.group}"
    return replace(clip, id=f"{corpus}/{clip.id}", video=f"{corpus}/{clip.video}", group=group)


def without_held_out(
    sources: Iterable[Source], held_out: Sequence[Source], streams: Iterable[str]
) -> tuple[list[Source], list[str]]:
    """Leaves out clips of people, and of files, that the training is judged on.

    Args:
        sources: Training clips of further corpora.
        held_out: Validation and test clips of the main one.
        streams: Streams whose tracks tell which file they come from.

    Returns:
        The clips that stay, and the names of the others.
    """
    names = (FACES, *streams)
    people = {one.clip.group for one in held_out}
    files = {file for one in held_out if (file := source_file(one, names))}
    kept, left = [], []
    for one in sources:
        if one.clip.group in people or source_file(one, names) in files:
            left.append(one.clip.id)
        else:
            kept.append(one)
    return kept, left


def unshared(sources: Iterable[Source], tasks: Collection[str]) -> list[Source]:
    """A clip with labels of several tasks becomes one clip for each, with the labels of that task.

    As if the sets of the tasks knew nothing of each other, though they hold the same videos. Labels
    of other than these tasks are none.
    """
    return [
        replace(one, clip=replace(one.clip, labels=one.clip.labels.of_task(task)))
        for one in sources
        for task in one.clip.labels.of_tasks(tasks).tasks() or [""]
    ]


def source_file(source: Source, streams: Iterable[str]) -> str | None:
    """sha256 of the file that a clip's tracks were made from; None if no track tells."""
    return file_of(source.store, source.own, streams) or None


def file_of(store: TrackStore, clip: Clip, streams: Iterable[str]) -> str:
    """sha256 of the file that a clip's tracks in a store were made from; "" if none tells."""
    with explained():
        for stream in dict.fromkeys((FACES, *streams)):
            track = find_track(store, stream, clip)
            if track is not None:
                file = store.info(stream, track).source
                return file if len(file) == _HASH else ""
    return ""


def require_agreement(
    specs: Mapping[str, StreamSpec], store: TrackStore, others: Iterable[TrackStore]
) -> None:
    """Checks that the streams of all stores come from the same encoders.

    Args:
        specs: Of the main corpus.
        store: Its tracks.
        others: Stores of the other corpora; a stream that one lacks is masked there.

    Raises:
        UserError: If a store holds none of the streams, or one of another encoder or revision.
    """
    for other in others:
        held = [name for name in specs if other.ids(name)]
        found = stream_specs(other, held or specs)
        for name, have in found.items():
            want = specs[name]
            if replace(have, settings=want.settings) != want:
                raise UserError(
                    f"stream '{name}' is {_told(want)} in {store.root}, but {_told(have)} in"
                    f" {other.root}; run {EXTRACT} on both with the same encoder"
                )


def _told(spec: StreamSpec) -> str:
    return f"{spec.encoder} {spec.revision} ({counted(spec.dim, 'dimension')})"
