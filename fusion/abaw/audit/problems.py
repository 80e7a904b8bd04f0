"""What is wrong or odd in a data set: leaks, media that lack, lines and frames that differ.

Inventory + Media > `find_findings` > Findings: problems, which need mending, and remarks.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fusion.abaw.audit.inventory import Annotation, Inventory
from fusion.abaw.audit.media import Media, VideoFacts
from fusion.abaw.challenges import TASKS
from fusion.abaw.reading.layout import SPLITS, challenge_in

SECONDS = 1.0
"""By which a label's time may go beyond the last frame."""
SLACK = 1
"""Label lines that a video may have in excess: decoders and containers differ by one frame."""
MOST_NAMES = 8
"""Names that a finding lists; the rest is counted."""


@dataclass
class Findings:
    """What the check found.

    Attributes:
        problems: One line each, with the remedy.
        remarks: What is odd, and can be lived with.
    """

    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def find_findings(
    inventory: Inventory, media: Media, facts: Mapping[str, VideoFacts], faults: Iterable[str]
) -> Findings:
    """All findings.

    Args:
        inventory: Labels, lists, people.
        media: Videos and pictures; with neither, nothing is said about what lacks.
        facts: By id, of the videos that can be read.
        faults: Complaints about those that cannot.
    """
    found = Findings([*inventory.faults, *faults])
    if not inventory.annotations:
        found.problems.append(
            "there are no labels that can be read; fusion/corpora/README.md says how they may lie"
        )
    found.problems += [
        f"{path}: cannot be read, so nothing in it counts; mend its rights, or move it out"
        for path in media.unreadable
    ]
    found.problems += [f"{path}: another file has this id; rename one" for path in media.repeats]
    found.problems += [*_twice(inventory.annotations), *_leaks(inventory, media)]
    kinds = {one.challenge for one in inventory.annotations if one.split != "test"}
    if "MTL" in kinds and kinds & set(TASKS):
        found.remarks.append(
            "annotations of single tasks beside multi-task ones: commands that read labels need"
            " --data.challenge single or mtl"
        )
    if media.ids():
        _compare_ids(inventory, media, found)
    else:
        found.remarks.append("no videos or pictures here; --videos names the folder they are in")
    _compare_lengths(inventory.annotations, media, facts, found)
    _compare_lists(inventory, found)
    return found


def line_surplus(
    annotations: Iterable[Annotation], media: Media, facts: Mapping[str, VideoFacts]
) -> dict[Annotation, int]:
    """Label lines less frames of the video, of each annotation whose video is known."""
    pairs = ((a, facts.get(a.video)) for a in annotations if a.last)
    return {a: a.last - video.frames for a, video in pairs if video is not None}


def named(names: Iterable[str], what: str) -> str:
    """`3 videos (1; 2; 4)` of the word `video`, cut after `MOST_NAMES`."""
    ordered = sorted(names)
    what = what if len(ordered) == 1 else f"{what}s"
    more = "; ..." if len(ordered) > MOST_NAMES else ""
    return f"{len(ordered)} {what} ({'; '.join(ordered[:MOST_NAMES])}{more})"


def _twice(annotations: Iterable[Annotation]) -> Iterator[str]:
    """Labels of one person, challenge and split that two files have."""
    first: dict[tuple[str, str, str], Path] = {}
    for a in annotations:
        other = first.setdefault((a.challenge, a.split, a.id), a.path)
        if other != a.path:
            yield f"{a.path}: '{a.id}' is also in {other}; point the root at one edition"


def _leaks(inventory: Inventory, media: Media) -> Iterator[str]:
    """Videos and people that are in two splits, of one challenge or of different ones."""
    places: dict[str, dict[str, dict[str, str]]] = {"video": {}, "person": {}}
    listed = [
        Annotation(p, p.stem, "test", i, 0, 0, {}, False, media.video_of(i))
        for p, i in _listed(inventory)
    ]
    for a in (*inventory.annotations, *listed):
        person = inventory.people.get(a.id) or inventory.people.get(a.video)
        for kind, name in (("video", a.video), ("person", person)):
            if name:
                places[kind].setdefault(name, {}).setdefault(a.split, f"{a.challenge} {a.split}")
    for kind, by_name in places.items():
        torn = [
            f"{name}: {', '.join(splits[s] for s in SPLITS if s in splits)}"
            for name, splits in by_name.items()
            if len(splits) > 1
        ]
        if torn:
            yield (
                f"leak: {named(torn, kind)} in more than one split;"
                " train and judge these tasks apart, or hold people out with data.fold"
            )


