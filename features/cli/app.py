"""How every command of the project behaves: typed settings in, an exit status out.

A command is a dataclass of settings and a function that takes it and returns the exit status.
`run` makes the command line of the dataclass (`--cfg FILE`, dotted overrides, lists as `a,b` or
`'[a,b]'`, inputs without an option's name, `--print_config`, `--help` and `--help all`), turns
mistakes of the user and faults of disks into one line on stderr, lets SIGTERM act like Ctrl-C,
and keeps tracebacks for faults of the program.
"""

import difflib
import errno
import os
import re
import select
import sys
import warnings
from argparse import SUPPRESS, ArgumentError
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from functools import partial
from typing import Any, NoReturn, TypeVar

from jsonargparse import ArgumentParser

from features.cli.arguments import spelt_out
from features.cli.choices import hide_older_names
from features.cli.config_files import OlderKeys, gathered, inlined, merged
from features.cli.help_page import help_page
from features.cli.list_options import bracketed
from features.cli.plugins import load_plugins
from features.cli.progress import shown_on_screen
from features.cli.scratch import TemporaryFault
from features.cli.signals import TERMINATED, terminable
from features.errors import UsageError, UserError

S = TypeVar("S")

OK, FAILED, INTERRUPTED = 0, 1, 130
"""Exit statuses: all done; something was not done; stopped by Ctrl-C (128 + SIGINT)."""
_PLUGINS = "modules to import first, which add to what the settings may name"
UNHEARD = 141
"""Exit status where nobody reads what is said any more, as after `| head` (128 + SIGPIPE)."""
HELP = ("-h", "--help")
CFG = "YAML file with any of these settings, or a `base` and what differs"
USAGE = 2
"""Exit status of a command line or configuration that makes no sense."""


def run(
    settings_type: type[S],
    command: Callable[[S], int],
    *,
    prog: str,
    description: str,
    argv: Sequence[str] | None = None,
) -> NoReturn:
    """Parses the command line, runs the command and exits with its status.

    Args:
        settings_type: Dataclass whose fields (nested dataclasses too) are the options.
        command: Does the work and returns the exit status.
        prog: Name shown in help and errors, e.g. `features.extract`.
        description: Docstring of the command; `--help` shows its first line and its examples.
        argv: Arguments; those of the process if None.
    """
    with terminable() as termination:
        try:
            try:
                settings = parse(settings_type, prog=prog, description=description, argv=argv)
                with warnings.catch_warnings(), shown_on_screen():
                    warnings.showwarning = partial(_show_warning, prog)
                    status = command(settings)
            finally:
                sys.stdout.flush()  # here, where it is known what to do if nobody listens
        except UsageError as error:
            status = _complain(prog, str(error), USAGE)
        except UserError as error:
            status = _complain(prog, str(error), FAILED)
        except KeyboardInterrupt:
            stopped = TERMINATED if termination.received else INTERRUPTED
            status = _complain(prog, "stopped; finished work is kept, run again to go on", stopped)
        except BrokenPipeError:
            if not _unheard():
                raise
            status = UNHEARD
        except OSError as error:
            if error.errno not in _EXPLAINED:
                raise
            status = _complain(prog, f"{_EXPLAINED[error.errno]}{_where(error)}", FAILED)
    sys.exit(status)


def parse(
    settings_type: type[S], *, prog: str, description: str, argv: Sequence[str] | None = None
) -> S:
    """Settings from the defaults, then `--cfg FILE`, then the other options, in whatever order.

    Raises:
        UsageError: For an unknown or ill-typed key; names the key and the nearest right one.
    """
    parser = make_parser(settings_type, prog=prog, description=description.split("\n")[0])
    own = {field.name for field in fields(settings_type)}  # type: ignore[arg-type]
    words = list(sys.argv[1:] if argv is None else argv)
    if asked := next((word for word in words if word in HELP), None):
        full = words[words.index(asked) + 1 :][:1] == ["all"]
        page = parser.format_help() if full else help_page(parser, settings_type, description)
        print(page.rstrip())
        sys.exit(OK)
    try:
        arguments = bracketed(spelt_out(words, settings_type), settings_type)
        arguments = inlined(
            arguments,
            getattr(settings_type, "SHIPPED", None),
            getattr(settings_type, "OLDER_KEYS", None),
        )
        arguments = gathered(arguments, _mappings(settings_type))
        read = parser.parse_args(arguments)
        load_plugins(read.get("plugins") or [])
        values = vars(parser.instantiate(read))
    except ArgumentError as error:
        raise UsageError(_one_line(str(error), parser)) from error
    return settings_type(**{name: value for name, value in values.items() if name in own})


def make_parser(settings_type: type, *, prog: str, description: str) -> ArgumentParser:
    """The parser of a command, with `--cfg` and an option for each setting."""
    parser = ArgumentParser(prog=prog, description=description, exit_on_error=False)
    parser.add_argument("--cfg", action="config", help=CFG)
    _add_settings(parser, settings_type)
    if "plugins" not in {field.name for field in fields(settings_type)}:
        parser.add_argument("--plugins", type=list[str], default=SUPPRESS, help=_PLUGINS)
    return parser


