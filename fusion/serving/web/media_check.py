"""Whether an upload is a video or sound. Data flow: file > a process of its own > yes or why not.

FFmpeg has read hostile files badly before, so it is a process with no right to write, little time
and no more than the file that opens them; what kills it harms nobody.

Only formats that hold pictures and sound themselves are opened. Playlists and scripts (HLS, DASH,
concat, SDP), which make FFmpeg read other files or addresses, are not among them, and no protocol
but `file` and `pipe` is.
"""

import asyncio
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import av

FORMATS = (
    "mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "asf", "flv", "mpeg",
    "mpegts", "mxf", "ogg", "wav", "w64", "mp3", "flac", "aac", "ac3", "eac3", "aiff", "amr",
    "amrnb", "amrwb", "caf",
)  # fmt: skip
"""Of FFmpeg's formats those that are accepted."""
OPTIONS = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file,pipe"}
REFUSED = 3
"""Exit status of the process that opened a file that is none of them."""
SECONDS = 20
MEMORY = 4 << 30
"""Bytes that the process may have."""
_CODE = "import sys; from fusion.serving.web.media_check import main; main(sys.argv[1:])"


def is_media(path: Path) -> bool:
    """Whether a picture that is no cover, or else sound, can be decoded of a file."""
    try:
        with av.open(str(path.absolute()), options=OPTIONS) as container:
            cover = av.stream.Disposition.attached_pic
            video = [one for one in container.streams.video if not one.disposition & cover]
            streams = [*video, *container.streams.audio]
            return bool(streams) and next(container.decode(streams[0]), None) is not None
    except (av.FFmpegError, ValueError):  # ValueError: av's, where FFmpeg says EINVAL
        return False


async def media_found(path: Path) -> bool:
    """What `is_media` says, of a process that may crash or hang over it.

    Raises:
        RuntimeError: If it fails by a fault that is not the file's.
    """
    words = [sys.executable, "-B", "-c", _CODE, str(path)]
    process = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE)
    try:
        _, said = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    status = process.returncode
    assert status is not None
    if status in (0, REFUSED) or status < 0:  # below 0: a signal killed it
        return status == 0
    raise RuntimeError(f"the check of an upload failed: {said.decode(errors='replace')}")


def main(arguments: Sequence[str]) -> None:
    """Looks at the file of the first argument, with few rights, and exits."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.exit(0 if is_media(Path(arguments[0])) else REFUSED)
