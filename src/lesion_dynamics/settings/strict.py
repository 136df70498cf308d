"""The base of all settings, and the wording of what is wrong with them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from lesion_dynamics.errors import ConfigurationError

AnySettings = TypeVar("AnySettings", bound="Strict")
Origin = Callable[[str], str]
"""From a dotted key to the file or override that set it."""


class Strict(BaseModel):
    """Settings that refuse unknown keys and are never changed after start-up."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _somewhere_in_the_configuration(key: str) -> str:
    return f"configuration key {key}"


def validated(
    kind: type[AnySettings],
    values: Mapping[str, Any],
    origin: Origin = _somewhere_in_the_configuration,
) -> AnySettings:
    """Build settings from plain values.

    Raises
    ------
    ConfigurationError : naming the first wrong key, its origin and the allowed values.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key, siblings = _locate(kind, first["loc"])
        raise ConfigurationError(
            _what(key, first), where=origin(key), remedy=_remedy(key, first, siblings)
        ) from None


def _what(key: str, error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return f"unknown key {key}"
    if error["type"] == "missing":
        return f"the key {key} has no value"
    reason = str(error["msg"]).removeprefix("Value error, ")
    if not key:  # of two keys that do not go together; the reason names both
        return reason
    shown = repr(error["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"{key}={shown} is refused: {reason[:1].lower()}{reason[1:]}"


def _remedy(key: str, error: Any, siblings: list[str]) -> str:
    if error["type"] == "extra_forbidden":
        name = key.rpartition(".")[2]
        near = difflib.get_close_matches(name, siblings, n=1)
        guess = f"Did you mean {near[0]}? " if near else ""
        return f"{guess}Allowed here: {', '.join(sorted(siblings))}."
    if error["type"] == "missing":
        return f"Give it on the command line: {key}=VALUE."
    if not key:
        return "Correct one of these keys, on the command line or in its file."
    if "expected" in error.get("ctx", {}):
        return f"Allowed: {error['ctx']['expected']}."
    return "Correct the value there, or override it on the command line."


def _locate(kind: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, list[str]]:
    """Dotted key of an error, and the field names allowed beside its last part.

    Pydantic puts the tag of a discriminated union into the location; it is no key.
    """
    names: list[str] = []
    models = [kind]
    siblings = sorted(kind.model_fields)
    for part in location:
        tagged = [m for m in models if _tag(m) == part]
        if tagged:
            models, siblings = tagged, sorted(tagged[0].model_fields)
            continue
        names.append(str(part))
        siblings = sorted({field for model in models for field in model.model_fields})
        models = [
            below
            for model in models
            if isinstance(part, str) and part in model.model_fields
            for below in _models_in(model.model_fields[part].annotation)
        ]
    return ".".join(names), siblings


def allowed_keys(kind: type[BaseModel], key: str) -> list[str]:
    """Names that may stand beside the last part of the dotted ``key``."""
    return _locate(kind, tuple(key.split(".")))[1]


def keys_ending_in(kind: type[BaseModel], key: str) -> list[str]:
    """Dotted keys of which ``key`` is the end, without its beginning."""
    found: set[str] = set()
    for name, field in kind.model_fields.items():
        for model in _models_in(field.annotation):
            if _has(model, key.split(".")):
                found.add(f"{name}.{key}")
            found |= {f"{name}.{below}" for below in keys_ending_in(model, key)}
    return sorted(found)


def _has(kind: type[BaseModel], parts: list[str]) -> bool:
    first, *rest = parts
    if first not in kind.model_fields:
        return False
    below = _models_in(kind.model_fields[first].annotation)
    return not rest or any(_has(model, rest) for model in below)


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("name")
    allowed = (
        get_args(field.annotation) if field and get_origin(field.annotation) is Literal else ()
    )
    return str(allowed[0]) if allowed else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is Annotated or get_origin(annotation) in (Union, dict, tuple, list):
        return [model for inner in get_args(annotation) for model in _models_in(inner)]
    if annotation is not None and type(annotation).__name__ == "UnionType":
        return [model for inner in get_args(annotation) for model in _models_in(inner)]
    return []
