"""Where the numbers come from: model version, data, code, settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lesion_dynamics.report.html.facts import VersionFacts
from lesion_dynamics.report.html.results import Results
from lesion_dynamics.report.html.tables import Cells, Row

UNKNOWN = "not recorded"


def lineage_cells(results: Results, version: str, facts: VersionFacts) -> Cells:
    """The lineage of one model version's results, a row a fact."""
    manifest = facts.manifest or {}
    training = manifest.get("training", {})
    segmenter = manifest.get("segmenter", {})
    initial = training.get("initial_model_version")
    participants = training.get("participants") or {}
    rows: list[Row] = [
        ("model version", [version]),
        ("weights, SHA-256", [facts.weights_sha256 or UNKNOWN]),
    ]
    if facts.outside:
        rows.append(("masks of another tool", [facts.outside]))
    if manifest:
        counts = ", ".join(f"{len(who)} {name}" for name, who in participants.items())
        rows += [
            ("network", [str(segmenter.get("network", {}).get("name", UNKNOWN))]),
            ("sequences", [", ".join(map(str, segmenter.get("sequences", []))) or UNKNOWN]),
            ("grid of the network", [f"{segmenter.get('spacing_mm', UNKNOWN)} mm"]),
            ("trained on cohort", [str(training.get("cohort", UNKNOWN))]),
            ("participants of the training", [counts or UNKNOWN]),
            ("training data", [_data(training.get("data"))]),
            ("training code", [_git(training.get("git"))]),
            ("started from", [_chain(initial) or "nothing: trained from scratch"]),
        ]
    else:
        rows.append(("training", ["its manifest is not at hand; models= names its folder"]))
    rows.append(("analysis code", [_git(results.provenance.get("git"))]))
    packages = results.provenance.get("versions", {})
    rows.append(("software", [", ".join(f"{k} {v}" for k, v in packages.items())]))
    for name, digest in results.provenance.get("inputs_sha256", {}).items():
        rows.append((f"SHA-256 of {name}", [str(digest)]))
    return Cells("Lineage", ("what", "value"), rows)


def _chain(initial: Any) -> str:
    """The versions that a training's weights came from, the last one first."""
    labels = []
    while isinstance(initial, Mapping):
        labels.append(str(initial.get("label", UNKNOWN)))
        initial = initial.get("initial_model_version")
    return ", from ".join(labels)


def settings_cells(results: Results) -> Cells:
    """The rules of the analysis that change numbers most."""
    study: dict[str, Any] = results.study
    models = study.get("models", {})
    rows: list[Row] = [
        ("study", [str(study.get("name", UNKNOWN))]),
        ("washout after an attack", [f"{float(study.get('washout_days', 'nan')):g} days"]),
        ("signed-rank test, zeros", [str(study.get("zero_method", UNKNOWN))]),
        ("intervals", [f"{float(study['interval_level']):.0%}"]),
        ("bootstrap draws, seed", [f"{study.get('bootstrap_draws')}, {study.get('seed')}"]),
        ("covariates of the models", [", ".join(models.get("covariates", [])) or "none"]),
        ("volume in the models", [str(models.get("transform", UNKNOWN))]),
    ]
    return Cells("Rules of the analysis", ("setting", "value"), rows)


def _git(state: Any) -> str:
    if not isinstance(state, dict) or not state.get("commit"):
        return UNKNOWN
    changed = ", with changes that are not committed" if state.get("modified") else ""
    return f"commit {state['commit']}{changed}"


def _data(state: Any) -> str:
    if not isinstance(state, dict) or not state.get("dvc_md5"):
        return UNKNOWN
    return f"DVC {state['dvc_md5']} of {state.get('path')}"
