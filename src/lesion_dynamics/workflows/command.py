"""What the three root scripts share: from Hydra's composition to typed settings and an exit status.

Nothing heavy is imported here, so a misspelt key is refused within a second.
"""

from __future__ import annotations

import difflib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lesion_dynamics.errors import EXIT_USER_ERROR, ConfigurationError, UserError
from lesion_dynamics.settings.strict import (
    Origin,
    Strict,
    allowed_keys,
    keys_ending_in,
    validated,
)
from lesion_dynamics.settings.tracking import without_credentials

AnySettings = TypeVar("AnySettings", bound=Strict)
EXIT_INTERRUPTED = 130
_CUT_SHORT: list[Callable[[bool], None]] = []


class _Refused(BaseException):
    """Carries a `UserError` past Hydra, which would print a line of its own about it."""

    def __init__(self, error: UserError) -> None:
        self.error = error


@contextmanager
def refusals() -> Iterator[None]:
    """Around everything a ``hydra.main`` function does; its user errors end in one line."""
    try:
        yield
    except UserError as error:
        raise _Refused(error) from error


def when_cut_short(call: Callable[[bool], None]) -> None:
    """Have this called if the command does not end well; with whether it was interrupted."""
    _CUT_SHORT.append(call)


def run_command(command: Callable[[], None], schema: type[Strict]) -> int:
    """Run a ``hydra.main`` function, whose body stands in `refusals`; return the exit status.

    A wrong input ends in one line on stderr and status 2; Ctrl-C in one line and status 130.
    Any other exception is a defect of the program and keeps its traceback.
    """
    # With this set Hydra hands exceptions over instead of printing a part of them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_without_credentials)
    try:
        with _cut_short_is_told():
            command()
    except _Refused as refused:
        _say(str(refused.error))
        return EXIT_USER_ERROR
    except (HydraException, OmegaConfBaseException) as error:
        _say(str(_composition_error(error, schema)))
        return EXIT_USER_ERROR
    except ValueError as error:  # so says Hydra that it takes no null for a group of files
        if not str(error).startswith("Config group override must be"):
            raise
        _say(str(_composition_error(error, schema)))
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        _say("Interrupted. What was finished is kept; the same command goes on from there.")
        return EXIT_INTERRUPTED
    return 0


def _without_credentials(record: logging.LogRecord) -> bool:
    """Hydra lists the overrides of a sweep's jobs; an address among them may hold a password."""
    said = record.getMessage()
    if "@" in said:
        record.msg, record.args = without_credentials(said), ()
    return True


@contextmanager
def _cut_short_is_told() -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        while _CUT_SHORT:
            _CUT_SHORT.pop()(isinstance(error, KeyboardInterrupt))
        raise
    _CUT_SHORT.clear()


def typed(configuration: DictConfig, schema: type[AnySettings]) -> AnySettings:
    """Typed settings from what Hydra composed.

    Raises
    ------
    ConfigurationError : names the key, the file or override it came from, what is allowed.
    """
    return validated(schema, plain_values(configuration, schema), _origin)


def plain_values(
    configuration: DictConfig, schema: type[Strict], origin: Origin | None = None
) -> dict[str, Any]:
    """All values of what Hydra composed, what they refer to put in its place.

    Parameters
    ----------
    origin : of a key, and with "" of the whole; None: the override or file of this command.

    Raises
    ------
    ConfigurationError : a value is missing, or refers to what does not exist.
    """
    try:
        values = OmegaConf.to_container(configuration, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise _composition_error(error, schema, origin) from error
    assert isinstance(values, Mapping)
    return {str(key): value for key, value in values.items()}


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _origin(key: str) -> str:
    """The override or the file that set ``key``, in this order."""
    hydra = HydraConfig.get()
    for override in hydra.overrides.task:
        name = override.lstrip("+~").partition("=")[0].partition("@")[0]
        if key == name or key.startswith(f"{name}.") or name.startswith(f"{key}."):
            return f"override {override}"
    folder = next(Path(s.path) for s in hydra.runtime.config_sources if s.provider == "main")
    primary = folder / f"{hydra.job.config_name}.yaml"
    group, _, rest = key.partition(".")
    option = hydra.runtime.choices.get(group)
    candidates = [(primary, key)]
    if option is not None:
        candidates.append((folder / group / f"{option}.yaml", rest))
    experiment = hydra.runtime.choices.get("experiment")
    if experiment is not None:
        candidates.insert(0, (folder / "experiment" / f"{experiment}.yaml", key))
    for path, dotted in candidates:
        if dotted and path.is_file() and _holds(path, dotted):
            return f"{path.parent.name}/{path.name}" if path != primary else path.name
    return primary.name


def _holds(path: Path, dotted: str) -> bool:
    node: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    for part in dotted.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return True


def _instead_of(key: str, schema: type[Strict]) -> str:
    """What to write in place of an override that no file in use has a line for."""
    beside = allowed_keys(schema, key)
    if key.rpartition(".")[2] in beside:
        return f"No file of conf/ that is in use names it: write +{key}=..."
    elsewhere = keys_ending_in(schema, key)
    if elsewhere:
        return f"Did you mean {' or '.join(elsewhere)}?"
    allowed = beside or sorted(schema.model_fields)
    near = difflib.get_close_matches(key.rpartition(".")[2], allowed, n=1)
    return f"{f'Did you mean {near[0]}? ' if near else ''}Allowed here: {', '.join(allowed)}."


def _composition_error(
    error: Exception, schema: type[Strict], origin: Origin | None = None
) -> ConfigurationError:
    """Hydra's and OmegaConf's messages in the wording of all user errors."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0] if lines else type(error).__name__
    if first.startswith("Could not override"):
        key = first.split("'")[1]
        return ConfigurationError(
            f"unknown key {key}", where=f"override {key}", remedy=_instead_of(key, schema)
        )
    if first.startswith("Could not find") or "Available options" in str(error):
        options = [line for line in lines[1:] if not line.startswith(("Available", "Config", "\t"))]
        allowed = ", ".join(o for o in options if ":" not in o and " " not in o)
        return ConfigurationError(
            first, where="configuration", remedy=f"Allowed: {allowed}." if allowed else "See conf/."
        )
    missing = getattr(error, "full_key", None)
    if missing and type(error).__name__ == "MissingMandatoryValue":
        return ConfigurationError(
            f"the key {missing} has no value",
            where=(origin or _origin)(missing),
            remedy=f"Give it on the command line: {missing}=VALUE.",
        )
    return ConfigurationError(
        " ".join(lines),
        where="configuration" if origin is None else origin(""),
        remedy="Correct it; see conf/.",
    )
