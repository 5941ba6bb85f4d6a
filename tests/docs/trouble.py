"""Runs a publisher against services that are in trouble, and checks that it does not get in anybody's way. Under load
a program may need longer than ten seconds to send its first call, and then this fails:

    trouble.py COMMAND ARGUMENT…

It must repeat a call under one key, wait as long as it is asked to, and give up by itself within ten seconds."""

import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

ID = "019ac0de-0000-7000-8000-000000000042"
# Ten seconds, and what it takes to start a program on a busy machine.
PATIENCE = 16
# Each answer: a status and Retry-After. The last one is given again; 0 is no answer.
CASES = {
    "answers on the second call": [(503, "2"), (202, None)],
    "answers nothing": [(0, None)],
    "is away for longer than anybody waits": [(503, "60")],
    "refuses the call": [(422, None)],
    "fails again and again": [(500, None)],
    "is not there": None,
}


def service(answers):
    calls = []

    class Service(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            key = self.headers["idempotency-key"] or self.headers["webhook-id"]
            calls.append((time.monotonic(), key))
            status, retry_after = answers[min(len(calls), len(answers)) - 1]
            if status == 0:
                time.sleep(PATIENCE)
                return
            self.send_response(status)
            if retry_after:
                self.send_header("Retry-After", retry_after)
            if status == 202:
                self.send_header("Location", f"/api/sites/default/publishes/{ID}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1], calls


def check(what, answers):
    port, calls = (9, []) if answers is None else service(answers)
    environment = {**os.environ, "SKYCMS_CDN_URL": f"http://127.0.0.1:{port}"}
    began = time.monotonic()
    done = subprocess.run(sys.argv[1:], env=environment, capture_output=True, text=True, timeout=60)
    seconds = time.monotonic() - began
    said = f"{done.stdout}{done.stderr}"
    problems = []
    if seconds > PATIENCE:
        problems.append(f"it took {seconds:.0f} s")
    if "Unhandled" in said or "   at " in said:
        problems.append("it threw")
    if len({key for _, key in calls}) > 1:
        problems.append("the key of a repeat is another")
    if answers and answers[-1][0] == 202:
        if done.returncode or ID not in done.stdout:
            problems.append("the publish's id is missing")
        if len(calls) != 2 or calls[1][0] - calls[0][0] < 2:
            problems.append(f"Retry-After was not kept: {calls}")
    else:
        if done.returncode != 1 or not done.stdout.strip():
            problems.append("it did not say what went wrong")
        once = answers in ([(422, None)], [(503, "60")])
        if once and (len(calls) != 1 or seconds > PATIENCE - 9):
            problems.append(f"it was sent {len(calls)} times in {seconds:.0f} s")
    return [f"where the service {what}: {problem}: {said}" for problem in problems]


problems = [problem for what, answers in CASES.items() for problem in check(what, answers)]
print("\n".join(problems), file=sys.stderr, end="")
sys.exit(1 if problems else 0)
