"""BORIS: `VIDEO_boris.tsv`, events as BORIS itself exports them aggregated."""

import csv
import io
from pathlib import Path

from features.store.atomic_file import write_atomically
from fusion.events.event_list import BY_HAND
from fusion.exports.base import ExportVideo, Format, plain
from fusion.exports.tiers import class_tiers

COLUMNS = (
    *("Observation id", "Observation date", "Description", "Observation type", "Source"),
    *("Time offset (s)", "Coding duration", "Media duration (s)", "FPS (frame/s)", "Subject"),
    *("Observation duration by subject by observation", "Behavior", "Behavioral category"),
    *("Behavior type", "Start (s)", "Stop (s)", "Duration (s)", "Media file name"),
    *("Image index start", "Image index stop", "Image file path start", "Image file path stop"),
    *("Comment start", "Comment stop"),
)
"""Of BORIS 8 and 9."""


class Boris(Format):
    """Behaviours are the events and the classes; subjects are the people."""

    name, purpose = "boris", "BORIS (aggregated events, .tsv)"

    def write(self, video: ExportVideo, folder: Path) -> list[Path]:
        """One table a video; rows in order of their start."""
        rows, length = [], f"{video.end:.3f}"
        for person in video.people:
            seen = person.frames.seconds
            own = [(e.onset, e.offset, e.name, e.source) for e in person.found.events]
            own += [
                (each.start, each.end, each.label, tier.kind)
                for tier in class_tiers(person)
                for each in tier.stretches
            ]
            rows += [self._row(video, person.name, seen, *each) for each in own]
        for row in rows:
            row["Media duration (s)"] = length
        rows.sort(key=lambda row: (float(row["Start (s)"]), row["Subject"], row["Behavior"]))
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, COLUMNS, delimiter="\t", lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)
        path = folder / f"{video.stem}_boris.tsv"
        write_atomically(path, buffer.getvalue().encode())
        return [path]

    def _row(
        self,
        video: ExportVideo,
        person: str,
        seen: float,
        start: float,
        stop: float,
        name: str,
        category: str,
    ) -> dict[str, str]:
        media = str(video.media) if video.media else ""
        return {
            "Observation id": plain(video.video),
            "Observation type": "Media file",
            "Source": f"player #1:{media}" if media else "",
            "Time offset (s)": "0.0",
            "Subject": plain(person),
            "Observation duration by subject by observation": f"{seen:.3f}",
            "Behavior": plain(name),
            "Behavioral category": "by hand" if category == BY_HAND else plain(category),
            "Behavior type": "POINT" if stop == start else "STATE",
            "Start (s)": f"{start:.3f}",
            "Stop (s)": f"{stop:.3f}",
            "Duration (s)": f"{stop - start:.3f}",
            "Media file name": media,
        }
