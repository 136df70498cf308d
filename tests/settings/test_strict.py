"""A wrong key is refused with its name, its origin and what is allowed."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.settings.strict import Strict, allowed_keys, validated


class Small(Strict):
    name: Literal["small"] = "small"
    width: int = Field(ge=1)


class Large(Strict):
    name: Literal["large"] = "large"
    height: int = Field(ge=1)


class Outer(Strict):
    colour: Literal["red", "green"]
    body: Annotated[Small | Large, Field(discriminator="name")]


GOOD = {"colour": "red", "body": {"name": "small", "width": 2}}


def refusal(values: dict[str, object]) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        validated(Outer, values, lambda key: f"origin of {key}")
    return caught.value


def test_good_values_become_typed_settings() -> None:
    settings = validated(Outer, GOOD)
    assert settings.body == Small(width=2)


def test_an_unknown_key_is_named_with_a_guess_and_its_neighbours() -> None:
    error = refusal({**GOOD, "color": "red"})
    assert error.where == "origin of color"
    assert "unknown key color" in str(error)
    assert "Did you mean colour?" in error.remedy
    assert "Allowed here: body, colour." in error.remedy


def test_an_unknown_key_inside_a_union_is_named_without_the_tag() -> None:
    error = refusal({"colour": "red", "body": {"name": "small", "widht": 2, "width": 1}})
    assert error.where == "origin of body.widht"
    assert "Did you mean width?" in error.remedy


def test_an_ill_typed_value_is_shown() -> None:
    error = refusal({"colour": "red", "body": {"name": "large", "height": "tall"}})
    assert "body.height='tall' is refused" in str(error)


def test_an_unknown_choice_names_the_allowed_ones() -> None:
    assert refusal({**GOOD, "colour": "blue"}).remedy == "Allowed: 'red' or 'green'."


def test_a_missing_key_says_how_to_give_it() -> None:
    error = refusal({"colour": "red", "body": {"name": "large"}})
    assert error.remedy == "Give it on the command line: body.height=VALUE."


def test_settings_are_never_changed() -> None:
    settings = validated(Outer, GOOD)
    with pytest.raises(ValueError, match="frozen"):
        settings.colour = "green"


def test_neighbours_of_a_key_are_found_without_a_value() -> None:
    assert allowed_keys(Outer, "body.x") == ["height", "name", "width"]
