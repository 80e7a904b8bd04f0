"""The tables of `fusion.check`, as lines of text.

Inventory, Media > figures by challenge and split > `aligned` lines.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import add

import numpy as np

from features.cli.wording import counted
from fusion.abaw.audit.inventory import Annotation, Inventory, TaskCounts
from fusion.abaw.audit.media import Media, VideoFacts
from fusion.abaw.audit.problems import line_surplus
from fusion.abaw.challenges import TASKS
from fusion.abaw.reading.layout import SPLITS, challenge_in
from fusion.tasks.au import UNITS
from fusion.tasks.va import DIMENSIONS

CHALLENGE_ORDER = (*TASKS, "MTL", "CE", "none")
COMMON_RATES = 8
"""Rates that have a line of their own, if more than one video has them."""


def label_table(annotations: Iterable[Annotation]) -> list[str]:
    """Files, videos and rows of each challenge and split, and how many rows have no label."""
    rows = [["", "", "people", "videos", "rows", "unlabelled", "%", "files with"]]
    for (challenge, split), group in _grouped(annotations).items():
        lines = sum(a.rows for a in group)
        none = sum(a.rows - a.labelled for a in group)
        row = [challenge, split, _whole(len(group)), _whole(len({a.video for a in group}))]
        row.append(_whole(lines))
        if _placeholders(group):
            row += ["placeholders", "-", "-"]
        elif challenge != "MTL":
            files = sum(a.labelled < a.rows for a in group)
            row += [_whole(none), f"{100 * none / max(lines, 1):.3f}", _whole(files)]
        rows.append(row)
    return aligned(rows, texts=2) if len(rows) > 1 else []


def class_tables(annotations: Iterable[Annotation]) -> dict[str, list[str]]:
    """How the labels of each task are distributed, by split; those of ABAW first."""
    sums: dict[str, dict[str, TaskCounts]] = {task: {} for task in TASKS}
    for (challenge, split), group in _grouped(annotations).items():
        for task in dict.fromkeys(task for a in group for task in a.counts):
            parts = [a.counts[task] for a in group if task in a.counts]
            if not _placeholders(group):
                name = split if challenge == task else f"{challenge} {split}"
                sums.setdefault(task, {})[name] = reduce(add, parts)
    return {
        "Valence and arousal": _va_lines(sums.pop("VA")),
        "Expressions (frames)": _class_lines(sums.pop("EXPR")),
        "Action units (% of labelled frames)": _au_lines(sums.pop("AU")),
    } | {
        f"{task.capitalize()} (labelled rows)": (
            _class_lines(of_task)
            if all(counts.classes for counts in of_task.values())
            else _value_lines(of_task)
        )
        for task, of_task in sums.items()
    }


def media_lines(media: Media) -> list[str]:
    """How many videos and folders of pictures there are."""
    folders = {path.parent for path in media.videos.values()}
    places = f" in {len(folders)} folders" if len(folders) > 1 else ""
    pictures = {path.parent.name for found in media.pictures.values() for path in found}
    return [
        f"{counted(len(media.videos), 'video')}{places}",
        *([counted(len(media.sounds), "sound file")] if media.sounds else []),
        *([f"tracks of {counted(len(media.tracks), 'id')}"] if media.tracks else []),
        f"pictures of {counted(len(media.pictures), 'person', 'people')}"
        + (f" ({', '.join(sorted(pictures))})" if pictures else ""),
    ]


def list_table(inventory: Inventory) -> list[str]:
    """What each list and sample submission asks for."""
    rows = [["", "", "ids", "rows"]]
    for path, ids in inventory.lists.items():
        rows.append([path.name, challenge_in(path.stem) or "?", _whole(len(ids))])
    for path, last in inventory.samples.items():
        counts = [_whole(len(last)), _whole(inventory.sample_rows[path])]
        rows.append([path.name, challenge_in(path.stem) or "?", *counts])
    return aligned(rows, texts=2) if len(rows) > 1 else []


def rate_table(inventory: Inventory, media: Media, rates: Mapping[str, float]) -> list[str]:
    """How many videos of each split have each of the common rates."""
    if not rates:
        return []
    splits: dict[str, set[str]] = {split: set() for split in SPLITS}
    for a in inventory.annotations:
        splits[a.split].add(a.video)
    splits["test"] |= {media.video_of(i) for i in inventory.listed()}
    splits["no split"] = set(rates) - set().union(*splits.values())
    rounded = {name: round(rate, 3) for name, rate in rates.items()}
    common = [r for r, n in Counter(rounded.values()).most_common(COMMON_RATES) if n > 1]
    rows = [["", *splits, "all"]]
    by_rate: dict[str, set[str]] = {f"{rate:g}": set() for rate in sorted(common, reverse=True)}
    for name, rate in rounded.items():
        by_rate.setdefault(f"{rate:g}" if rate in common else "other", set()).add(name)
    for label, names in by_rate.items():
        counts = [len(names & of_split) for of_split in splits.values()]
        rows.append([label, *map(_whole, (*counts, len(names)))])
    low, high = min(rates.values()), max(rates.values())
    return [*aligned(rows, texts=1), f"from {low:.5g} to {high:.5g}"]


def length_table(
    annotations: Sequence[Annotation], media: Media, facts: Mapping[str, VideoFacts]
) -> list[str]:
    """How many files have as many lines as their video has frames, one more, one fewer, and so on.

    Multi-task files leave frames out, so that only their last frame number is compared.
    """
    surplus = line_surplus(annotations, media, facts)
    rows = [["", "", "equal", "+1", "-1", "> +1", "< -1", "least", "most"]]
    for (challenge, split), group in _grouped(surplus).items():
        lines = np.array([surplus[a] for a in group])
        parts = (lines == 0, lines == 1, lines == -1, lines > 1, lines < -1)
        counts = [_whole(int(part.sum())) for part in parts]
        rows.append([challenge, split, *counts, *map(_signed, (lines.min(), lines.max()))])
    return aligned(rows, texts=2) if len(rows) > 1 else []


def face_table(inventory: Inventory, numbers: Mapping[str, np.ndarray]) -> list[str]:
    """Share of label rows that have no picture, pooled and by person.

    Args:
        inventory: Labels; multi-task files list only frames with a face, so they do not count.
        numbers: Frames (N,) that have a picture, by id.
    """
    rows = [["", "", "people", "frames", "missing", "%", "> 10 %", "> 30 %", "> 50 %"]]
    for (challenge, split), group in _grouped(inventory.annotations).items():
        seen = [a for a in group if a.id in numbers and challenge != "MTL"]
        if not seen:
            continue
        missing = np.array([a.rows - np.sum(numbers[a.id] <= a.rows) for a in seen])
        frames = np.array([a.rows for a in seen])
        many = [_whole(int((missing > frames * share).sum())) for share in (0.1, 0.3, 0.5)]
        pooled = 100 * missing.sum() / frames.sum()
        counts = map(_whole, (len(seen), int(frames.sum()), int(missing.sum())))
        rows.append([challenge, split, *counts, f"{pooled:.2f}", *many])
    return aligned(rows, texts=2) if len(rows) > 1 else []


def aligned(rows: Sequence[Sequence[str]], texts: int) -> list[str]:
    """Lines of a table: the first `texts` columns to the left, the others to the right."""
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i < texts else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in rows
    ]


def _va_lines(sums: Mapping[str, TaskCounts]) -> list[str]:
    columns = [f"{name} {kind}" for name in DIMENSIONS for kind in ("mean", "std")]
    rows = [["", "frames", *columns]]
    for split, counts in sums.items():
        figures = np.stack([counts.mean, counts.std], axis=1).ravel()
        rows.append([split, _whole(counts.labelled), *(f"{value:.3f}" for value in figures)])
    return aligned(rows, texts=1) if sums else []


def _class_lines(sums: Mapping[str, TaskCounts]) -> list[str]:
    """Rows of each class by split, and their share."""
    rows = [["", *(name for split in sums for name in (split, "%"))]]
    for index, name in enumerate(_names(sums)):
        row = [name]
        for counts in sums.values():
            share = 100 * counts.sums[index] / max(counts.labelled, 1)
            row += [_whole(int(counts.sums[index])), f"{share:.2f}"]
        rows.append(row)
    return aligned(rows, texts=1) if sums else []


def _value_lines(sums: Mapping[str, TaskCounts]) -> list[str]:
    """Mean and standard deviation of each value by split."""
    rows = [["", *(name for split in sums for name in (f"{split} mean", "std"))]]
    for index, name in enumerate(_names(sums)):
        figures = [value[index] for counts in sums.values() for value in (counts.mean, counts.std)]
        rows.append([name, *(f"{figure:.3f}" for figure in figures)])
    rows.append(["rows", *(cell for c in sums.values() for cell in (_whole(c.labelled), ""))])
    return aligned(rows, texts=1)


def _names(sums: Mapping[str, TaskCounts]) -> tuple[str, ...]:
    return next((counts.names for counts in sums.values()), ())


def _au_lines(sums: Mapping[str, TaskCounts]) -> list[str]:
    rows = [["", *sums]]
    for index, name in enumerate(UNITS):
        rows.append([name, *(f"{100 * counts.mean[index]:.2f}" for counts in sums.values())])
    rows.append(["frames", *(_whole(counts.labelled) for counts in sums.values())])
    return aligned(rows, texts=1) if sums else []


def _grouped(annotations: Iterable[Annotation]) -> dict[tuple[str, str], list[Annotation]]:
    """Annotations by challenge and split, in a fixed order."""
    groups: dict[tuple[str, str], list[Annotation]] = {}
    for a in annotations:
        groups.setdefault((a.challenge, a.split), []).append(a)
    others = sorted({challenge for challenge, _ in groups} - set(CHALLENGE_ORDER))
    order = [(name, split) for name in (*CHALLENGE_ORDER, *others) for split in SPLITS]
    return {key: groups[key] for key in order if key in groups}


def _placeholders(group: Sequence[Annotation]) -> bool:
    """Whether these are the files of a published test set, which hold no labels."""
    return all(a.split == "test" and a.constant for a in group)


def _signed(number: int) -> str:
    return f"{number:+d}" if number else "0"


def _whole(number: int) -> str:
    return f"{number:,}"
