"""Events in a bucket become the same tables as files on disk, tables in a bucket hold the same rows as tables
on disk, and errors of the store say what to do.

The store is MinIO, started by scripts/minio.sh.
"""

import concurrent.futures
import csv
import gzip
import hashlib
import hmac
import json
import os
import pathlib
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import deltalake
import duckdb
import polars
import pyarrow.compute
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import pytest

ROOT = pathlib.Path(__file__).parents[3]
MINIO = ROOT / "scripts" / "minio.sh"
KEYS = {"AWS_ACCESS_KEY_ID": "netcrab", "AWS_SECRET_ACCESS_KEY": "netcrab-secret"}
TABLES = ["events_raw", "events_sessionized", "fact_sessions", "fact_incidents", "fact_tasks", "fact_screen_hotspots",
          "fact_flows", "dim_task_types", "dim_releases", "rejects"]

# No command may take longer, whatever the store does.
SECONDS_MAX = 90

LOG = """\
192.0.2.1 - - [17/May/2025:10:05:03 +0000] "GET /shop?page=2 HTTP/1.1" 200 512 "-" "Mozilla/5.0 (X11) Firefox/115.0"
192.0.2.1 - - [17/May/2025:10:05:43 +0000] "GET /shop/42 HTTP/1.1" 404 162 "http://example.test/shop" "Mozilla/5.0 (X11) Firefox/115.0"
not a line of a log
192.0.2.7 - - [17/May/2025:10:06:00 +0000] "GET / HTTP/1.1" 200 512 "-" "curl/8.5.0"
"""


class Store:
    """A MinIO server in a folder, with one bucket."""

    def __init__(self, folder):
        self.folder = folder
        self.started = False

    def start(self):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MINIO_")}
        subprocess.run([MINIO, "start", self.folder], check=True, timeout=1200, env=clean)
        self.started = True
        self.endpoint = f"http://127.0.0.1:{(self.folder / 'port').read_text().strip()}"
        self.files = pyarrow.fs.S3FileSystem(
            access_key=KEYS["AWS_ACCESS_KEY_ID"], secret_key=KEYS["AWS_SECRET_ACCESS_KEY"], region="us-east-1",
            endpoint_override=self.endpoint, allow_bucket_creation=True)
        self.files.create_dir("events")
        return self

    def stop(self):
        if self.started:
            subprocess.run([MINIO, "stop", self.folder], check=True)
            self.started = False

    def put(self, key, content):
        with self.files.open_output_stream(f"events/{key}", compression=None) as out:
            out.write(content)

    def put_folder(self, folder, prefix):
        files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda file: self.put(f"{prefix}/{file.relative_to(folder)}", file.read_bytes()), files))


