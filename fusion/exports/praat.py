"""Praat: `VIDEO.TextGrid` with an interval tier for each person's classes and events."""

from pathlib import Path

from fusion.exports.base import ExportVideo, Format, written
from fusion.exports.tiers import Stretch, tiers_of


class Praat(Format):
    """A TextGrid in the long format, UTF-8."""

    name, purpose = "praat", "Praat (.TextGrid)"
    package = "praatio.textgrid"

    def write(self, video: ExportVideo, folder: Path) -> list[Path]:
        """One file a video; what lies before its start is cut, and empty stretches are left out."""
        textgrid = self.library()
        end = video.end or 1e-3
        grid, names = textgrid.Textgrid(0, end), dict[str, int]()
        for tier in tiers_of(video):
            kept = [each for each in tier.stretches if min(each.end, end) > max(each.start, 0)]
            number = names[tier.name] = names.get(tier.name, 0) + 1
            name = tier.name if number == 1 else f"{tier.name} {number}"
            entries = [self._entry(each, end) for each in kept]
            grid.addTier(textgrid.IntervalTier(name, entries, 0, end))
        path = folder / f"{video.stem}.TextGrid"
        with written(path) as file:
            grid.save(str(file), format="long_textgrid", includeBlankSpaces=True)
        return [path]

    def _entry(self, stretch: Stretch, end: float) -> tuple[float, float, str]:
        return max(stretch.start, 0.0), min(stretch.end, end), stretch.label
