"""netcrab against SQL in DuckDB that was written from docs/rules.md alone."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]
RIVALS = ROOT / "benches" / "rivals"
sys.path.insert(0, str(RIVALS))

import compare  # noqa: E402
import duckdb_chain  # noqa: E402


def assert_equal(ours, theirs):
    lines, equal = compare.compare_directories(ours, theirs)
    assert equal, "\n".join(lines)
    compared = [line for line in lines if line.endswith(": equal")]
    assert len(compared) == len(compare.COLUMNS), "a table was not compared:\n" + "\n".join(lines)


@pytest.mark.parametrize("seed", range(12))
def test_random_events_give_what_duckdb_gives(netcrab, tmp_path, seed):
    events = tmp_path / "events.parquet"
    subprocess.run([sys.executable, RIVALS / "make_random.py", events, "--seed", str(seed)], check=True)
    netcrab("run", events, "--tables", tmp_path / "tables", "--strict")
    duckdb_chain.run(events, tmp_path / "duckdb", threads=2, tasks=True)
    assert_equal(tmp_path / "tables", tmp_path / "duckdb")


def test_generated_events_give_what_duckdb_gives(netcrab, tmp_path):
    events = tmp_path / "events.parquet"
    netcrab("generate", events, "--events", "60000", "--days", "5", "--seed", "11")
    netcrab("run", events, "--tables", tmp_path / "tables", "--strict")
    duckdb_chain.run(events, tmp_path / "duckdb", threads=2, tasks=True)
    assert_equal(tmp_path / "tables", tmp_path / "duckdb")
