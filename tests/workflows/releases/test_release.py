"""One command: inference with the new version, and the study over all, only where needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.conftest import composed
from tests.workflows.analysis_cohort import make_study, small_study
from tests.workflows.releases.tiny_version import make_version

from lesion_dynamics.cohort.cohort import Exclusion
from lesion_dynamics.errors import ConfigurationError, ScanError
from lesion_dynamics.model_version import load_model_version
from lesion_dynamics.records import ensembles
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.settings.release import ReleaseSettings
from lesion_dynamics.settings.strict import validated
from lesion_dynamics.workflows import analysis
from lesion_dynamics.workflows.inference import InferenceResult
from lesion_dynamics.workflows.lineage.written import write_inference_lineage
from lesion_dynamics.workflows.releases import release


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tables of two versions; an inference that measures 0.7 of the truth, without images."""
    root = make_study(tmp_path_factory.mktemp("release"))
    (root / "derivatives").rename(root / "tiny")
    (root / "derivatives").mkdir()
    (root / "tiny").rename(root / "derivatives" / "tiny")
    version = make_version(root / "version", name="segmenter", number=3)
    done: set[Path] = set()

    def infer(settings: InferSettings) -> InferenceResult:
        folder = settings.output / settings.cohort.name / "segmenter-v3"
        true = pd.read_csv(root / "truth.tsv", sep="\t")
        volumes = (true["lesion_volume_mm3"] * 0.7).round(3)
        folder.mkdir(exist_ok=True)
        table = true.assign(model_version="segmenter/3", lesion_volume_mm3=volumes)
        file = folder / "lesion_measurements.tsv"
        table.to_csv(file, sep="\t", index=False, na_rep="n/a")
        write_inference_lineage(folder, version, input_hashes={}, settings={})
        new = folder not in done
        done.add(folder)
        return InferenceResult(folder, file, len(table) * new, len(table) * (not new), ())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(release.inference, "run", infer)
        yield root


def short_study() -> dict[str, Any]:
    values: dict[str, Any] = small_study()
    values["bootstrap_draws"] = 100
    values["robustness"].update(leave_one_out=False, extremes_left_out=0.0, washout_days=[])
    values["measurement_error"].update(bootstrap_draws=100)
    return values


def settings(root: Path, **changed: Any) -> ReleaseSettings:
    values: dict[str, Any] = {
        **composed("release"),
        "cohort": {
            "name": "tiny", "layout": "bids", "root": root / "data", "truth": root / "truth.tsv",
        },
        "model_version": str(root / "version"),
        "study": short_study(),
        "derivatives": root / "derivatives",
        "output": root / "results",
        **changed,
    }  # fmt: skip
    return validated(ReleaseSettings, values)


