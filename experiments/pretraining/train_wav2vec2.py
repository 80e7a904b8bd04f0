"""Distils the packaged `wav2vec2` from Whisper's encoder and writes its folder.

Data flow: speech clips > noise, another voice > small Wav2Vec2Model with spans masked > hidden
states 2 to 4 > one linear map each > teacher's states 2 to 4 (standardised) > moving average of
the weights > transformers' folder in float16.

    python -m experiments.pretraining.train_wav2vec2 --data SHARED_DATA --out DIR

The loss of each state is the mean absolute difference plus one minus the cosine, in the manner of
DistilHuBERT (Chang et al. 2022). No emotion label is used, and nothing of RAVDESS. The last epoch
is taken; the validation speakers only show how it goes. A killed run goes on from the last epoch.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from experiments.pretraining.distil_data import HOP, STATES, Speech, load_speech
from experiments.pretraining.loop import Loop
from experiments.pretraining.train_expression import learning_rate
from experiments.pretraining.training_state import TrainingState
from features.cli.app import OK, run
from features.store.fingerprint import settings_hash

WEIGHTS = Path(__file__).parents[2] / "features/encoders/weights/wav2vec2"
LONGEST = 250
"""Tokens of a training crop at most: 5 s."""
BATCH = 3200
"""Tokens of a batch: 64 s."""


@dataclass
class TrainWav2Vec2:
    """Settings of the training.

    Args:
        data: Folder with `speech` and `encoders/whisper-tiny.en-encoder`.
        out: Folder for the model.
        state: File that a killed run goes on from; what the teacher says is kept beside it.
        epochs: Passes over the speech.
        lr: Highest learning rate.
        seed: Of weights, order, crops and noise.
        bfloat16: Whether to multiply in bfloat16.
    """

    data: Path
    out: Path = WEIGHTS
    state: Path = Path("runs/train_wav2vec2/state.pt")
    epochs: int = 25
    lr: float = 2e-3
    seed: int = 1
    bfloat16: bool = True

    def key(self) -> str:
        """What a resumed run must share."""
        return settings_hash(
            {k: str(v) for k, v in asdict(self).items() if k not in ("out", "state")}
        )


def student_config() -> Wav2Vec2Config:
    """2.4 million parameters: narrow convolutions where the rate is high, four layers of 192."""
    return Wav2Vec2Config(
        hidden_size=192,
        num_hidden_layers=4,
        num_attention_heads=6,
        intermediate_size=640,
        conv_dim=(32, 64, 128, 192, 256, 256, 256),
        num_conv_pos_embeddings=64,
        num_conv_pos_embedding_groups=16,
        feat_extract_norm="group",
        hidden_dropout=0.05,
        attention_dropout=0.05,
        activation_dropout=0.05,
        feat_proj_dropout=0.05,
        layerdrop=0.0,
        mask_time_prob=0.1,
        mask_time_length=10,
        mask_feature_prob=0.05,
        mask_feature_length=12,
        vocab_size=32,
    )


class Student(nn.Module):
    """The speech model and the linear maps to the teacher's states, which are thrown away later."""

    def __init__(self, teacher_dim: int) -> None:
        super().__init__()
        self.model = Wav2Vec2Model(student_config())
        width = self.model.config.hidden_size
        self.maps = nn.ModuleList(nn.Linear(width, teacher_dim) for _ in STATES)

    def forward(self, sound: Tensor) -> Tensor:
        """Guesses the teacher's states (B, T, S, D) of standard sounds (B, N)."""
        states = self.model(sound, output_hidden_states=True).hidden_states
        return torch.stack(
            [project(states[k]).float() for project, k in zip(self.maps, STATES, strict=True)],
            dim=2,
        )


