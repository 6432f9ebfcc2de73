#!/usr/bin/env python3
"""clattn beside what people use now, on the same problems, in one run.

    python3 -m venv .venv-peers && .venv-peers/bin/pip install -r bench/peers.txt
    .venv-peers/bin/python bench/peers.py --clattn build/clattn prefill causal small

Each library runs in a process of its own (peer/*.py, `clattn bench --turns`) with the same number of threads. In a
round every library is asked once, by turns and beginning with another one each time; between turns it waits until
spinning threads sleep. Written are one table (NAME.md), every time taken (NAME.jsonl), and plots (NAME-*.svg).
"""
import argparse
import collections
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = {"PyTorch": "torch_sdpa.py", "onnxruntime": "onnxruntime_attention.py", "OpenBLAS": "openblas_softmax.py",
         "plain OpenCL": "opencl_plain.py"}
CLATTN, CLBLAST = "clattn", "CLBlast"
DEFAULT_SETS = ["prefill", "causal", "small", "decode", "projection"]
SLOW = 50.0  # a peer that takes so many times as long as clattn is asked once


class Talker:
    """A process that answers a line with a line of JSON."""

    def __init__(self, name, command, environment):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **environment})
        self.about = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"peers: {self.name} ended without an answer (status {self.process.wait()})")
        return json.loads(line)

    def ask(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def status_kb(self, field):
        with open(f"/proc/{self.process.pid}/status") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))

    def memory_of(self, text):
        """Bytes that a run takes besides its tensors: what the process grows by, at most, in a run of a problem that it
        has run before, and what it holds for such runs."""
        first = self.ask(text)
        if "error" in first:
            return None
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as peak:
            peak.write("5")
        before = self.status_kb("VmRSS")
        self.ask(text)
        return 1024 * max(0, self.status_kb("VmHWM") - before) + first.get("workspace_bytes", 0)


def environment_of(options):
    count = str(options.threads)
    return {"CLATTN_PEERS_THREADS": count, "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count,
            "POCL_MAX_PTHREAD_COUNT": count, "POCL_AFFINITY": os.environ.get("POCL_AFFINITY", "1")}


def start(name, options, extra=()):
    if name == CLATTN:
        command = [options.clattn, "bench", "--turns"]
    else:
        command = [sys.executable, os.path.join(HERE, "peer", PEERS[name])]
    core = {"OPENBLAS_CORETYPE": options.core} if options.core else {}
    return Talker(name, command, {**environment_of(options), **core, **dict(extra)})


def fastest_core(options):
    """OpenBLAS's core type for this machine: it does not know every processor, and its own choice may lose."""
    with open("/proc/cpuinfo") as lines:
        wide = "avx512f" in lines.read()
    times = {}
    for core in ["Haswell"] + (["SkylakeX"] if wide else []):
        talker = start("OpenBLAS", options, {"OPENBLAS_CORETYPE": core}.items())
        times[core] = min(talker.ask("op=projection,s=512,e=768,h=12,d=64")["ms"] for _ in range(5))
        talker.close()
    return min(times, key=times.get)


def problems_of(options):
    listed = subprocess.run([options.clattn, "bench", "--list", *(options.problem or DEFAULT_SETS)],
                            stdout=subprocess.PIPE, text=True, check=True).stdout
    return listed.split()


class Times:
    """Milliseconds by problem and library, a value a round; and what was said besides."""

    def __init__(self):
        self.ms = collections.defaultdict(lambda: collections.defaultdict(dict))
        self.how, self.why, self.facts = {}, {}, {}
        self.peaks = []

    def take(self, problem, name, turn, answer):
        if "error" in answer:
            self.why[problem, name] = answer["error"]
            return
        self.ms[problem][name][turn] = answer["ms"]
        self.how[problem, name] = answer.get("how") or answer.get("variant")
        self.facts.setdefault((problem, name), answer)

    def median(self, problem, name):
        values = self.ms[problem].get(name)
        return statistics.median(values.values()) if values else None

    def ratio(self, problem, name):
        """How many times as long as clattn a peer takes: the median over the rounds that have both."""
        own, other = self.ms[problem].get(CLATTN, {}), self.ms[problem].get(name, {})
        both = [other[turn] / own[turn] for turn in other if turn in own]
        return statistics.median(both) if both else None

    def is_hopeless(self, problem, name):
        ratio = self.ratio(problem, name) if name != CLATTN else None
        return (problem, name) in self.why or ratio is not None and ratio > SLOW


