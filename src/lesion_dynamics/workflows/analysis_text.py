"""The study on one screen: the table and the remarks below it."""

from __future__ import annotations

import pandas as pd

from lesion_dynamics.longitudinal.measurements import TRUTH, model_versions
from lesion_dynamics.longitudinal.multiplicity import unmatched_members
from lesion_dynamics.longitudinal.same_scans import SameScans
from lesion_dynamics.longitudinal.side_by_side import KEY, published_figures, unmatched
from lesion_dynamics.longitudinal.study import PRIMARY
from lesion_dynamics.settings.analysis import AnalyzeSettings
from lesion_dynamics.workflows.analysis_inputs import AnalysisInputs
from lesion_dynamics.workflows.analysis_result import AnalysisResult

SHOWN_REFUSALS = 5
_JUDGED = ("remission_change_mm3", "annualised_change_mm3_per_year")


def study_as_text(
    result: AnalysisResult, common: SameScans, inputs: AnalysisInputs, settings: AnalyzeSettings
) -> str:
    """The study's table, and below it what was left out and what could not be computed."""
    from lesion_dynamics.report.study_table import study_text

    study = settings.study
    remarks = [
        f"Intervals in [ ] at {study.interval_level:.0%}. {result.remission.rule} Signed-rank test:"
        f" zero_method={study.zero_method}; the other two are in statistics.tsv.",
        f"Scans: {len(common.sessions)} in every column; {len(common.left_out)} left out.",
        *(f"{description}." for description in inputs.outside),
        *_undated_lines(inputs),
        *result.remission.lines(),
        *(f"Refused: {refusal}." for refusal in inputs.refusals[:SHOWN_REFUSALS]),
        *_dates_out_of_order(inputs.tables.sessions),
        *_left_out_lines(result),
        *_not_computed(result.statistics),
    ]
    remarks.extend(_verdict_lines(result, inputs))
    remarks.extend(_error_lines(result))
    remarks.extend(
        f"Member of a family that nothing here answers: {member}"
        for member in unmatched_members(result.statistics, study.families)
    )
    missing = unmatched(result.statistics, study.published)
    remarks.extend(f"Published figure that nothing here answers: {key}" for key in missing)
    source = (
        f", beside {study.published.source}, doi {study.published.doi}" if study.published else ""
    )
    title = f"Study {study.name} on cohort {settings.cohort.name}{source}"
    published = published_figures(study.published)
    return study_text(result.statistics, published, title=title, remarks=remarks)


def _undated_lines(inputs: AnalysisInputs) -> list[str]:
    if inputs.undated.empty:
        return []
    return [
        f"Sessions of unknown day: {len(inputs.undated)}, left out (scans_left_out.tsv names them)."
    ]


def _dates_out_of_order(sessions: pd.DataFrame) -> list[str]:
    """Participants whose sessions are numbered against their dates, and how they are used."""
    by_name = sessions.sort_values(["participant_id", "session_id"], kind="stable")
    names, days = by_name["participant_id"], by_name["days_from_baseline"]
    # A row at a time: of 100,000 participants a call each would take seconds.
    backwards = (names == names.shift()) & ~(days >= days.shift())
    who = [str(name) for name in names[backwards].unique()]
    if not who:
        return []
    shown = ", ".join(who[:SHOWN_REFUSALS]) + (", ..." if len(who) > SHOWN_REFUSALS else "")
    return [
        f"Sessions named against their dates in {len(who)} participant(s) ({shown}): taken in the"
        " order of days_from_baseline. Are the dates right?"
    ]


def _left_out_lines(result: AnalysisResult) -> list[str]:
    """How many participants give no remission change, by reason; names are in the table."""
    versions = result.changes["model_version"]
    own = result.changes[versions == versions.iloc[0]]
    without = own[own["reason"] != ""]
    counts = without.groupby("reason", sort=True).size()
    return [f"Participants without a remission change: {n} ({why})." for why, n in counts.items()]


def _not_computed(statistics: pd.DataFrame) -> list[str]:
    """Notes of the primary estimates that miss a value or a test, each once."""
    tested = statistics["statistic"].isin(["pseudomedian", "shift"])
    incomplete = statistics["estimate"].isna() | (tested & statistics["p_value"].isna())
    rows = statistics[incomplete & (statistics["role"] == "primary")]
    lines = (
        f"Not computed: {row.diagnosis} {row.quantity} ({row.statistic}): {row.note}."
        for row in rows.itertuples()
    )
    return list(dict.fromkeys(lines))


def _verdict_lines(result: AnalysisResult, inputs: AnalysisInputs) -> list[str]:
    """What becomes of the primary conclusions in the newest model version."""
    measured = [name for name in model_versions(inputs.measurements) if name != TRUTH]
    if len(measured) < 2 or result.verdicts.empty:
        return []
    table = result.verdicts.merge(
        result.statistics.loc[
            result.statistics["role"] == PRIMARY, ["model_version", *KEY]
        ].drop_duplicates(),
        on=["model_version", *KEY],
    )
    newest = table[(table["reference"] == measured[-2]) & (table["model_version"] == measured[-1])]
    shown = newest[newest["quantity"].isin(_JUDGED)]
    return [
        f"From {row.reference} to {row.model_version}: {row.diagnosis} {row.quantity}"
        f" ({row.statistic}): {row.verdict}; {row.reason}."
        for row in shown.itertuples()
    ]


def _error_lines(result: AnalysisResult) -> list[str]:
    """What unequal errors of the segmenter alone would fake."""
    table = result.measurement_error
    faked = table[table["statistic"] == "shift faked by unequal gain"]
    return [
        f"Unequal gain of {row.model_version} alone would show a shift of"
        f" {row.estimate:.1f} mm3/year ({row.note})."
        for row in faked.itertuples()
    ]
