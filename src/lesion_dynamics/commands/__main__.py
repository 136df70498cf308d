"""``lesion-dynamics COMMAND``, or ``python -m lesion_dynamics.commands COMMAND``.

A command is loaded only when it is called: the list of commands is shown at once.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

from lesion_dynamics import __version__
from lesion_dynamics.errors import EXIT_USER_ERROR, ConfigurationError

COMMANDS: Mapping[str, str] = {
    "check": "read a whole cohort and say what is in it and what is doubtful",
    "import": "turn a public dataset into a cohort manifest; file=...: take an exported version",
    "quality": "draw every scan of an inference, and contact sheets of the cohort",
    "scan-pages": "pages to look through every scan and its lesions, participant by participant",
    "measure-masks": "measure a folder of lesion masks",
    "register-masks": "measure lesion masks of another tool as a version of their own",
    "rethreshold": "another threshold or minimum lesion volume, from stored probabilities",
    "track": "follow every lesion from session to session: new, enlarging, gone",
    "lesion-maps": "map where lesions lie in MNI space, by diagnosis, and compare them",
    "repeatability": "measure how far volumes part when the same scans are measured again",
    "report": "make the pages of results that analyze.py has written",
    "parity": "compare two versions on the same scans: Dice, volumes, participants beyond limits",
    "promote": "make a model version the champion, through gates, with a log",
    "rollback": "make the champion of before the champion again",
    "release": "the study for a model version, beside all others; what is up to date stays",
    "reproduce": "train, infer and analyse a release again from its lineage, and compare bytes",
    "export": "write a model version to one file, for a machine without a network",
    "lineage": "tell what a table, mask or report was made from, back to the training",
    "rank-scans": "say which scans of an inference a person should look at first",
    "lay-out-corrections": "lay doubtful scans and their masks out for a mask editor",
    "take-corrections": "take corrected masks back as reference masks of the cohort",
    "deliver": "send what the tracking server could not take during an outage",
    "doctor": "say what is wrong with the set-up and how to mend it",
}
"""What each command does, in the order of the work."""


def module_of(command: str) -> str:
    """The module of a command; `import` is a word that no module can be named."""
    name = "import_dataset" if command == "import" else command.replace("-", "_")
    return f"lesion_dynamics.commands.{name}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        sys.stdout.write(_help())
        return 0 if given else EXIT_USER_ERROR
    if given[0] == "--version":
        sys.stdout.write(f"lesion-dynamics {__version__}\n")
        return 0
    name = given[0]
    if name not in COMMANDS:
        sys.stderr.write(f"{_unknown(name)}\n")
        return EXIT_USER_ERROR
    command = import_module(module_of(name))
    status: int = command.main(given[1:])
    return status


def _help() -> str:
    width = max(map(len, COMMANDS)) + 2
    listed = "".join(f"  {name:{width}}{what}\n" for name, what in COMMANDS.items())
    return (
        "lesion-dynamics COMMAND [KEY=VALUE ...]\n\n"
        f"{listed}\n"
        "lesion-dynamics COMMAND --help shows the keys of a command. train.py, infer.py and\n"
        "analyze.py are commands of their own.\n"
    )


def _unknown(name: str) -> ConfigurationError:
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    guess = f"Did you mean {near[0]}? " if near else ""
    return ConfigurationError(
        "there is no such command",
        where=f"lesion-dynamics {name}",
        remedy=f"{guess}Commands: {', '.join(COMMANDS)}.",
    )


if __name__ == "__main__":
    sys.exit(main())