def command(arguments, endpoint, **environment):
    """The command line and environment of netcrab with these AWS settings only; None removes one."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    aws = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true", **KEYS, **environment}
    clean.update({name: value for name, value in aws.items() if value is not None})
    binary = os.environ["NETCRAB"]
    return [binary, *map(str, arguments)], clean


def run(arguments, endpoint, **environment):
    line, environment = command(arguments, endpoint, **environment)
    return subprocess.run(line, capture_output=True, text=True, env=environment, timeout=SECONDS_MAX)


def succeed(arguments, endpoint, **environment):
    done = run(arguments, endpoint, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fails(arguments, endpoint, tables, **environment):
    """What netcrab prints on stderr. Asserts that it failed, did not panic, and left no tables."""
    done = run([*arguments, "--tables", tables], endpoint, **environment)
    assert done.returncode == 1, done.stdout + done.stderr
    assert not tables.exists() or not list(tables.rglob("*.parquet"))
    assert "panicked" not in done.stderr
    return done.stderr


def rows(tables, name):
    """All rows of a table as sorted texts. The file of a reject is without its folder."""
    table = deltalake.DeltaTable(tables / name).to_pyarrow_table().to_pylist()
    for row in table:
        if "file" in row:
            row["file"] = row["file"].rsplit("/", 1)[-1]
    return sorted(repr(sorted(row.items())) for row in table)


def assert_equal(left, right):
    assert rows(left, "events_raw") and rows(left, "fact_sessions")
    for name in TABLES:
        assert rows(left, name) == rows(right, name), name


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("minio"))
    try:
        yield store.start()
    finally:
        store.stop()


@pytest.fixture(scope="module")
def local(netcrab, tmp_path_factory):
    """Generated events on disk, a file of every format."""
    folder = tmp_path_factory.mktemp("events")
    (folder / "2025" / "05").mkdir(parents=True)
    names = ["a.parquet", "b.ndjson", "2025/c.ndjson.gz", "2025/05/d.ndjson.zst"]
    for seed, name in enumerate(names):
        netcrab("generate", folder / name, "--events", "4000", "--days", "3", "--seed", str(seed))
    netcrab("generate", folder / "csv.parquet", "--events", "2000", "--days", "3", "--seed", "9")
    events = pyarrow.parquet.read_table(folder / "csv.parquet")
    (folder / "csv.parquet").unlink()
    write_csv(events, folder / "e.csv")
    (folder / "_SUCCESS.ndjson").write_text("bookkeeping, never read\n")
    with (folder / "b.ndjson").open("a") as out:
        out.write("not an event\n")
    return folder


def write_csv(events, path):
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, events.column_names)
        writer.writeheader()
        for row in events.to_pylist():
            for name, value in row.items():
                if hasattr(value, "isoformat"):
                    row[name] = value.isoformat(timespec="milliseconds")
                elif isinstance(value, bool):
                    row[name] = str(value).lower()
            writer.writerow(row)


@pytest.fixture(scope="module")
def many(netcrab, local, store, tmp_path_factory):
    """More objects than one page of a listing holds."""
    folder = tmp_path_factory.mktemp("many")
    lines = (local / "b.ndjson").read_text().splitlines()
    for number in range(1050):
        (folder / f"{number:04}.ndjson").write_text("\n".join(lines[number * 3:number * 3 + 3]) + "\n")
    store.put_folder(folder, "many")
    return folder


def test_a_prefix_of_every_format_becomes_the_tables_of_the_same_files_on_disk(netcrab, local, store, tmp_path):
    store.put_folder(local, "all")
    netcrab("run", local, "--tables", tmp_path / "disk")
    said = succeed(["run", "s3://events/all/", "--tables", tmp_path / "s3"], store.endpoint)
    assert "18,000 events" in said and "1 not_json" in said, said
    assert_equal(tmp_path / "disk", tmp_path / "s3")
    again = succeed(["run", "s3://events/all", "--tables", tmp_path / "s3"], store.endpoint)
    assert "already holds" in again


@pytest.mark.parametrize("name", ["a.parquet", "b.ndjson", "2025/c.ndjson.gz", "2025/05/d.ndjson.zst", "e.csv"])
def test_a_single_object_of_each_format(netcrab, local, store, tmp_path, name):
    key = f"single/{pathlib.Path(name).name}"
    store.put(key, (local / name).read_bytes())
    netcrab("run", local / name, "--tables", tmp_path / "disk")
    succeed(["run", f"s3://events/{key}", "--tables", tmp_path / "s3"], store.endpoint)
    assert_equal(tmp_path / "disk", tmp_path / "s3")


def test_an_access_log_through_its_mapping_makes_the_same_ids(netcrab, store, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "access.log").write_text(LOG)
    (tmp_path / "logs" / "access.log.1.gz").write_bytes(gzip.compress(LOG.replace("/May/", "/Apr/").encode()))
    store.put_folder(tmp_path / "logs", "logs")
    mapping = ["--mapping", ROOT / "docs" / "mapping-weblog.toml"]
    netcrab("run", tmp_path / "logs", *mapping, "--tables", tmp_path / "disk")
    said = succeed(["run", "s3://events/logs", *mapping, "--tables", tmp_path / "s3"], store.endpoint)
    assert "6 events" in said and "2 rejected" in said, said
    assert_equal(tmp_path / "disk", tmp_path / "s3")


def test_a_prefix_of_more_objects_than_one_page_of_a_listing(netcrab, many, store, tmp_path):
    netcrab("run", many, "--tables", tmp_path / "disk")
    said = succeed(["run", "s3://events/many", "--tables", tmp_path / "s3"], store.endpoint)
    assert "3,150 events" in said, said
    assert_equal(tmp_path / "disk", tmp_path / "s3")


def test_an_object_of_several_pieces_is_read_whole(netcrab, store, tmp_path):
    events = tmp_path / "large.ndjson"
    netcrab("generate", events, "--events", "30000", "--days", "3")
    assert events.stat().st_size > 9 << 20
    store.put("large.ndjson", events.read_bytes())
    netcrab("run", events, "--tables", tmp_path / "disk")
    succeed(["run", "s3://events/large.ndjson", "--tables", tmp_path / "s3"], store.endpoint)
    assert_equal(tmp_path / "disk", tmp_path / "s3")


def test_an_empty_object_has_no_events_and_stops_nothing(local, store, tmp_path):
    store.put("empty-object/a.ndjson", b"")
    store.put("empty-object/b.ndjson", (local / "b.ndjson").read_bytes())
    said = succeed(["run", "s3://events/empty-object", "--tables", tmp_path / "s3"], store.endpoint)
    assert "4,000 events" in said, said


def test_a_prefix_with_nothing_below_it_names_what_is_expected(store, tmp_path):
    said = fails(["run", "s3://events/nothing/here"], store.endpoint, tmp_path / "t")
    assert "no event files in `s3://events/nothing/here`" in said and ".parquet" in said, said


def on_s3(store, prefix):
    """The URL of tables, and the options with which the deltalake client reads them."""
    options = {"AWS_ENDPOINT_URL": store.endpoint, "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1", **KEYS}
    return f"s3://events/{prefix}", options


def test_tables_in_a_bucket_are_those_on_disk_for_every_reader(netcrab, local, store, tmp_path):
    netcrab("run", local, "--tables", tmp_path / "disk")
    tables, options = on_s3(store, "tables")
    for _ in range(2):
        succeed(["run", local, "--tables", tables], store.endpoint)
    for name in TABLES:
        ours = deltalake.DeltaTable(f"{tables}/{name}", storage_options=options).to_pyarrow_table()
        theirs = deltalake.DeltaTable(tmp_path / "disk" / name).to_pyarrow_table()
        assert sorted(map(repr, ours.to_pylist())) == sorted(map(repr, theirs.to_pylist())), name
    question = "SELECT screen_id, sum(visits) AS visits FROM fact_screen_hotspots GROUP BY 1 ORDER BY 1"
    in_bucket = succeed(["--json", "sql", "--tables", tables, question], store.endpoint)
    assert in_bucket == netcrab("--json", "sql", "--tables", tmp_path / "disk", question)
    frame = polars.read_delta(f"{tables}/fact_flows", storage_options=options)
    assert frame["moves"].sum() > 0
    # DuckDB's own S3 reader is an extension that it downloads. pyarrow's reader needs no download.
    files = deltalake.DeltaTable(f"{tables}/fact_flows", storage_options=options).file_uris()
    flows = pyarrow.dataset.dataset([file.removeprefix("s3://") for file in files], filesystem=store.files)
    assert flows.count_rows() == frame.height > 0
    assert int(duckdb.sql("SELECT sum(moves) FROM flows").fetchall()[0][0]) == frame["moves"].sum()


def test_two_runs_at_once_into_one_bucket_leave_whole_tables(local, store):
    tables, options = on_s3(store, "raced")
    commands = [command(["run", local / name, "--tables", tables], store.endpoint) for name in ("a.parquet", "b.ndjson")]
    racing = [subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
              for line, environment in commands]
    said = [process.communicate(timeout=SECONDS_MAX)[1] for process in racing]
    assert any(process.returncode == 0 for process in racing), said
    # A run that lost the race fails with a message. Running both again completes the tables, whatever the order.
    for name in ("a.parquet", "b.ndjson"):
        succeed(["run", local / name, "--tables", tables], store.endpoint)
    raw = deltalake.DeltaTable(f"{tables}/events_raw", storage_options=options).to_pyarrow_table()
    assert raw.num_rows == 8000


@pytest.mark.parametrize("wrong, expected", [
    ({"AWS_SECRET_ACCESS_KEY": "wrong-value"}, "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ({"bucket": "no-such-bucket"}, "there is no such bucket; check its name"),
])
def test_tables_that_cannot_be_written_say_what_to_do(local, store, wrong, expected):
    bucket = wrong.get("bucket", "events")
    environment = {name: value for name, value in wrong.items() if name != "bucket"}
    done = run(["run", local / "a.parquet", "--tables", f"s3://{bucket}/denied"], store.endpoint, **environment)
    assert done.returncode == 1 and expected in done.stderr, done.stderr
    assert "wrong-value" not in done.stderr and "panicked" not in done.stderr, done.stderr


def keys_that_may(store, actions):
    """Temporary keys that allow these actions only (AssumeRole of MinIO's STS; the request is signed here)."""
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": ["arn:aws:s3:::*"]}]}
    body = urllib.parse.urlencode({"Action": "AssumeRole", "Version": "2011-06-15", "DurationSeconds": 900,
                                   "Policy": json.dumps(policy)})
    host, now = store.endpoint.removeprefix("http://"), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    scope = f"{now[:8]}/us-east-1/sts/aws4_request"
    digest = hashlib.sha256(body.encode()).hexdigest()
    headers = {"content-type": "application/x-www-form-urlencoded", "host": host, "x-amz-date": now}
    names = ";".join(headers)
    canonical = "\n".join(["POST", "/", "", *(f"{name}:{value}" for name, value in headers.items()), "", names, digest])
    signed = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + KEYS["AWS_SECRET_ACCESS_KEY"]).encode()
    for part in [*scope.split("/"), signed]:
        key = hmac.digest(key, part.encode(), "sha256")
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={KEYS['AWS_ACCESS_KEY_ID']}/{scope}, "
                                f"SignedHeaders={names}, Signature={key.hex()}")
    with urllib.request.urlopen(urllib.request.Request(store.endpoint, body.encode(), headers)) as answer:
        said = answer.read().decode()
    found = [re.search(f"<{name}>(.*?)</{name}>", said)[1] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    return dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), found))


