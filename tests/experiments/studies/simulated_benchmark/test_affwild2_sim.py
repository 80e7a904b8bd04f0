import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from experiments.studies.simulated_benchmark.affwild2_sim import (
    Affwild2SimSettings,
    command,
    options_of,
)
from experiments.studies.simulated_benchmark.baselines import Classes
from experiments.studies.simulated_benchmark.benchmark import make_benchmark
from experiments.studies.simulated_benchmark.ceiling import (
    best_thresholds,
    best_weights,
    fit_spectrum,
    observe,
)
from experiments.studies.simulated_benchmark.scores import recipe_settings
from experiments.studies.simulated_benchmark.smoothers import (
    TIMES,
    Observed,
    chain_posterior,
    smooth_dimension,
)
from experiments.studies.simulation.labels import simulate
from experiments.studies.simulation.states import AU_SHARES, EXPR_COUNTS, fit_model
from experiments.studies.simulation.streams import (
    AUDIO,
    PERCEPT,
    VISUAL,
    Embedding,
    Stream,
    coloured,
    percept_of,
    shown_frames,
    with_voice,
    without_face,
)
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.corpora import read_corpus
from fusion.tasks.au import UNITS
from fusion.tasks.clips import Clip
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.registry import DEFAULT
from tests.fusion.classic import empty_labels

CLEAR = Stream("visual", 64, (1e-3,) * 3, (1e-9,) * 3, 0.1, 0.1, 8)
CLEAR_SOUND = Stream("audio", 32, (1e-3,) * 3, (1e-9,) * 3, 0.5, 0.2, 4, rate=50.0)
TRAIN = {"1": 240, "2_left": 150, "2_right": 150, "video3_1": 73, "4": 200, "5-30-640x360": 160}
VALIDATION = {"7": 120, "8_left": 90, "9": 73}
RECIPE = """
model: {dim: 8, stream_dim: 8, tcn_levels: 1, layers: 1, heads: 2}
data: {window: 100, stride: 80}
"""


