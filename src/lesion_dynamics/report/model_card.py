"""The model card of a model version, filled from its manifest; what nobody has said stays visible.

Items are numbered as in the CLAIM 2024 update (Tejani et al., Radiol Artif Intell
2024;6(4):e240300, doi 10.1148/ryai.240300). The card is written once, with the version, and holds
no number of a registry: the same card goes with the same weights everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lesion_dynamics.model_version import Manifest

BLANK = "**[to be filled in by the group]**"
"""Stands where the run cannot know; people and a search find it."""
UNKNOWN = "not recorded"
_METRICS = (
    ("mean_dice", "Dice", "{:.2f}"),
    ("mean_lesion_f1", "lesion F1", "{:.2f}"),
    ("mean_lesion_sensitivity", "lesion sensitivity", "{:.2f}"),
    ("mean_lesion_precision", "lesion precision", "{:.2f}"),
    ("mean_volume_difference_mm3", "volume difference (mm3)", "{:+.0f}"),
    ("mean_reference_volume_mm3", "reference volume (mm3)", "{:.0f}"),
    ("expected_calibration_error_from_1_percent", "calibration error", "{:.2f}"),
)


def model_card(manifest: Manifest) -> str:
    """The card as Markdown."""
    parts = (_head(manifest), _use(), _data(manifest), _model(manifest), _results(manifest), _end())
    return "\n".join("\n".join(part) + "\n" for part in parts)


def _head(manifest: Manifest) -> list[str]:
    return [
        f"# {manifest.name}: model card",
        "",
        f"Weights SHA-256 `{manifest.weights_sha256}`, safetensors.",
        "Numbers in brackets are items of the CLAIM 2024 update (doi 10.1148/ryai.240300).",
        f"What the training could not know is marked {BLANK}.",
    ]


def _use() -> list[str]:
    return [
        "## Intended use [3, 4, 41]",
        "Lesion masks and lesion volumes from FLAIR (and the sequences below) of adults with MS or",
        "AQP4+ NMOSD, for research on groups. No medical device, no diagnosis, no decision about a",
        "single patient.",
        f"Population, scanners and question it was trained for: {BLANK}",
    ]


def _data(manifest: Manifest) -> list[str]:
    training = manifest.training
    data = _mapping(training.get("data"))
    split = _mapping(training.get("participants"))
    chosen = _mapping(training.get("configuration"))
    counts = {name: len(split[name]) for name in ("training", "validation") if name in split}
    shares = ", ".join(f"{count} {name}" for name, count in counts.items()) or UNKNOWN
    pinned = f"`{data['dvc_md5']}`" if data.get("dvc_md5") else UNKNOWN
    if data.get("state") in ("modified", "deleted"):
        pinned += f" (the files were {data['state']} against it)"
    seed = chosen.get("split_seed")
    return [
        "## Data [7-21]",
        f"- Source [7]: cohort {training.get('cohort', UNKNOWN)}, DVC hash {pinned}. Origin of the"
        f" scans and dates: {BLANK}",
        f"- Inclusion and exclusion [8, 10]: {BLANK}",
        f"- Preprocessing [9]: {_preprocessing(manifest)}.",
        f"- De-identification [11]: {BLANK}",
        f"- Missing sequences [12]: {_missing(manifest)}.",
        f"- Acquisition protocol [13]: {BLANK}",
        f"- Reference masks: definition, raters, tools [14-17]: {BLANK}",
        f"- Variability between raters [18]: {BLANK}",
        f"- Partitions [19, 20]: {shares} participants, all sessions of a participant on one side"
        + (f", split seed {seed}." if seed is not None else ", split by the training's seed."),
        f"- Intended sample size [21]: {BLANK}",
    ]


def _model(manifest: Manifest) -> list[str]:
    segmenter, point = manifest.segmenter, manifest.operating_point
    training = manifest.training
    chosen = _mapping(training.get("configuration"))
    trainer, machine = _mapping(chosen.get("trainer")), _mapping(training.get("machine"))
    git, initial = _mapping(training.get("git")), training.get("initial_model_version")
    start = _mapping(initial).get("label", initial) if initial else "random"
    kept = chosen.get("initial_weights_share")
    if kept:
        start += f"; a share of {kept:g} of these weights is in the registered ones"
    window = " x ".join(map(str, segmenter.window.size_voxels))
    software = ", ".join(f"{k} {v}" for k, v in sorted(machine.items())) or UNKNOWN
    length = "{} epochs of {} steps".format(
        trainer.get("epochs", UNKNOWN), trainer.get("steps_per_epoch", UNKNOWN)
    )
    return [
        "## Model and training [22-27]",
        f"- Architecture [22]: {segmenter.network.name}"
        f" ({_said(segmenter.network.model_dump(mode='json'))}); sequences"
        f" {', '.join(segmenter.sequences)}; {segmenter.spacing_mm:g} mm grid; window {window}"
        f" voxels, overlap {segmenter.window.overlap:g}.",
        f"- Software and machine [23]: {software}; commit {git.get('commit') or UNKNOWN}"
        + (", with changes that were not committed." if git.get("modified") else "."),
        f"- Start of the weights [24]: {start}.",
        f"- Training [25]: {length}; loss {_mapping(chosen.get('loss')).get('name', UNKNOWN)};"
        f" seed {chosen.get('seed', UNKNOWN)}; all settings in manifest.json.",
        f"- Operating point [26]: probability {point.probability_threshold:g}, lesions of at least"
        f" {point.minimum_lesion_volume_mm3:g} mm3, connectivity {point.connectivity}; chosen on"
        " the validation participants.",
        "- Ensemble [27]: none.",
    ]


def _results(manifest: Manifest) -> list[str]:
    record = manifest.validation
    groups = {"all": _mapping(record.get("all")), **_mapping(record.get("by_diagnosis"))}
    kept = [m for m in _METRICS if any(m[0] in _mapping(g) for g in groups.values())]
    lines = [
        "## Measured [28, 29, 32, 35-39]",
        "On the validation participants, who also chose the operating point; each counted once.",
        "",
        "| participants | scans | " + " | ".join(name for _, name, _ in kept) + " |",
        "|---" * (len(kept) + 2) + "|",
    ]
    for name, found in groups.items():
        own = _mapping(found)
        cells = [form.format(own[key]) if key in own else "n/a" for key, _, form in kept]
        lines.append(f"| {name} | {own.get('scan_count', 'n/a')} | " + " | ".join(cells) + " |")
    return [
        *lines,
        "",
        f"- Spread over seeds or folds [29]: {BLANK}",
        "- Robustness [30]: volumes at other operating points stand beside those of an inference.",
        "- Repeatability: in repeatability.json beside the measurements, where it was measured.",
        f"- Independent test data [33]: {BLANK}",
        f"- Age, sex, disease duration of the partitions [36]: {BLANK}",
        f"- Cases looked at for failures [39]: {BLANK}",
    ]


def _end() -> list[str]:
    return [
        "## Limits and access [40, 42-44]",
        f"- Limits [40]: {BLANK}",
        f"- Availability of model and data [43]: {BLANK}",
        f"- Funding [44]: {BLANK}",
    ]


def _preprocessing(manifest: Manifest) -> str:
    settings = manifest.segmenter.preprocessing
    bias = "N4 bias correction" if settings.bias_field.enabled else "no bias correction"
    return (
        f"brain mask, {bias}, registration to the FLAIR, intensities by the percentiles"
        f" {settings.intensity.lower_percentile:g} and {settings.intensity.upper_percentile:g} of"
        f" the brain, {manifest.segmenter.spacing_mm:g} mm grid; steps done before are not repeated"
    )


def _missing(manifest: Manifest) -> str:
    optional = manifest.segmenter.optional_sequences
    if not optional:
        return "none may be missing"
    return f"{', '.join(optional)} may be missing; the channel is then zero"


def _said(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items() if key != "name")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