def run_rounds(options, problems, libraries):
    times, talkers = Times(), {name: start(name, options) for name in libraries if name != CLBLAST}
    if CLBLAST in libraries:
        talkers[CLBLAST] = talkers[CLATTN]
    for number, problem in enumerate(problems):
        for turn in range(options.rounds):
            times.peaks.append(talkers[CLATTN].ask("peak"))
            for i in range(len(libraries)):
                name = libraries[(i + turn) % len(libraries)]
                if times.is_hopeless(problem, name):
                    continue
                if name == CLBLAST and "op=projection" not in problem:
                    continue
                time.sleep(options.rest)
                text = problem + ",variant=clblast" if name == CLBLAST else problem
                times.take(problem, name, turn, talkers[name].ask(text))
        for name in set(libraries) - {CLBLAST}:
            talkers[name].ask("release")
        say_progress(number + 1, len(problems), problem, times, libraries)
    versions = {name: talker.about for name, talker in talkers.items()}
    for name in set(libraries) - {CLBLAST}:
        talkers[name].close()
    return times, versions


def say_progress(done, of, problem, times, libraries):
    parts = [f"{name} {times.ratio(problem, name):.2f}" for name in libraries
             if name != CLATTN and times.ratio(problem, name)]
    print(f"[{done}/{of}] {problem}: {', '.join(parts)}", file=sys.stderr, flush=True)


def measure_memory(options, libraries):
    """Memory against sequence length: {library: {tokens: bytes}}."""
    large = {"CLATTN_PEERS_MEMORY": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    grown = {}
    for name in libraries:
        if name == CLBLAST:
            continue
        grown[name] = {}
        for tokens in (512, 1024, 2048, 4096, 8192):
            if name == "plain OpenCL" and tokens > 2048:
                continue  # its scores are known to grow on, and it takes minutes
            talker = start(name, options, large.items())
            bytes_more = talker.memory_of(f"hq=8,sq={tokens},dk=64")
            talker.close()
            if bytes_more is not None:
                grown[name][tokens] = bytes_more
    return grown


def cpu_name():
    with open("/proc/cpuinfo") as lines:
        return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "a CPU")


def share_of(times, problem, name=CLATTN):
    """(share of the FMA peak, of the rate of reading) that clattn reaches by the medians; a peer by its ratio."""
    fact, ms = times.facts.get((problem, CLATTN)), times.median(problem, CLATTN)
    ratio = 1.0 if name == CLATTN else times.ratio(problem, name)
    if not fact or not ms or not ratio:
        return None
    scale = fact["ms"] / ms / ratio
    return (scale * fact["gflops"] / median_of(times.peaks, "peak_gflops"),
            scale * fact["gbytes"] / median_of(times.peaks, "read_gbytes"))


def share_text(times, problem):
    """Of whichever limit is nearer."""
    share = share_of(times, problem)
    if not share:
        return ""
    return f"{100 * share[0]:.0f} % of peak" if share[0] >= share[1] else f"{100 * share[1]:.0f} % of reading"


def cell(times, problem, name):
    ms, ratio = times.median(problem, name), times.ratio(problem, name)
    if ms is None:
        return "-"
    once = " (once)" if len(times.ms[problem][name]) == 1 else ""
    return f"{ms:.3g} ms, {ratio:.2f} x{once}" if ratio and name != CLATTN else f"{ms:.3g} ms"


def median_of(peaks, key):
    values = [peak[key] for peak in peaks if key in peak]
    return statistics.median(values) if values else 0.0


