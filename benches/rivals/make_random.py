"""Event files for the rivals and the oracle, made from a seed.

    make_random.py OUT.parquet --seed 7                          small, aimed at every border of docs/rules.md
    make_random.py OUT.parquet --seed 7 --realistic --events N   large, like real traffic, for timing

The small files aim at the cases in which implementations tend to differ: equal times, repeats of an
event with other fields, disorder, gaps and ages on either side of their border, session keys that
collide, labels and types with the same text, errors on clicks, tasks that restart, complete late or
have no start.
The same seed gives the same rows with the same pinned versions.
"""

import argparse
import random
from datetime import datetime, timezone

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

MOMENT = pa.timestamp("ms", tz="UTC")
TEXT, REAL, FLAG, WHOLE = pa.string(), pa.float32(), pa.bool_(), pa.int64()

# Every column of an event, in table order: name, type, nullable.
COLUMNS = [
    ("org_id", TEXT, False), ("product_id", TEXT, False), ("session_id", TEXT, False),
    ("user_hash", TEXT, False), ("event_id", TEXT, False), ("ts", MOMENT, False),
    ("received_at", MOMENT, True), ("event_type", TEXT, False), ("seq", WHOLE, True),
    ("screen_id", TEXT, False), ("route", TEXT, False), ("app_name", TEXT, True), ("element_type", TEXT, True),
    ("element_label_h", TEXT, True), ("error_code", TEXT, True), ("os", TEXT, True),
    ("browser", TEXT, True), ("device_type", TEXT, False), ("latency_ms", REAL, True),
    ("page_x", REAL, True), ("page_y", REAL, True), ("reaction_ms", REAL, True),
    ("reaction_observed", FLAG, False), ("event_name", TEXT, True), ("task_type", TEXT, True),
    ("task_phase", TEXT, True), ("task_success", FLAG, True), ("version_tag", TEXT, True),
    ("segment", TEXT, True), ("extra", TEXT, True),
]
SCHEMA = pa.schema([pa.field(name, kind, nullable) for name, kind, nullable in COLUMNS])

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
GAP, TASK = 30 * MINUTE, 15 * MINUTE


# --- small and adversarial -------------------------------------------------------------------------

# Texts whose byte order is neither case-folded nor locale order, and texts that JSON must escape.
SCREENS = ["a", "B", "/b", 'q"t', "back\\slash", "é", "zß", "🦀"]
NAMES = ["pay", "Pay", "button", "é", "a/b"]
TASKS = ["t", "T", 'quo"te', "é/x"]
ERRORS = ["E1", "E2", 'E"3', "500/x"]
EVENT_TYPES = ["click", "scroll", "input_meta", "navigation", "focus_change", "custom"]
# 2500 and its float32 neighbours.
REACTIONS = [None, None, 0.0, 120.0, 2499.99976, 2500.0, 2500.00024, 2501.0, 9000.0]

# Times between events: at, just under and just over each border of the rules.
STEPS = [0, 0, 0, 1, 200, 333, 499, 500, 501, 999, 1000, 1001, 2499, 2500, 2501, 8000, 19_999,
         20_000, 20_001, MINUTE, TASK - 1, TASK, TASK + 1, GAP - 1, GAP, GAP + 1, 5 * HOUR]


