"""WebVTT: `VIDEO.vtt`, subtitles that say who shows what, for any player and web page."""

from pathlib import Path

from features.store.atomic_file import write_atomically
from fusion.exports.base import ExportVideo, Format, plain
from fusion.exports.tiers import tiers_of

SHORTEST = 0.001
"""Seconds of a cue; players drop empty ones."""


class WebVtt(Format):
    """A cue for each stretch; the voice of a cue is the person."""

    name, purpose = "webvtt", "players and web pages (.vtt)"

    def write(self, video: ExportVideo, folder: Path) -> list[Path]:
        """One file a video."""
        cues = [
            (max(each.start, 0.0), max(each.end, each.start + SHORTEST), tier.person, each.label)
            for tier in tiers_of(video)
            for each in tier.stretches
            if each.end > 0
        ]
        blocks = ["WEBVTT"]
        for start, end, person, said in sorted(cues):
            voice = escaped(person).replace("&gt;", "").replace(">", "")
            blocks.append(f"{clock(start)} --> {clock(end)}\n<v {voice}>{escaped(said)}</v>")
        path = folder / f"{video.stem}.vtt"
        write_atomically(path, ("\n\n".join(blocks) + "\n").encode())
        return [path]


def clock(seconds: float) -> str:
    """Hours, minutes, seconds, milliseconds."""
    whole = round(seconds * 1000)
    minutes, rest = divmod(whole, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def escaped(text: str) -> str:
    """Text that begins no tag and no arrow."""
    return plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
