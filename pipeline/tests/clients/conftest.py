"""Fixtures: the binary as a function, and a folder of tables of 30,000 generated events."""

import os
import subprocess

import pytest


@pytest.fixture(scope="session")
def netcrab():
    binary = os.environ["NETCRAB"]

    def run(*arguments):
        done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def tables(netcrab, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    netcrab("generate", folder / "events.parquet", "--events", "30000", "--days", "4")
    netcrab("run", folder / "events.parquet", "--tables", folder / "tables")
    return folder / "tables"
