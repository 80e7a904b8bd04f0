"""ELAN: `VIDEO.eaf` with a tier for each person's classes and events, and the video linked."""

import mimetypes
import os
from pathlib import Path

from fusion.exports.base import ExportVideo, Format, plain, written
from fusion.exports.tiers import tiers_of


class Elan(Format):
    """Annotations of ELAN 2.8 format; times are whole milliseconds."""

    name, purpose = "elan", "ELAN (.eaf) with tiers and the linked video"
    package = "pympi"

    def write(self, video: ExportVideo, folder: Path) -> list[Path]:
        """One file a video; an empty stretch becomes a millisecond, since ELAN has no shorter."""
        pympi = self.library()
        document = pympi.Elan.Eaf(author="affuse")
        document.remove_tier("default")
        path = folder / f"{video.stem}.eaf"
        if video.media:
            self._link(document, video.media, path)
        names: dict[str, int] = {}
        for tier in tiers_of(video):
            number = names[tier.name] = names.get(tier.name, 0) + 1
            id = tier.name if number == 1 else f"{tier.name} {number}"
            document.add_tier(id, part=plain(tier.person), ann="affuse")
            last = 0
            for stretch in tier.stretches:
                start = max(round(stretch.start * 1000), last)
                last = max(round(stretch.end * 1000), start + 1)
                document.add_annotation(id, start, last, plain(stretch.label))
        with written(path) as file:
            document.to_file(str(file))
        return [path]

    def _link(self, document: object, media: Path, path: Path) -> None:
        kind = mimetypes.guess_type(media.name)[0] or "video/mp4"
        relative = os.path.relpath(media.resolve(), path.parent.resolve())
        document.add_linked_file(  # type: ignore[attr-defined]
            media.resolve().as_uri(), relpath=relative, mimetype=kind
        )