def test_a_new_version_joins_the_study_and_nothing_is_done_twice(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = release.run(settings(place))
    scans = len(pd.read_csv(place / "truth.tsv", sep="\t"))
    assert (done.model_version, done.segmented, done.kept) == ("segmenter/3", scans, 0)
    assert done.analysed
    verdicts = pd.read_csv(place / "results" / "verdicts.tsv", sep="\t")
    pairs = set(zip(verdicts["reference"], verdicts["model_version"], strict=True))
    assert ("segmenter/2", "segmenter/3") in pairs
    before = (place / "results" / "lineage.json").read_bytes()

    def refuse(_settings: object) -> None:
        raise AssertionError("the study is up to date")

    with monkeypatch.context() as patched:
        patched.setattr(analysis, "run", refuse)
        again = release.run(settings(place))
    assert (again.segmented, again.kept, again.analysed) == (0, scans, False)
    assert (place / "results" / "lineage.json").read_bytes() == before


def test_what_the_study_depends_on_makes_it_anew(place: Path) -> None:
    wanted = release._analysis(settings(place))

    def current() -> bool:
        return release.is_current(release.read_inputs(wanted), wanted)

    assert current()
    shorter = release._analysis(settings(place, study={**short_study(), "washout_days": 30}))
    assert not release.is_current(release.read_inputs(shorter), shorter)
    table = place / "results" / "verdicts.tsv"
    whole = table.read_bytes()
    table.write_bytes(whole + b"x")
    assert not current()
    table.write_bytes(whole)
    assert current()
    measured = place / "derivatives" / "tiny" / "segmenter-v1" / "lesion_measurements.tsv"
    measured.write_text(
        measured.read_text(encoding="utf-8").replace("segmenter/1", "segmenter/9"), "utf-8"
    )
    assert not current()


def test_failed_scans_are_said_after_the_study_is_made(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer = release.inference.run

    def with_failure(given: InferSettings) -> InferenceResult:
        own = infer(given)
        failure = Exclusion("sub-ms0", "ses-01", "broken", failed=True)
        return InferenceResult(own.folder, own.measurements, own.done, own.kept, (failure,))

    monkeypatch.setattr(release.inference, "run", with_failure)
    analysed: list[Path] = []
    monkeypatch.setattr(analysis, "run", lambda given: analysed.append(given.output))
    with pytest.raises(ScanError, match="1 scan"):
        release.run(settings(place, output=place / "other"))
    assert analysed == [place / "other"]
    # A promotion only says it: the study is there.
    done = release.run(settings(place, output=place / "other"), all_scans=False)
    assert done.analysed


def test_both_commands_are_told_what_the_release_is_told(place: Path) -> None:
    own = settings(
        place, mni="affine", cache={"folder": None, "largest_gb": 2.0}, engine="torch",
        tta="flips", longitudinal="shared", report=False, new_lesions=place / "new.tsv",
        executor={"processes": 3, "threads_per_process": 2},
        cohort={"name": "tiny", "layout": "bids", "root": place, "session_alignment": "rigid"},
    )  # fmt: skip
    inferring, analysing = release._inference(own, "segmenter/3"), release._analysis(own)
    for told, different in (
        (inferring, {"model_version", "output", "part"}),
        (analysing, {"measurements"}),
    ):
        for name in set(type(told).model_fields) - different:
            assert getattr(told, name) == getattr(own, name), name
    assert (inferring.model_version, inferring.output) == ("segmenter/3", place / "derivatives")
    assert analysing.measurements == (str(place / "derivatives" / "tiny"),)


def test_the_file_of_a_release_has_the_keys_of_both_commands() -> None:
    keys = {name: set(composed(name)) for name in ("infer", "analyze", "release")}
    of_whole_cohorts = keys["infer"] - {"part"}
    assert keys["release"] == of_whole_cohorts | keys["analyze"] - {"measurements"} | {
        "derivatives"
    }
    for key in of_whole_cohorts - {"output"}:
        assert composed("release")[key] == composed("infer")[key], key


def test_a_part_of_a_cohort_is_no_release(place: Path) -> None:
    with pytest.raises(ConfigurationError, match="unknown key part"):
        settings(place, part="1/2")


def test_aliases_are_fixed_to_numbers_and_folders_stay(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = load_model_version(place / "version")
    monkeypatch.setattr(ensembles, "resolve", lambda *_: newest)
    folder = str(place / "version")
    tracking = settings(place).tracking
    assert ensembles.pinned(folder, tracking) == folder
    assert ensembles.pinned("segmenter@candidate", tracking) == "segmenter/3"
    both = ensembles.pinned(f"segmenter@candidate + {folder}", tracking)
    assert both == f"segmenter/3+{folder}"


def test_a_version_with_mirrored_scans_is_named_so_and_gets_its_pages(
    place: Path,
) -> None:
    done = release.run(settings(place, tta="flips"))
    assert done.model_version == "segmenter/3+flips"
    pages = place / "results" / "report"
    assert (pages / "segmenter-v3.html").is_file()
    assert (pages / "comparison.html").is_file()
    (pages / "comparison.html").unlink()
    again = release.run(settings(place))
    assert not again.analysed
    assert (pages / "comparison.html").is_file()
