"""netcrab against SQL in DuckDB that was written from PRODUCT.md and docs/rules.md alone."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]
RIVALS = ROOT / "benches" / "rivals"
sys.path.insert(0, str(RIVALS))

import compare  # noqa: E402
import duckdb_chain  # noqa: E402


@pytest.mark.parametrize("seed", range(12))
def test_random_events_give_what_duckdb_gives(netcrab, tmp_path, seed):
    events = tmp_path / "events.parquet"
    subprocess.run([sys.executable, RIVALS / "make_random.py", events, "--seed", str(seed)], check=True)
    netcrab("run", events, "--tables", tmp_path / "tables", "--strict")
    duckdb_chain.run(events, tmp_path / "duckdb", threads=2, tasks=True)
    lines, equal = compare.compare_directories(tmp_path / "tables", tmp_path / "duckdb")
    assert equal, "\n".join(lines)


def test_generated_events_give_what_duckdb_gives(netcrab, tmp_path):
    events = tmp_path / "events.parquet"
    netcrab("generate", events, "--events", "60000", "--days", "5", "--seed", "11")
    netcrab("run", events, "--tables", tmp_path / "tables", "--strict")
    duckdb_chain.run(events, tmp_path / "duckdb", threads=2, tasks=True)
    lines, equal = compare.compare_directories(tmp_path / "tables", tmp_path / "duckdb")
    assert equal, "\n".join(lines)
