"""ClickHouse, queried with clickhouse-connect, answers what the Delta tables hold."""

import contextlib
import os
import pathlib
import select
import socket
import ssl
import subprocess
import threading

import clickhouse_connect
import deltalake
import duckdb
import polars
import pytest

ROOT = pathlib.Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "clickhouse.sh"


@pytest.fixture(scope="module")
def client(netcrab, tables, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clickhouse")
    subprocess.run([SCRIPT, "start", folder], check=True, timeout=600)
    try:
        port = (folder / "http_port").read_text().strip()
        os.environ["NETCRAB_CLICKHOUSE__HOSTS"] = f'["http://127.0.0.1:{port}"]'
        netcrab("--quiet", "backfill", "--to", "clickhouse", "--tables", tables)
        yield clickhouse_connect.get_client(host="127.0.0.1", port=int(port), database="netcrab")
    finally:
        os.environ.pop("NETCRAB_CLICKHOUSE__HOSTS", None)
        subprocess.run([SCRIPT, "stop", folder], check=True)


def test_verify_finds_the_rows_of_the_tables(netcrab, tables, client):
    assert "the same" in netcrab("verify", "--tables", tables)


def test_sums_are_those_of_duckdb_and_polars(tables, client):
    sums = "SELECT sum(visits), sum(rage_clicks), round(sum(frustration_sum), 6) FROM"
    theirs = client.query(f"{sums} fact_screen_hotspots").result_rows[0]
    folder = tables / "fact_screen_hotspots"
    files = deltalake.DeltaTable(folder).file_uris()
    in_duckdb = duckdb.sql(f"{sums} read_parquet({files}, hive_partitioning = true)").fetchall()[0]
    frame = polars.read_delta(str(folder))
    assert theirs[:2] == (int(in_duckdb[0]), int(in_duckdb[1])) == (frame["visits"].sum(), frame["rage_clicks"].sum())
    assert theirs[2] == pytest.approx(float(in_duckdb[2]), abs=1e-5)
    assert min(theirs) > 0


def test_types_are_those_an_analyst_expects(client):
    rows = client.query("SELECT start_ts, date, task_types, segment, row_version FROM fact_sessions ORDER BY start_ts LIMIT 1")
    start_ts, date, task_types, _, row_version = rows.result_rows[0]
    assert start_ts.year == 2026 and str(date) == str(start_ts.date()) and isinstance(task_types, list) and row_version == 1
    arrow = client.query_arrow("SELECT screen_id, frustration_sum FROM fact_screen_hotspots LIMIT 5")
    assert arrow.num_rows == 5


class Tls:
    """A proxy: TLS on a port of 127.0.0.1, plain TCP to `port`."""

    def __init__(self, folder, port):
        self.certificate = folder / "cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "30", "-keyout", folder / "key.pem", "-out", self.certificate, "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"],
                       check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.certificate, folder / "key.pem")
        self.listener, self.port = socket.create_server(("127.0.0.1", 0)), port
        self.host = f"https://localhost:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with contextlib.suppress(OSError), self.context.wrap_socket(client, server_side=True) as client:
            with socket.create_connection(("127.0.0.1", self.port)) as server:
                # Requests and answers follow one another, so bytes of either side go to the other as they come.
                while True:
                    ready = [client] if client.pending() else select.select([client, server], [], [])[0]
                    for end in ready:
                        some = end.recv(65536)
                        if not some:
                            return
                        (server if end is client else client).sendall(some)


def test_tls_needs_a_user_and_a_trusted_certificate_and_errors_name_the_setting(netcrab, tables, client, tmp_path):
    tls = Tls(tmp_path, int(client.url.rsplit(":", 1)[1]))
    client.command("CREATE DATABASE guarded")
    right = {"NETCRAB_CLICKHOUSE__HOSTS": f'["{tls.host}"]', "NETCRAB_CLICKHOUSE__USER": "guarded",
             "NETCRAB_CLICKHOUSE__PASSWORD": "a-secret", "NETCRAB_CLICKHOUSE__DATABASE": "guarded",
             "SSL_CERT_FILE": str(tls.certificate)}

    def run(*arguments, **other):
        line = [os.environ["NETCRAB"], *map(str, arguments), "--tables", str(tables)]
        return subprocess.run(line, capture_output=True, text=True, timeout=90, env={**os.environ, **right, **other})

    copied = run("--quiet", "backfill", "--to", "clickhouse")
    assert copied.returncode == 0, copied.stderr
    same = run("verify")
    assert same.returncode == 0 and "the same" in same.stdout, same.stderr
    for wrong, said in [({"NETCRAB_CLICKHOUSE__PASSWORD": "guessed"}, "clickhouse.password"),
                        ({"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}, "SSL_CERT_FILE")]:
        refused = run("verify", **wrong)
        assert refused.returncode == 1 and said in refused.stderr, refused.stderr
        assert "a-secret" not in refused.stderr and "guessed" not in refused.stderr
