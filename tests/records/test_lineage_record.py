"""What a lineage says of the machine and of the code's place."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import ROOT

from lesion_dynamics.records import lineage
from lesion_dynamics.records.lineage import below_the_code, code_folder, git_state, machine

CPUINFO = """processor\t: 0
vendor_id\t: GenuineIntel
flags\t\t: fpu amx_tile sse2 avx512f avx2 hypervisor

processor\t: 1
vendor_id\t: Other
flags\t\t: sve
"""


def test_maker_and_decisive_instructions_are_those_of_the_first_processor(tmp_path: Path) -> None:
    said = tmp_path / "cpuinfo"
    said.write_text(CPUINFO, encoding="utf-8")
    assert lineage._processor_kind(said) == {
        "maker": "GenuineIntel", "instructions": ["avx2", "avx512f", "amx_tile"],
    }  # fmt: skip
    said.write_text("CPU implementer\t: 0x41\nFeatures\t: fp asimd bf16 sve\n", encoding="utf-8")
    assert lineage._processor_kind(said) == {
        "maker": "0x41", "instructions": ["asimd", "bf16", "sve"],
    }  # fmt: skip
    assert lineage._processor_kind(tmp_path / "none") == {}


def test_the_code_is_where_the_package_lies_not_where_the_command_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert code_folder() == ROOT
    assert git_state(code_folder())["commit"] == git_state(ROOT)["commit"]
    assert below_the_code(ROOT / "data" / "study") == "data/study"
    assert below_the_code(Path("data/study")) is None  # below here, which is elsewhere
    assert below_the_code(None) is None
    monkeypatch.setattr(lineage, "_CHECKOUT", tmp_path / "site-packages")
    assert code_folder() == tmp_path
    assert "python" in machine()
