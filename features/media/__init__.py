"""Frames and sound of media files, with their times. Data flow: file > `FrameBlock`s and `Sound`.

One clock for both: second 0 is the container's time of the first video frame.
"""

from features.media.container import MediaError, NoVideo
from features.media.pictures.random_access import frames_at
from features.media.pictures.video import (
    FrameBlock,
    Reader,
    VideoInfo,
    frame_times,
    probe,
    read_frames,
)
from features.media.recording import Arrays, MediaFile, Recording
from features.media.sound.audio import Sound, read_sound
from features.media.sound.audio_cache import SpooledSound, spool_sound

__all__ = [
    "Arrays",
    "FrameBlock",
    "MediaError",
    "MediaFile",
    "NoVideo",
    "Reader",
    "Recording",
    "Sound",
    "SpooledSound",
    "VideoInfo",
    "frame_times",
    "frames_at",
    "probe",
    "read_frames",
    "read_sound",
    "spool_sound",
]
