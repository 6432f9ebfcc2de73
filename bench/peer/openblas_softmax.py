"""OpenBLAS (the one in NumPy's wheel) with NumPy's vectorised softmax between the two products, as one writes attention
without a library for it: blocks of queries small enough for a cache, a thread a core, each with OpenBLAS on itself."""
import concurrent.futures

import numpy
import threadpoolctl

import turns

ROWS = 256  # queries of a block: its scores stay in the second cache for a while

threads = turns.thread_count()
pool = concurrent.futures.ThreadPoolExecutor(threads)


def random(*shape):
    return numpy.random.default_rng(1).random(shape, numpy.float32) - numpy.float32(0.5)


def attend(q, k, v, y, first, causal):
    """Some queries of one head."""
    keys = first + len(q) if causal else len(k)
    s = q @ k[:keys].T
    if causal:
        s[numpy.arange(keys)[None, :] > first + numpy.arange(len(q))[:, None]] = -numpy.inf
    s -= s.max(axis=1, keepdims=True)
    numpy.exp(s, out=s)
    total = s.sum(axis=1, keepdims=True)
    numpy.matmul(s, v[:keys], out=y)
    y /= total


def make(p):
    if p.dtype != "f32":
        raise turns.Unsupported(p.dtype)
    if p.op == "projection":
        x, w, out = random(p.m, p.e), random(p.n, p.e), numpy.empty((p.m, p.n), numpy.float32)
        return "sgemm", lambda: limited(threads, numpy.matmul, x, w.T, out)
    if p.causal and p.sq != p.sk:
        raise turns.Unsupported("causal order of unequal lengths")
    q, k, v = random(p.b, p.hq, p.sq, p.dk), random(p.b, p.hk, p.sk, p.dk), random(p.b, p.hk, p.sk, p.dv)
    q *= numpy.float32(p.dk**-0.5)
    y = numpy.empty((p.b, p.hq, p.sq, p.dv), numpy.float32)
    blocks = [(b, h, i) for b in range(p.b) for h in range(p.hq) for i in range(0, p.sq, ROWS)]

    def block(at):
        b, h, i = at
        g = h // (p.hq // p.hk)
        attend(q[b, h, i:i + ROWS], k[b, g], v[b, g], y[b, h, i:i + ROWS], i, p.causal)

    def run():
        share = -(-len(blocks) // threads)
        list(pool.map(lambda t: [block(at) for at in blocks[t * share:(t + 1) * share]], range(threads)))

    return "sgemm, softmax, sgemm", lambda: limited(1, run)


limit = None


def limited(count, run, *arguments):
    """With so many threads inside OpenBLAS; to change that is not part of the time of many runs."""
    global limit
    if limit != count:
        controller.limit(limits=count)
        limit = count
    return run(*arguments)


controller = threadpoolctl.ThreadpoolController()
blas = controller.select(user_api="blas").info()[0]
turns.serve("OpenBLAS", f"{blas['version']}, {blas['architecture']}", make)
