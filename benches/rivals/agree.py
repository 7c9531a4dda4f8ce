"""Runs the rivals over many adversarial files and compares what they write; exits 1 at the first seed where they differ.

    agree.py --seeds 0..300 [--engines duckdb,duckdb_window,polars,clickhouse] [--keep DIR]
"""

import argparse
import pathlib
import sys
import tempfile

import compare
import duckdb_chain
import make_random
import polars_chain


def run_clickhouse(events, output):
    import clickhouse_chain  # only this rival needs ClickHouse's library
    clickhouse_chain.run(events, output, tasks=True)


ENGINES = {
    "duckdb": lambda events, output: duckdb_chain.run(events, output, tasks=True),
    # It writes the four timed tables and no fact_tasks.
    "duckdb_window": lambda events, output: duckdb_chain.run(events, output, sql="duckdb_window.sql"),
    "polars": lambda events, output: polars_chain.run(events, output, tasks=True),
    "clickhouse": run_clickhouse,
}


def agree(seed, engines, directory):
    """The report of the first engine that differs from the first one named, or None."""
    events = directory / "events.parquet"
    make_random.write_adversarial(events, seed)
    outputs = [directory / engine for engine in engines]
    for engine, output in zip(engines, outputs):
        ENGINES[engine](events, output)
    for output in outputs[1:]:
        lines, equal = compare.compare_directories(outputs[0], output)
        if not equal:
            return lines
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0..100", help="from..to, the end not included")
    parser.add_argument("--engines", type=lambda text: text.split(","), default=list(ENGINES))
    parser.add_argument("--keep", type=pathlib.Path, help="keep the last seed's files here")
    args = parser.parse_args()
    first, last = map(int, args.seeds.split(".."))
    with tempfile.TemporaryDirectory() as scratch:
        directory = args.keep or pathlib.Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        for seed in range(first, last):
            report = agree(seed, args.engines, directory)
            if report is not None:
                print(f"seed {seed}:", *report, sep="\n")
                sys.exit(1)
    print(f"{', '.join(args.engines)} agree on seeds {args.seeds}")


if __name__ == "__main__":
    main()
