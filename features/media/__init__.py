"""Frames and sound of media files, with their times. Data flow: file > `FrameBlock`s and `Sound`.

One clock for both: second 0 is the container's time of the first video frame.
"""

from features.media.container import MediaError, NoVideo
from features.media.frames import FrameBlock, VideoInfo, frame_times, probe, read_frames
from features.media.sound import Sound, read_sound

__all__ = [
    "FrameBlock",
    "MediaError",
    "NoVideo",
    "Sound",
    "VideoInfo",
    "frame_times",
    "probe",
    "read_frames",
    "read_sound",
]
