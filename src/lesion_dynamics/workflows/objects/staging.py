"""An inference whose cohort or output lies in an object store.

A BIDS cohort or a manifest is streamed (`streamed_cohort`): what a part needs comes when it is its
turn. A cohort of another layout is copied to this computer before the work (only what changed). The
output of earlier runs is fetched, so that a run goes on where another computer stopped. Each scan's
files are put into the store when it is done, its sidecar last; the tables at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lesion_dynamics.atomic_files import hash_of_content, require_writable_folder
from lesion_dynamics.errors import ConfigurationError
from lesion_dynamics.file_locks import in_turn
from lesion_dynamics.longitudinal.measurements import FILE_NAME
from lesion_dynamics.records.derivatives import ScanOutputs
from lesion_dynamics.settings.inference import InferSettings
from lesion_dynamics.workflows.objects.mirror import Mirror, is_remote, url_of

NOT_INPUTS = ("derivatives", "sourcedata", "code")


def staged(settings: InferSettings) -> InferSettings:
    """The settings with a cohort on this computer; where it lies there already, the same.

    Raises
    ------
    UserError : the store cannot be read; no cache folder holds the copy.
    """
    root = settings.cohort.root
    if not is_remote(root):
        return settings
    place = place_of(root, settings)
    with sole_change(place, waiting_for=f"it copies {url_of(root)}"):
        mirror = Mirror(url_of(root), place)
        mirror.fetch(without=NOT_INPUTS)
    cohort = settings.cohort.model_copy(update={"root": mirror.folder})
    return settings.model_copy(update={"cohort": cohort})


def output_folder(settings: InferSettings, *names: str) -> tuple[Path, Mirror | None]:
    """The folder on this computer that is written into, and its mirror if the output is remote.

    names : below ``output``. What earlier runs left in the store is there.
    """
    if not is_remote(settings.output):
        return settings.output.joinpath(*names), None
    place = settings.output.joinpath(*names)
    mirror = Mirror(url_of(place), place_of(place, settings))
    return mirror.folder, mirror


def publish_scan(mirror: Mirror | None, outputs: ScanOutputs) -> None:
    """Put the files of a scan into the store; the sidecar, which says that they are whole, last."""
    if mirror is not None:
        stem = outputs.mask.name.split("_label-")[0]
        own = sorted(outputs.mask.parent.glob(f"{stem}_*"))
        mirror.publish([*(path for path in own if path != outputs.sidecar), outputs.sidecar])


def publish_rest(mirror: Mirror | None) -> None:
    """Put what is left; the tables after the scans, the table of volumes last of all."""
    if mirror is not None:
        mirror.publish_all(last=lambda path: _order(path, mirror.folder))


def _order(path: Path, folder: Path) -> tuple[bool, bool, Sequence[str]]:
    return (path.name == FILE_NAME, path.parent == folder, path.parts)


def place_of(path: Path, settings: InferSettings) -> Path:
    """Where the copy of a place in a store lies, or what is kept of a place on this computer.

    Raises
    ------
    ConfigurationError : there is no cache folder.
    """
    if settings.cache.folder is None:
        raise ConfigurationError(
            "copies of the store's files need a place",
            where="cache.folder=null",
            remedy="Set cache.folder to a folder with room for the cohort.",
        )
    name = hash_of_content(url_of(path) if is_remote(path) else str(path.absolute()))[:16]
    return (settings.cache.folder / "objects" / name).resolve()


@contextmanager
def sole_change(place: Path, *, waiting_for: str) -> Iterator[None]:
    """Run the block when nobody else changes the copy of a cohort at ``place``, or its index.

    All inferences with this cache folder share the copy. waiting_for : what others may be doing.

    Raises
    ------
    OutputError : the cache folder cannot be written.
    """
    require_writable_folder(place.parent)
    with in_turn(place.with_name(f"{place.name}.lock"), waiting_for=waiting_for):
        yield
