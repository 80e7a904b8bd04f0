"""What pyproject.toml cannot say: the recipes of `configs` are installed as `fusion.recipes`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["features*", "fusion*"]), "fusion.recipes"],
    package_dir={"fusion.recipes": "configs"},
)
