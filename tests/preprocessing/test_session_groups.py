"""A session that cannot be registered is left out alone, and is named with the other one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.preprocessing.motions import motion

from lesion_dynamics.errors import ScanError
from lesion_dynamics.imaging.geometry import Affine
from lesion_dynamics.imaging.image import Image
from lesion_dynamics.preprocessing import registration, sessions
from lesion_dynamics.preprocessing.prepared_scan import PreparedScan, PreparedSequence
from lesion_dynamics.preprocessing.registration import not_registered
from lesion_dynamics.preprocessing.session_pairs import groups_of, pairs_to_register
from lesion_dynamics.preprocessing.sessions import align_sessions, align_what_registers
from lesion_dynamics.settings.preprocessing import RegistrationSettings

SETTINGS = RegistrationSettings(iterations=(1, 0, 0))
PLACES = [motion([3.0 * k, -2.0 * k, k], [k, 2.0 * k, -3.0 * k]) for k in range(6)]
"""From a session's world to a common one; the registrations below know them."""


def number_of(image: Image) -> int:
    return int(image.voxels.max()) - 100


def session(number: int, edge_mm: float = 3.0) -> PreparedScan:
    """A ball in a box; its brightness says which session it is."""
    at = np.indices((12, 12, 12)) - 5.5
    ball = (np.square(at).sum(axis=0) < 16).astype(np.uint8)
    image = Image(ball * np.float32(100 + number), np.diag([edge_mm, edge_mm, edge_mm, 1.0]))
    brain = image.with_voxels(ball)
    return PreparedScan({"FLAIR": PreparedSequence(image, np.eye(4))}, brain, np.eye(4))


class Heads:
    """Registrations that know every motion; some pairs come to nothing, in either step."""

    def __init__(self) -> None:
        self.tried: list[tuple[int, int]] = []
        self.not_rigid: set[frozenset[int]] = set()
        self.no_drift: set[frozenset[int]] = set()

    def rigid(self, fixed: Image, moving: Image, **_: object) -> Affine:
        i, j = number_of(fixed), number_of(moving)
        self.tried.append((i, j))
        if frozenset((i, j)) in self.not_rigid:
            raise not_registered("it diverged")
        return np.linalg.inv(PLACES[j]) @ PLACES[i]

    def drift(
        self, images: list[Image], *given: object, centre: object
    ) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
        pairs: list[tuple[int, int]] = given[2]  # type: ignore[assignment]
        for i, j in pairs:
            if frozenset((number_of(images[i]), number_of(images[j]))) in self.no_drift:
                raise not_registered("the head swells")
        return [np.zeros((4, 4)) for _ in images]

    def other_head(self, number: int, count: int) -> set[frozenset[int]]:
        return {frozenset((number, other)) for other in range(count) if other != number}


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> Heads:
    found = Heads()
    monkeypatch.setattr(registration, "rigid_registration", found.rigid)
    monkeypatch.setattr(sessions, "residual_maps", found.drift)
    return found


def names(count: int) -> list[str]:
    return [f"ses-{number:02d}" for number in range(1, count + 1)]


def aligned(scans: list[PreparedScan]) -> tuple[dict[int, PreparedScan], dict[int, ScanError]]:
    """By place, the scans and the errors."""
    found = align_what_registers(scans, names(len(scans)), settings=SETTINGS)
    assert len(found) == len(scans)
    good = {n: one for n, one in enumerate(found) if not isinstance(one, ScanError)}
    return good, {n: one for n, one in enumerate(found) if isinstance(one, ScanError)}


def assert_in_one_space(good: dict[int, PreparedScan]) -> None:
    """The sessions lie as they truly do to each other, in the middle of these alone."""
    together = [good[n].to_participant @ np.linalg.inv(PLACES[n]) for n in good]
    for one in together[1:]:
        np.testing.assert_allclose(one, together[0], atol=1e-9)
    alone = align_sessions([session(n) for n in good], settings=SETTINGS)
    for n, expected in zip(good, alone, strict=True):
        np.testing.assert_allclose(good[n].to_participant, expected.to_participant, atol=1e-9)


