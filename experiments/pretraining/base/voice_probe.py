"""What voices tell, by linear probes, and how well speech is found; writes results/voice.md.

Data flow: voices of four corpora > prosody, packaged wav2vec2, its teacher, each heard once >
probes told of unseen speakers and unseen corpora > tables. Mixtures with known truth > detectors of
speech > a table.

    python -m experiments.pretraining.base.voice_probe --data DIR
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from experiments.kept import Cache, code_hash
from experiments.pages import write_page
from experiments.pretraining.base.voice.detectors import compare, detector, people_held_out, shouted
from experiments.pretraining.base.voice.hearing import hear, prosody, wav2vec2, whisper
from experiments.pretraining.base.voice.page import page
from experiments.pretraining.base.voice.tables import Labels, streams
from experiments.pretraining.base.voices import read_voices
from features.cli.app import OK, run

RESULTS = Path(__file__).parents[2] / "results/voice.md"
TEACHER = "encoders/whisper-tiny.en-encoder"


@dataclass
class VoiceProbe:
    """Settings of the probe.

    Args:
        data: Folder of the shared data.
        out: File for the page.
        cache: Folder for what the encoders say, which takes half an hour.
    """

    data: Path
    out: Path = RESULTS
    cache: Path = Path("runs/voice/cache")


def probe(settings: VoiceProbe) -> int:
    """Hears what was not heard before, fits all probes and writes the page."""
    torch.set_num_threads(1)
    voices, cache = read_voices(settings.data), Cache(settings.cache)
    said = hear(voices, prosody(), cache)
    heard = hear(voices, wav2vec2(), cache)
    taught = hear(voices, whisper(settings.data / TEACHER), cache)
    people = people_held_out(settings.data)
    found = cache.get("speech", code_hash(), lambda: compare(people, detector()))
    rows, labels = streams(said, heard, taught), Labels.of(voices)
    write_page(page(rows, labels, found, shouted(settings.data), len(people)), settings.out)
    return OK


PROG = "experiments.pretraining.base.voice_probe"
main = partial(run, VoiceProbe, probe, prog=PROG, description=__doc__ or "")

if __name__ == "__main__":
    main()
