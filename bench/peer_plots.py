"""The plots of peers.py: ratio to each peer, percent of peak and memory against sequence length."""
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plot  # noqa: E402

# Okabe and Ito's colours, which colour-blind readers tell apart.
COLOURS = {"clattn": "#0072B2", "PyTorch": "#D55E00", "onnxruntime": "#009E73", "OpenBLAS": "#CC79A7",
           "CLBlast": "#E69F00", "plain OpenCL": "#56B4E9"}
MARKS = {"clattn": "o", "PyTorch": "s", "onnxruntime": "^", "OpenBLAS": "D", "CLBlast": "v", "plain OpenCL": "x"}


def pairs_of(problem):
    return dict(pair.split("=", 1) for pair in problem.split(","))


def save(figure, path):
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plot.close(figure)


def draw_ratios(path, problems, libraries, times):
    others = [name for name in libraries if name != "clattn"]
    figure, axes = plot.subplots(figsize=(9, 1.2 + 0.28 * len(problems)))
    for name in others:
        points = [(times.ratio(problem, name), i) for i, problem in enumerate(problems)]
        points = [(ratio, i) for ratio, i in points if ratio]
        if points:
            axes.scatter(*zip(*points), color=COLOURS[name], marker=MARKS[name], label=name, zorder=3)
    axes.axvline(1.0, color=COLOURS["clattn"], linewidth=1.5, label="clattn")
    axes.set_xscale("log")
    axes.set_yticks(range(len(problems)), problems, fontsize=7, family="monospace")
    axes.invert_yaxis()
    axes.grid(axis="both", alpha=0.3)
    axes.set_xlabel("time as a multiple of clattn's: to the right of the line clattn is faster")
    axes.legend(fontsize=8)
    save(figure, path)


def lengths_of(problems, causal, dk):
    """{tokens: problem} of the problems that differ in length alone."""
    found = {}
    for problem in problems:
        pairs = pairs_of(problem)
        plain = {"b", "hq", "sq", "dk", "causal"} >= set(pairs) and pairs.get("b", "1") == "1"
        if plain and pairs.get("hq") == "8" and pairs.get("causal", "0") == causal and pairs.get("dk", "64") == dk:
            found[int(pairs["sq"])] = problem
    return dict(sorted(found.items()))


def draw_peak(path, problems, libraries, times, share_of):
    panels = [(causal, dk) for causal in ("0", "1") for dk in ("64", "128")]
    panels = [(causal, dk, lengths_of(problems, causal, dk)) for causal, dk in panels]
    panels = [panel for panel in panels if len(panel[2]) > 1]
    if not panels:
        return
    figure, all_axes = plot.subplots(1, len(panels), figsize=(3.2 * len(panels), 3.4), sharey=True, squeeze=False)
    for axes, (causal, dk, by_length) in zip(all_axes[0], panels):
        for name in libraries:
            line = []
            for tokens, problem in by_length.items():
                share = share_of(times, problem, name)
                if share:
                    line.append((tokens, 100 * share[0]))
            if line:
                axes.plot(*zip(*line), color=COLOURS[name], marker=MARKS[name], label=name)
        axes.set_xscale("log", base=2)
        axes.set_title(f"D {dk}{', causal' if causal == '1' else ''}", fontsize=9)
        axes.set_xlabel("tokens")
        axes.set_ylim(0, 100)
        axes.grid(alpha=0.3)
    all_axes[0][0].set_ylabel("percent of the FMA peak")
    all_axes[0][0].legend(fontsize=7)
    save(figure, path)


def draw_memory(path, memory):
    figure, axes = plot.subplots(figsize=(5, 3.6))
    for name, by_length in memory.items():
        if by_length:
            line = [(tokens, max(grown, 4096) / 2**20) for tokens, grown in sorted(by_length.items())]
            axes.plot(*zip(*line), color=COLOURS[name], marker=MARKS[name], label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("tokens (8 heads, D 64, float32)")
    axes.set_ylabel("MiB that a run adds to the process")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    save(figure, path)


def draw(name, problems, libraries, times, memory, share_of):
    draw_ratios(name + "-ratio.svg", problems, libraries, times)
    draw_peak(name + "-peak.svg", problems, libraries, times, share_of)
    if memory:
        draw_memory(name + "-memory.svg", memory)
