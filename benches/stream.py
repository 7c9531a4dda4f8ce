"""The running pipeline under load: events arrive over HTTP at a fixed rate; measures how soon answers have them.

    NETCRAB=target/release/netcrab python benches/stream.py [--rate 50000] [--seconds 60] [--soak] [--write]

Starts `netcrab serve` on the built-in log and sends batches of 500 generated events over four connections.
Five times a second it also sends one event of a new session and asks the API until the session is in the
answer: that time is the freshness. At the end it kills the server with SIGKILL, starts it again, and waits
until the shard works: that time is the recovery. Load and server run on this machine and share its cores.

`--soak` watches memory, disk and files while it runs, and fails where memory still grows in the last third.
The traffic covers a day, so a run of minutes is a day of events in accelerated time. Lateness is accelerated too:
where connections are a second out of step, events are five minutes out of order. So the lateness is set to half an
hour. More sessions are open then, and the limit of open sessions in answers is raised.
"""

import argparse
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).parent
NETCRAB = os.environ.get("NETCRAB", "target/release/netcrab")
BATCH, CONNECTIONS, ORG = 500, 4, "org_aurora"


class Bodies:
    """Request bodies, one on each line of a file. The file is generated once."""

    def __init__(self, cache, events, days):
        self.file = cache / f"stream-{events}-{days}.bodies"
        if not self.file.exists():
            self.make(cache, events, days)
        self.ends = [0]
        with self.file.open("rb") as lines:
            for line in lines:
                self.ends.append(self.ends[-1] + len(line))

    def make(self, cache, events, days):
        lines, unfinished = cache / "unfinished.ndjson", cache / "unfinished.bodies"
        subprocess.run([NETCRAB, "--quiet", "generate", str(lines), "--events", str(events), "--orgs", "1", "--products", "2",
                        "--days", str(days)], check=True)
        with lines.open("rb") as events, unfinished.open("wb") as bodies:
            batch = []
            for line in events:
                batch.append(re.sub(rb'"orgId":"[^"]*"', b'"orgId":"%s"' % ORG.encode(), line.rstrip(), count=1))
                if len(batch) == BATCH:
                    bodies.write(b'{"agentId":"bench","sdkVersion":"1.0","events":[' + b",".join(batch) + b"]}\n")
                    batch = []
        lines.unlink()
        unfinished.rename(self.file)

    def __len__(self):
        return len(self.ends) - 1

    def part(self, part):
        """Every CONNECTIONS-th batch, beginning with `part`."""
        with self.file.open("rb") as file:
            for place in range(part, len(self), CONNECTIONS):
                file.seek(self.ends[place])
                yield file.read(self.ends[place + 1] - self.ends[place] - 1)


