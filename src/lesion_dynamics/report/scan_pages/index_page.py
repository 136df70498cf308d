"""The cohort's page: every scan as a small picture, those to look at first on top."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from lesion_dynamics import __version__
from lesion_dynamics.report.scan_pages.content import IndexEntry, IndexSession
from lesion_dynamics.report.scan_pages.text import asset, day, document, number, volume

_ORDERS = (
    ("flags", "quality flags"),
    ("change", "change of volume"),
    ("disagreement", "disagreement of model versions"),
    ("name", "name"),
)
_THUMBNAIL_WIDTH, _THUMBNAIL_HEIGHT = 150, 180


def index_page(entries: Sequence[IndexEntry], *, cohort: str, versions: Sequence[str]) -> str:
    """The page as HTML; pictures lie beside it and load as they come into view."""
    ordered = sorted(entries, key=lambda one: one.participant_id)
    scans = sum(len(one.sessions) for one in ordered)
    flagged = sum(s.flag_count > 0 for one in ordered for s in one.sessions)
    diagnoses = "".join(
        f"<option>{escape(name)}</option>" for name in sorted({one.diagnosis for one in ordered})
    )
    orders = "".join(
        f'<option value="{key}">{name}</option>'
        for key, name in _ORDERS
        if key != "disagreement" or len(versions) > 1
    )
    cards = "\n".join(_card(one, several=len(versions) > 1) for one in ordered)
    body = (
        f'<header class="top"><h1>Scans of {escape(cohort)}</h1>'
        f"<p>{len(ordered)} participants, {scans} scans, {flagged} of them with a quality flag. "
        f"Lesion masks of {escape(', '.join(versions))}.</p></header><main>"
        f'<div class="controls"><label>Sort by <select id="sort">{orders}</select></label>'
        f'<label>Diagnosis <select id="diagnosis"><option value="">all</option>{diagnoses}'
        '</select></label><label><input id="flagged" type="checkbox"> flagged only</label>'
        '<label>Name <input id="search" type="search" size="12"></label>'
        '<output id="count" role="status"></output></div>'
        f'<ul class="cards" id="cards">\n{cards}\n</ul></main>'
        f'<footer class="muted">lesion-dynamics {__version__}. Axial slice with the most lesion, '
        "lesions outlined; the participant's right is on the left. Research software, no medical "
        "device.</footer>"
    )
    scripts = f"<script>\n{asset('index.js')}</script>"
    return document(title=f"Scans of {cohort}", body=body, scripts=scripts)


def _card(entry: IndexEntry, *, several: bool) -> str:
    name = escape(entry.participant_id)
    flags = sum(one.flag_count for one in entry.sessions)
    size = abs(entry.change_mm3)
    attributes = (
        f'data-name="{name}" data-diagnosis="{escape(entry.diagnosis)}" data-flags="{flags}" '
        f'data-change="{_plain(size)}" data-disagreement="{_plain(entry.disagreement_mm3)}"'
    )
    change = f"change {_signed(entry.change_mm3)}"
    if several:
        change += (
            f"; versions differ by {volume(entry.disagreement_mm3)}"
            f" (Dice {number(entry.disagreement_dice, decimals=2)})"
        )
    said = f'<p class="flag">{escape(entry.problem)}</p>' if entry.problem else f"<p>{change}</p>"
    marked = "".join(
        f'<p class="flag">{escape(one.session_id)}: {escape(one.flags)}</p>'
        for one in entry.sessions
        if one.flags
    )
    pictures = "".join(_thumbnail(entry.participant_id, one) for one in entry.sessions)
    return (
        f'<li class="card" {attributes}><h2><a href="{name}.html">{name}</a> '
        f'<span class="muted">{escape(entry.diagnosis)}</span></h2>{said}{marked}'
        f'<div class="thumbs">{pictures}</div></li>'
    )


def _thumbnail(participant_id: str, session: IndexSession) -> str:
    said = volume(session.lesion_volume_mm3)
    alternative = (
        f"{participant_id} {session.session_id}, {day(session.days)}: lesion volume {said}"
    )
    return (
        f'<figure><a href="{escape(participant_id)}.html"><img loading="lazy" decoding="async" '
        f'width="{_THUMBNAIL_WIDTH}" height="{_THUMBNAIL_HEIGHT}" '
        f'src="{escape(session.thumbnail)}" alt="{escape(alternative)}"></a>'
        f"<figcaption{' class=flag' if session.flag_count else ''}>"
        f"{escape(session.session_id)}<br>{said}</figcaption></figure>"
    )


def _signed(change: float) -> str:
    return f"{number(change, sign=True)} mm³" if math.isfinite(change) else "n/a"


def _plain(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else ""
