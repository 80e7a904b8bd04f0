"""`python -m fusion.measuring`: what each column of a file of predictions means.

Data flow: file of predictions, or the packaged model > its columns > name, range, origin, meaning.

    affuse columns                                     # of the packaged model
    affuse columns predictions/talk.parquet
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from features.cli.app import OK, run


@dataclass
class ColumnsSettings:
    """Which file.

    Args:
        file: File of predictions. None: what the packaged model gives.
    """

    POSITIONAL: ClassVar[str] = "file"

    file: Path | None = None


def command(settings: ColumnsSettings) -> int:
    """Prints a line for each column."""
    from fusion.measuring.columns import columns_of_file, columns_of_package

    columns = columns_of_package() if settings.file is None else columns_of_file(settings.file)
    for column in columns:
        print(column)
    return OK


main = partial(run, ColumnsSettings, command, prog="fusion.measuring", description=__doc__ or "")

if __name__ == "__main__":
    main()
