"""Following people by place and looks beside place alone, on scenes made of real clips.

    python -m experiments.studies.faces.follow_people --data ../shared/data

Data flow: clips of one person each > looks (follow_looks) and scenes (follow_scenes) > faces of
each frame, found once > both followers > switches and right identities (follow_scores) > a page.
What is found in a clip or a scene is kept under `cache`, so that a killed run goes on.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np

from experiments.studies.encoders.probe_data import Cache
from experiments.studies.faces.follow_looks import (
    ONE_PERSON,
    SEVERAL,
    ClipFaces,
    next_frames,
    pairs_of_photographs,
    read_clip,
    table,
)
from experiments.studies.faces.follow_scenes import SCENES, in_one_light, play, read_tiles, truth
from experiments.studies.faces.follow_scores import Scene, Score, by_looks, by_place, score
from features.cli.app import OK, run
from features.cli.progress import ProgressReport
from features.errors import UserError
from features.faces.alignment import crop_faces
from features.faces.appearance import CUT, SAME, looks_of
from features.faces.detect import FaceDetector, Faces, FaceSettings
from features.faces.keyframes import find_faces
from features.faces.tracker import Follower
from features.store.feature_track import write_atomically
from features.store.hashing import settings_hash, sha256_of
from features.store.person_names import ALL

LIGHTS = ("as filmed", "one light")
FOLLOWERS = ("place", "looks")


@dataclass
class FollowPeopleSettings:
    """Settings of the study.

    Args:
        data: Folder of the shared data.
        cache: Folder for what was found, so that a second or a killed run is quick.
        page: The page that is written.
        rounds: Times that the cost is measured; the median counts.
    """

    data: Path = Path("../shared/data")
    cache: Path = Path("runs/follow-people")
    page: Path = Path(__file__).parents[2] / "results/follow-people.md"
    rounds: int = 3


# Scenes ----------------------------------------------------------------------------------------


def read_scene(name: str, clips: list[ClipFaces], light: str, cache: Cache) -> Scene:
    """Plays a scene and finds its faces, or reads them from the disk."""
    settings = FaceSettings()
    detector, script = FaceDetector(settings), SCENES[name]()

    def compute() -> dict[str, np.ndarray]:
        actors = [read_tiles(clip.path, clip.box) for clip in clips]
        actors = [in_one_light(tiles) for tiles in actors] if light != LIGHTS[0] else actors
        found, crops = [], []
        for frame in find_faces(play(script, actors), detector, settings):
            pictures = [frame.image] * len(frame.faces)
            crops.append(crop_faces(pictures, frame.faces.landmarks, settings))
            found.append(frame.faces)
        return {
            "times": np.arange(len(script)) / 25.0,
            "counts": np.array([len(faces) for faces in found]),
            "boxes": np.concatenate([faces.boxes for faces in found]),
            "landmarks": np.concatenate([faces.landmarks for faces in found]),
            "scores": np.concatenate([faces.scores for faces in found]),
            "crops": np.concatenate(crops),
        }

    files = [sha256_of(clip.path) for clip in clips]
    places = [[vars(one) for one in frame] for frame in script]
    key = [files, light, settings_hash(places), settings.key(), detector.revision]
    kept = cache.get("scene", key, compute)
    borders = np.cumsum(kept["counts"])[:-1]
    parts = [np.split(kept[n], borders) for n in ("boxes", "landmarks", "scores")]
    faces = [Faces(*one) for one in zip(*parts, strict=True)]
    whose = [truth(frame, one.boxes) for frame, one in zip(script, faces, strict=True)]
    looks = np.split(looks_of(kept["crops"]), borders)
    return Scene(kept["times"].tolist(), faces, looks, whose)


Scores = dict[tuple[str, str, str], Score]
"""By scene, light and follower."""


def measure_scenes(clips: list[ClipFaces], cache: Cache, title: str) -> Scores:
    """All scenes with every three neighbours, so that everybody plays."""
    scores: Scores = {}
    casts = [clips[first : first + 3] for first in range(0, len(clips) - 2, 2)]
    with ProgressReport(title, len(casts) * len(LIGHTS) * len(SCENES)) as progress:
        for cast in casts:
            for light in LIGHTS:
                for name in SCENES:
                    scene = read_scene(name, cast, light, cache)
                    for follower, follow in zip(FOLLOWERS, (by_place, by_looks), strict=True):
                        key = (name, light, follower)
                        one = score(scene.whose, follow(scene))
                        scores[key] = scores[key] + one if key in scores else one
                    progress.step(f"{cast[0].path.stem}, {name}, {light}")
    return scores


# The command -----------------------------------------------------------------------------------


def command(settings: FollowPeopleSettings) -> int:
    """Measures and writes the page."""
    cache = Cache(settings.cache)
    paths = [*(settings.data / "clips").glob("*.mp4"), *(settings.data / "ravdess").rglob("*.mp4")]
    paths = sorted(p for p in paths if p.stem not in (*ONE_PERSON[1:], *SEVERAL))
    if len(paths) < 6 or settings.rounds < 1:
        raise UserError(f"{settings.data} must hold clips and ravdess, and --rounds be at least 1")
    clips = []
    with ProgressReport("clips", len(paths)) as progress:
        for path in paths:
            clips.append(read_clip(path, cache))
            progress.step(path.stem)
    choosing, judged = clips[::2], clips[1::2]
    photos = pairs_of_photographs(settings.data, cache)
    scores = [measure_scenes(some, cache, "scenes") for some in (choosing, judged)]
    near = next_frames(judged)
    text = _TEXT.format(
        day=date.today(),
        choosing=", ".join(clip.path.stem for clip in choosing),
        judged=", ".join(clip.path.stem for clip in judged),
        verification=table(choosing, judged, photos),
        least=near[0],
        few=np.quantile(near, 0.001),
        cut=CUT,
        same=SAME,
        judged_scenes=scene_table(scores[1]),
        choosing_scenes=scene_table(scores[0]),
        costs=costs(settings.rounds),
    )
    write_atomically(settings.page, text.encode())
    print(text)
    return OK


def scene_table(scores: Scores) -> str:
    """Scenes by light, both followers side by side."""
    head = (
        "| light | scene | faces | switches by place | **by place and looks** | right by place"
        " | **by place and looks** | people | identities by place | **by place and looks** |"
    )
    lines = [head, "|---" * 10 + "|"]
    for light in LIGHTS:
        rows = {name: [scores[name, light, f] for f in FOLLOWERS] for name in SCENES}
        pooled = [sum(row[1:], row[0]) for row in zip(*rows.values(), strict=True)]
        for name, (place, looks) in (rows | {"**all**": pooled}).items():
            both = (place, looks)
            cells = [f"{place.faces:,}", *(str(one.switches) for one in both)]
            cells += [f"{one.right / one.faces:.1%}" for one in both]
            cells += [str(place.people), *(str(one.identities) for one in both)]
            lines.append(f"| {light} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def costs(rounds: int) -> str:
    """What looks and following cost, processor time of one thread."""
    crops = np.random.default_rng(0).integers(0, 256, (300, 112, 112, 3), dtype=np.uint8)
    looks = [_seconds(lambda: looks_of(crops)) / len(crops) for _ in range(rounds)]
    lines = [f"- Looks of a face: {np.median(looks) * 1e3:.2f} ms."]
    for frames in (1_000, 100_000):
        each = [_seconds(partial(follow_three, frames)) / frames for _ in range(rounds)]
        lines.append(f"- A frame with 3 faces of {frames:,}: {np.median(each) * 1e6:.0f} µs.")
    return "\n".join(lines)


def follow_three(frames: int) -> Follower:
    """Three people, one of whom goes and comes, and a stranger every 200 frames."""
    rng = np.random.default_rng(0)
    looks = np.sqrt(rng.dirichlet(np.full(819, 0.1), 3)).astype(np.float32)
    boxes = np.array([[x, 50, x + 80, 150] for x in (50, 250, 450)], np.float32)
    faces = Faces(boxes, np.zeros((3, 5, 2), np.float32), np.ones(3, np.float32))
    follower = Follower(FaceSettings())
    for row in range(frames):
        if row % 200 < 4:
            stranger = np.sqrt(np.random.default_rng(row // 200).dirichlet(np.full(819, 0.1)))
            looks[2] = stranger
        some = slice(0, 3 if row % 200 < 150 else 2)
        one = Faces(faces.boxes[some], faces.landmarks[some], faces.scores[some])
        follower.add(row / 25, one, looks[some])
    follower.people(ALL)
    return follower


def _seconds(work: Callable[[], object]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


_TEXT = """# Following people: place and looks beside place alone

