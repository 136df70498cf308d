"""Columns of the tables of lesion tracking, with what they mean."""

from __future__ import annotations

from lesion_dynamics.lesions.tracking.interval import CHANGES

_KEY = {
    "participant_id": "Participant",
    "start_session_id": "Session at the start of the interval",
    "end_session_id": "Session at its end",
    "model_version": "Model version that made the masks",
}

LESION_COLUMNS = {
    **_KEY,
    "lesion_id": "Number of the lesion, the same in all intervals of a participant",
    "change": "What became of it: " + ", ".join(CHANGES),
    "volume_change": "Enlarging, stable or shrinking beyond the margin, also where it merged or"
    " split; else as change",
    "joined": "Whether it is new and grew together with a lesion that was there before",
    "start_lesion_count": "Lesions that it was at the start",
    "end_lesion_count": "Lesions that it is at the end",
    "start_lesion_volume_mm3": "Volume at the start, participant space, mm3",
    "end_lesion_volume_mm3": "Volume at the end, participant space, mm3",
    "noise_margin_mm3": "Change that noise may explain, mm3",
    "x_mm": "Centre in participant space, RAS+ mm",
    "y_mm": "Centre in participant space, RAS+ mm",
    "z_mm": "Centre in participant space, RAS+ mm",
}

INTERVAL_COLUMNS = {
    **_KEY,
    "interval_years": "Length of the interval, years",
    **{f"{change}_lesion_count": f"Lesions of change {change}" for change in CHANGES},
    **{
        f"{change}_lesion_volume_mm3": f"Their volume ({change}), mm3: at the end, of those that"
        " are gone at the start; participant space"
        for change in CHANGES
    },
    **{
        f"{change}_volume_change_mm3": f"Volume at the end minus at the start ({change}), mm3"
        for change in CHANGES
    },
    "start_tracked_volume_mm3": "All lesions at the start, participant space, mm3",
    "end_tracked_volume_mm3": "All lesions at the end, participant space, mm3",
    "start_lesion_volume_mm3": "As in lesion_measurements.tsv: native grid, mm3",
    "end_lesion_volume_mm3": "As in lesion_measurements.tsv: native grid, mm3",
    "noise_margin_from": "repeatability record, or boundary shell",
}
