"""`python -m fusion.statistics`: a table of people and clips, and what follows from it.

Data flow: predictions + events + reviews > summary.csv > compare.csv and curves of groups,
synchrony.csv of people who meet, agreement.csv and recalibration.csv with own labels.

    python -m fusion.statistics predictions
    python -m fusion.statistics predictions --participants participants.tsv --group condition
    python -m fusion.statistics predictions --labels annotations
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from features.cli.app import FAILED, OK, run
from features.cli.wording import closing_lines, counted
from fusion.statistics.settings import SummarizeSettings


@dataclass
class SummarizeReport:
    """What was done.

    Attributes:
        clips: How many people in videos.
        files: Written.
        remarks: What is odd, or was not done.
        failures: Id to cause.
    """

    clips: int = 0
    files: list[Path] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def print(self) -> None:
        """Prints the closing lines."""
        people = f"{counted(self.clips, 'person', 'people')} in clips"
        print("\n".join(closing_lines(people, self.files, self.remarks, self.failures)))


def summarize(settings: SummarizeSettings) -> SummarizeReport:
    """Writes all that is asked for.

    Raises:
        UserError: If inputs make no sense.
    """
    from fusion.statistics import further
    from fusion.statistics.people import gather
    from fusion.statistics.summary import WHY

    people = gather(settings)
    out = settings.folder("statistics")
    report = SummarizeReport(len(people.rows), remarks=people.remarks, failures=people.failures)
    report.files.append(people.write(out / "summary.csv"))
    blank = sum(bool(row[WHY]) for row in people.rows)
    if blank:
        report.remarks.append(f"{counted(blank, 'row')} with blanks; why_blank says why")
    if settings.group:
        report.files += further.write_comparisons(settings, people, out)
    if len({person.table.video for person in people.all}) < len(people.all):
        report.files += further.write_synchrony(settings, people, out)
    if settings.labels:
        report.files += further.write_agreement(settings, people, out)
    return report


def command(settings: SummarizeSettings) -> int:
    """Writes the statistics and prints a summary."""
    report = summarize(settings)
    report.print()
    return FAILED if report.failures else OK


main = partial(run, SummarizeSettings, command, prog="fusion.statistics", description=__doc__ or "")

if __name__ == "__main__":
    main()
