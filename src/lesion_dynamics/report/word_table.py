"""A table of text as a Word document."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime

import pandas as pd

_EPOCH = datetime(1980, 1, 1)
_POINTS = 8


def docx_of(table: pd.DataFrame) -> bytes:
    """One table on a landscape page, head row repeated on every page.

    The same table gives the same bytes: no author, and no time of writing.
    """
    from docx import Document
    from docx.enum.section import WD_ORIENT
    from docx.oxml import OxmlElement
    from docx.shared import Pt

    document = Document()
    section = document.sections[0]
    section.orientation = WD_ORIENT.LANDSCAPE
    section.page_width, section.page_height = section.page_height, section.page_width
    document.styles["Normal"].font.size = Pt(_POINTS)
    grid = document.add_table(rows=1, cols=table.shape[1], style="Light List")
    for cell, name in zip(grid.rows[0].cells, table.columns, strict=True):
        cell.text = str(name)
    grid.rows[0]._tr.get_or_add_trPr().append(OxmlElement("w:tblHeader"))
    for row in table.astype(str).to_numpy().tolist():
        for cell, text in zip(grid.add_row().cells, row, strict=True):
            cell.text = text
    properties = document.core_properties
    properties.author = properties.last_modified_by = properties.comments = ""
    properties.created = properties.modified = _EPOCH
    buffer = io.BytesIO()
    document.save(buffer)
    return _without_times(buffer.getvalue())


def _without_times(content: bytes) -> bytes:
    """The same archive with every member dated 1980."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(zipfile.ZipInfo(name, _EPOCH.timetuple()[:6]), source.read(name))
    return buffer.getvalue()
