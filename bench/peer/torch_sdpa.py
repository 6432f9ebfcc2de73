"""PyTorch: scaled_dot_product_attention as it chooses by itself; torch.nn.functional.linear for projections."""
import torch

import turns

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


def make(p):
    dtype = DTYPES.get(p.dtype)
    if dtype is None:
        raise turns.Unsupported(p.dtype)
    if p.op == "projection":
        x, w = torch.rand(p.m, p.e, dtype=dtype) - 0.5, torch.rand(p.n, p.e, dtype=dtype) - 0.5
        return "linear", lambda: torch.nn.functional.linear(x, w)
    q = torch.rand(p.b, p.hq, p.sq, p.dk, dtype=dtype) - 0.5
    k = torch.rand(p.b, p.hk, p.sk, p.dk, dtype=dtype) - 0.5
    v = torch.rand(p.b, p.hk, p.sk, p.dv, dtype=dtype) - 0.5
    if p.causal and p.sq != p.sk:
        raise turns.Unsupported("causal order of unequal lengths")
    sdpa, grouped = torch.nn.functional.scaled_dot_product_attention, p.hq != p.hk
    return "sdpa", lambda: sdpa(q, k, v, is_causal=bool(p.causal), enable_gqa=grouped)


torch.set_num_threads(turns.thread_count())
torch.set_grad_enabled(False)
turns.serve("PyTorch", torch.__version__, make)
