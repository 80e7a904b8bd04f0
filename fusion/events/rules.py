"""Rules and own measures as a file says them.

Data flow: rules.yaml, or a shipped name > RuleSet > `binding` to the columns of a table.

    measures:
      tension: (AU4_p + AU7_p) / 2
    events:
      smile: AU12_p > .5 until AU12_p < .3 for .3 s
      startle: AU1_p & AU5_p rising within .2 s
      tense: {when: tension > .2, for: 1, gap: .5, bridge: .2, baseline: person}
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from features.cli.wording import counted
from features.errors import UserError
from fusion.events.formulas.formula import NUMBER, FormulaError, Node
from fusion.events.formulas.parsing import parse_formula
from fusion.events.rule_text import SECONDS_IN, Clauses, parse_rule

_HERE = Path(__file__)
_INSTALLED, _CHECKOUT = _HERE.parents[1] / "recipes", _HERE.parents[2] / "configs"
SHIPPED = (_INSTALLED if _INSTALLED.is_dir() else _CHECKOUT) / "rules"
"""Folder of the shipped rules."""
DEFAULT = "events"
"""The shipped rules that are used where none are named."""
PERSON = "person"
"""Only baseline there is: less what is usual of the person."""
BRIDGE = 0.2
"""Seconds without a value that do not end an event, unless a rule says otherwise."""
KEYS = ("when", "until", "for", "gap", "bridge", "baseline", "value", "meaning")
MEASURE_KEYS = ("formula", "meaning", "unit")


@dataclass(frozen=True)
class Rule:
    """When something happens.

    Attributes:
        name: Of the event.
        text: Of the condition.
        condition: The formula.
        clauses: Of its time.
        baseline: Whether columns are taken less what is usual of the person.
        value: What peak and mean are of; None: what the condition compares first.
        meaning: For people.
    """

    name: str
    text: str
    condition: Node
    clauses: Clauses
    baseline: bool = False
    value: Node | None = None
    meaning: str = ""

    @property
    def bridge(self) -> float:
        """Seconds without a value that do not end an event."""
        return BRIDGE if self.clauses.bridge is None else self.clauses.bridge


@dataclass(frozen=True)
class OwnMeasure:
    """A column by formula.

    Attributes:
        name: Of the column.
        text: Of the formula.
        formula: A number.
        meaning, unit: For people.
    """

    name: str
    text: str
    formula: Node
    meaning: str = ""
    unit: str = ""


@dataclass(frozen=True)
class RuleSet:
    """All of a file.

    Attributes:
        path: The file.
        rules: In its order.
        measures: Likewise.
        shipped: Whether nobody chose it: rules without their columns are then passed over.
    """

    path: Path
    rules: tuple[Rule, ...]
    measures: tuple[OwnMeasure, ...]
    shipped: bool = False

    def remarks(self, missing: Sequence[Mapping[str, str]]) -> list[str]:
        """What to say of rules whose columns are not everywhere.

        Args:
            missing: Of each person, rule to why it could not be looked for.

        Raises:
            UserError: If a rule that the user wrote fits nobody.
        """
        found = []
        for rule in self.rules:
            lacking = [each[rule.name] for each in missing if rule.name in each]
            if lacking and len(lacking) == len(missing) and not self.shipped:
                raise UserError(f"{self.path}: {lacking[0]}")
            if lacking:
                many = f"{len(lacking)} of {counted(len(missing), 'person', 'people')}"
                found.append(f"not looked for in {many}: {lacking[0]}")
        return found


def read_rules(name: str | None) -> RuleSet:
    """Rules of a file, or of a shipped one by name; None: the shipped ones.

    Raises:
        UserError: If there is none, or it makes no sense; says the place.
    """
    path = _find(name or DEFAULT)
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no YAML ({' '.join(str(error).split())})") from error
    if not isinstance(said, dict) or not said or not said.keys() <= {"events", "measures"}:
        raise UserError(f"{path}: a mapping with 'events', 'measures' or both was expected")
    measures = _section(said, "measures", path)
    rules = _section(said, "events", path)
    return RuleSet(
        path,
        tuple(_read(path, "event", key, value, _rule) for key, value in rules.items()),
        tuple(_read(path, "measure", key, value, _measure) for key, value in measures.items()),
        shipped=name is None,
    )


def _find(name: str) -> Path:
    path = Path(name)
    if path.is_file():
        return path
    known = sorted(p.stem for p in SHIPPED.glob("*.yaml"))
    if name in known:
        return SHIPPED / f"{name}.yaml"
    raise UserError(f"{name}: no such file of rules; shipped are {', '.join(known)}")


def _section(said: Mapping[str, Any], key: str, path: Path) -> dict[Any, Any]:
    found = said.get(key) or {}
    if not isinstance(found, dict):
        raise UserError(f"{path}: '{key}' must be a mapping of names to rules")
    return found


def _read(path: Path, what: str, name: object, said: object, reader: Any) -> Any:
    """One entry; complaints name it."""
    where = f"{path}: {what} '{name}'"
    if not isinstance(name, str) or not name.strip() or set(name) & set("\t\r\n"):
        raise UserError(f"{where}: a name must be text on one line; put it in quotes")
    if isinstance(said, str | int | float) and not isinstance(said, bool):
        said = {"formula" if what == "measure" else "when": str(said)}
    if not isinstance(said, dict):
        raise UserError(f"{where}: a rule was expected, not {said!r}")
    return reader(where, name, said)


def _rule(where: str, name: str, said: dict[str, Any]) -> Rule:
    _require_keys(where, said, KEYS, "when")
    text = str(said["when"])
    condition, clauses = _parsed(where, text, parse_rule)
    if "until" in said:
        clauses.until = _parsed(f"{where}, until", str(said["until"]), parse_formula)
    for key, field in {"for": "shortest", "gap": "gap", "bridge": "bridge"}.items():
        if key in said:
            setattr(clauses, field, _seconds(f"{where}, {key}", said[key]))
    if said.get("baseline") not in (None, PERSON):
        raise UserError(f"{where}: baseline can only be '{PERSON}', not {said['baseline']!r}")
    value = None
    if "value" in said:
        value = _parsed(f"{where}, value", str(said["value"]), _number)
    meaning = str(said.get("meaning", ""))
    return Rule(name, text, condition, clauses, "baseline" in said, value, meaning)


def _measure(where: str, name: str, said: dict[str, Any]) -> OwnMeasure:
    _require_keys(where, said, MEASURE_KEYS, "formula")
    text = str(said["formula"])
    return OwnMeasure(
        name,
        text,
        _parsed(where, text, _number),
        str(said.get("meaning", "")),
        str(said.get("unit", "")),
    )


def _number(text: str) -> Node:
    return parse_formula(text, NUMBER)


def _parsed(where: str, text: str, parser: Any) -> Any:
    try:
        return parser(text)
    except FormulaError as error:
        raise UserError(f"{where}: {error.shown(text)}") from error


def _seconds(where: str, said: object) -> float:
    """A number, or a number with its unit."""
    number, _, unit = str(said).strip().partition(" ")
    try:
        found = float(number) * SECONDS_IN[unit.strip() or "s"]
    except (ValueError, KeyError):
        found = math.nan
    if not 0 <= found < math.inf:
        raise UserError(f"{where}: a time such as .3 or '300 ms' was expected, not {said!r}")
    return found


def _require_keys(where: str, said: dict[str, Any], known: tuple[str, ...], needed: str) -> None:
    for key in said:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.0)[0]
            raise UserError(f"{where}: unknown '{key}'; did you mean '{near}'?")
    if needed not in said:
        raise UserError(f"{where}: '{needed}' is missing")
