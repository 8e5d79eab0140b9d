#!/usr/bin/env python3
"""Three servers behind nginx on this machine, with faults under load.

    python3 deploy/replicas/check.py --release shop --server target/release/cloud-server

needs nginx, and PostgreSQL with `createdb` and `dropdb` at --postgres. The release is a folder of
`tandem quickstart`. With `libfaketime` the clocks of the servers are set an hour apart; with `--before`
the servers begin as an earlier version and are upgraded one after the other. With `redis-server` the
servers share rates and lists, and Redis is killed, stopped and started again. Then the three servers
get their lists from two others, one of which is stopped and, as root with `ip`, cut off in a network
of its own. `--only TEXT` runs the faults whose names have the text. Each fault prints what happened;
the exit status is 1 if a request failed after the retries of nginx, or if an acknowledged event is
missing or stored twice.
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

    def __init__(self, target, host="127.0.0.1"):
        self.target, self.is_cut, self.open = target, False, []
        self.listener = socket.create_server((host, 0))
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
        self.list_seconds = []
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
                seconds = time.monotonic() - started
                self.slowest = max(self.slowest, seconds)
                if kind == "list":
                    self.list_seconds.append(seconds)
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
        self.redis, self.redis_port, self.generators = None, None, []
        self.network = f"tandem-{os.getpid()}"

    def start(self, number):
        storage = f"postgres://{self.options.user}@127.0.0.1:{self.proxy.port}/{self.database}"
        log = open(self.folder / f"server-{number}.log", "a")
        environment = dict(os.environ)
        if self.clocks[number]:
            # The timers of another machine run as ours do.
            environment |= {"LD_PRELOAD": self.faketime, "FAKETIME": self.clocks[number],
                            "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        # With Redis each request is counted there.
        rate = "1000000" if self.redis else "0"
        command = [self.program, "--release", self.options.release, "--storage", storage,
                   "--store-events", "--port", str(self.ports[number]), "--threads", "1",
                   "--rate-requests", rate, "--rate-candidates", rate, "--rate-events", rate,
                   "--trusted-proxy", "127.0.0.1"]
        if self.redis:
            command += ["--redis", f"redis://127.0.0.1:{self.redis_port}", "--shared-lists", "5"]
        for url in self.generators:
            command += ["--generator", url]
        self.servers[number] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def wait_ready(self, number):
        self.wait_until_answers("127.0.0.1", self.ports[number])

    def wait_until_answers(self, host, port, seconds=120):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                connection = http.client.HTTPConnection(host, port, timeout=5)
                connection.request("GET", "/readyz")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        sys.exit(f"the server at {host}:{port} is not ready")

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
        if not self.is_wanted(name):
            return
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
        times = sorted(load.list_seconds)
        p99 = times[len(times) * 99 // 100] * 1000
        print(f"{name}: {answered} answered, other {others or 'none'}, slowest {load.slowest:.1f} s; "
              f"lists: half within {times[len(times) // 2] * 1000:.1f} ms, 99 % within {p99:.1f} ms; "
              f"events: {sum(map(len, load.acknowledged.values()))} acknowledged, {stored} stored, "
              f"{lost} lost, {doubled} twice: {'passed' if is_good else 'FAILED'}", flush=True)

    def is_wanted(self, *names):
        return not self.options.only or any(self.options.only in name for name in names)

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

    def start_redis(self):
        self.redis_port = self.redis_port or free_port()
        self.redis = subprocess.Popen(
            ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "",
             "--dir", str(self.folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def restart_redis(self):
        self.redis.kill()
        self.redis.wait()
        time.sleep(3)
        self.start_redis()
        time.sleep(4)

    @staticmethod
    def pause(process, host, port, seconds=10):
        """The process accepts connections and answers nothing."""
        process.send_signal(signal.SIGSTOP)
        require_silence(host, port)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)
        time.sleep(4)

    def report_sharing(self):
        """What the servers have shared since they were started."""
        totals = Counter()
        for port in self.ports:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", "/metrics")
            for line in connection.getresponse().read().decode().splitlines():
                if line.startswith(("tandem_shared_lists_total", "tandem_rate_checks_total",
                                    "tandem_redis_failures_total")):
                    name, count = line.removeprefix("tandem_").rsplit(" ", 1)
                    totals[name] += int(count)
        print(f"  {', '.join(f'{name} {count}' for name, count in sorted(totals.items()))}", flush=True)

    def start_generator(self, host, database, prefix=()):
        """A server that makes lists for the others, with the host and port of the database. Returns
        its process and port."""
        port = free_port()
        storage = f"postgres://{self.options.user}@{database}/{self.database}"
        log = open(self.folder / "generators.log", "a")
        process = subprocess.Popen(
            [*prefix, self.program, "--release", self.options.release, "--port", str(port), "--host", host,
             "--insecure", "--threads", "1", "--rate-requests", "0", "--rate-candidates", "0",
             "--trusted-proxy", "127.0.0.1,10.213.7.1", "--storage", storage], stdout=log, stderr=log)
        self.servers.append(process)
        self.wait_until_answers(host, port)
        self.generators.append(f"http://{host}:{port}")
        return process, port

    def add_network(self):
        """A network namespace with one host, 10.213.7.2. Returns whether the system permits it."""
        commands = [
            ["ip", "netns", "add", self.network],
            ["ip", "link", "add", "tandem0", "type", "veth", "peer", "name", "eth0", "netns", self.network],
            ["ip", "address", "add", "10.213.7.1/30", "dev", "tandem0"],
            ["ip", "link", "set", "tandem0", "up"],
            ["ip", "-n", self.network, "address", "add", "10.213.7.2/30", "dev", "eth0"],
            ["ip", "-n", self.network, "link", "set", "eth0", "up"],
        ]
        try:
            for command in commands:
                subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return False
        return True

    def cut_network(self, host, port, seconds=10):
        """What is sent to the network, and from it, is lost."""
        interface = ["ip", "-n", self.network, "link", "set", "eth0"]
        subprocess.run([*interface, "down"], check=True)
        require_silence(host, port)
        time.sleep(seconds)
        subprocess.run([*interface, "up"], check=True)
        time.sleep(4)

    def run_redis(self):
        names = ("shared rates and lists, no fault", "kill -9 of Redis, started again after 3 s",
                 "Redis is stopped for 10 s and does not answer")
        if not self.is_wanted(*names):
            return
        try:
            self.start_redis()
        except FileNotFoundError:
            print("Redis: skipped, there is no redis-server")
            return
        self.rolling_restart()
        time.sleep(3)
        self.fault(names[0], lambda: time.sleep(3))
        self.fault(names[1], self.restart_redis)
        self.fault(names[2], lambda: self.pause(self.redis, "127.0.0.1", self.redis_port))
        self.report_sharing()
        self.redis.kill()
        self.redis.wait()
        self.redis = None

    def run_generators(self):
        names = ("lists of two generators, no fault",
                 "a generator of two is stopped for 10 s and does not answer",
                 "a generator of two is cut off from the network for 10 s")
        if not self.is_wanted(*names):
            return
        database = f"127.0.0.1:{self.proxy.port}"
        self.start_generator("127.0.0.1", database)
        other, port = self.start_generator("127.0.0.1", database)
        self.rolling_restart()
        self.fault(names[0], lambda: time.sleep(3))
        self.fault(names[1], lambda: self.pause(other, "127.0.0.1", port))
        if not self.add_network():
            print("generator in a network of its own: skipped, needs root and `ip`")
            return
        del self.generators[1]
        other.terminate()
        proxy = Proxy(self.proxy.target, "10.213.7.1")
        inside = ["ip", "netns", "exec", self.network]
        _, port = self.start_generator("10.213.7.2", f"10.213.7.1:{proxy.port}", inside)
        self.rolling_restart()
        self.fault(names[2], lambda: self.cut_network("10.213.7.2", port))

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
        self.run_redis()
        self.run_generators()

    def stop(self):
        for process in [*self.servers, self.redis, getattr(self, "nginx", None)]:
            if process:
                process.terminate()
                process.wait()
        if self.network in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout:
            subprocess.run(["ip", "netns", "del", self.network], check=False)
        subprocess.run(["dropdb", "--force", *self.client_options, self.database], check=False)


def require_silence(host, port):
    """Ends the check if a server answers that must not."""
    try:
        connection = socket.create_connection((host, port), timeout=1)
        connection.sendall(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        if connection.recv(1):
            sys.exit(f"{host}:{port} answers, although it was cut off")
    except OSError:
        pass


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
    parser.add_argument("--only", help="run the faults whose names have this text")
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
