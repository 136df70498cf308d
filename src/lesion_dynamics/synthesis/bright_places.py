"""Where a healthy brain is bright on FLAIR: the limbic lobe, and white-matter tracts.

Both draw false lesions. Limbic grey matter is brighter than the rest of the cortex (Hirai et al.
2000, Radiology 215:470); so are the corticospinal tract in the internal capsule and the late
myelinating white matter around the trigones (Yagishita et al. 1994, Radiology 191:455; Parazzini
et al. 2002, AJNR 23:1669). Places are lines through MNI coordinates of common atlases, in
millimetres; a head's bending moves them as it moves the tissue.
"""

from __future__ import annotations

from torch import Tensor

from lesion_dynamics.synthesis.mni_lines import Line, near_lines

_LIMBIC = (
    # hippocampus from head to tail, amygdala, parahippocampal gyrus
    Line(((23, -6, -22), (27, -22, -14), (28, -34, -5), (21, -40, 2)), 8.0),
    Line(((23, -4, -20),), 9.0),
    Line(((20, -8, -30), (24, -30, -17)), 7.0),
    # insula
    Line(((37, 16, -4), (39, 0, 2), (38, -14, 6)), 8.0),
    # cingulate gyrus around the corpus callosum, subcallosal area
    Line(((5, 16, -10), (5, 36, -4), (5, 40, 10), (5, 28, 26), (5, 8, 36)), 7.0),
    Line(((5, 8, 36), (5, -16, 40), (6, -40, 34), (7, -52, 20), (9, -48, 6)), 7.0),
    # fornix: body and crus
    Line(((2, -8, 18), (3, -24, 17), (12, -34, 10), (20, -36, 2)), 3.0),
)
_TRACTS = (
    # corticospinal tract: cerebral peduncle, posterior limb of the internal capsule, corona
    Line(((14, -18, -10), (22, -19, 4), (23, -20, 16), (22, -24, 32)), 5.0),
    # white matter behind and beside the trigones
    Line(((30, -46, 14), (28, -62, 14)), 8.0),
)


def bright_places(x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Limbic lobe and tracts, each 0 to 1.

    x, y, z : MNI coordinates in mm that broadcast against each other.
    """
    return near_lines(_LIMBIC, x, y, z), near_lines(_TRACTS, x, y, z)
