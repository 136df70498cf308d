"""``python -m lesion_dynamics.phantom --variant default|small|fine|baseline --out data``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import get_args

from lesion_dynamics.errors import EXIT_USER_ERROR, UserError
from lesion_dynamics.phantom.generate import generate
from lesion_dynamics.settings.phantom import DEFAULT_SEED, PhantomSettings, Variant

_LOG = logging.getLogger(__name__)
_INTERRUPTED = 130


def main() -> int:
    """Generate the phantom as the command line says; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(prog="python -m lesion_dynamics.phantom", description=__doc__)
    parser.add_argument("--variant", choices=get_args(Variant), default="default")
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder of the cohorts")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 8))
    given = parser.parse_args()
    try:
        settings = PhantomSettings.of_variant(given.variant, seed=given.seed)
        generate(settings, given.out, processes=given.processes)
    except UserError as error:
        _LOG.error("%s", error)
        return EXIT_USER_ERROR
    except KeyboardInterrupt:
        _LOG.error("interrupted; the same command goes on from here")
        return _INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