def test_keys_without_permission_say_what_is_missing_and_leave_the_tables_as_they_were(local, store, tmp_path):
    tables, _ = on_s3(store, "guarded")
    succeed(["run", local / "a.parquet", "--tables", tables], store.endpoint)
    count = ["--json", "sql", "--tables", tables, "SELECT count(*) AS n FROM events_raw"]
    before = succeed(count, store.endpoint)
    reads = keys_that_may(store, ["s3:GetObject", "s3:ListBucket"])
    assert succeed(count, store.endpoint, **reads) == before
    nothing = keys_that_may(store, ["s3:GetBucketLocation"])
    log = {"NETCRAB_BUS__LOG__FOLDER": str(tmp_path / "bus")}
    for arguments, keys in [(["run", local / "b.ndjson"], reads), (["run", local / "b.ndjson"], nothing),
                            (["serve", "--key", "nc_k=acme"], nothing), (["process", "--finish"], nothing)]:
        done = run([*arguments, "--tables", tables], store.endpoint, **keys, **log)
        assert done.returncode == 1 and "that they may list, read and write it" in done.stderr, done.stderr
        assert "panicked" not in done.stderr and keys["AWS_SECRET_ACCESS_KEY"] not in done.stderr
    assert succeed(count, store.endpoint) == before


