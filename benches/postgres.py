#!/usr/bin/python3
"""The same events into PostgreSQL: what a user would do who keeps them in a database that is there.

    apt-get install postgresql python3-psycopg2
    cargo bench --bench load -- --dump target/dump
    /usr/bin/python3 benches/postgres.py target/dump

A cluster of its own with default settings (fsync and synchronous commits on) in a temporary directory, reached over a
Unix socket. Each connection is a process that takes one batch after the other: COPY into a temporary table, INSERT ...
ON CONFLICT DO UPDATE into a table with a column for each field, one synced commit. There is no other index than the
primary key, and there are no rollups.

Parsing JSON is a client's work. It happens while the clock runs, unless --prepared says that the rows are made before:
then the figure is PostgreSQL's alone. The CPU of the server is of all its processes from its start to its end.
"""

import argparse
import contextlib
import glob
import io
import json
import multiprocessing
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import time

import psycopg2

KINDS = {"job": 1, "job_execution": 2, "ingest": 3}
STATUSES = {
    status: number
    for number, status in enumerate(
        "PENDING BLOCKED QUEUED RUNNING COMPLETED FAILED CANCELED TRANSFERRING TRANSFERRED DEFERRED INGESTING INGESTED "
        "ERRORED DUPLICATE".split()
    )
}
TASKS = ("pull", "pre", "main", "post")

COLUMNS = {
    "kind": "smallint",
    "id": "bigint",
    "choice": "bigint",  # the job type or the strike
    "status": "smallint",
    "error": "bigint",
    "queued": "timestamptz",
    "started": "timestamptz",
    "ended": "timestamptz",
    **{f"{task}_{end}": "timestamptz" for task in TASKS for end in ("started", "ended")},
    "file_size": "bigint",
    "transfer_started": "timestamptz",
    "transfer_ended": "timestamptz",
}
TABLE = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
UPSERT = (
    "INSERT INTO events SELECT * FROM incoming ON CONFLICT (kind, id) DO UPDATE SET "
    + ", ".join(f"{name} = EXCLUDED.{name}" for name in list(COLUMNS)[2:])
)


def row(line):
    """An event as a line of COPY's CSV, where nothing at all is null."""
    event = json.loads(line)
    get = event.get
    if event["kind"] == "ingest":
        choice, started, ended = get("strike", ""), get("ingest_started", ""), get("ingest_ended", "")
    else:
        choice, started, ended = event["job_type"], get("started", ""), get("ended", "")
    tasks = {task["type"]: f"{task['started']},{task['ended']}" for task in get("tasks", ())}
    times = ",".join([tasks.get(name, ",") for name in TASKS])
    return (
        f"{KINDS[event['kind']]},{event['id']},{choice},{STATUSES[event['status']]},{get('error', '')},"
        f"{get('queued', '')},{started},{ended},{times},"
        f"{get('file_size', '')},{get('transfer_started', '')},{get('transfer_ended', '')}\n"
    )


def rows(body):
    return "".join(map(row, body.splitlines()))


def post(socket, files, prepared, barrier, results):
    """One connection: stores its batches, then tells when it began and ended, how many events those were, and how long
    each batch took."""
    bodies = []
    for name in files:
        with open(name, encoding="utf-8") as file:
            bodies.append(file.read())
    events = sum(body.count("\n") for body in bodies)
    if prepared:
        bodies = [rows(body) for body in bodies]
    with contextlib.closing(connect(socket)) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE incoming ({TABLE}) ON COMMIT DELETE ROWS")
        connection.commit()
        barrier.wait()
        began = time.monotonic()
        latencies = []
        for body in bodies:
            start = time.monotonic()
            text = body if prepared else rows(body)
            cursor.copy_expert("COPY incoming FROM STDIN (FORMAT csv)", io.StringIO(text))
            cursor.execute(UPSERT)
            connection.commit()
            latencies.append(time.monotonic() - start)
        results.put((began, time.monotonic(), events, latencies))


