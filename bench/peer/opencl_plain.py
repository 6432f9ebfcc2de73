"""Plain OpenCL on the device that clattn takes too: plain.cl."""
import os

import numpy
import pyopencl as cl

import turns

MOST_BYTES = 4 << 30  # of scores


def make(p):
    if p.dtype != "f32":
        raise turns.Unsupported(p.dtype)

    def buffer(*shape):
        values = numpy.random.default_rng(1).random(shape, numpy.float32) - numpy.float32(0.5)
        return cl.Buffer(context, cl.mem_flags.COPY_HOST_PTR, hostbuf=values)

    i32, f32 = numpy.int32, numpy.float32
    if p.op == "projection":
        x, w, y = buffer(p.m, p.e), buffer(p.n, p.e), buffer(p.m, p.n)

        def project():
            linear(queue, (p.n, p.m), None, x, w, y, i32(p.e))
            queue.finish()

        return "1 kernel", project
    if p.dk != p.dv or p.causal and p.sq != p.sk:
        raise turns.Unsupported("a shape that plain.cl lacks")
    heads, scores_bytes = p.b * p.hq, 4 * p.b * p.hq * p.sq * p.sk
    if scores_bytes > MOST_BYTES:
        raise turns.Unsupported(f"{scores_bytes >> 20} MiB of scores")
    q, k, v = buffer(heads, p.sq, p.dk), buffer(p.b * p.hk, p.sk, p.dk), buffer(p.b * p.hk, p.sk, p.dv)
    s, y = cl.Buffer(context, cl.mem_flags.READ_WRITE, scores_bytes), buffer(heads, p.sq, p.dv)
    sizes, group = (i32(p.sq), i32(p.sk), i32(p.dk)), i32(p.hq // p.hk)

    def run():
        scores(queue, (p.sk, p.sq, heads), None, q, k, s, *sizes, group, f32(p.dk**-0.5), i32(p.causal))
        softmax(queue, (heads * p.sq,), None, s, i32(p.sk))
        values(queue, (p.dv, p.sq, heads), None, s, v, y, *sizes, group)
        queue.finish()

    return "3 kernels", run, scores_bytes


device = [d for platform in cl.get_platforms() for d in platform.get_devices()][0]
context = cl.Context([device])
queue = cl.CommandQueue(context)
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "plain.cl")) as source:
    program = cl.Program(context, source.read()).build()
scores, softmax, values, linear = program.scores, program.softmax, program.values, program.linear
turns.serve("plain OpenCL", device.platform.version.strip(), make)
