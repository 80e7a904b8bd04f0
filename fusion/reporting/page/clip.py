"""The clip of a page: inside it, beside it, or small and playable where browsers cannot play it.

Data flow: media file > whether browsers play it > embedded bytes, relative path, or proxy > Clip.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av

from features.media import NoVideo, probe
from features.media.container import open_media
from features.media.kinds import shows_pictures
from fusion.reporting.page.proxy import write_proxy

Embed = Literal["auto", "never"]
MOST = 48 * 2**20
"""Bytes up to which a clip is put into the page."""
PICTURES = {"h264", "vp8", "vp9", "av1", "libdav1d", "libaom-av1"}
SOUNDS = {"aac", "mp3", "mp3float", "opus", "vorbis", "flac"}
SOUNDS_ALONE = SOUNDS | {"pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_f32le"}
PIXELS = {"yuv420p", "yuvj420p"}
"""What browsers play without system codecs."""
TYPES = {
    "mov": "video/mp4",
    "matroska": "video/webm",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
}
"""Containers that browsers open, by the first name that FFmpeg gives them."""


@dataclass(frozen=True)
class Clip:
    """How a page comes by its clip.

    Attributes:
        kind: In the page, beside it, or not at all.
        name: Of the file, for people.
        type: Media type.
        picture: Whether there is something to see; else it is sound alone.
        width, height: Pixels as shown, in which boxes are measured; 0 without pictures.
        offset: Seconds that are added to times of the page to get those of the player.
        path: Where it is, from the page; of one beside it.
        data: Its bytes; of one in the page.
        note: What is to be known of it.
    """

    kind: Literal["embedded", "beside", "none"]
    name: str = ""
    type: str = ""
    picture: bool = False
    width: int = 0
    height: int = 0
    offset: float = 0.0
    path: str = ""
    data: bytes = b""
    note: str = ""

    def description(self) -> dict[str, Any]:
        """For the page, without the bytes."""
        return {key: value for key, value in vars(self).items() if key != "data"}


def clip_for(media: Path | None, page: Path, embed: Embed) -> Clip:
    """The clip of a page that will lie at `page`; a proxy beside it may be written.

    Raises:
        UserError: If the file cannot be read.
    """
    if media is None:
        return Clip("none", note="The clip was not at hand when this page was made.")
    picture = shows_pictures(media) and _has_frames(media)
    kind = playable(media, picture)
    if kind is None:
        return _proxy(media, page, embed, picture)
    info = probe(media) if picture else None
    start = info.start - _origin(media) if info else 0.0
    size = (info.width, info.height) if info else (0, 0)
    facts = (media.name, kind, picture, *size, start)
    if embed == "auto" and media.stat().st_size <= MOST:
        return Clip("embedded", *facts, data=media.read_bytes())
    note = "The clip is not in this page but beside it: pass both on, and keep them where they are."
    return Clip("beside", *facts, path=_from(page, media), note=note)


def playable(media: Path, picture: bool) -> str | None:
    """Media type of a file that browsers play; None for others."""
    with open_media(media) as container:
        kind = TYPES.get(container.format.name.split(",")[0])
        sound = container.streams.audio[0].codec_context if container.streams.audio else None
        sounds = SOUNDS if picture else SOUNDS_ALONE
        if kind is None or (sound is not None and sound.name not in sounds):
            return None
        if not picture:
            return kind.replace("video/", "audio/")
        seen = container.streams.video[0].codec_context
        webm = kind != "video/webm" or (seen.name not in ("h264",) and _opus(sound))
        return kind if seen.name in PICTURES and seen.pix_fmt in PIXELS and webm else None


def _opus(sound: av.CodecContext | None) -> bool:
    return sound is None or sound.name in ("opus", "vorbis")


def _has_frames(media: Path) -> bool:
    try:
        probe(media)
    except NoVideo:
        return False
    return True


def _origin(media: Path) -> float:
    """Seconds of the container's clock at which players begin to count."""
    with open_media(media) as container:
        starts = [
            float(s.start_time * (s.time_base or 0)) for s in container.streams if s.start_time
        ]
        first = len(starts) == len(container.streams) and min(starts, default=0.0)
        return max(first or 0.0, 0.0)


def _proxy(media: Path, page: Path, embed: Embed, picture: bool) -> Clip:
    """A small copy that browsers play: in the page if it may and can be, else beside it."""
    note = "A small copy, since browsers do not play the original's encoding."
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / f"{page.stem}.proxy.mp4"
        write_proxy(media, copy, picture)
        info = probe(media) if picture else None  # boxes are measured in the original
        size = (info.width, info.height) if info else (0, 0)
        facts = (media.name, "video/mp4" if picture else "audio/mp4", picture, *size)
        if embed == "auto" and copy.stat().st_size <= MOST:
            return Clip("embedded", *facts, data=copy.read_bytes(), note=note)
        page.parent.mkdir(parents=True, exist_ok=True)
        place = page.parent / copy.name
        place.write_bytes(copy.read_bytes())
    return Clip("beside", *facts, path=place.name, note=note)


def _from(page: Path, media: Path) -> str:
    """Path of the media from the page's folder, as in an address."""
    from urllib.parse import quote

    return quote(os.path.relpath(media.resolve(), page.resolve().parent).replace(os.sep, "/"))
