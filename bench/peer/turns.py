"""What every peer shares: problem texts, one timing, and the conversation with ../peers.py.

A peer is a program. It prints {"ready": true, "peer": ..., "version": ...}, then reads lines: a problem text, answered
by {"problem": ..., "how": ..., "ms": ...} or {"problem": ..., "error": ...}; `release`, which frees what it kept. That
is what `clattn bench --turns` speaks.
"""
import json
import os
import sys
import time

SECONDS_OF_A_TURN = 0.1


class Problem:
    """A problem text as far as peers need it: dense tensors, no masks but the causal one."""

    ATTENTION = {"b": 1, "hq": 1, "hk": None, "sq": 1, "sk": None, "dk": 64, "dv": None, "causal": 0}
    PROJECTION = {"b": 1, "s": 1, "e": 1, "h": 1, "d": 2}
    TYPES = {"1": "f32", "2": "f16", "3": "bf16"}

    def __init__(self, text):
        self.text = text
        pairs = dict(pair.split("=", 1) for pair in text.split(","))
        self.op = pairs.pop("op", "attention")
        names = self.PROJECTION if self.op == "projection" else self.ATTENTION
        types = ["w_type"] if self.op == "projection" else ["dtype"]
        for name, unsaid in names.items():
            value = pairs.pop(name, None)
            setattr(self, name, unsaid if value is None else int(value))
        self.dtype = pairs.pop(types[0], "f32")
        self.dtype = self.TYPES.get(self.dtype, self.dtype)
        for harmless in ("seed", "packed"):
            pairs.pop(harmless, None)
        if pairs:
            raise Unsupported("no peer is asked " + ", ".join(pairs))
        if self.op == "attention":
            self.hk = self.hk or self.hq
            self.sk = self.sk or self.sq
            self.dv = self.dv or self.dk
        else:
            self.m, self.n = self.b * self.s, self.h * self.d


class Unsupported(Exception):
    """The peer has no way to do the problem."""


def thread_count():
    return int(os.environ.get("CLATTN_PEERS_THREADS") or os.cpu_count())


def measures_memory():
    """Whether this process only serves to see how much memory a run takes: allocators then keep nothing."""
    return bool(os.environ.get("CLATTN_PEERS_MEMORY"))


def seconds_of(run, times):
    begin = time.perf_counter()
    for _ in range(times):
        run()
    return time.perf_counter() - begin


def time_once(run):
    """Milliseconds of a run: the mean over a turn, after one that wakes up threads and is not counted."""
    first = seconds_of(run, 1)
    if measures_memory() or first > 10 * SECONDS_OF_A_TURN:
        return 1e3 * first
    times = max(1, min(1000, int(SECONDS_OF_A_TURN / max(first, 1e-6))))
    return 1e3 * seconds_of(run, times) / times


def fastest(ways):
    """Of a peer's several ways to do the same, {name: run}, the one that is fastest now."""
    times = {}
    for name, run in ways.items():
        run()
        times[name] = min(seconds_of(run, 1) for _ in range(3))
    return min(times, key=times.get)


def serve(name, version, make):
    """Answers until the input ends. make(problem) gives (how, run), and the bytes of temporary memory that it holds
    from run to run where there are any; or raises Unsupported."""
    kept = {}

    def say(**line):
        print(json.dumps(line), flush=True)

    say(ready=True, peer=name, version=version)
    for text in (line.strip() for line in sys.stdin):
        if text == "release":
            kept.clear()
            say(released=True)
            continue
        try:
            if text not in kept:
                kept[text] = make(Problem(text))
            how, run, *held = kept[text]
            say(problem=text, how=how, ms=time_once(run), workspace_bytes=sum(held))
        except Exception as why:  # a peer that cannot is a cell of the table, not the end of the run
            say(problem=text, error=f"{type(why).__name__}: {why}"[:200])
