"""Fixtures: the binary as a function, folders of tables, and Spark."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture(scope="session")
def netcrab():
    binary = os.environ["NETCRAB"]

    def run(*arguments, **environment):
        done = subprocess.run([binary, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, **environment})
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def tables(netcrab, tmp_path_factory):
    """Tables of 30,000 generated events, which one run wrote."""
    folder = tmp_path_factory.mktemp("clients")
    netcrab("generate", folder / "events.parquet", "--events", "30000", "--days", "4")
    netcrab("run", folder / "events.parquet", "--tables", folder / "tables")
    return folder / "tables"


def send(events, address):
    """Sends a batch of events, and asserts that every event is accepted."""
    body = json.dumps({"agentId": "a1", "sdkVersion": "1", "events": events}).encode()
    headers = {"Authorization": "Bearer nc_agent_k", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"http://{address}/v1/events/batch", body, headers)) as answer:
        assert json.loads(answer.read())["accepted"] == len(events)


@pytest.fixture(scope="session")
def streamed(netcrab, tmp_path_factory):
    """Tables of 7,000 generated events, which a stream wrote in many short epochs, replacing files."""
    folder = tmp_path_factory.mktemp("streamed")
    netcrab("generate", folder / "events.ndjson", "--events", "7000", "--days", "1", "--orgs", "1")
    events = [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    line = [os.environ["NETCRAB"], "ingest", "--tables", folder / "tables", "--listen", address,
            "--agent-key", f"nc_agent_k={events[0]['orgId']}"]
    ingest = subprocess.Popen(line, stderr=subprocess.PIPE)
    try:
        await_health(address, ingest)
        for begin in range(0, len(events), 300):
            send(events[begin:begin + 300], address)
    finally:
        ingest.terminate()
        ingest.communicate(timeout=30)
    # The smallest that is allowed.
    netcrab("process", "--tables", folder / "tables", "--finish", NETCRAB_STREAM__EPOCH_BYTES_MAX="65536")
    return folder / "tables"


def await_health(address, process):
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://{address}/health").close()
            return
        except OSError:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.1)
    raise AssertionError("netcrab did not answer within 30 s")


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """A session of Spark with Delta, one for all tests: two threads and 1 GiB, on loopback only."""
    fetched = subprocess.run([ROOT / "scripts" / "spark.sh", "path"], check=True, stdout=subprocess.PIPE, text=True, timeout=1200)
    cache, scratch = pathlib.Path(fetched.stdout.strip()), tmp_path_factory.mktemp("spark")
    settings = {
        "spark.jars": ",".join(map(str, sorted((cache / "jars").glob("*.jar")))),
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": f"-XX:+UseSerialGC -Djava.io.tmpdir={scratch}",
        "spark.local.dir": scratch,
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": scratch / "warehouse",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # The defaults are made for large tables: 200 and 50 tasks for a handful of rows.
        "spark.sql.shuffle.partitions": "2",
        "spark.databricks.delta.snapshotPartitions": "2",
    }
    with pytest.MonkeyPatch.context() as environment:
        environment.syspath_prepend(cache / "python")
        environment.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        environment.setenv("PYSPARK_PYTHON", sys.executable)
        for other in ("SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS"):
            environment.delenv(other, raising=False)
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[2]").appName("netcrab")
        for name, value in settings.items():
            builder = builder.config(name, str(value))
        session = builder.getOrCreate()
        yield session
        session.stop()