@pytest.mark.parametrize("count", [3, 4, 5, 6])
@pytest.mark.parametrize("step", ["not_rigid", "no_drift"])
def test_only_another_head_is_left_out_whichever_it_is(heads: Heads, count: int, step: str) -> None:
    """Also where it is the sharpest, to which the others are registered first."""
    scans = [session(number) for number in range(count)]
    for other in range(count):
        setattr(heads, step, heads.other_head(other, count))
        good, bad = aligned(scans)
        assert list(bad) == [other]
        assert set(good) == set(range(count)) - {other}
        partner = bad[other].where.removeprefix(f"ses-{other + 1:02d} and ")
        assert partner in set(names(count)) - {f"ses-{other + 1:02d}"}
        said = "it diverged" if step == "not_rigid" else "the head swells"
        assert bad[other].what == f"the images could not be registered: {said}"
        setattr(heads, step, set())
        assert_in_one_space(good)


def test_of_two_sessions_the_later_one_is_left_out(heads: Heads) -> None:
    heads.not_rigid = heads.other_head(0, 2)
    good, bad = aligned([session(0), session(1)])
    assert bad[1].where == "ses-02 and ses-01"
    np.testing.assert_array_equal(good[0].to_participant, np.eye(4))
    assert good[0].drift is None


def test_a_session_that_one_pair_registers_stays(heads: Heads) -> None:
    """The second goes with the third only; of six, the sharpest goes with none but the last."""
    heads.not_rigid = {frozenset((0, 1)), frozenset((1, 3))}
    good, bad = aligned([session(number) for number in range(4)])
    assert not bad
    assert_in_one_space_after(heads, good)
    many = [session(number, edge_mm=1.0 if number == 2 else 3.0) for number in range(6)]
    assert pairs_to_register(many)[0] == (2, 0)
    heads.not_rigid = heads.other_head(2, 6) - {frozenset((2, 5))}
    good, bad = aligned(many)
    assert not bad
    together = [good[n].to_participant @ np.linalg.inv(PLACES[n]) for n in good]
    for one in together[1:]:
        np.testing.assert_allclose(one, together[0], atol=1e-9)


def assert_in_one_space_after(heads: Heads, good: dict[int, PreparedScan]) -> None:
    heads.not_rigid = set()
    assert_in_one_space(good)


def test_the_larger_group_is_kept_and_of_equal_ones_the_earliest(heads: Heads) -> None:
    apart = {frozenset(pair) for pair in itertools.product((0, 3), (1, 2, 4))}
    heads.not_rigid = apart
    good, bad = aligned([session(number) for number in range(5)])
    assert (list(good), list(bad)) == ([1, 2, 4], [0, 3])
    assert {error.where.split(" and ")[1] for error in bad.values()} <= {
        "ses-02", "ses-03", "ses-05",
    }  # fmt: skip
    heads.not_rigid = {frozenset(pair) for pair in itertools.product((0, 3), (1, 2))}
    good, bad = aligned([session(number) for number in range(4)])
    assert (list(good), list(bad)) == ([0, 3], [1, 2])
    assert groups_of(5, [(1, 4), (2, 1)]) == [[1, 2, 4], [0], [3]]


def test_sessions_that_all_register_cost_no_registration_more(heads: Heads) -> None:
    aligned([session(number) for number in range(6)])
    assert len(heads.tried) == 2 * 5
    heads.tried.clear()
    aligned([session(number) for number in range(4)])
    assert len(heads.tried) == 2 * 6


def test_who_needs_all_sessions_is_told_the_two(heads: Heads) -> None:
    heads.not_rigid = heads.other_head(1, 3)
    with pytest.raises(ScanError, match=r"^session 2 and session 1: .*could not be registered"):
        align_sessions([session(number) for number in range(3)], settings=SETTINGS)