def test_the_built_in_log_needs_a_disk(store):
    for arguments in (["process"], ["ingest", "--agent-key", "nc_agent_k=acme"]):
        done = run([*arguments, "--tables", "s3://events/live"], store.endpoint)
        assert done.returncode == 1 and "bus.log.folder" in done.stderr, done.stderr


class Api:
    """A running `netcrab serve` over tables."""

    def __init__(self, store, tables, *more, **environment):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        line, environment = command(["serve", "--tables", tables, "--listen", self.address, "--key", "nc_k=acme", *more],
                                    store.endpoint, **environment)
        self.process = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE)

    def __enter__(self):
        for _ in range(300):
            try:
                self.ask("/health")
                return self
            except OSError:
                assert self.process.poll() is None, self.process.stderr.read()
                time.sleep(0.1)
        raise AssertionError("netcrab serve did not answer within 30 s")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate(timeout=30)

    def ask(self, path, body=None, key="nc_k"):
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"http://{self.address}{path}", body, headers)) as answer:
            return json.loads(answer.read())


def test_the_api_answers_from_a_bucket_as_from_a_disk(netcrab, local, store, tmp_path):
    netcrab("run", local, "--tables", tmp_path / "disk")
    tables, _ = on_s3(store, "served")
    succeed(["run", local, "--tables", tables], store.endpoint)
    with Api(store, tables) as bucket, Api(store, tmp_path / "disk") as disk:
        products = disk.ask("/v1/insights/products?orgId=acme")["items"]
        assert products
        for product in products:
            for page in ["insights/overview", "insights/hotspots", "insights/incidents", "insights/sessions",
                         "flows/top", "flows/graph"]:
                path = f"/v1/{page}?orgId=acme&productId={product['productId']}"
                assert bucket.ask(path) == disk.ask(path), path


