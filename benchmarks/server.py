"""A server so lean that it is not what is measured: TLS, keep-alive, one answer per request after a set time.

A process of its own. It is told the plan on its command line, prints its port, reads from stdin when the trial began,
and prints what it counted when stdin closes.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import resource
import ssl
import sys
import time
from base64 import b64decode
from collections import Counter
from typing import cast

from benchmarks.answers import Answer, Protocol, asked
from benchmarks.faults import RETRY_AFTER, SLOW, Fault
from benchmarks.measure import LagTicker, most_files
from benchmarks.plan import Plan

REASONS = {200: "OK", 404: "Not Found", 429: "Too Many Requests", 503: "Service Unavailable"}


class Server:
    """Knows the jobs and counts who asks for them."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.jobs = {job.number: job for job in plan.jobs}
        self.began = float("inf")
        self.connections = 0
        self.strangers = 0
        self.polls: Counter[int] = Counter()
        self.spoilt: Counter[str] = Counter()

    def answer(self, request: bytes) -> tuple[Answer, Fault | None]:
        """What to say, and how to spoil it."""
        match asked(request):
            case int(number), Protocol() as protocol if job := self.jobs.get(number):
                fault = self.plan.faults.drawn(self.plan.seed, number, self.polls[number])
                self.polls[number] += 1
                if fault:
                    self.spoilt[fault] += 1
                # As of now and not as of when the answer leaves: half of a real answer time is the way back.
                return protocol.answer(job, time.monotonic() - self.began - job.start), fault
        self.strangers += 1
        return Answer(404, b'{"message": "no such job"}'), None

    def counted(self) -> dict[str, object]:
        """What it saw."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "requests": sum(self.polls[number] for number in range(1, self.plan.n + 1)),
            "warm_up_requests": sum(polls for number, polls in self.polls.items() if number > self.plan.n),
            "connections": self.connections,
            "strangers": self.strangers,
            "spoilt": dict(self.spoilt),
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
        }


class Wire(asyncio.Protocol):
    """One connection, speaking as much HTTP/1.1 as its clients need."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class
        self._server.connections += 1

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._received += data
        while (head := self._received.find(b"\r\n\r\n")) >= 0:
            end = head + 4 + _length_of_body(self._received[:head])
            if len(self._received) < end:
                return
            request, self._received = self._received[:end], self._received[end:]
            answer, fault = self._server.answer(request)
            after = SLOW if fault is Fault.SLOW else self._server.plan.answer_time
            self._loop.call_later(after, self._send, answer, fault)

    def _send(self, answer: Answer, fault: Fault | None) -> None:
        if self._transport.is_closing():
            return
        if fault is Fault.RESET:
            self._transport.abort()
            return
        extra = ""
        match fault:
            case Fault.TOO_MANY:
                answer, extra = (
                    Answer(429, b'{"message": "Too Many Requests"}'),
                    f"Retry-After: {RETRY_AFTER}\r\n",
                )
            case Fault.UNAVAILABLE:
                answer = Answer(503, b'{"message": "Service Unavailable"}')
            case Fault.TRUNCATED:
                # A whole HTTP answer with half a JSON in it, as a proxy that gave up upstream sends it.
                answer = Answer(answer.status, answer.body[: len(answer.body) // 2])
        self._transport.write(
            f"HTTP/1.1 {answer.status} {REASONS[answer.status]}\r\nContent-Type: application/json\r\n{extra}"
            f"Content-Length: {len(answer.body)}\r\n\r\n".encode()
            + answer.body
        )


def _length_of_body(head: bytes) -> int:
    _, _, after = head.lower().partition(b"content-length:")
    return int(after.partition(b"\r\n")[0] or 0)


async def serve(plan: Plan, certificate: str) -> None:
    """Serve until stdin closes."""
    server = Server(plan)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Wire(server), "127.0.0.1", 0, ssl=tls, backlog=8192)
    print(json.dumps({"port": listening.sockets[0].getsockname()[1]}), flush=True)
    server.began = json.loads(await asyncio.to_thread(sys.stdin.readline))["began"]
    with LagTicker() as ticker:
        await asyncio.to_thread(sys.stdin.read)
    print(json.dumps({**server.counted(), "lag_ms": ticker.summary()}), flush=True)


def main() -> None:
    """``python -m benchmarks.server PLAN CERTIFICATE``, the plan as :mod:`benchmarks.child` hands it over."""
    import uvloop

    most_files()
    uvloop.run(serve(pickle.loads(b64decode(sys.argv[1])), sys.argv[2]))


if __name__ == "__main__":
    main()
