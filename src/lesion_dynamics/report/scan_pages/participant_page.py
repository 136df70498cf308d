"""The page of one participant: all sessions in a viewer, volumes over time, quality control."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from lesion_dynamics import __version__
from lesion_dynamics.report.scan_pages.content import LesionLayer, ParticipantView, SessionView
from lesion_dynamics.report.scan_pages.overlap_change import LABEL_NAMES
from lesion_dynamics.report.scan_pages.text import (
    asset,
    day,
    document,
    json_script,
    number,
    volume,
)
from lesion_dynamics.report.scan_pages.volume_chart import Series, volume_chart

MOST_OPEN = 6
"""Sessions that are open at first: a browser keeps about sixteen pictures of this kind alive."""
VIEWER_FILE = "niivue.js"


def participant_page(view: ParticipantView) -> str:
    """The page as HTML; it needs `VIEWER_FILE` beside it and nothing else."""
    body = "\n".join(
        (
            _header(view),
            "<main>",
            _viewer(view),
            _volumes(view),
            _intervals(view.intervals),
            _quality(view),
            _remarks(view),
            "</main>",
            _footer(view),
        )
    )
    scripts = (
        f"{json_script('page-data', _data(view))}\n"
        f'<script src="{VIEWER_FILE}"></script>\n<script>\n{asset("viewer.js")}</script>'
    )
    return document(title=f"{view.participant_id}: {view.cohort}", body=body, scripts=scripts)


def problem_page(*, cohort: str, participant_id: str, problem: str) -> str:
    """What stands in place of a page that could not be made."""
    body = (
        f'<header class="top"><nav><a href="index.html">All participants</a></nav>'
        f"<h1>{escape(participant_id)}</h1></header><main><p class='flag'>"
        f"No page could be made: {escape(problem)}</p></main>"
    )
    return document(title=f"{participant_id}: {cohort}", body=body, scripts="")


def versions_of(view: ParticipantView) -> list[str]:
    """Model versions in the order in which they were named."""
    return list(dict.fromkeys(one.model_version for s in view.sessions for one in s.layers))


def _data(view: ParticipantView) -> dict[str, Any]:
    return {
        "versions": versions_of(view),
        "shape": view.shape,
        "origin": view.origin_mm,
        "spacing": view.spacing_mm,
        "start": view.start,
        "sessions": [
            {
                "id": session.session_id,
                "flair": session.flair,
                "layers": {one.model_version: _layer(one) for one in session.layers},
            }
            for session in view.sessions
        ],
    }


def _layer(layer: LesionLayer) -> dict[str, str]:
    return {
        "mask": layer.mask,
        "probability": layer.probability,
        "change": layer.change,
        "changeNote": layer.change_note,
        "said": _said(layer),
    }


def _said(layer: LesionLayer) -> str:
    if not math.isfinite(layer.lesion_volume_mm3):
        return f"not measured: {layer.reason}" if layer.reason else "not measured"
    count = "" if layer.lesion_count is None else f", {layer.lesion_count} lesions"
    return f"{volume(layer.lesion_volume_mm3)}{count}"


def _header(view: ParticipantView) -> str:
    facts = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(said)}</dd></div>" for name, said in view.facts
    )
    return (
        f'<header class="top"><nav aria-label="participants">{_link(view.previous, "previous")}'
        f'<a href="index.html">All participants</a>{_link(view.next, "next")}</nav>'
        f'<h1>{escape(view.participant_id)}</h1><dl class="facts">{facts}</dl></header>'
    )


def _link(participant_id: str, relation: str) -> str:
    arrow = {"previous": "← {}", "next": "{} →"}[relation]
    if not participant_id:
        return f'<span class="muted">{arrow.format("—")}</span>'
    name = escape(participant_id)
    return (
        f'<a rel="{relation[:4]}" href="{name}.html" aria-label="{relation} participant: {name}">'
        f"{arrow.format(name)}</a>"
    )


def _viewer(view: ParticipantView) -> str:
    versions = versions_of(view)
    compare = ""
    if len(versions) > 1:
        options = "".join(f"<option>{escape(name)}</option>" for name in versions)
        compare = (
            f'<label>Model version <select id="version">{options}</select></label>'
            f'<label>Beside it <select id="beside"><option value="">nothing</option>{options}'
            "</select></label>"
        )
    shown = "".join(_toggle(index, one) for index, one in enumerate(view.sessions))
    figures = "".join(_figure(view, index, one) for index, one in enumerate(view.sessions))
    return (
        '<section aria-labelledby="scans"><h2 id="scans">Scans</h2>'
        '<div class="controls">'
        '<label>Plane <select id="plane"><option value="axial">axial</option>'
        '<option value="coronal">coronal</option><option value="sagittal">sagittal</option>'
        '<option value="all">all three</option></select></label>'
        '<label>Overlay <select id="overlay"><option value="mask">lesion mask</option>'
        '<option value="probability">lesion probability</option>'
        '<option value="change">new and resolved lesions</option>'
        f'<option value="none">none</option></select></label>{compare}'
        '<label>Opacity <input id="opacity" type="range" min="0" max="100" value="75"></label>'
        '<label class="tick"><input id="outline" type="checkbox"> outline only</label></div>'
        f'<fieldset class="controls sessions"><legend>Sessions</legend>{shown}</fieldset>'
        f'<div class="controls sliders">{_SLIDERS}</div>'
        f'<p id="legend" class="legend"></p><p id="state" role="status">The viewer is loading.</p>'
        f'<div id="figures" class="figures">{figures}</div>'
        '<p class="muted">Point or drag in a picture, turn the wheel over it, or use the sliders '
        "(arrow and page keys): all sessions follow. The participant's right is on the left. "
        f"Shown on one {view.spacing_mm:.2f} mm grid; volumes are measured on the native scans."
        "</p></section>"
    )


_SLIDERS = "".join(
    f'<label>{name} <input id="{axis}" type="range" min="0" max="1" value="0" step="1">'
    f'<output for="{axis}"></output></label>'
    for name, axis in (("left–right", "x"), ("back–front", "y"), ("down–up", "z"))
)


def _toggle(index: int, session: SessionView) -> str:
    checked = " checked" if index < MOST_OPEN else ""
    return (
        f'<label class="tick"><input type="checkbox" data-session="{index}"{checked}> '
        f"{escape(session.session_id)}</label>"
    )


def _figure(view: ParticipantView, index: int, session: SessionView) -> str:
    alternative = (
        f"FLAIR of {view.participant_id} {session.session_id}, {day(session.days)}: axial slice "
        "with the most lesion, lesions outlined"
    )
    flags = f'<p class="flag">{escape(session.flags)}</p>' if session.flags else ""
    picture = ""
    if session.quality_picture:
        picture = f'<p><a href="{escape(session.quality_picture)}">quality control picture</a></p>'
    hidden = "" if index < MOST_OPEN else " hidden"
    return (
        f'<figure data-session="{index}"{hidden}><figcaption><strong>'
        f'{escape(session.session_id)}</strong> <span class="muted">{day(session.days)}'
        f'</span> <span class="said"></span></figcaption>'
        f'<div class="stage"><img alt="{escape(alternative)}" '
        f'src="data:image/webp;base64,{session.picture}"></div>'
        f'<p class="note"></p>{flags}{picture}</figure>'
    )


def _volumes(view: ParticipantView) -> str:
    versions = versions_of(view)
    series = [Series(name, *_series(view.sessions, name)) for name in versions]
    chart = volume_chart(series, view.attacks or ())
    keys = "".join(
        f'<span class="key series-{index % 4}">{escape(name)}</span>'
        for index, name in enumerate(versions)
    )
    header = "".join(f"<th scope='col'>{escape(name)}</th>" for name in versions)
    rows = "".join(_volume_row(session, versions) for session in view.sessions)
    return (
        '<section aria-labelledby="volumes"><h2 id="volumes">Volume over time</h2>'
        f"{chart}<p class='keys'>{keys}</p><p>{escape(_attacks(view))}</p>"
        "<div class='wide'><table><thead><tr><th scope='col'>session</th><th scope='col'>day</th>"
        f"{header}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _series(
    sessions: Sequence[SessionView], version: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    found = [(s.days, one) for s in sessions for one in s.layers if one.model_version == version]
    return tuple(d for d, _ in found), tuple(one.lesion_volume_mm3 for _, one in found)


def _volume_row(session: SessionView, versions: Sequence[str]) -> str:
    by_version = {one.model_version: one for one in session.layers}
    cells = "".join(
        f"<td>{escape(_said(by_version[name])) if name in by_version else 'not segmented'}</td>"
        for name in versions
    )
    return (
        f"<tr><th scope='row'>{escape(session.session_id)}</th><td>{number(session.days)}</td>"
        f"{cells}</tr>"
    )


def _attacks(view: ParticipantView) -> str:
    if view.attacks is None:
        return "Attacks are not recorded in this cohort."
    if not view.attacks:
        return "No attack is recorded."
    dated = ", ".join(number(one) for one in sorted(a for a in view.attacks if math.isfinite(a)))
    unknown = sum(not math.isfinite(one) for one in view.attacks)
    parts = [f"Attacks on days {dated}." if dated else ""]
    parts += [f"{unknown} of unknown date." if unknown else "", "Triangles mark those shown."]
    return " ".join(part for part in parts if part)


def _intervals(rows: Sequence[Mapping[str, str]]) -> str:
    if not rows:
        return ""
    columns = [name for name in rows[0] if name != "participant_id"]
    header = "".join(f"<th scope='col'>{escape(name.replace('_', ' '))}</th>" for name in columns)
    lines = "".join(
        "<tr>" + "".join(f"<td>{escape(row.get(name, ''))}</td>" for name in columns) + "</tr>"
        for row in rows
    )
    return (
        '<section aria-labelledby="tracking"><h2 id="tracking">Lesions between sessions</h2>'
        f"<div class='wide'><table><thead><tr>{header}</tr></thead><tbody>{lines}</tbody></table>"
        "</div></section>"
    )


def _quality(view: ParticipantView) -> str:
    if not view.figures:
        return ""
    header = "".join(f"<th scope='col'>{escape(s.session_id)}</th>" for s in view.sessions)
    rows = "".join(
        f"<tr><th scope='row'>{escape(name.replace('_', ' '))}</th>"
        + "".join(f"<td>{escape(_readable(value))}</td>" for value in values)
        + "</tr>"
        for name, values in view.figures.items()
    )
    return (
        '<section aria-labelledby="quality"><h2 id="quality">Quality control</h2>'
        f"<div class='wide'><table><thead><tr><th scope='col'>figure</th>{header}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _readable(value: str) -> str:
    """``1.82013e+06`` as ``1,820,130``; everything else as it was written."""
    return number(float(value)) if "e+" in value else value


def _remarks(view: ParticipantView) -> str:
    if not view.remarks:
        return ""
    lines = "".join(f"<li>{escape(line)}</li>" for line in view.remarks)
    return (
        '<section aria-labelledby="remarks"><h2 id="remarks">Remarks</h2>'
        f"<ul>{lines}</ul></section>"
    )


def _footer(view: ParticipantView) -> str:
    labels = ", ".join(f"{number} {name}" for number, name in LABEL_NAMES.items())
    return (
        f'<footer class="muted">Cohort {escape(view.cohort)}. lesion-dynamics {__version__}, '
        f"viewer: NiiVue (BSD-2-Clause). Labels of change maps: {labels}. Research software, no "
        "medical device.</footer>"
    )