def _listed(inventory: Inventory) -> Iterator[tuple[Path, str]]:
    for files in (inventory.lists, inventory.samples):
        for path, ids in files.items():
            yield from ((path, track_id) for track_id in ids)


def _compare_ids(inventory: Inventory, media: Media, found: Findings) -> None:
    """Labels and listed ids without media, media without labels."""
    labelled = {a.id for a in inventory.annotations}
    asked = inventory.listed()
    if lost := [i for i in labelled if not media.has(i)]:
        found.problems.append(
            f"labels without a video, sound or pictures: {named(lost, 'id')};"
            f"{_likest(lost, media)} get their videos, or name their folder with --videos"
        )
    if lost := [i for i in asked - labelled if not media.has(i)]:
        found.problems.append(
            f"listed for a test set, but without a video, sound or pictures: {named(lost, 'id')};"
            f"{_likest(lost, media)} get their videos, or name their folder with --videos"
        )
    known = {media.video_of(i) for i in labelled | asked}
    if unused := (media.videos.keys() | media.sounds.keys()) - known:
        found.remarks.append(f"neither labels nor a list: {named(unused, 'video')}")
    if media.pictures and (blind := [i for i in labelled | asked if i not in media.pictures]):
        found.remarks.append(f"no folder of pictures: {named(blind, 'id')}")


def _likest(lost: Iterable[str], media: Media) -> str:
    """One id of each side; that they differ in letter case alone, if they do."""
    known = media.ids()
    small = {name.lower(): name for name in sorted(known)}
    for name in sorted(lost):
        if other := small.get(name.lower()):
            return f" the labels say '{name}', the file is '{other}': name both alike, or"
    near = difflib.get_close_matches(min(lost), known, n=1, cutoff=0.0)
    return f" the files are such as '{near[0]}';" if near else ""


def _compare_lengths(
    annotations: Sequence[Annotation],
    media: Media,
    facts: Mapping[str, VideoFacts],
    found: Findings,
) -> None:
    """Label lines beyond the end of the video, and videos that go on much longer."""
    surplus = line_surplus(annotations, media, facts)
    over = {f"{a.challenge} {a.id} +{n}" for a, n in surplus.items() if n > SLACK}
    under = {f"{a.challenge} {a.id} {n}" for a, n in surplus.items() if n < -SLACK and a.dense}
    late = {
        f"{a.id} {a.until:g} s"
        for a in annotations
        if (video := facts.get(a.video)) and a.until > video.frames / video.rate + SECONDS
    }
    if late:
        found.problems.append(
            f"labels after the end of the video: {named(late, 'id')};"
            " give times in seconds from its start"
        )
    if over:
        found.problems.append(
            f"more label lines than frames: {named(over, 'file')};"
            " the video is cut off, or another one"
        )
    if under:
        found.remarks.append(f"fewer label lines than frames: {named(under, 'file')}")


def _compare_lists(inventory: Inventory, found: Findings) -> None:
    """Sample submissions against the lists and placeholder files of the same challenge."""
    tests = {a.id: a.last for a in inventory.annotations if a.split == "test"}
    for path, last in inventory.samples.items():
        for other_path, ids in inventory.lists.items():
            apart = last.keys() ^ set(ids)
            if apart and challenge_in(path.stem) == challenge_in(other_path.stem):
                found.remarks.append(
                    f"only in one of {path.name} and {other_path.name}: {named(apart, 'id')}"
                )
        other = {f"{i} {n} and {tests[i]}" for i, n in last.items() if tests.get(i, n) != n}
        if other:
            found.remarks.append(
                f"{path}: other numbers of frames than the Test_Set files: {named(other, 'id')};"
                " the sample submission counts"
            )
