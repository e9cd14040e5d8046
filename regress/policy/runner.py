"""A process that speaks the runner's protocol (README)."""

import json
import select
import shlex
import subprocess

PATIENCE = 60           # seconds for one answer


class Runner:
    """Asks one process; a process that ends or says nothing is replaced for
    the next question, so that one fault costs one case."""

    def __init__(self, command):
        self.command = shlex.split(command)
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, question):
        if self.process is None:
            self.start()
        try:
            self.process.stdin.write(json.dumps(question).encode() + b"\n")
            self.process.stdin.flush()
            if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
                self.process.kill()
            line = self.process.stdout.readline()
            answer = json.loads(line)
            if isinstance(answer, dict) and "ok" in answer:
                return answer
            return {"ok": None, "message": "no verdict in the answer"}
        except (OSError, ValueError):
            status = self.close()
            return {"ok": None, "message": "no answer, status %s" % status}

    def close(self):
        if self.process is None:
            return None
        try:
            self.process.stdin.close()
        except OSError:
            pass
        self.process.stdout.close()
        status = self.process.wait()
        self.process = None
        return status
