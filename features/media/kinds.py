"""Whether a file shows pictures, is sound, or neither. Data flow: ending, else content > Kind.

Endings that everybody knows are believed, so that a folder of thousands is listed at once; a file
with any other ending is what PyAV can decode of it.
"""

import string
from pathlib import Path
from stat import S_ISREG
from typing import Literal

import av

Kind = Literal["pictures", "sound"]


def _endings(text: str) -> frozenset[str]:
    return frozenset(f".{word}" for word in text.split())


VIDEO_SUFFIXES = _endings(
    "3g2 3gp amv asf avi dv f4v flv gif h264 hevc ivf m1v m2ts m2v m4v mjpeg mjpg mkv mov"
    " mp4 mpe mpeg mpg mts mxf nut ogv qt rm rmvb ts vob webm wmv y4m"
)
SOUND_SUFFIXES = _endings(
    "aac ac3 aif aifc aiff amr ape au caf eac3 flac m4a mka mp2 mp3 oga ogg opus snd spx"
    " tta voc w64 wav weba wma wv"
)
OFTEN_TEXT = frozenset({".ts", ".mts"})
"""Endings of videos that are those of programs too."""
OGG = frozenset({".ogg", ".oga"})
"""Endings of sound whose files may show pictures nevertheless."""
NEITHER = _endings(
    "7z arrow bak bmp bz2 ckpt crdownload db doc docx download exe feather gz h5 hdf5 heic"
    " ico jpeg jpg mat npy npz onnx parquet part partial pdf pickle pkl png ppt pptx pt pth"
    " pyc rar safetensors so sqlite tar tif tiff tmp webp xls xlsx xz zip zst"
)
"""Endings of what is not opened to find out: data, single pictures, half-loaded files."""
HEAD = 4096
"""Bytes that tell text from anything else."""
PROBE = {"protocol_whitelist": "file", "probesize": "65536", "formatprobesize": "65536"}
"""So that no playlist leads elsewhere, and little is read of what is no media file."""
LOCAL = {"protocol_whitelist": "file,pipe"}
"""So that no playlist has FFmpeg ask an address."""
NO_MEDIA = ("tty", "image2", "hls", "concat", "dash", "sdp", "webvtt", "srt", "ass")
"""Formats that FFmpeg can open and that are no recording; so are those that end with `_pipe`."""
_PLAIN = frozenset(string.printable.encode()) | frozenset(range(128, 256))


def by_ending(path: Path) -> Kind | None:
    """What the ending says; None if it is not known."""
    ending = path.suffix.lower()
    if ending in SOUND_SUFFIXES:
        return "sound"
    return "pictures" if ending in VIDEO_SUFFIXES else None


def kind_of(path: Path) -> Kind | None:
    """What a file is, None for what is neither.

    Of what has a known ending and cannot be read (a broken link, a pipe) the ending counts, so
    that somebody hears of it.
    """
    ending, known = path.suffix.lower(), by_ending(path)
    if known and ending in OGG:
        head = _head(path)
        return "pictures" if b"theora" in head or b"\x01video" in head else known
    if known:
        return None if ending in OFTEN_TEXT and _is_text(_head(path)) else known
    if ending in NEITHER or _is_text(head := _head(path)) or not head:
        return None
    return by_content(path)


def by_content(path: Path) -> Kind | None:
    """What can be decoded of a file: at least one picture that is no cover, or else some sound."""
    try:
        with av.open(str(path), options=PROBE) as container:
            names = container.format.name.split(",")
            if any(name in NO_MEDIA or name.endswith("_pipe") for name in names):
                return None
            cover = av.stream.Disposition.attached_pic
            video = [one for one in container.streams.video if not one.disposition & cover]
            sound = list(container.streams.audio)
            for stream in [*video[:1], *sound[:1]][:1]:
                next(container.decode(stream))
                return "pictures" if video else "sound"
    except (av.FFmpegError, OSError, StopIteration, ValueError):
        pass  # it is then no file that could be used
    return None


def shows_pictures(path: Path) -> bool:
    """Whether a file that is named like a video has pictures: false for a recorder's voice alone.

    True of what cannot be opened, so that its fault is found where it is read.
    """
    try:
        with av.open(str(path), options=LOCAL) as container:
            return bool(container.streams.video) or not container.streams.audio
    except (av.FFmpegError, OSError, ValueError):
        return True


def _head(path: Path) -> bytes:
    """The first bytes; nothing of what is no file or cannot be read."""
    try:
        if not S_ISREG(path.stat().st_mode):  # reading a pipe may never end
            return b""
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def _is_text(head: bytes) -> bool:
    """Whether bytes are text in any common encoding but UTF-16; media have zeros very early."""
    return bool(head) and (head.startswith((b"\xff\xfe", b"\xfe\xff")) or _PLAIN.issuperset(head))
