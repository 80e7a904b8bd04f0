"""The options of fusion's commands are known without what only its work needs."""

import subprocess
import sys

import pytest

COMMANDS = {
    "fusion.check": "CheckSettings",
    "fusion.ensemble": "EnsembleSettings",
    "fusion.events.__main__": "EventsSettings",
    "fusion.evaluate": "EvaluateSettings",
    "fusion.exports.__main__": "ExportSettings",
    "fusion.predict": "PredictSettings",
    "fusion.report": "ReportSettings",
    "fusion.search": "SearchSettings",
    "fusion.serve": "ServeSettings",
    "fusion.statistics.__main__": "SummarizeSettings",
    "fusion.submit": "SubmitSettings",
    "fusion.train": "TrainSettings",
    "fusion.tune": "TuneSettings",
}
HEAVY = ("torch", "transformers", "pytorch_lightning", "matplotlib", "scipy.signal", "fastapi")
CODE = """
import sys
from importlib import import_module
from features.cli.app import make_parser
settings = getattr(import_module(sys.argv[1]), sys.argv[2])
make_parser(settings, prog="t", description="").format_help()
print([name for name in sys.argv[3:] if name in sys.modules])
"""


@pytest.mark.parametrize("module", sorted(COMMANDS))
def test_a_parser_is_built_without_torch_and_the_like(module: str) -> None:
    words = [sys.executable, "-c", CODE, module, COMMANDS[module], *HEAVY]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
