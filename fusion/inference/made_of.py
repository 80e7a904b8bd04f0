"""What scores and features of a clip are made of, as one fingerprint.

Data flow: checkpoint's revision + content of a clip's tracks (of all clips of its person, where a
network adapts to people) > fingerprint, kept beside what was made > compared before it is served.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from features.store.fingerprint import fingerprint, tracks_content
from fusion.data.loading.multi_corpus import Source
from fusion.streams import clip_streams
from fusion.streams.clip_tracks import clip_tracks
from fusion.streams.person_normalization import person_of

RULES = 2
"""To be raised when the same networks make other scores of the same tracks."""


def made_of(
    revision: str,
    sources: Iterable[Source],
    streams: Mapping[str, int],
    window: float,
    *,
    adapts: bool,
) -> dict[str, str]:
    """Clip to the fingerprint of all that its scores and features depend on.

    Args:
        revision: Hash of the checkpoint, which holds networks, settings and decisions.
        sources: Clips, and those with whose frames statistics of people are made.
        streams: Streams that the networks look at.
        window: Seconds over which audio tokens are averaged for a frame.
        adapts: Whether a network adapts to people.
    """
    content: dict[str, Any] = {}
    people: dict[str, dict[str, Any]] = {}
    for one in sources:
        name = one.clip.id
        content[name] = tracks_content(clip_tracks(one.store, one.own, streams))
        people.setdefault(person_of(one.clip), {})[name] = content[name]
    persons = {name: clip_ids for clip_ids in people.values() for name in clip_ids}
    version = f"{clip_streams.RULES}.{RULES}"
    return {
        name: fingerprint(
            [revision, own, persons[name] if adapts else None], window, version=version
        )
        for name, own in content.items()
    }
