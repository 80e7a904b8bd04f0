"""How the scores of an evaluation and their intervals are taken."""

from collections.abc import Sequence
from dataclasses import dataclass

from features.cli.wording import counted
from fusion.metrics.bootstrap import Comparison, Interval, bootstrap, compare
from fusion.metrics.evaluation import Evaluation
from fusion.metrics.official import MetricAccumulator, without_lone_total


@dataclass(frozen=True)
class Rules:
    """How scores and intervals are taken.

    Attributes:
        edition: Number of the challenge.
        exact: In edition 2, accuracy of binary vectors by whole frames.
        draws: Draws of the bootstrap.
        seed: Seed of the draws.
    """

    edition: int
    exact: bool
    draws: int
    seed: int

    def scores(self, evaluation: Evaluation) -> dict[str, float]:
        """Official scores, without the sum where there is one task alone."""
        metrics = evaluation.metrics
        return without_lone_total(metrics.scores(self.edition, self.exact), metrics.tasks)

    def intervals(self, evaluation: Evaluation) -> dict[str, Interval]:
        """95 % intervals of all scores; empty with fewer than two videos."""
        videos = list(evaluation.videos().values())
        found = bootstrap(videos, self.draws, self.seed, self.edition, self.exact)
        return without_lone_total(found, evaluation.metrics.tasks)

    def comparisons(
        self, first: Sequence[MetricAccumulator], second: Sequence[MetricAccumulator]
    ) -> dict[str, Comparison]:
        """All scores of two sets of predictions of the same videos."""
        found = compare(first, second, self.draws, self.seed, self.edition, self.exact)
        return without_lone_total(found, first[0].tasks)

    def line(self, videos: int) -> str:
        """One sentence on where the intervals come from."""
        if videos < 2 or self.draws < 1:
            return "No intervals: they need two videos and --draws above 0."
        return (
            f"95 % intervals: bootstrap over {videos} videos (all people and frames of a video"
            f" together), {counted(self.draws, 'draw')}, seed {self.seed}, percentiles."
        )
