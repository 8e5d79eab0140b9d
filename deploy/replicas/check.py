#!/usr/bin/env python3
"""Three servers behind nginx on this machine, with faults under load.

    python3 deploy/replicas/check.py --release shop --server target/release/cloud-server

needs nginx, and PostgreSQL with `createdb` and `dropdb` at --postgres. The release is a folder of
`tandem quickstart`. With `libfaketime` the clocks of the servers are set an hour apart; with `--before`
the servers begin as an earlier version and are upgraded one after the other. Each fault prints what happened; the exit status is 1 if a request failed after
the retries of nginx, or if an acknowledged event is missing or stored twice.
"""

import argparse
import http.client
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter

HERE = pathlib.Path(__file__).parent


class Proxy:
    """Passes connections to PostgreSQL, and can be cut."""

    def __init__(self, target):
        self.target, self.is_cut, self.open = target, False, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            if self.is_cut:
                client.close()
                continue
            server = socket.create_connection(self.target)
            self.open += [client, server]
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self.copy, args=(one, other), daemon=True).start()

    @staticmethod
    def copy(one, other):
        try:
            while data := one.recv(1 << 16):
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.is_cut = True
        for end in self.open:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open.clear()

    def mend(self):
        self.is_cut = False


class Load:
    """Clients that request lists and send events until they are stopped."""

    def __init__(self, port, items, clients=8):
        self.port, self.items, self.running = port, items, True
        self.statuses, self.failures, self.lock = Counter(), [], threading.Lock()
        # The ids of the events of each session that were acknowledged, and those that may be stored.
        self.acknowledged, self.sent, self.slowest = {}, {}, 0.0
        self.threads = [threading.Thread(target=self.client, args=(n,)) for n in range(clients)]
        for thread in self.threads:
            thread.start()

    def client(self, number):
        draw, count, connection = random.Random(number), 0, None
        session = f"check-{os.getpid()}-{time.time_ns()}-{number}"
        self.acknowledged[session], self.sent[session] = set(), set()
        while self.running:
            count += 1
            if count % 2:
                kind, path = "list", "/v1/candidates"
                body = {"history": draw.sample(self.items, 3), "k": 20}
            else:
                kind, path, event = "event", "/v1/events", str(count)
                body = {"session": session, "events": [
                    {"id": event, "type": "click", "item": draw.choice(self.items),
                     "at": time.time_ns() // 1_000_000}]}
                self.sent[session].add(event)
            started = time.monotonic()
            try:
                connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
                response = connection.getresponse()
                response.read()
                status = response.status
            except (OSError, http.client.HTTPException) as error:
                connection, status = None, type(error).__name__
            with self.lock:
                self.slowest = max(self.slowest, time.monotonic() - started)
                self.statuses[kind, status] += 1
            if kind == "event" and status == 200:
                self.acknowledged[session].add(event)
            if status == 503:
                time.sleep(0.05)

    def stop(self):
        self.running = False
        for thread in self.threads:
            thread.join()


class Check:
    def __init__(self, options, folder):
        self.options, self.folder, self.failed = options, folder, False
        self.database = f"tandem_replicas_{os.getpid()}"
        host, port = options.postgres.rsplit(":", 1)
        self.client_options = ["-h", host, "-p", port, "-U", options.user]
        subprocess.run(["createdb", *self.client_options, self.database], check=True)
        self.proxy = Proxy((host, int(port)))
        self.ports = [free_port() for _ in range(3)]
        self.servers = [None] * 3
        self.program, self.clocks = options.before or options.server, [None] * 3
        # The program `faketime` has a child of its own, which signals would not reach.
        self.faketime = next(map(str, pathlib.Path("/usr/lib").glob("**/libfaketime.so.1")), None)
        self.port = free_port()

    def start(self, number):
        storage = f"postgres://{self.options.user}@127.0.0.1:{self.proxy.port}/{self.database}"
        log = open(self.folder / f"server-{number}.log", "a")
        environment = dict(os.environ)
        if self.clocks[number]:
            # The timers of another machine run as ours do.
            environment |= {"LD_PRELOAD": self.faketime, "FAKETIME": self.clocks[number],
                            "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self.servers[number] = subprocess.Popen(
            [self.program, "--release", self.options.release, "--storage", storage,
             "--store-events", "--port", str(self.ports[number]), "--threads", "1",
             "--rate-requests", "0", "--rate-candidates", "0", "--rate-events", "0",
             "--trusted-proxy", "127.0.0.1"], stdout=log, stderr=log, env=environment)

    def wait_ready(self, number, seconds=120):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.ports[number], timeout=5)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        sys.exit(f"server {number} is not ready; see {self.folder}")

    def start_nginx(self):
        text = (HERE / "nginx.conf").read_text()
        for before, after in zip(("8081", "8082", "8083", "listen 8080"),
                                 (*map(str, self.ports), f"listen 127.0.0.1:{self.port}")):
            text = text.replace(before, after)
        config = self.folder / "nginx.conf"
        config.write_text(f"pid {self.folder}/nginx.pid; error_log {self.folder}/nginx.log; daemon off;"
                          f" events {{}} http {{ access_log off; {text} }}")
        self.nginx = subprocess.Popen(["nginx", "-c", str(config)], stderr=subprocess.DEVNULL)
        time.sleep(1)

    def request(self, path, method="GET", body=None, number=0):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[number], timeout=60)
        headers = {"content-type": "application/x-ndjson"} if body else {}
        connection.request(method, path, body, headers)
        return json.loads(connection.getresponse().read())

    def fault(self, name, act, may_refuse_events=False):
        """Runs `act` under load and reports what the clients saw."""
        load = Load(self.port, self.items)
        time.sleep(2)
        act()
        time.sleep(2)
        load.stop()
        answered = sum(count for (_, status), count in load.statuses.items() if status == 200)
        others = {f"{kind} {status}": count for (kind, status), count in load.statuses.items()
                  if status != 200}
        bad = {name: count for name, count in others.items()
               if not (may_refuse_events and name == "event 503")}
        lost = doubled = stored = 0
        for session, acknowledged in load.acknowledged.items():
            ids = [event["id"] for event in self.request(f"/v1/users/{session}")["events"]]
            stored += len(ids)
            lost += len(acknowledged - set(ids))
            doubled += len(ids) - len(set(ids))
        is_good = not bad and not lost and not doubled
        self.failed |= not is_good
        print(f"{name}: {answered} answered, other {others or 'none'}, slowest {load.slowest:.1f} s; "
              f"events: {sum(map(len, load.acknowledged.values()))} acknowledged, {stored} stored, "
              f"{lost} lost, {doubled} twice: {'passed' if is_good else 'FAILED'}", flush=True)

    def kill(self):
        self.servers[1].kill()
        self.servers[1].wait()
        time.sleep(3)
        self.start(1)
        self.wait_ready(1)

    def rolling_restart(self):
        for number in range(3):
            self.servers[number].send_signal(signal.SIGTERM)
            self.servers[number].wait()
            self.start(number)
            self.wait_ready(number)

    def upgrade(self):
        self.program = self.options.server
        self.rolling_restart()

    def set_clocks_apart(self):
        self.clocks = ["+1h", "-1h", None]
        self.rolling_restart()
        time.sleep(1)
        for number in range(3):
            self.change_availability(number)

    def change_availability(self, number):
        """Sells an item out at one server, and waits until it is gone from the others."""
        item = self.items[number]
        self.set_available(item, False, number)
        started, others = time.monotonic(), {0, 1, 2} - {number}
        while others and time.monotonic() < started + 10:
            others = {other for other in others if item in self.popular(other)}
            time.sleep(0.02)
        seconds = time.monotonic() - started
        is_good = not others and seconds < 2
        self.failed |= not is_good
        print(f"  sold out at server {number}: known to the others after {seconds:.1f} s"
              f"{'' if is_good else ': FAILED'}", flush=True)
        self.set_available(item, True, number)

    def set_available(self, item, available, number):
        line = json.dumps({"id": item, "available": available})
        answer = self.request("/v1/availability", "PUT", line, number)
        if answer.get("changed") != 1:
            sys.exit(f"the availability of one item was to change: {answer}")

    def popular(self, number):
        items = self.request("/v1/items/popular?limit=50", number=number)["items"]
        return [item["id"] for item in items]

    def cut_database(self):
        self.proxy.cut()
        time.sleep(self.options.cut_seconds)
        self.proxy.mend()
        time.sleep(3)

    def run(self):
        # All three make the tables at once.
        for number in range(3):
            self.start(number)
        for number in range(3):
            self.wait_ready(number)
        print("three servers made the tables of an empty database at once: passed")
        self.start_nginx()
        self.items = self.popular(0)
        self.fault("no fault", lambda: time.sleep(3))
        if self.options.before:
            self.fault("upgrade of all three, one after the other", self.upgrade)
        self.fault("kill -9 of one server, started again after 3 s", self.kill)
        self.fault("restart of all three, one after the other", self.rolling_restart)
        if self.faketime:
            self.fault("clocks an hour ahead, an hour behind and right", self.set_clocks_apart)
            self.clocks = [None] * 3
            self.rolling_restart()
        else:
            print("clocks an hour apart: skipped, there is no libfaketime")
        self.fault(f"database gone for {self.options.cut_seconds} s", self.cut_database, True)

    def stop(self):
        for process in [*self.servers, getattr(self, "nginx", None)]:
            if process:
                process.terminate()
                process.wait()
        subprocess.run(["dropdb", "--force", *self.client_options, self.database], check=False)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--release", required=True, help="folder of tandem quickstart")
    parser.add_argument("--server", default="target/release/cloud-server", help="the program")
    parser.add_argument("--before", help="the program of an earlier version, which is upgraded")
    parser.add_argument("--postgres", default="127.0.0.1:5432", help="HOST:PORT")
    parser.add_argument("--user", default="postgres", help="user of PostgreSQL")
    parser.add_argument("--cut-seconds", type=float, default=30, help="how long the database is gone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        check = Check(options, pathlib.Path(folder))
        try:
            check.run()
        finally:
            check.stop()
        sys.exit(check.failed)


if __name__ == "__main__":
    main()
