"""`python -m experiments.demo`: makes the demo corpus (corpus.py)."""

from runpy import run_module

run_module("experiments.demo.corpus", run_name="__main__", alter_sys=True)
