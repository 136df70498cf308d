import numpy as np
import pandas as pd

from lesion_dynamics.longitudinal.tidy_tables import tsv_of, write_table


def test_missing_is_na_and_the_last_digits_of_a_processor_do_not_show(tmp_path):
    one = pd.DataFrame({"name": ["a", None], "value": [0.1 + 0.2, np.nan]})
    other = pd.DataFrame({"name": ["a", None], "value": [0.3, np.nan]})
    assert tsv_of(one) == tsv_of(other) == "name\tvalue\na\t0.3\nn/a\tn/a\n"
    write_table(tmp_path / "deep" / "t.tsv", one)
    assert (tmp_path / "deep" / "t.tsv").read_bytes() == tsv_of(other).encode()