{day}, 2 cores of a shared machine; times are processor time of one thread, medians.

    python -m experiments.studies.faces.follow_people --data ../shared/data

## Looks: verification

Looks (features/faces/appearance.py) are compared by their product. Thresholds were chosen on one
half of the people and are judged on the other; the kind of looks was chosen among some (patterns,
gradients, pixels, colours, layers of MTCNN's last net) with all clips in sight. Within a clip light
and background stay, so colour tells much; LFW's photographs are grey and years apart: there looks
know little, and an identity across videos must not be built on them.

{verification}

Similarity of one face in consecutive frames, judged people: least {least:.3f}, .1 % below
{few:.3f}. `CUT` = {cut} (1 % false accepts of choosing people): a face at a path's last place that
is less like it is somebody else. `SAME` = {same} (.1 %): from there on a face joins a path wherever
it is.

Choosing: {choosing}.

Judged: {judged}.

## Scenes

Casts of two or three neighbours in the lists above, heads of about 80 pixels in 640x360, faces
found as by default. Side by side: nothing happens. Swap: both change places by a cut, three times.
Crossing: they slide past each other twice, one hiding the other. Coming back: one leaves for 5 s,
the other takes the place, and the first comes back elsewhere and smaller. Three: three people whose
places are changed twice. Cuts: shots of two people in turns at one place. One light: every face is
given the same mean and contrast of each colour, since clips filmed apart are easier than one room.

Switches: IDSW as in MOTA. Right: faces with the identity that fits the person best, one to one.
People and identities are summed over the scenes; identities beyond people are splits. By place are
the rules before looks. How much looks weigh beside place, and how paths are joined at the end, was
chosen on the scenes of choosing people.

### Judged people

{judged_scenes}

### Choosing people

{choosing_scenes}

## Cost

{costs}

The third face of this imitation is a new stranger every 8 s, so that paths keep coming.
"""

if __name__ == "__main__":
    description = __doc__.split("\n")[0]
    run(
        FollowPeopleSettings,
        command,
        prog="experiments.studies.faces.follow_people",
        description=description,
    )