def _mappings(settings_type: type) -> dict[str, Any]:
    """Fields of a dataclass that are mappings of any values, with their defaults."""
    return {
        field.name: field.default_factory()
        for field in fields(settings_type)
        if field.type in (dict[str, Any], "dict[str, Any]") and callable(field.default_factory)
    }


def updated(settings: S, changes: Mapping[str, Any], where: str) -> S:
    """Settings with some of them changed.

    Args:
        settings: A dataclass as `run` takes it; stays as it is.
        changes: Values by name, nested as in a configuration file.
        where: What the changes belong to, for complaints.

    Raises:
        UsageError: For an unknown or ill-typed key; names the key and the nearest right one.
    """
    older: OlderKeys | None = getattr(settings, "OLDER_KEYS", None)
    changes = older.modern(changes, whole=False) if older else changes
    parser = ArgumentParser(exit_on_error=False)
    _add_settings(parser, type(settings))
    try:
        values = parser.parse_object(merged(asdict(settings), changes))  # type: ignore[call-overload]
        return type(settings)(**vars(parser.instantiate(values)))
    except ArgumentError as error:
        raise UsageError(f"{where}: {_one_line(str(error), parser)}") from error
    except UserError as error:
        raise UsageError(f"{where}: {error}") from error


def _add_settings(parser: ArgumentParser, settings_type: type) -> None:
    """Has the parser take the fields of a dataclass, and older names of them."""
    parser.add_class_arguments(settings_type)
    hide_older_names(parser, settings_type)


def _one_line(message: str, parser: ArgumentParser) -> str:
    """The parser's complaint on one line, with the nearest known key if one was unknown."""
    message = " ".join(message.split())
    unknown = re.search(
        r"unrecognized arguments: -*([\w.]+)|[Oo]ption '([\w.]+)'|[Kk]ey '([\w.]+)' not", message
    )
    if unknown is None:
        return message
    wrong = next(group for group in unknown.groups() if group)
    in_group = re.search(r"Group '([\w.]+)'", message)
    if in_group:
        wrong = f"{in_group[1]}.{wrong}"
    known = [key for key in list(parser.get_defaults().keys()) if key != "cfg"]
    near = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "; --help lists the known ones"
    return f"unknown setting '{wrong}'{hint}"


_GONE = "check that its disk or share is mounted"
_AGAIN = "and run again, finished work is kept"
_EXPLAINED = {
    errno.ENOSPC: f"no space left on the disk; free some {_AGAIN}",
    errno.EDQUOT: f"disk quota used up; free some space {_AGAIN}",
    errno.EFBIG: "the file grows larger than the file system or ulimit -f allows; choose another",
    errno.EROFS: "the output folder is on a read-only file system; choose another",
    errno.EACCES: "permission denied; choose another folder or mend its rights",
    errno.EPERM: "operation not permitted; choose another folder or mend its rights",
    errno.EIO: f"a disk or its connection failed (input/output error); check it {_AGAIN}",
    errno.ENOENT: f"no such file or folder, or no longer; check the path, {_GONE}, {_AGAIN}",
    errno.ESTALE: f"a network share was changed or mounted anew meanwhile; {_GONE} {_AGAIN}",
    errno.ENOTCONN: f"the connection to a mounted folder is lost; {_GONE} {_AGAIN}",
    errno.ETIMEDOUT: f"a network share does not answer; {_GONE} {_AGAIN}",
    errno.ENODEV: f"a disk is gone; {_GONE} {_AGAIN}",
    errno.ENXIO: f"a disk is gone; {_GONE} {_AGAIN}",
    errno.ENOTDIR: "a file stands where a folder is needed; give another path or move it",
    errno.EEXIST: "a file stands where a folder is needed; give another path or move it",
    errno.EISDIR: "a folder stands where a file is needed; give another path or move it",
    errno.ELOOP: "a symbolic link leads to itself; remove it or give another path",
    errno.ENAMETOOLONG: "too long a name; give a shorter path or rename the file",
    errno.EMFILE: f"too many open files; raise the limit with ulimit -n {_AGAIN}",
    errno.ENFILE: f"too many open files on this machine; end other programs {_AGAIN}",
    errno.ENOMEM: f"out of memory; end what else fills it {_AGAIN}",
}


def _where(error: OSError) -> str:
    """What an error names, in brackets."""
    if isinstance(error, TemporaryFault):
        return f" (the folder of temporary files, {error.filename}; TMPDIR chooses another)"
    return f" ({error.filename})" if error.filename else ""


def _show_warning(
    prog: str, message: Warning | str, category: type[Warning], file: str, line: int, *_: object
) -> None:
    """One line; the place in the code only for warnings that are not meant for users."""
    place = "" if issubclass(category, UserWarning) else f" ({file}:{line})"
    print(f"{prog}: warning: {' '.join(str(message).split())}{place}", file=sys.stderr, flush=True)


def _unheard() -> bool:
    """Whether nobody reads what this process says; what is still to be said is then dropped."""
    unheard = False
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # such as those of a notebook, which are no files
            watch = select.poll()
            watch.register(stream.fileno(), 0)
            if watch.poll(0):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
                unheard = True
    return unheard


def _complain(prog: str, message: str, status: int) -> int:
    print(f"{prog}: {message}", file=sys.stderr, flush=True)
    return status
