"""Settings of the domain-randomised synthesis."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from lesion_dynamics.settings.strict import Strict


class HeadSettings(Strict):
    """What drawn heads and their lesions are like.

    brainstem : whether the brainstem is even tissue of its own; otherwise its surface is folded
        cortex as elsewhere.
    infratentorial_lesions : share of heads with lesions that have some in brainstem or cerebellum,
        beside those that fall there by chance.
    even_lesions : share of heads in which whole lesions are bright or faint; in the others
        brightness changes within them, too.
    """

    brainstem: bool = False
    infratentorial_lesions: float = Field(default=0.0, ge=0, le=1)
    even_lesions: float = Field(default=0.0, ge=0, le=1)


class SynthesisSettings(Strict):
    """Training patches that are drawn instead of cut from labelled scans.

    share : of all training patches; 0 turns the synthesis off, 1 trains without any labelled
        scan (those of the cohort then all validate).
    heads : drawn once, before the training, 74 MB each on disk; every patch of a head gets
        contrasts, artefacts and noise of its own.
    shapes : folder with consensus masks of real patients in MNI space, in the layout of the open
        MS data; their lesions are bent and moved into drawn heads. None: lesions are all drawn.
    left_out : folders of `shapes` that are not used: patients a segmenter will be judged on.
    head : what drawn heads are like.
    """

    share: float = Field(default=0.0, ge=0, le=1)
    heads: int = Field(default=96, ge=1)
    shapes: Path | None = None
    left_out: tuple[str, ...] = ()
    head: HeadSettings = HeadSettings()
