"""The doctor's answer: a table or JSON, and an error where something must be mended."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from lesion_dynamics.errors import UserError
from lesion_dynamics.report.text_table import text_table
from lesion_dynamics.settings.doctor import DoctorSettings
from lesion_dynamics.workflows.doctor.machine import machine_remarks
from lesion_dynamics.workflows.doctor.packages import package_remarks
from lesion_dynamics.workflows.doctor.places import place_remarks
from lesion_dynamics.workflows.doctor.remark import Remark


class SetupError(UserError):
    """Something on this machine stands in the way."""


def run(settings: DoctorSettings) -> list[Remark]:
    """Examine and show.

    Raises
    ------
    SetupError : at least one problem; the table, or the JSON, is shown all the same.
    """
    remarks = examine(settings)
    problems = [remark for remark in remarks if remark.state == "problem"]
    if settings.as_json:
        said = {"sound": not problems, "remarks": [asdict(remark) for remark in remarks]}
        sys.stdout.write(json.dumps(said, indent=2) + "\n")
    else:
        rows = [(one.subject, one.state, one.what, one.remedy) for one in remarks]
        columns = ("", "", "what", "what to do")
        sys.stdout.write(text_table(columns, rows, words=(0, 1, 2, 3)) + "\n")
    if problems:
        first = problems[0]
        raise SetupError(
            f"{len(problems)} problem(s), the first: {first.what}",
            where=first.subject,
            remedy=first.remedy,
        )
    return remarks


def examine(settings: DoctorSettings) -> list[Remark]:
    """Everything that was looked at; nothing is made or changed."""
    return [
        *package_remarks(settings.constraints),
        *machine_remarks(settings),
        *place_remarks(settings),
    ]