class Adversary:
    """Draws one small file. Each motif adds events of one visitor around a time; motifs may overlap."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        rng = self.rng
        self.rows = []
        # Few screens and few names, so that backtracks and clicks on one target are common.
        self.screens = rng.sample(SCREENS, rng.randint(2, 4))
        self.names = rng.sample(NAMES, rng.randint(1, 3))
        self.tasks = rng.sample(TASKS, rng.randint(1, 3))
        self.versions = [None, None, "2.2", "2.3"]
        # Just before midnight, so that sessions often cross the date.
        day = datetime(2026, 3, rng.randint(1, 28), 23, 40, tzinfo=timezone.utc)
        self.base = int(day.timestamp() * 1000) + rng.choice([0, 1, 20 * MINUTE - 1, 20 * MINUTE])

    def visitor(self):
        """The fields of a session key. `s1` occurs as a session_id and as a user_hash without one: the same key."""
        rng = self.rng
        return {
            "org_id": rng.choice(["acme", "acme", "Acme"]),
            "product_id": rng.choice(["crm", "crm", "desk"]),
            "session_id": rng.choice(["s1", "s1", "S1", "s2", "", ""]),
            "user_hash": rng.choice(["s1", "u1", "u1", "é"]),
        }

    def event(self, who, ts, event_type=None, **fields):
        rng = self.rng
        screen = rng.choice(self.screens)
        row = {
            **who,
            # Short ids repeat across session keys, and their byte order is not the order of arrival.
            "event_id": rng.choice("eEé0") + str(rng.randrange(10_000)),
            "ts": ts,
            "received_at": rng.choice([None, ts, ts + 5, ts + 70_000]),
            "event_type": event_type or rng.choice(EVENT_TYPES),
            # Null: the place in the file.
            "seq": rng.choice([None, None, 0, 1, 1, 2, 7]),
            "screen_id": screen,
            "route": rng.choice(["/r", "/R", "/r/:id"]),
            "app_name": rng.choice([None, "web"]),
            "element_type": rng.choice([None, *self.names]),
            "element_label_h": rng.choice([None, *self.names]),
            "error_code": rng.choice([None] * 7 + ERRORS),
            "os": rng.choice([None, None, "linux", "mac"]),
            "browser": rng.choice([None, None, "firefox"]),
            "device_type": rng.choice(["desktop", "desktop", "mobile", "tablet"]),
            "latency_ms": rng.choice([None, 1.5, -0.0, 0.0]),
            "page_x": rng.choice([None, -0.0, 0.0, 3.25]),
            "page_y": rng.choice([None, 7.0]),
            "reaction_ms": rng.choice(REACTIONS),
            "reaction_observed": rng.random() < 0.5,
            "event_name": rng.choice([None, None, "n"]),
            "task_type": None,
            "task_phase": None,
            "task_success": None,
            "version_tag": rng.choice(self.versions),
            "segment": rng.choice([None, None, "smb", "ent"]),
            "extra": rng.choice([None, None, '{"k":1}']),
        }
        row.update(fields)
        self.rows.append(row)
        return row

    # Each motif starts at `ts` and returns the time at which it ends.

    def noise(self, who, ts):
        for _ in range(self.rng.randint(1, 12)):
            self.event(who, ts)
            ts += self.rng.choice(STEPS)
        return ts

    def rage(self, who, ts):
        """Clicks on one target, three within a second or just not, with clicks elsewhere in between."""
        rng = self.rng
        target = {
            "screen_id": rng.choice(self.screens),
            "element_label_h": rng.choice([None, *self.names]),
            "element_type": rng.choice([None, *self.names]),
        }
        storm = rng.random() < 0.1  # more clicks than an incident keeps as evidence
        steps = [0, 1, 333, 500] if storm else [0, 250, 333, 334, 499, 500, 500, 501, 1000, 1001]
        for _ in range(rng.choice([50, 51, 60]) if storm else rng.randint(3, 14)):
            self.event(who, ts, "click", **target)
            if rng.random() < 0.25:
                self.event(who, ts + rng.choice([0, 1]), "click")
            ts += rng.choice(steps)
        return ts

    def dead(self, who, ts):
        rng = self.rng
        target = {
            "screen_id": rng.choice(self.screens),
            "element_label_h": rng.choice([None, *self.names]),
            "element_type": rng.choice([None, *self.names]),
        }
        for _ in range(rng.randint(1, 8)):
            self.event(who, ts, "click", **target)
            ts += rng.choice([0, 900, 1250, 2499, 2500, 2500, 2501])
        return ts

    def errors(self, who, ts):
        rng = self.rng
        screen = rng.choice(self.screens)
        for _ in range(rng.randint(1, 4)):
            self.event(who, ts, "click", screen_id=screen)
            for _ in range(rng.randint(0, 3)):
                ts += rng.choice([0, 1, 500, 999, 1000, 1001])
                self.event(who, ts, screen_id=screen if rng.random() < 0.8 else rng.choice(self.screens),
                           error_code=rng.choice([None, *ERRORS]))
        return ts

    def walk(self, who, ts):
        """Navigation among two or three screens, repeats included, with stays around 20 s."""
        rng = self.rng
        screens = rng.sample(self.screens, min(len(self.screens), rng.randint(2, 3)))
        for _ in range(rng.randint(2, 10)):
            self.event(who, ts, "navigation", screen_id=rng.choice(screens))
            if rng.random() < 0.3:
                self.event(who, ts, "focus_change")
            ts += rng.choice([0, 1, 5000, 19_999, 20_000, 20_001, MINUTE])
        return ts

    def task(self, who, ts):
        rng = self.rng
        for _ in range(rng.randint(1, 6)):
            phase = rng.choice(["start", "complete"])
            success = rng.choice([None, True, False])
            self.event(who, ts, rng.choice(["custom", "custom", "click", "navigation"]), task_type=rng.choice(self.tasks),
                       task_phase=phase, task_success=success)
            for _ in range(rng.randint(0, 8)):
                self.event(who, ts + rng.choice([0, 1, MINUTE, TASK - 1, TASK, TASK + 1]))
            ts += rng.choice([0, 1, MINUTE, TASK - 1, TASK, TASK, TASK + 1, GAP])
        return ts

    def long(self, who, ts):
        """Events without a gap for days, some at a session age of exactly 24 h and around it."""
        rng = self.rng
        until = ts + DAY * rng.randint(1, 3) + rng.choice([-1, 0, 1, 5 * MINUTE])
        borders = [ts + DAY * n + d for n in (1, 2) for d in (-1, 0, 0, 1)]
        for border in borders:
            if border <= until and rng.random() < 0.6:
                self.event(who, border)
        while ts < until:
            self.event(who, ts, rng.choice(["scroll", "navigation", "click"]))
            ts += rng.choice([GAP, GAP, GAP, GAP - 1, 20 * MINUTE])
        self.event(who, until)
        return until

    def repeats(self):
        """Repeats of events: the same row, or another row with the same event_id in the same session key."""
        rng = self.rng
        times = ["received_at", "received_at", "ts"]
        other = ["event_type", "seq", "screen_id", "element_label_h", "error_code", "os", "device_type", "reaction_ms",
                 "reaction_observed", "task_success", "version_tag", "segment", "extra", "user_hash", "session_id"]
        for row in rng.sample(self.rows, len(self.rows) // rng.choice([3, 6, 20])):
            again = dict(row)
            if rng.random() < 0.5:
                # Only the column order decides, at times by the sign of a zero.
                fields = ["task_success", rng.choice(other)] if row["task_phase"] else rng.sample(other, 2)
                row["page_x"], again["page_x"] = rng.choice([(0.0, -0.0), (-0.0, 0.0), (None, -0.0), (3.0, 3.0)])
            else:
                fields = rng.choices(times + other, k=rng.randint(0, 3))
            for field in fields:
                if field == "ts":
                    again["ts"] += rng.choice([-1, 1, 1000, GAP + 1])
                elif field == "session_id":
                    # The other way to write the same key.
                    if again["session_id"] == "":
                        again["session_id"] = again["user_hash"]
                    elif again["session_id"] == again["user_hash"]:
                        again["session_id"] = ""
                elif field == "user_hash" and again["session_id"] == "":
                    continue  # it would move to another key
                elif field == "task_success":
                    again[field] = rng.choice([None, True, False])
                else:
                    again[field] = rng.choice(self.rows)[field]
            self.rows.append(again)

    def table(self):
        rng = self.rng
        motifs = [self.noise, self.rage, self.dead, self.errors, self.walk, self.task]
        visitors = [self.visitor() for _ in range(rng.randint(1, 5))]
        for who in visitors:
            ts = self.base + rng.choice([0, HOUR, DAY])
            for _ in range(rng.randint(0, 6)):
                # A motif may begin before the one before it ends.
                stop = rng.choice(motifs)(who, ts)
                ts = stop + rng.choice(STEPS) if rng.random() < 0.7 else ts + rng.choice(STEPS)
            if rng.random() < 0.25:
                self.long(who, ts + rng.choice([0, GAP, GAP + 1]))
        if not self.rows:
            # A run without events ends with a code of its own.
            self.noise(visitors[0], self.base)
        if rng.random() < 0.3:
            # No navigation at all: sessions without visits.
            for row in self.rows:
                if row["event_type"] == "navigation":
                    row["event_type"] = "custom"
        if rng.random() < 0.8:
            self.repeats()
        order = rng.choice(["drawn", "shuffled", "nearly sorted"])
        if order == "shuffled":
            rng.shuffle(self.rows)
        elif order == "nearly sorted":
            self.rows.sort(key=lambda row: row["ts"] + rng.choice([0, 0, 3000, HOUR]))
        return pa.Table.from_pylist(self.rows, schema=SCHEMA)


# --- large and plain --------------------------------------------------------------------------------

DAYS = 7
EVENTS_PER_SESSION = 20
EVENTS_PER_CHUNK = 1_000_000


def hexadecimal(rng, count, digits=32):
    """`count` random lower-case hex texts."""
    drawn = rng.bytes(count * digits // 2).hex().encode()
    return pl.Series(np.frombuffer(drawn, dtype=f"S{digits}").astype(f"U{digits}").tolist(), dtype=pl.String)


def text(values, index, where=None):
    """values[index], null where `where` is false."""
    if where is not None:
        index = np.where(where, index, len(values))
    return pl.Series([*values, None], dtype=pl.String).gather(index)


def number(values, where):
    return pl.DataFrame({"value": values.astype(np.float32), "where": where}).select(
        pl.when("where").then("value")).to_series()


def traffic(rng, events, start, span):
    """About `events` events of sessions that start in [start, start + span) ms, in order of arrival."""
    sessions = max(1, events // EVENTS_PER_SESSION)
    lengths = 1 + rng.geometric(1 / (EVENTS_PER_SESSION - 1), sessions)
    of = np.repeat(np.arange(sessions), lengths)
    n = len(of)
    first = np.r_[True, of[1:] != of[:-1]]

    def since_first(step):
        total = np.cumsum(np.where(first, 0, step))
        return total - np.repeat(total[first], lengths)

    def draw(values, weights=None, where=None):
        return text(values, rng.choice(len(values), n, p=weights), where)

    def draw_of_session(values, weights=None):
        return text(values, rng.choice(len(values), sessions, p=weights)[of])

    # Bursts, reading, and now and then a break that may end the session.
    pace = rng.random(n)
    burst = (pace < 0.15) & ~first
    step = np.where(burst, rng.integers(80, 600, n),
           np.where(pace < 0.995, rng.exponential(9_000, n).astype(np.int64), rng.integers(MINUTE, 2 * HOUR, n)))
    ts = start + rng.integers(0, span, sessions)[of] + since_first(step)

    event_type = rng.choice(len(EVENT_TYPES), n, p=[0.42, 0.22, 0.08, 0.18, 0.04, 0.06])
    event_type[first] = EVENT_TYPES.index("navigation")
    click, navigation, custom = (event_type == EVENT_TYPES.index(name) for name in ("click", "navigation", "custom"))

    # A screen holds from one navigation to the next, which goes to a neighbour.
    screen = (rng.zipf(1.6, sessions)[of] + since_first(np.where(navigation, rng.integers(-2, 3, n), 0))) % 40
    # The clicks of a burst stay on their element.
    element = rng.integers(0, 12, n)[np.maximum.accumulate(np.where(burst, 0, np.arange(n)))]

    observed = click & (rng.random(n) < 0.9)
    reacted = observed & (rng.random(n) < 0.96)
    task = custom & (rng.random(n) < 0.8)
    starts = rng.random(n) < 0.52
    tenant = (rng.zipf(1.3, sessions) % 24)[of]
    anonymous = (rng.random(sessions) < 0.05)[of]

    frame = pl.DataFrame({
        "org_id": text([f"org_{i // 2:02}" for i in range(24)], tenant),
        "product_id": text([f"product_{i:02}" for i in range(24)], tenant),
        "session_id": text([*hexadecimal(rng, sessions), ""], np.where(anonymous, sessions, of)),
        "user_hash": hexadecimal(rng, sessions).gather(of),
        "event_id": hexadecimal(rng, n),
        "ts": ts,
        "received_at": ts + rng.integers(20, 4_000, n),
        "event_type": text(EVENT_TYPES, event_type),
        "seq": since_first(np.ones(n, dtype=np.int64)),
        "screen_id": text([f"screen_{i:02}" for i in range(40)], screen),
        "route": text([f"/app/{i % 8}/:id/section_{i}" for i in range(40)], screen),
        "app_name": draw(["crm-web"]),
        "element_type": text(["button", "link", "input", "row"], element % 4, where=click),
        "element_label_h": text([f"{i * 2654435761 % 2**32:08x}" * 2 for i in range(10)], element % 10,
                                where=click & (element < 10)),
        "error_code": draw(["E_TIMEOUT", "E_500", "E_VALIDATION"], where=rng.random(n) < 0.012),
        "os": draw_of_session(["windows", "macos", "linux", "ios", "android"]),
        "browser": draw_of_session(["chrome", "firefox", "safari", "edge"]),
        "device_type": draw_of_session(["desktop", "mobile", "tablet"], [0.7, 0.25, 0.05]),
        "latency_ms": number(rng.gamma(2, 60, n).round(1), rng.random(n) < 0.5),
        "page_x": number(rng.integers(0, 1920, n), click),
        "page_y": number(rng.integers(0, 4000, n), click),
        "reaction_ms": number(rng.gamma(1.5, 180, n).round(1), reacted),
        "reaction_observed": observed,
        "event_name": draw(["action"], where=custom),
        "task_type": draw([f"task_{i}" for i in range(8)], where=task),
        "task_phase": text(["start", "complete"], np.where(starts, 0, 1), where=task),
        "task_success": pl.Series(rng.random(n) < 0.85),
        "version_tag": draw_of_session(["2.2.0", "2.2.1", "2.3.0"]),
        "segment": draw_of_session(["smb", "mid", "enterprise", None]),
        "extra": pl.Series([None], dtype=pl.String).new_from_index(0, n),
    }).with_columns(pl.when(pl.col("task_phase") == "complete").then("task_success").alias("task_success"))
    # Retries: one event in 200 comes twice, received later.
    again = frame.filter(pl.Series(rng.random(n) < 0.005)).with_columns(pl.col("received_at") + 9_000)
    return pl.concat([frame, again]).sort("received_at")


def write_traffic(path, seed, events):
    rng = np.random.default_rng(seed)
    start = int(datetime(2026, 3, 2, tzinfo=timezone.utc).timestamp() * 1000)
    chunks = -(-events // EVENTS_PER_CHUNK)
    span = DAYS * DAY // chunks
    with pq.ParquetWriter(path, SCHEMA, compression="zstd", compression_level=1) as writer:
        for chunk in range(chunks):
            take = events // chunks + (chunk < events % chunks)
            # A twentieth more than needed, so that the count comes out.
            frame = traffic(rng, take * 21 // 20, start + chunk * span, span).head(take)
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            writer.write_table(table.cast(SCHEMA), row_group_size=250_000)


def write_adversarial(path, seed):
    table = Adversary(seed).table()
    pq.write_table(table, path, row_group_size=random.Random(seed).choice([7, 64, 4096]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--realistic", action="store_true")
    parser.add_argument("--events", type=int, default=1_000_000, help="rows, with --realistic")
    args = parser.parse_args()
    if args.realistic:
        write_traffic(args.output, args.seed, args.events)
    else:
        write_adversarial(args.output, args.seed)


if __name__ == "__main__":
    main()