def write_table(path, options, problems, libraries, times, versions, memory):
    others = [name for name in libraries if name != CLATTN]
    with open(path, "w") as out:
        out.write(f"# {cpu_name()}, {options.threads} threads: clattn beside its peers\n\n")
        words = " ".join(options.problem or DEFAULT_SETS)
        out.write(f"`bench/peers.py --rounds {options.rounds} {words}`, medians; by turns in one run. `x`: how many "
                  "times as long as clattn a peer takes (the median of the rounds' ratios).\n")
        out.write(f"FMA peak {median_of(times.peaks, 'peak_gflops'):.0f} GFLOP/s, reads "
                  f"{median_of(times.peaks, 'read_gbytes'):.1f} GB/s.\n\n")
        for name, about in versions.items():
            out.write(f"- {name}: {about.get('version') or about.get('device', '')}\n")
        if options.core:
            out.write(f"- OpenBLAS's core type: {options.core}, the fastest here\n")
        out.write(f"\n| problem | clattn | | {' | '.join(others)} |\n|{'---|' * (len(others) + 3)}\n")
        for problem in problems:
            cells = [cell(times, problem, CLATTN), share_text(times, problem)]
            cells += [cell(times, problem, name) for name in others]
            out.write(f"| `{problem}` | {' | '.join(cells)} |\n")
        write_memory(out, memory)
        refused = [f"- {name}, `{problem}`: {why}\n" for (problem, name), why in times.why.items()]
        if refused:
            out.write("\nWhat a peer does not do:\n\n" + "".join(refused))


def write_memory(out, memory):
    if not memory:
        return
    tokens = sorted({count for by in memory.values() for count in by})
    out.write("\nMemory that a run takes besides its tensors (PyTorch and onnxruntime: their result included, which "
              "each run makes anew), 8 heads, D 64, float32, MiB:\n\n| | ")
    out.write(" | ".join(str(count) for count in tokens) + f" |\n|{'---|' * (len(tokens) + 1)}\n")
    for name, by in memory.items():
        cells = [f"{by[count] / 2**20:.1f}" if count in by else "-" for count in tokens]
        out.write(f"| {name} | {' | '.join(cells)} |\n")


def write_times(path, problems, times):
    with open(path, "w") as out:
        for problem in problems:
            for name, by_turn in times.ms[problem].items():
                line = {"problem": problem, "library": name, "how": times.how[problem, name],
                        "ms": [round(by_turn[turn], 5) for turn in sorted(by_turn)]}
                out.write(json.dumps(line) + "\n")


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("problem", nargs="*", help="problem texts and sets of `clattn bench`")
    parse.add_argument("--clattn", default="build/clattn", help="the command (build/clattn)")
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--threads", type=int, default=os.cpu_count())
    parse.add_argument("--rest", type=float, default=0.3, help="seconds between two turns (0.3)")
    every = [*PEERS, CLBLAST]
    parse.add_argument("--peers", default=",".join(every), help="which, by comma: " + ", ".join(every))
    parse.add_argument("--memory", action="store_true", help="measure memory against sequence length, too")
    parse.add_argument("--no-plots", action="store_true", help="the table alone: needs no matplotlib")
    parse.add_argument("--output", default="peers", metavar="NAME", help="NAME.md, NAME.jsonl, NAME-*.svg (peers)")
    options = parse.parse_args()
    libraries = [CLATTN] + [name for name in options.peers.split(",") if name]
    unknown = set(libraries) - {CLATTN, CLBLAST, *PEERS}
    if unknown:
        parse.error(f"no peer: {', '.join(sorted(unknown))}")
    problems = problems_of(options)
    options.core = None
    if "OpenBLAS" in libraries:
        options.core = fastest_core(options)
    times, versions = run_rounds(options, problems, libraries)
    memory = measure_memory(options, libraries) if options.memory else {}
    write_table(options.output + ".md", options, problems, libraries, times, versions, memory)
    write_times(options.output + ".jsonl", problems, times)
    if options.no_plots:
        return
    import peer_plots  # what needs matplotlib
    peer_plots.draw(options.output, problems, libraries, times, memory, share_of)


if __name__ == "__main__":
    main()
