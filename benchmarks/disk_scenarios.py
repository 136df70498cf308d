"""When and where `full_disk.py` fills a disk, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass

from kill_training import SETTINGS

from lesion_dynamics.segmenter.fit import LAST_CHECKPOINT

TRAINING = [
    "segmenter.spacing_mm=3", "segmenter.network.channels=[4,8,8]",
    "segmenter.network.head_channels=2", "segmenter.preprocessing.bias_field.iterations=[5]",
    "segmenter.window.size_voxels=[32,32,32]", "segmenter.precision=float32",
    "patch.size_voxels=16", "trainer.epochs=6", "trainer.steps_per_epoch=3",
    "trainer.validate_every_epochs=2", "trainer.accumulate_batches=2", "trainer.accelerator=cpu",
    "trainer.workers=1", "trainer.threads=1", "optimiser.schedule=polynomial",
    "optimiser.weight_average_decay=0.9", "processes=1", "validation_fraction=0.4",
    "tracking.wait_at_end_seconds=5",
]  # fmt: skip
DRAWN = [
    *SETTINGS, "trainer.epochs=2", "trainer.validate_every_epochs=1",
    "trainer.early_stopping_patience=1", "synthesis.heads=1",
]  # fmt: skip
"""Half of the patches from a drawn head: 1 mm voxels, and so the larger disk."""


@dataclass(frozen=True)
class Scenario:
    """mount : folder on the small disk. moment : name of the file whose appearing fills it (after
    a colon: a text in it); none fills it before the start. but_mb : room that is left.
    ends : exit status with the disk full.
    room_after : what the training says when room is made again while it runs. given : folders of
    the undisturbed training that lie there from the beginning, to save time.
    """

    mount: str
    moment: str | None
    but_mb: float = 0.0
    ends: int = 2
    room_after: str | None = None
    extra: tuple[str, ...] = ("trainer.wait_for_disk_seconds=0",)
    devices: int = 1
    given: tuple[str, ...] = ("prepared_scans",)
    drawn: bool = False

    @property
    def settings(self) -> list[str]:
        """Of its training."""
        return [*(DRAWN if self.drawn else TRAINING), f"trainer.devices={self.devices}"]

    @property
    def peace(self) -> str:
        """Folder of the undisturbed training with these settings."""
        return f"peace{'-drawn' if self.drawn else ''}{'-two' if self.devices > 1 else ''}"


_RUN = "runs/lesion-segmenter-*/"
SCENARIOS = {
    "checkpoint": Scenario("runs", _RUN + LAST_CHECKPOINT),
    "tracking to the end": Scenario("tracking", _RUN + LAST_CHECKPOINT),
    "pictures and weights": Scenario("", _RUN + "pictures/learning_curves.png"),
    "registration, store alone": Scenario(
        "tracking", "tracking/spool/*/journal.jsonl:model version", ends=0
    ),
    "preparing scans": Scenario("runs", None, but_mb=3, given=()),
    "checkpoint, room comes": Scenario(
        "runs", _RUN + LAST_CHECKPOINT, ends=0, room_after="waits up to", extra=()
    ),
    "tracking, room comes": Scenario(
        "tracking", _RUN + LAST_CHECKPOINT, ends=0, room_after="epoch 5 of"
    ),
    "registration": Scenario("tracking", _RUN + "pictures/learning_curves.png"),
    "output": Scenario("models", _RUN + "pictures/learning_curves.png"),
    "checkpoint, half of it fits": Scenario("runs", _RUN + LAST_CHECKPOINT, but_mb=0.05),
    "checkpoint of two processes": Scenario("runs", _RUN + LAST_CHECKPOINT, devices=2),
    "drawing heads": Scenario("runs", None, but_mb=30, drawn=True),
}