def distance(guess: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute difference plus one minus the cosine, averaged over all states and tokens."""
    cosine = functional.cosine_similarity(guess, truth, dim=-1)
    return functional.l1_loss(guess, truth) + 1 - cosine.mean()


def plan_batches(speech: Speech, rng: np.random.Generator, size: int = BATCH) -> list[list[int]]:
    """Clips of like length together, of at most `size` tokens a batch, in random order."""
    lengths = _crop_tokens(speech)
    order = np.argsort(lengths + rng.uniform(0, 25, len(lengths)))
    groups: list[list[int]] = [[]]
    for clip in order.tolist():
        if groups[-1] and (len(groups[-1]) + 1) * lengths[clip] > size:
            groups.append([])
        groups[-1].append(clip)
    return [groups[index] for index in rng.permutation(len(groups))]


def crop_batch(speech: Speech, clips: list[int], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Crops of one length at random places: sounds (B, N) and targets (B, T, S, D)."""
    tokens = int(_crop_tokens(speech)[clips].min())
    sounds, targets = [], []
    for clip in clips:
        start = int(rng.integers(0, speech.tokens(clip) - tokens + 1))
        sounds.append(speech.sounds[clip][start * HOP :][: (tokens - 1) * HOP + 400])
        row = speech.starts[clip] + start
        targets.append(speech.targets[row : row + tokens])
    return torch.from_numpy(np.stack(sounds)), torch.from_numpy(np.stack(targets)).float()


def _crop_tokens(speech: Speech) -> np.ndarray:
    """Tokens that a crop of each clip may have."""
    return np.array([min(speech.tokens(i), LONGEST) for i in range(len(speech.sounds))])


def add_noise(sound: Tensor, rng: np.random.Generator) -> Tensor:
    """White noise, 5 to 30 dB below, in a third of the sounds, another voice in a fifth; (B, N)."""
    count = len(sound)

    def gain(share: float) -> Tensor:
        decibels = rng.uniform(5, 30, count)
        on = rng.random(count) < share
        return torch.from_numpy(on * 10 ** (-decibels / 20)).float()[:, None]

    level = sound.std(dim=1, keepdim=True)
    hiss = torch.from_numpy(rng.standard_normal(sound.shape, dtype=np.float32)) * level
    other = sound.roll(1, dims=0) * level / level.roll(1, dims=0).clamp_min(1e-6)
    return sound + gain(0.33) * hiss + gain(0.2) * other


def standardise(sound: Tensor) -> Tensor:
    """Zero mean and unit variance over each sound, as the feature extractor does; (B, N)."""
    centred = sound - sound.mean(dim=1, keepdim=True)
    return centred / (centred.square().mean(dim=1, keepdim=True) + 1e-7).sqrt()


def train(settings: TrainWav2Vec2) -> int:
    """Runs all epochs, going on from `state` if it is there; writes the averaged student."""
    torch.manual_seed(settings.seed)
    teacher = settings.data / "encoders/whisper-tiny.en-encoder"
    cache = settings.state.parent / "targets"
    speech = load_speech(settings.data / "speech", teacher, "train", cache)
    valid = load_speech(settings.data / "speech", teacher, "valid", cache)
    student = Student(speech.targets.shape[-1])
    count = sum(p.numel() for p in student.model.parameters())
    print(f"{len(speech.sounds)} clips, {count} parameters", flush=True)
    average = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(0.995), use_buffers=True)
    optimizer = torch.optim.AdamW(
        student.parameters(), lr=settings.lr, betas=(0.9, 0.98), weight_decay=0.01
    )
    parts = {"student": student, "average": average, "optimizer": optimizer}
    state = TrainingState(settings.state, settings.key(), parts)
    loop = Loop(
        student,
        optimizer,
        rate=lambda epoch: learning_rate(epoch / settings.epochs, settings.lr),
        average=average,
        clip=1.0,
        bfloat16=settings.bfloat16,
        seed=settings.seed,
    )
    judge = lambda: f"valid {validate(average.module, valid):.4f}"  # noqa: E731
    loop.run(settings.epochs, state, partial(batches, speech, settings.seed), losses, judge)
    assert isinstance(average.module, Student)
    write(average.module.model, settings.out)
    return OK


def batches(speech: Speech, seed: int, epoch: int) -> tuple[int, Iterator[tuple[Tensor, Tensor]]]:
    """Crops of an epoch, with noise, and the teacher's states of them."""
    rng = np.random.default_rng([seed, epoch])
    np.random.seed(seed * 1000 + epoch)  # transformers draws its masks from it
    work = plan_batches(speech, rng)
    crops = (crop_batch(speech, clips, rng) for clips in work)
    return len(work), ((standardise(add_noise(sound, rng)), truth) for sound, truth in crops)


def losses(student: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """The distance from the teacher's states."""
    return {"loss": distance(student(batch[0]), batch[1])}


@torch.inference_mode()
def validate(student: nn.Module, speech: Speech) -> float:
    """Loss on speakers that are not trained on, without noise or masks."""
    student.eval()
    rng = np.random.default_rng(0)
    losses = []
    for clips in plan_batches(speech, rng):
        sound, truth = crop_batch(speech, clips, rng)
        losses.append(distance(student(standardise(sound)), truth).item())
    return float(np.mean(losses))


def write(model: Wav2Vec2Model, out: Path) -> None:
    """Saves the model in transformers' layout, in float16."""
    model.half().save_pretrained(out)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(out)
    size = (out / "model.safetensors").stat().st_size
    print(f"wrote {out} ({size / 1e6:.2f} MB)")


if __name__ == "__main__":
    run(
        TrainWav2Vec2,
        train,
        prog="experiments.pretraining.train_wav2vec2",
        description=__doc__.split("\n")[0],
    )