def write(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")


def curve(number, frames):
    phase = np.linspace(0, 5, frames) + number
    return np.round(np.stack([0.8 * np.sin(phase), 0.3 + 0.6 * np.cos(2 * phase)], 1), 3)


def write_va(root):
    """Labels that nobody has tuned to: two people of a video, short files, unlabelled stretches."""
    files = {"Train_Set": TRAIN, "Validation_Set": VALIDATION}
    for split, lengths in files.items():
        for number, (name, frames) in enumerate(lengths.items()):
            rows = [f"{v},{a}" for v, a in curve(number, frames)]
            rows[10:40] = ["-5,-5"] * 30
            if name == "4":
                rows = ["-5,-5"] * frames
            rows[50] = "-5.05e-05,1"
            write(root / "VA_Estimation_Challenge" / split / f"{name}.txt", "valence,arousal", rows)
    write(root / "videos_fps.csv", "video_name,fps", ["1.mp4,6", "7.avi,24.0"])
    return root


def write_expr(root, split, name, classes):
    folder = root / "EXPR_Recognition_Challenge" / split
    write(folder / f"{name}.txt", ",".join(EXPRESSIONS), [str(c) for c in classes])


def files_below(root):
    return {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return write_va(tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def clear(real, tmp_path_factory):
    out = tmp_path_factory.mktemp("clear") / "out"
    return make_benchmark(out, 1.0, 3, real, visual=CLEAR, audio=CLEAR_SOUND)


def test_expressions_and_units_are_drawn_with_the_real_frequencies():
    rng = np.random.default_rng(0)
    va = np.stack([rng.normal(0.1, 0.4, 3000), rng.normal(0.3, 0.3, 3000)], 1).clip(-1, 1)
    model = fit_model(va)
    chances = model.expressions(va)
    np.testing.assert_allclose(chances.mean(0), EXPR_COUNTS / EXPR_COUNTS.sum(), atol=1e-3)
    np.testing.assert_allclose(model.units(va, chances).mean(0), AU_SHARES, atol=1e-3)
    happy = model.expressions(np.array([[0.8, 0.5], [-0.8, 0.5]]))[:, 4]
    assert happy[0] > 10 * happy[1]
    smile = model.units(va[:2], np.eye(8)[[4, 5]])[:, UNITS.index("AU12")]
    assert smile[0] > 3 * smile[1]


def test_states_last_and_tasks_have_files_of_their_own(clear):
    clips, states = clear.simulated.clips, clear.simulated.states
    changes = [np.diff(states[name].expr).astype(bool).mean() for name in states]
    assert np.mean(changes) < 0.05
    masks = [tuple(task in c.labels.tasks() for task in DEFAULT) for c in clips]
    assert (False, True, True) in masks or (False, False, True) in masks
    assert any(va and not au for va, _, au in masks)
    partly = [c.labels["expr"].mask.mean() for c in clips if "expr" in c.labels.tasks()]
    assert min(partly) < 1


def test_files_say_what_was_drawn_and_the_annotations_stay_as_they_are(tmp_path):
    root = write_va(tmp_path / "real")
    before = files_below(root)
    benchmark = make_benchmark(tmp_path / "out", 1.0, 3, root)
    assert files_below(root) == before
    original = {(c.split, c.id): c.labels for c in read_corpus(root)}
    read = {(c.split, c.id): c.labels for c in read_corpus(benchmark.root)}
    for clip in benchmark.simulated.clips:
        if not clip.labels.tasks():
            continue
        for task in clip.labels.tasks():
            own, theirs = clip.labels[task], read[clip.split, clip.id][task]
            np.testing.assert_array_equal(theirs.values, own.values)
            np.testing.assert_array_equal(theirs.mask, own.mask)
        assert set(read[clip.split, clip.id].tasks()) == set(clip.labels.tasks())
        if (clip.split, clip.id) in original and "va" in clip.labels.tasks():
            before = original[clip.split, clip.id]["va"]
            np.testing.assert_array_equal(before.values, clip.labels["va"].values)


def test_labels_that_are_there_are_kept_and_the_states_agree(tmp_path):
    root = write_va(tmp_path)
    classes = np.repeat([3, -1, 6, 2], 60)
    write_expr(root, "Train_Set", "1", classes)
    write_expr(root, "Validation_Set", "5-30-640x360", [1] * 160)  # of training for VA
    made = simulate(root, 1.0, 0)
    by = {(c.split, c.id): c.labels for c in made.clips}
    np.testing.assert_array_equal(by["train", "1"]["expr"].mask, classes >= 0)
    assert (made.states["1"].expr[classes >= 0] == classes[classes >= 0]).all()
    assert (made.states["5-30-640x360"].expr == 1).all()
    assert "expr" not in by["train", "5-30-640x360"].tasks()
    assert not any("expr" in by["train", name].tasks() for name in ("2_left", "video3_1"))
    assert any("au" in labels.tasks() for labels in by.values())
    known = by["train", "1"]["va"].mask
    np.testing.assert_allclose(made.states["1"].va[known], by["train", "1"]["va"].values[known])


def test_people_who_are_known_stay_known(tmp_path):
    root = write_va(tmp_path / "real")
    write(root / "people.csv", "id,person", ["1,anna", "7,anna"])
    benchmark = make_benchmark(tmp_path / "out", 0.2, 0, root)
    groups = {clip.id: clip.group for clip in read_corpus(benchmark.root)}
    assert (groups["1"], groups["7"], groups["9"]) == ("anna", "anna", "9")


def test_a_share_keeps_the_middle_of_each_file_and_rates_come_from_the_table(tmp_path):
    root = write_va(tmp_path)
    made = simulate(root, 0.5, 0)
    clip = next(c for c in made.clips if c.id == "1")
    np.testing.assert_allclose(clip.labels["va"].values, curve(0, 240)[60:180], rtol=1e-6)
    assert (made.rates["1"], made.rates["7"], made.rates["9"]) == (6.0, 24.0, 30.0)


def test_the_same_seed_gives_the_same_benchmark_and_another_seed_another(tmp_path):
    root = write_va(tmp_path / "real")
    tracks = [
        files_below(make_benchmark(tmp_path / name, 0.5, seed, root).store)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    first, second, other = ([*track.values()] for track in tracks)
    assert first == second != other


def test_tracks_that_are_there_are_kept_and_damaged_ones_made_anew(tmp_path):
    root = write_va(tmp_path / "real")
    benchmark = make_benchmark(tmp_path / "out", 0.5, 1, root)
    before = files_below(benchmark.store)
    kept, damaged, lost = (
        benchmark.store / f"visual/{name}.safetensors" for name in ("1", "7", "9")
    )
    time = kept.stat().st_mtime_ns
    damaged.write_bytes(damaged.read_bytes()[:-10])
    lost.unlink()
    make_benchmark(tmp_path / "out", 0.5, 1, root)
    assert files_below(benchmark.store) == before
    assert kept.stat().st_mtime_ns == time


def test_people_share_the_sound_of_their_video_and_not_their_faces(clear):
    store = TrackStore(clear.store)
    assert {"2"} == {name for name in store.ids("audio") if name.startswith("2")}
    assert {"2_left", "2_right"} == {name for name in store.ids("visual") if name.startswith("2")}
    info = store.info("visual", "2_left")
    assert (info.person, info.video) == ("left", "2")
    assert store.read("visual", "1").times[1] == pytest.approx(1 / 6)


def test_extra_streams_have_biases_of_their_own(tmp_path):
    root = write_va(tmp_path / "real")
    benchmark = make_benchmark(tmp_path / "out", 0.3, 1, root, levels=True, prior=True)
    wanted = {"audio", "faces", "prior", "visual", "visual.1", "visual.2", "visual.3"}
    assert wanted == set(TrackStore(benchmark.store).streams())


@pytest.mark.parametrize("name", ["visual", "audio"])
def test_a_stream_without_noise_shows_the_state_when_lag_and_embedding_are_undone(clear, name):
    stream = next(s for s in clear.streams if s.name == name)
    for clip in clear.simulated.clips[:5]:
        if clip.video == "2" and name == "audio":
            continue  # two people
        seen = observe(clear, clip, stream)
        truth = percept_of(clear.simulated.states[clip.id])
        assert seen.seen[: len(truth) // 2].any()
        np.testing.assert_allclose(seen.percept[seen.seen], truth[seen.seen], atol=0.05)


def test_a_token_shows_the_frame_of_its_lag_ago():
    assert shown_frames(np.array([0.0, 0.51, 1.01]), AUDIO, 30.0, 100).tolist() == [0, 0, 15]
    assert shown_frames(np.array([9.0]), AUDIO, 30.0, 100).tolist() == [99]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 5), st.sampled_from([VISUAL, AUDIO]))
def test_embeddings_can_be_inverted(seed, stream):
    percepts = np.random.default_rng(seed).standard_normal((50, PERCEPT + stream.identity)) * 3
    back = Embedding(stream, seed).invert(Embedding(stream, seed).apply(percepts))
    np.testing.assert_allclose(back, percepts[:, :PERCEPT], atol=0.15)


def test_noise_has_variance_one_and_its_time_constant():
    noise = coloured((40_000, 2), 5.0, np.random.default_rng(0))
    assert noise.var() == pytest.approx(1, abs=0.06)
    assert (noise[5:] * noise[:-5]).mean() == pytest.approx(np.exp(-1), abs=0.06)


def test_drop_outs_are_as_frequent_and_as_long_as_stated():
    rng = np.random.default_rng(0)
    missing = [without_face(2000, rng) for _ in range(300)]
    assert np.mean(missing) == pytest.approx(0.066, abs=0.03)
    assert np.median([each.mean() for each in missing]) == pytest.approx(0.0118, abs=0.01)
    voice = with_voice(500_000, 50, rng)
    assert voice.mean() == pytest.approx(5 / 6.5, abs=0.04)


def gaussian_case(rng, frames=12):
    streams = [
        Stream("a", 24, (0.8, 1, 1), (0.5, 1, 1), 0, 1, 0),
        Stream("b", 24, (1.5, 1, 1), (0.3, 1, 1), 0, 1, 0),
    ]
    rows = [np.pad(rng.standard_normal((frames, 1)), ((0, 0), (0, PERCEPT - 1))) for _ in streams]
    seen = [rng.random(frames) < share for share in (0.6, 0.9)]
    return [
        Observed(y * s[:, None], s, stream, keep)
        for y, s, stream, keep in zip(rows, seen, streams, (0.5, 0.8), strict=True)
    ]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_the_gaussian_smoother_gives_the_exact_posterior_mean(seed):
    observed = gaussian_case(np.random.default_rng(seed))
    spectrum = np.array([0.0, 0.4, 0.0, 0.3, 0.0, 0.6, 0.2])
    apart = np.abs(np.subtract.outer(np.arange(12), np.arange(12)))
    prior = sum(w * np.exp(-apart / time) for w, time in zip(spectrum, TIMES, strict=False))
    values, blocks = [], []
    for one in observed:
        values.append(one.percept[one.seen, 0])
        blocks.append(one.stream.noise[0] ** 2 * one.keep**apart + one.stream.bias[0] ** 2)
    rows = np.concatenate([np.flatnonzero(one.seen) + 12 * i for i, one in enumerate(observed)])
    joint = np.tile(prior, (2, 2))
    for i, block in enumerate(blocks):
        joint[12 * i : 12 * i + 12, 12 * i : 12 * i + 12] += block
    joint = joint[np.ix_(rows, rows)] + 1e-3 * np.eye(len(rows))
    gain = np.tile(prior, (1, 2))[:, rows] @ np.linalg.inv(joint)
    wanted = 0.2 + gain @ (np.concatenate(values) - 0.2)
    np.testing.assert_allclose(smooth_dimension(observed, 0, spectrum), wanted, atol=1e-6)


def test_a_clip_of_one_frame_can_be_smoothed():
    one = gaussian_case(np.random.default_rng(0), frames=1)[0]
    seen = Observed(one.percept * 0 + 1.0, np.ones(1, bool), one.stream, one.keep)
    level_alone = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.6, 0.2])
    variance = 0.8**2 + 0.5**2 + 1e-3  # of noise, bias and rounding
    wanted = 0.2 + 0.6 / (0.6 + variance) * (1.0 - 0.2)
    assert smooth_dimension([seen], 0, level_alone) == pytest.approx([wanted], abs=1e-6)


def test_a_smoother_that_sees_nothing_says_the_mean():
    observed = [
        Observed(one.percept * 0, one.seen & False, one.stream, one.keep)
        for one in gaussian_case(np.random.default_rng(0))
    ]
    spectrum = np.array([0.0, 0.4, 0.0, 0.3, 0.0, 0.6, 0.2])
    np.testing.assert_allclose(smooth_dimension(observed, 0, spectrum), 0.2)


def test_forward_backward_agrees_with_all_paths_summed_one_by_one():
    rng, frames, keep, noise, hold = np.random.default_rng(1), 4, 0.6, 0.9, 3.0
    stream = Stream("a", 24, (1, 1, noise), (1, 1, 1e-9), 0, 1, 0)
    y = rng.standard_normal((frames, PERCEPT))
    observed = [Observed(y, np.ones(frames, bool), stream, keep)]
    on = rng.uniform(0.2, 0.8, (frames, 12))
    drawn = np.stack([1 - on, on], axis=2)
    got = chain_posterior(observed, "AU", drawn, hold, np.array([[0.0], [1.0]]))
    apart = np.abs(np.subtract.outer(np.arange(frames), np.arange(frames)))
    for unit in (0, 11):
        wanted, total = np.zeros(frames), 0.0
        for path in itertools.product((0, 1), repeat=frames):
            chance = drawn[0, unit, path[0]]
            for t in range(1, frames):
                stay = (1 - 1 / hold) * (path[t] == path[t - 1])
                chance *= drawn[t, unit, path[t]] / hold + stay
            chance *= multivariate_normal(path, noise**2 * keep**apart).pdf(y[:, 10 + unit])
            wanted += chance * np.array(path)
            total += chance
        np.testing.assert_allclose(got[:, unit, 1], wanted / total, atol=1e-6)


def test_the_spectrum_has_the_variance_of_the_labels():
    rng, clips = np.random.default_rng(0), []
    for _ in range(30):
        labels = empty_labels(400)
        labels.va[:, 0] = 0.3 * coloured((400, 1), 30, rng)[:, 0] + 0.2 * rng.standard_normal()
        labels.va_mask[:] = True
        clips.append(Clip("x", "x", "train", labels, "x"))
    spectrum = fit_spectrum(clips, 0)
    pooled = np.concatenate([c.labels["va"].values[:, 0] for c in clips]) / 0.4
    assert spectrum[:-1].sum() == pytest.approx(pooled.var(), rel=0.1)
    assert spectrum[1:4].sum() > spectrum[0]


def test_thresholds_and_weights_are_the_best_ones():
    chances = np.tile(np.linspace(0, 1, 101)[:, None], (1, 12))
    truth = (chances >= 0.7).astype(np.float32)
    assert best_thresholds(truth, chances) == pytest.approx(np.full(12, 0.7), abs=0.03)
    rare = np.array([0] * 90 + [1] * 10)
    shown = np.tile([0.8, 0.2, 0, 0, 0, 0, 0, 0], (100, 1))
    shown[90:] = [0.6, 0.4, 0, 0, 0, 0, 0, 0]
    assert ((shown * best_weights(rare, shown)).argmax(1) == rare).all()


def test_a_class_that_never_occurs_is_never_predicted():
    rows = np.random.default_rng(0).standard_normal((60, 2))
    classes = Classes.fitted(rows, np.where(rows[:, 0] > 0, 2, 5), 8)
    assert set(classes.chances(rows).argmax(1)) == {2, 5}
    alone = Classes.fitted(rows, np.full(60, 3), 8)
    assert (alone.chances(rows).argmax(1) == 3).all()


def test_a_recipe_takes_its_own_streams_if_they_are_there(tmp_path, clear):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("data: {streams: [audio]}")
    assert recipe_settings(clear, recipe, 1, 2).data.streams == ["audio"]
    recipe.write_text("data: {streams: [expression, audio]}")
    assert recipe_settings(clear, recipe, 1, 2).data.streams == ["visual", "audio"]


@pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")
def test_the_command_writes_its_tables_and_finds_all_of_it_again(tmp_path, capsys):
    recipe = tmp_path / "small.yaml"
    recipe.write_text(RECIPE)
    run = Affwild2SimSettings(
        out=tmp_path / "out",
        annotations=write_va(tmp_path / "real"),
        scale=1.0,
        recipes=[recipe],
        seeds=[1],
        epochs=1,
        page=tmp_path / "page.md",
    )
    assert command(run) == 0
    text = run.page.read_text()
    for name in (
        "ceiling, visual + audio",
        "constant",
        "linear, frame by frame",
        "small, seed 1",
        "small, seed 1, refitted",
    ):
        assert f"| {name} | " in text
    assert "--annotations ANNOTATIONS" in text
    assert str(tmp_path) not in text.replace(str(recipe), "")
    kept = {p: p.stat().st_mtime_ns for p in (run.out / "predictions").rglob("*.parquet")}
    capsys.readouterr()
    assert command(run) == 0
    assert run.page.read_text() == text
    assert kept == {p: p.stat().st_mtime_ns for p in (run.out / "predictions").rglob("*.parquet")}
    assert "finished before" in capsys.readouterr().out


def test_what_cannot_be_done_is_said_in_one_line(tmp_path):
    root = write_va(tmp_path / "real")
    with pytest.raises(UserError, match="scale"):
        make_benchmark(tmp_path / "out", 0.0)
    make_benchmark(tmp_path / "out", 0.1, 1, root)
    assert json.loads((tmp_path / "out/benchmark.json").read_text())["seed"] == 1
    with pytest.raises(UserError, match="other settings"):
        make_benchmark(tmp_path / "out", 0.1, 2, root)
    with pytest.raises(UserError, match="not an empty folder"):
        make_benchmark(root, 0.1, 2, root)
    with pytest.raises(UserError, match="no such recipe"):
        command(Affwild2SimSettings(recipes=[tmp_path / "none.yaml"]))
    only = tmp_path / "only"
    write_expr(only, "Train_Set", "1", [0] * 50)
    with pytest.raises(UserError, match="no valence-arousal labels of train"):
        make_benchmark(tmp_path / "new", 1.0, 0, only)


def test_options_name_no_folder_of_the_machine(tmp_path):
    shown = options_of(Affwild2SimSettings(out=tmp_path, seeds=[1], epochs=3))
    assert shown == " --out OUT --seeds '[1]' --epochs 3"