class Server:
    def __init__(self, tables, settings):
        self.settings = settings
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.tables = tables
        self.start()

    def start(self):
        command = [NETCRAB, "--quiet", "serve", "--tables", self.tables, "--listen", f"127.0.0.1:{self.port}",
                   "--key", f"nc_bench={ORG}", "--agent-key", f"nc_agent_bench={ORG}"]
        self.process = subprocess.Popen(command, env={**os.environ, "NETCRAB_API__INGEST__EVENTS_PER_S_MAX": "10000000", **self.settings})

    def connection(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def metric(self, name):
        connection = self.connection()
        connection.request("GET", "/metrics")
        page = connection.getresponse().read().decode()
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? ([0-9.e+-]+)$", page, re.M)
        return sum(map(float, found))

    def until_up(self, name="netcrab_stream_epoch", at_least=0):
        began = time.perf_counter()
        while True:
            try:
                if self.metric(name) >= at_least:
                    return time.perf_counter() - began
            except OSError:
                pass
            time.sleep(0.02)


def post(connection, body):
    headers = {"Authorization": "Bearer nc_agent_bench", "Content-Type": "application/json"}
    connection.request("POST", "/v1/events/batch", body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def load(server, batches, rate, answered, refused, latest):
    """Sends the batches of one connection at its share of the rate."""
    connection, began = server.connection(), time.perf_counter()
    for place, body in enumerate(batches):
        pause = began + place * BATCH * CONNECTIONS / rate - time.perf_counter()
        if pause > 0:
            time.sleep(pause)
        sent = time.perf_counter()
        status = post(connection, body)
        latest[0] = int(re.findall(rb'"ts":(\d+)', body[-2000:])[-1])
        (answered if status == 200 else refused).append(time.perf_counter() - sent)


def probe(server, ended, seen, latest):
    """Sends an event, asks until its session is in the answer, and repeats."""
    connection, number = server.connection(), 0
    while not ended.is_set():
        began, session = time.perf_counter(), f"probe-{os.getpid()}-{number}"
        # The event has the time of the traffic. With today's time it would make all traffic late.
        now = latest[0]
        if not now:
            time.sleep(0.1)
            continue
        event = {"orgId": ORG, "productId": "probe", "sessionId": session, "userHash": "u", "eventId": session, "ts": now,
                 "eventType": "navigation", "screenId": "home", "route": "/", "deviceType": "desktop"}
        if post(connection, json.dumps({"agentId": "probe", "sdkVersion": "1.0", "events": [event]}).encode()) != 200:
            continue
        day = time.strftime("%Y-%m-%d", time.gmtime(now / 1000))
        while not ended.is_set():
            connection.request("GET", f"/v1/insights/sessions?orgId={ORG}&productId=probe&from={day}&to={day}&limit=50",
                               headers={"Authorization": "Bearer nc_bench"})
            items = json.loads(connection.getresponse().read()).get("items", [])
            if any(item["sessionId"] == session for item in items):
                seen.append(time.perf_counter() - began)
                break
            time.sleep(0.02)
        number += 1
        time.sleep(max(0, 0.2 - (time.perf_counter() - began)))


class Watch(threading.Thread):
    """Samples the server's memory each second, and disk and files every `every` seconds."""

    HEAD = ["| s | memory MiB | open sessions | lag | tables MiB | bus MiB | Parquet files | log entries |", "|---|---|---|---|---|---|---|---|"]

    def __init__(self, server, tables, ended, every):
        super().__init__()
        self.server, self.tables, self.ended, self.every = server, pathlib.Path(tables), ended, every
        self.memory, self.lines, self.began = [], [], time.perf_counter()

    def run(self):
        look = 0
        while not self.ended.wait(1):
            status = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
            self.memory.append(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024)
            if time.perf_counter() - self.began > look:
                look += self.every
                self.lines.append(self.line())

    def line(self):
        bus = sum(size(file) for file in self.tables.glob("_bus/**/*"))
        parquet = [size(file) for file in self.tables.glob("*/**/*.parquet") if "_delta_log" not in file.parts]
        entries = sum(1 for _ in self.tables.glob("*/_delta_log/*.json"))
        took, lag, sessions = time.perf_counter() - self.began, self.server.metric("netcrab_stream_lag"), self.server.metric("netcrab_stream_open_sessions")
        return (f"| {took:.0f} | {self.memory[-1]:.0f} | {sessions:,.0f} | {lag:,.0f} | {sum(parquet) / 2**20:.0f} "
                f"| {bus / 2**20:.0f} | {len(parquet)} | {entries} |")

    def verdict(self):
        third = len(self.memory) // 3
        middle, last = max(self.memory[third:2 * third]), max(self.memory[2 * third:])
        return last <= 1.1 * middle, f"Most memory in the middle third {middle:.0f} MiB, in the last {last:.0f} MiB."


def size(file):
    """Bytes of a file; 0 where it has been removed meanwhile."""
    try:
        return file.stat().st_size if file.is_file() else 0
    except OSError:
        return 0


def at(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=50_000, help="events a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--days", type=int, default=2, help="days of traffic that the events cover")
    parser.add_argument("--soak", action="store_true", help="watch memory, disk and files; a day of traffic")
    parser.add_argument("--write", action="store_true", help="put the result into benches/results.md")
    args = parser.parse_args()
    cache = pathlib.Path(os.environ.get("NETCRAB_CACHE", pathlib.Path.home() / ".cache/netcrab")) / "bench"
    cache.mkdir(parents=True, exist_ok=True)
    batches = Bodies(cache, args.rate * args.seconds, 1 if args.soak else args.days)
    with tempfile.TemporaryDirectory(dir=cache) as tables:
        server = Server(tables, {"NETCRAB_STREAM__LATENESS_MS": "1800000", "NETCRAB_STREAM__LIVE_SESSIONS_MAX": "200000"} if args.soak else {})
        server.until_up()
        answered, refused, seen, latest, ended = [], [], [], [None], threading.Event()
        prober = threading.Thread(target=probe, args=(server, ended, seen, latest))
        loaders = [threading.Thread(target=load, args=(server, batches.part(part), args.rate, answered, refused, latest))
                   for part in range(CONNECTIONS)]
        watch = Watch(server, tables, ended, max(10, args.seconds // 12))
        began = time.perf_counter()
        for thread in [prober, *loaders, *([watch] if args.soak else [])]:
            thread.start()
        for thread in loaders:
            thread.join()
        took = time.perf_counter() - began
        ended.set()
        if args.soak:
            watch.join()
        prober.join()
        # Repeats are dropped at ingestion, so event counts do not match. A lag of 0 says that all are processed.
        while server.metric("netcrab_stream_lag") > 0:
            time.sleep(0.05)
        caught_up = time.perf_counter() - began - took
        open_sessions, state = server.metric("netcrab_stream_open_sessions"), server.metric("netcrab_stream_state_bytes")
        peak = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{server.process.pid}/status").read_text())[1]) / 1024
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        states = sum(file.stat().st_size for file in pathlib.Path(tables).glob("_stream/*/*"))
        files = sum(1 for _ in pathlib.Path(tables).glob("fact_sessions/**/*.parquet"))
        server.start()
        recovered = server.until_up("netcrab_stream_epoch", 1)
        server.process.terminate()
        server.process.wait()
    lines = [
        f"{len(answered) * BATCH:,} events in {took:.0f} s: {len(answered) * BATCH / took:,.0f} a second, {len(refused)} batches refused.", "",
        "| what | p50 | p99 | max |", "|---|---|---|---|",
        f"| answer to a batch of {BATCH}, s | {at(answered, .5):.3f} | {at(answered, .99):.3f} | {max(answered):.3f} |",
        f"| freshness: from sending until in the answer, s | {at(seen, .5):.2f} | {at(seen, .99):.2f} | {max(seen, default=float('nan')):.2f} |", "",
        f"Caught up {caught_up:.1f} s after the last batch. Peak of the process {peak:.0f} MiB. {open_sessions:,.0f} sessions open at the end, "
        f"{state / 2**20:.0f} MiB; {states / 2**20:.0f} MiB of manifests and states on disk, {files} files in fact_sessions. "
        f"Working again {recovered:.1f} s after SIGKILL.",
    ]
    flat = True
    if args.soak:
        flat, said = watch.verdict()
        lines += ["", said, "", *watch.HEAD, *watch.lines]
    text = "\n".join(lines)
    print(text)
    if args.write:
        file = HERE / "results.md"
        title = "A soak" if args.soak else "The running pipeline"
        soak = " --soak" if args.soak else ""
        section = f"## {title}\n\n`benches/stream.py --rate {args.rate} --seconds {args.seconds}{soak}`.\n\n{text}\n"
        old = file.read_text()
        found = re.search(rf"^## {title}\n.*?(?=^## |\Z)", old, re.M | re.S)
        file.write_text(old[:found.start()] + section + "\n" + old[found.end():] if found else old.rstrip() + "\n\n" + section)
    if not flat:
        sys.exit("memory grows")


if __name__ == "__main__":
    main()
