"""onnxruntime on its CPU provider: MultiHeadAttention, GroupQueryAttention and ONNX's Attention, the fastest of those
that can; MatMul with constant weights for projections."""
import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper

import turns

TYPES = {"f32": (numpy.float32, TensorProto.FLOAT), "f16": (numpy.float16, TensorProto.FLOAT16)}
CONTRIB = "com.microsoft"


def random(kind, *shape):
    return (numpy.random.default_rng(1).random(shape, numpy.float32) - 0.5).astype(kind)


def session_of(node, inputs, outputs, constants=(), kind=TensorProto.FLOAT):
    kinds = {numpy.dtype(numpy.int32): TensorProto.INT32}
    graph = helper.make_graph(
        [node], "one",
        [helper.make_tensor_value_info(name, kinds.get(a.dtype, kind), a.shape) for name, a in inputs.items()],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [onnx.numpy_helper.from_array(a, name) for name, a in constants])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23), helper.make_opsetid(CONTRIB, 1)],
                              ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = turns.thread_count()
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = not turns.measures_memory()
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def runner(node, inputs, outputs, kind, constants=()):
    session = session_of(node, inputs, outputs, constants, kind)
    return lambda: session.run(outputs[:1], inputs)


def multi_head(p, number, kind):
    if p.hq != p.hk:
        raise turns.Unsupported("grouped heads")
    inputs = {"q": random(number, p.b, p.sq, p.hq * p.dk), "k": random(number, p.b, p.sk, p.hk * p.dk),
              "v": random(number, p.b, p.sk, p.hk * p.dv)}
    node = helper.make_node("MultiHeadAttention", ["q", "k", "v"], ["y"], domain=CONTRIB, num_heads=p.hq,
                            unidirectional=p.causal)
    return runner(node, inputs, ["y"], kind)


def grouped(p, number, kind):
    """Causal, over a cache: all keys of a prompt, or the last query of a cache that is full."""
    prompt = p.sq == p.sk and p.causal
    if not prompt and p.sq != 1 or p.dk != p.dv:
        raise turns.Unsupported("a shape that the operator lacks")
    new, past = p.sq, p.sk - p.sq
    inputs = {"q": random(number, p.b, new, p.hq * p.dk), "k": random(number, p.b, new, p.hk * p.dk),
              "v": random(number, p.b, new, p.hk * p.dk), "pk": random(number, p.b, p.hk, p.sk if past else 0, p.dk),
              "pv": random(number, p.b, p.hk, p.sk if past else 0, p.dk),
              "lens": numpy.full((p.b,), p.sk - 1, numpy.int32), "total": numpy.array(p.sk, numpy.int32)}
    node = helper.make_node("GroupQueryAttention", list(inputs), ["y", "nk", "nv"], domain=CONTRIB, num_heads=p.hq,
                            kv_num_heads=p.hk)
    return runner(node, inputs, ["y", "nk", "nv"], kind)


def standard(p, number, kind):
    inputs = {"q": random(number, p.b, p.hq, p.sq, p.dk), "k": random(number, p.b, p.hk, p.sk, p.dk),
              "v": random(number, p.b, p.hk, p.sk, p.dv)}
    return runner(helper.make_node("Attention", ["q", "k", "v"], ["y"], is_causal=p.causal), inputs, ["y"], kind)


def make_projection(p, number, kind):
    x, w = random(number, p.m, p.e), random(number, p.e, p.n)
    return "MatMul", runner(helper.make_node("MatMul", ["x", "w"], ["y"]), {"x": x}, ["y"], kind, [("w", w)])


def make(p):
    if p.dtype not in TYPES:
        raise turns.Unsupported(p.dtype)
    if p.op == "projection":
        return make_projection(p, *TYPES[p.dtype])
    ways, why = {}, []
    for way in (multi_head, grouped, standard):
        try:
            run = way(p, *TYPES[p.dtype])
            run()
            ways[way.__name__] = run
        except Exception as refusal:  # of this operator; another may serve
            why.append(f"{way.__name__}: {refusal}"[:100])
    if not ways:
        raise turns.Unsupported("; ".join(why))
    how = turns.fastest(ways)
    return how, ways[how]


turns.serve("onnxruntime", onnxruntime.__version__, make)