def test_events_sent_to_an_api_over_a_bucket_are_seen_at_once_and_stay(store, tmp_path):
    tables, _ = on_s3(store, "live")
    log = {"NETCRAB_BUS__LOG__FOLDER": str(tmp_path / "bus"), "NETCRAB_STREAM__EPOCH_MS": "100"}
    events = [{"orgId": "acme", "productId": "crm", "sessionId": "s1", "userHash": "9f2c", "eventId": f"e{n}",
               "ts": int(time.time() * 1000) - 1000 + n, "eventType": "click", "screenId": f"screen-{n % 3}",
               "route": "/a", "deviceType": "desktop"} for n in range(30)]
    body = json.dumps({"agentId": "a1", "sdkVersion": "1.0.0", "events": events}).encode()
    with Api(store, tables, "--agent-key", "nc_agent_k=acme", **log) as api:
        assert api.ask("/v1/events/batch", body, "nc_agent_k")["accepted"] == 30
        for _ in range(200):
            seen = api.ask("/v1/insights/sessions?orgId=acme&productId=crm")["items"]
            if seen:
                break
            time.sleep(0.1)
        assert len(seen) == 1, seen
    succeed(["process", "--finish", "--tables", tables], store.endpoint, **log)
    with Api(store, tables) as api:
        assert len(api.ask("/v1/insights/sessions?orgId=acme&productId=crm")["items"]) == 1
    shards = json.loads(succeed(["--json", "status", "--tables", tables], store.endpoint, **log))
    assert [shard["applied"] for shard in shards] == [True] * len(shards) and max(shard["epoch"] for shard in shards) >= 1


@pytest.mark.parametrize("key", ["", "a/b", "a.parquet"])
def test_a_missing_bucket_is_named(store, tmp_path, key):
    said = fails(["run", f"s3://no-such-bucket/{key}"], store.endpoint, tmp_path / "t")
    assert f"`s3://no-such-bucket/{key}`" in said and "there is no such bucket; check its name" in said, said


@pytest.mark.parametrize("key", ["all/", "single/a.parquet"])
@pytest.mark.parametrize("wrong", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_keys_say_which_settings_to_check(store, tmp_path, key, wrong):
    said = fails(["run", f"s3://events/{key}"], store.endpoint, tmp_path / "t", **{wrong: "wrong-value"})
    assert "access was refused; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said, said
    assert "wrong-value" not in said and "netcrab-secret" not in said, said


def test_no_keys_at_all_say_which_to_set(store, tmp_path):
    none = {name: None for name in KEYS}
    said = fails(["run", "s3://events/all/"], store.endpoint, tmp_path / "t", **none)
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in said, said


def test_an_address_without_a_bucket_says_what_is_expected(store, tmp_path):
    said = fails(["run", "s3:///a"], store.endpoint, tmp_path / "t")
    assert "it names no bucket" in said and "s3://bucket/prefix" in said, said


def test_a_damaged_object_is_named(local, store, tmp_path):
    whole = (local / "a.parquet").read_bytes()
    store.put("cut/a.parquet", whole[:len(whole) // 2])
    said = fails(["run", "s3://events/cut"], store.endpoint, tmp_path / "t")
    assert "`s3://events/cut/a.parquet` is not a whole Parquet file" in said, said


def test_a_store_that_does_not_run_is_an_error_that_names_it(tmp_path_factory, local, tmp_path):
    store = Store(tmp_path_factory.mktemp("stopped")).start()
    store.put("a.parquet", (local / "a.parquet").read_bytes())
    store.stop()
    said = fails(["run", "s3://events/a.parquet"], store.endpoint, tmp_path / "t")
    assert "it does not answer; check AWS_ENDPOINT_URL and that the store runs" in said, said


def test_a_store_that_stops_while_it_is_read_leaves_the_tables_as_they_were(netcrab, tmp_path_factory, tmp_path):
    store = Store(tmp_path_factory.mktemp("stops"))
    try:
        store.start()
        for seed in range(6):
            netcrab("generate", tmp_path / "events.ndjson.zst", "--events", "20000", "--days", "3", "--seed", str(seed))
            store.put(f"events/{seed}.ndjson.zst", (tmp_path / "events.ndjson.zst").read_bytes())
        store.put("first.ndjson.zst", (tmp_path / "events.ndjson.zst").read_bytes())
        tables = tmp_path / "t"
        succeed(["run", "s3://events/first.ndjson.zst", "--tables", tables], store.endpoint)
        before = {name: rows(tables, name) for name in TABLES}
        files = sorted(tables.rglob("*.parquet"))
        line, environment = command(["run", "s3://events/events", "--tables", tables], store.endpoint)
        began = time.monotonic()
        reading = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True)
        time.sleep(0.7)
        assert reading.poll() is None, "the run ended before the store stopped"
        store.stop()
        said = reading.communicate(timeout=SECONDS_MAX)[1]
        assert reading.returncode == 1 and time.monotonic() - began < SECONDS_MAX, said
        assert "it does not answer; check AWS_ENDPOINT_URL and that the store runs" in said, said
        assert {name: rows(tables, name) for name in TABLES} == before
        assert sorted(tables.rglob("*.parquet")) == files
    finally:
        store.stop()
