"""Help comes at once: what computes is loaded only when the options are known."""

import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "transformers",
    "scipy.signal",
    "pandas",
    "librosa.core",
    "sklearn",
    "huggingface_hub",
}


@pytest.mark.parametrize("name", ["encoders", "extract", "ingest", "people", "verify"])
def test_help_loads_nothing_that_computes(name: str) -> None:
    code = (
        f"import runpy, sys; sys.argv = ['', '--help']\n"
        f"try: runpy.run_module('features.{name}', run_name='__main__')\n"
        "except SystemExit as stop: assert not stop.code\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "usage: " in done.stdout
    assert not HEAVY & set(done.stderr.split())
