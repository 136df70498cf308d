"""Lesion maps on the MNI template, as pictures that the page carries in itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lesion_dynamics.atomic_files import write_bytes
from lesion_dynamics.cohort.cohort import DIAGNOSES
from lesion_dynamics.errors import MeasurementsError
from lesion_dynamics.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float32]
GROUP = "group"
"""Folder of a model version's maps, below its derivatives."""
RECORD = "lesion_maps.json"
"""Beside the maps: how they were made, of how many participants."""
COMMAND = "lesion-dynamics lesion-maps"
HEIGHTS_MM = (-10.0, 5.0, 20.0, 35.0, 50.0)
"""Axial planes shown, along the superior axis of the template."""
SIGNIFICANT = 0.05
FAINTEST_T = 1.0
"""A t-map is drawn from here on, so that the template can be seen."""
_GRID_MM = 2.0
_BOX_MM = ((-78.0, 78.0), (-110.0, 78.0))
_DPI = 110


@dataclass(frozen=True)
class MapPicture:
    """A picture of one map. source : as a data URI. file : written beside the page."""

    title: str
    alternative: str
    source: str
    file: str
    diagnosis: str = ""


@dataclass(frozen=True)
class _Map:
    title: str
    path: Path
    unit: str
    signed: bool = False
    outlined: Path | None = None
    diagnosis: str = ""

    @property
    def kind(self) -> str:
        """Maps of a kind share their scale."""
        return self.path.name.removesuffix(".nii.gz").rpartition("_")[2]


def lesion_map_pictures(folder: Path, *, output: Path) -> list[MapPicture]:
    """A picture of every map in ``folder``, also written into ``output`` as PNG.

    Raises
    ------
    MeasurementsError : a map cannot be read.
    """
    found = [one for one in _maps(folder) if one.path.is_file()]
    if not found:
        return []
    template = _template()
    values = {one.path: _read(one.path) for one in found}
    pictures = []
    for one in found:
        # One scale for maps of a kind, so that the diagnoses can be compared by eye.
        alike = [values[other.path] for other in found if other.kind == one.kind]
        highest = max(float(np.abs(own).max()) for own in alike) or 1.0
        content = _draw(one, values[one.path], template, highest=highest)
        name = f"{one.path.name.removesuffix('.nii.gz')}.png"
        write_bytes(output / name, content)
        uri = f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"
        alternative = (
            f"{one.title}, {one.unit}, on {len(HEIGHTS_MM)} axial planes of the MNI152 template"
        )
        pictures.append(MapPicture(one.title, alternative, uri, name, one.diagnosis))
    return pictures


def _maps(folder: Path) -> Iterator[_Map]:
    for diagnosis in DIAGNOSES:
        for point in ("first", "last"):
            path = folder / f"diagnosis-{diagnosis}_timepoint-{point}_lesionfrequency.nii.gz"
            title = f"{diagnosis}: lesion frequency at the {point} scan"
            yield _Map(title, path, "share of participants", diagnosis=diagnosis)
        path = folder / f"diagnosis-{diagnosis}_newlesionfrequency.nii.gz"
        title = f"{diagnosis}: frequency of new lesions"
        yield _Map(title, path, "share of participants", diagnosis=diagnosis)
    for point in ("first", "last"):
        start = f"contrast-MSminusNMOSD_timepoint-{point}"
        title = f"MS less NMOSD at the {point} scan, outlined where family-wise p < {SIGNIFICANT}"
        corrected = folder / f"{start}_pfwe.nii.gz"
        yield _Map(
            title,
            folder / f"{start}_tstat.nii.gz",
            f"t, from ±{FAINTEST_T:g} on",
            signed=True,
            outlined=corrected,
        )


def _grid() -> NDArray[np.float64]:
    """(5, y, x, 3) millimetres of the pixels, row by row from the front, right on the left."""
    (left, right), (back, front) = _BOX_MM
    x = np.arange(right, left - 1, -_GRID_MM)
    y = np.arange(front, back - 1, -_GRID_MM)
    places = np.stack(np.meshgrid(HEIGHTS_MM, y, x, indexing="ij")[::-1], axis=-1)
    return np.asarray(places, dtype=np.float64)


def sampled(image: Any, *, order: Literal[0, 1] = 1) -> Floats:
    """(5, y, x) values of a NIfTI image at the planes, zero outside."""
    from scipy import ndimage

    inverse = np.linalg.inv(np.asarray(image.affine, dtype=np.float64))
    voxels = _grid() @ inverse[:3, :3].T + inverse[:3, 3]
    values = np.nan_to_num(np.asarray(image.dataobj, dtype=np.float64))
    places = np.moveaxis(voxels, -1, 0)
    found = ndimage.map_coordinates(values, places, order=order, mode="constant")
    return np.asarray(found, dtype=np.float32)


def _read(path: Path, *, order: Literal[0, 1] = 1) -> Floats:
    import nibabel as nib
    from nibabel.filebasedimages import ImageFileError

    try:
        image = nib.load(path)
        if len(image.shape) != 3:
            raise ValueError(f"{len(image.shape)} dimensions")
        return sampled(image, order=order)
    except (OSError, ValueError, EOFError, ImageFileError) as error:
        raise MeasurementsError(
            f"this lesion map cannot be read ({error!s:.120})", where=path,
            remedy=f"Make it again ({COMMAND}), or remove it.",
        ) from None  # fmt: skip


def _template() -> Floats:
    from nilearn.datasets import load_mni152_template

    return sampled(load_mni152_template(resolution=2))


def _draw(one: _Map, values: Floats, template: Floats, *, highest: float) -> bytes:
    """PNG of the planes in a row, with a colour bar in the map's unit."""
    corrected = None
    if one.outlined and one.outlined.is_file():
        # Nearest voxel: between the brain and the zeros around it no p-value is made up.
        corrected = _read(one.outlined, order=0)
    with style.house_style():
        figure = style.new_figure(width=11, height=2.85)
        figure.patch.set_facecolor("black")
        panels = figure.subplots(1, len(HEIGHTS_MM))
        for panel, plane in zip(panels, range(len(HEIGHTS_MM)), strict=True):
            panel.imshow(template[plane], cmap="gray", vmin=0, vmax=float(template.max()) * 1.1)
            least = FAINTEST_T if one.signed else highest * 0.02
            shown = np.ma.masked_where(np.abs(values[plane]) < least, values[plane])
            drawn = panel.imshow(
                shown, cmap="PuOr_r" if one.signed else "inferno",
                vmin=-highest if one.signed else 0, vmax=highest, interpolation="nearest",
            )  # fmt: skip
            if corrected is not None:
                _outline(panel, (corrected[plane] > 0) & (corrected[plane] < SIGNIFICANT))
            panel.set_axis_off()
            panel.set_title(f"z = {HEIGHTS_MM[plane]:.0f} mm", color="white", fontsize=8)
            if plane == 0:
                panel.text(2, 8, "R", color="white", fontsize=9, weight="bold")
        bar = figure.colorbar(drawn, ax=panels, fraction=0.02, pad=0.01)
        bar.set_label(one.unit, color="white", fontsize=8)
        bar.ax.tick_params(colors="white", labelsize=8)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def _outline(panel: Axes, mask: NDArray[np.bool_]) -> None:
    if mask.any() and not mask.all():
        panel.contour(mask, levels=[0.5], colors=["white"], linewidths=[0.9])
