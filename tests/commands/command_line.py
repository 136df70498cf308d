"""Running a root script as a user does, and seeing whether it loaded torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(script: str, *overrides: str, cwd: Path) -> tuple[int, str, bool]:
    """Exit status, stderr, and whether torch was loaded."""
    code = (
        "import runpy, sys\n"
        f"sys.argv = {[str(ROOT / script), *overrides]!r}\n"
        "status = 0\n"
        "try:\n"
        f"    runpy.run_path({str(ROOT / script)!r}, run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    status = end.code\n"
        "print('torch' in sys.modules)\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    return done.returncode, done.stderr.strip(), done.stdout.strip().endswith("True")