def connect(socket):
    return psycopg2.connect(host=socket, user="postgres", dbname="postgres")


@contextlib.contextmanager
def cluster(programs):
    """A fresh cluster. Gives the directory of its socket, and a function that stops it and returns its CPU seconds."""
    # Not the system's temporary directory, which may be in memory.
    directory = tempfile.mkdtemp(prefix="scale-metrics-postgres-", dir="/var/tmp")
    # PostgreSQL does not run as root.
    who = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    server = None
    try:
        if who:
            shutil.chown(directory, who["user"], who["group"])
        data = os.path.join(directory, "data")
        initdb = [f"{programs}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd=directory, **who)
        server = subprocess.Popen(
            [f"{programs}/postgres", "-D", data, "-c", "listen_addresses=", "-k", directory],
            stderr=subprocess.DEVNULL,
            cwd=directory,
            **who,
        )
        while True:
            try:
                connect(directory).close()
                break
            except psycopg2.OperationalError:
                if server.poll() is not None:
                    raise
                time.sleep(0.05)

        def stop():
            server.send_signal(signal.SIGINT)
            _, status, usage = os.wait4(server.pid, 0)
            server.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime

        yield directory, stop
    finally:
        if server is not None and server.returncode is None:
            server.send_signal(signal.SIGINT)
            server.wait()
        shutil.rmtree(directory)


def main():
    parser = argparse.ArgumentParser(description="Stores NDJSON batches in PostgreSQL and prints events/s.")
    parser.add_argument("directory", help="where `cargo bench --bench load -- --dump` wrote the batches")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--prepared", action="store_true", help="make rows of the JSON before the clock starts")
    arguments = parser.parse_args()
    files = sorted(glob.glob(os.path.join(glob.escape(arguments.directory), "batch-*.ndjson")))
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not files or not programs:
        parser.error("there are no batches in that directory" if programs else "PostgreSQL is not installed")

    with cluster(programs[-1]) as (socket, stop):
        with contextlib.closing(connect(socket)) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE TABLE events ({TABLE}, PRIMARY KEY (kind, id))")
            connection.commit()
            cursor.execute("SHOW server_version")
            version = cursor.fetchone()[0]
        barrier = multiprocessing.Barrier(arguments.connections)
        results = multiprocessing.Queue()
        workers = [
            multiprocessing.Process(
                target=post,
                args=(socket, files[place :: arguments.connections], arguments.prepared, barrier, results),
                daemon=True,
            )
            for place in range(arguments.connections)
        ]
        for worker in workers:
            worker.start()
        told = []
        while len(told) < len(workers):
            try:
                told.append(results.get(timeout=1))
            except queue.Empty:
                if any(worker.exitcode for worker in workers):
                    raise SystemExit("a connection failed") from None
        for worker in workers:
            worker.join()
        with contextlib.closing(connect(socket)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*), pg_total_relation_size('events') FROM events")
            stored, size = cursor.fetchone()
        cpu = stop()

    seconds = max(ended for _, ended, _, _ in told) - min(began for began, _, _, _ in told)
    events = sum(count for _, _, count, _ in told)
    latencies = sorted(latency for _, _, _, each in told for latency in each)
    assert stored == events, f"{events} events were sent, {stored} are stored"
    print(f"posted     {events} events in {len(files)} batches over {arguments.connections} connections")
    print(f"to         PostgreSQL {version}, {'rows made before' if arguments.prepared else 'JSON parsed by the client'}")
    print(f"rate       {events / seconds:.0f} events/s")
    print(f"latency    p50 {latencies[len(latencies) // 2] * 1e3:.0f} ms, max {latencies[-1] * 1e3:.0f} ms")
    print(f"CPU        server: {cpu / events * 1e6:.2f} µs an event")
    print(f"table      {size / events:.1f} bytes an event with its primary key")


if __name__ == "__main__":
    main()
