"""From what was seen of an attention to what a file says of it.

A projection is a linear map that made Q, K or V (whole, or as some of its rows), by a rotation with tables that were
seen, by a factor, or as it is: whichever reproduces what the attention was given. None is taken on its name.
"""
import torch
from transformers.pytorch_utils import Conv1D

from export import attention_rule
from export.attention_rule import near


class Layer:
    """number, tensors and attributes of the file, expected: the model's own outputs, told: what was found, a line."""

    def __init__(self, number):
        self.number, self.tensors, self.attributes, self.expected, self.told = number, {}, {}, {}, ""


class Projection:
    """weight and bias, rows of a linear map; given: its input; rotation and factor: what comes after it."""

    def __init__(self, call, rows, rotation, factor):
        weight = call.module.weight.T if isinstance(call.module, Conv1D) else call.module.weight
        self.weight = weight.detach()[rows]
        self.bias = None if call.module.bias is None else call.module.bias.detach()[rows]
        self.given, self.rotation, self.factor = call.given, rotation, factor


class Rotation:
    """cos and sin [S,R/2] of the first R channels, in halves or interleaved."""

    def __init__(self, cos, sin, interleaved):
        self.cos, self.sin, self.interleaved, self.size = cos, sin, interleaved, 2 * cos.shape[-1]

    def turn(self, x):
        part, rest = x[..., :self.size], x[..., self.size:]
        a, b = (part[..., ::2], part[..., 1::2]) if self.interleaved else part.chunk(2, -1)
        a, b = a * self.cos - b * self.sin, a * self.sin + b * self.cos
        turned = torch.stack((a, b), -1).flatten(-2) if self.interleaved else torch.cat((a, b), -1)
        return torch.cat((turned, rest), -1)

    def attributes(self, channels):
        told = {"rotary_interleaved": "1"} if self.interleaved else {}
        return {**told, "rotary_embedding_dim": str(self.size)} if self.size < channels else told


def rotations_of(tables, tokens, channels):
    """What the tables may mean: models keep each number once, doubled in halves, or doubled side by side."""
    found = []
    for cos, sin in tables:
        if cos.shape != sin.shape or cos.dim() < 2 or cos[..., 0].numel() != tokens or not cos.is_floating_point():
            continue
        cos, sin = (table.reshape(tokens, -1).float() for table in (cos, sin))
        half = cos.shape[-1] // 2
        views = [(cos, sin)]
        if cos.shape[-1] == 2 * half:
            views = [(cos[:, :half], sin[:, :half]), (cos[:, ::2], sin[:, ::2])] + views
        found += [Rotation(c, s, interleaved) for c, s in views if c.shape[-1] and 2 * c.shape[-1] <= channels
                  for interleaved in (False, True)]
    return found


def splits(rows, heads, kv_heads, dk, dv):
    """Which rows of a linear map of so many may be Q, K or V: all, three blocks, or each key head's heads together."""
    q, k, v = heads * dk, kv_heads * dk, kv_heads * dv
    for role, size in (("Q", q), ("K", k), ("V", v)):
        if rows == size:
            yield {role: slice(None)}
    if rows == q + k + v:
        yield {"Q": slice(0, q), "K": slice(q, q + k), "V": slice(q + k, rows)}
        group = heads // kv_heads * dk
        at = torch.arange(rows).reshape(kv_heads, group + dk + dv)
        yield {"Q": at[:, :group].flatten(), "K": at[:, group:group + dk].flatten(), "V": at[:, group + dk:].flatten()}


def factor_of(made, seen):
    """The number by which `made` is `seen`, or None."""
    norm = float((made.double() ** 2).sum())
    factor = float((made.double() * seen.double()).sum()) / norm if norm else 1.0
    factor = 1.0 if abs(factor - 1.0) < 1e-6 else factor
    return factor if near(factor * made, seen) else None


def projections_of(now, role, rotations):
    """Every way in which the linear maps before the attention make what it was given, the last one called first."""
    seen = {"Q": now.q, "K": now.k, "V": now.v}[role]
    heads, width = seen.shape[1], seen.shape[3]
    sizes = now.q.shape[1], now.k.shape[1], now.k.shape[3], now.v.shape[3]
    for call in reversed(now.calls):
        for split in splits(call.made.shape[-1], *sizes) if call.made.shape[:2] == call.given.shape[:2] else ():
            if role not in split:
                continue
            made = call.made[..., split[role]].unflatten(-1, (heads, width)).transpose(1, 2)
            for rotation in [None] + (rotations if role != "V" else []):
                factor = factor_of(rotation.turn(made) if rotation else made, seen)
                if factor is not None and (factor == 1.0 or role == "Q"):
                    yield Projection(call, split[role], rotation, factor)


def three_of(now):
    """Projections of Q, K and V that begin with the same vectors, or None."""
    rotations = rotations_of(now.tables, now.q.shape[2], now.q.shape[3])
    values = next(projections_of(now, "V", rotations), None)
    if values is None:
        return None
    for keys in projections_of(now, "K", rotations):
        for queries in projections_of(now, "Q", rotations):
            if keys.rotation is queries.rotation and all(torch.equal(values.given, p.given) for p in (keys, queries)):
                return {"Q": queries, "K": keys, "V": values}
    return None


def output_of(now):
    call = now.output
    return None if call is None else Projection(call, slice(None), None, 1.0)


def own_norms(module):
    return ", ".join(name for name, _ in module.named_children() if "norm" in name.lower())


def take_projections(layer, now, three, output):
    queries = three["Q"]
    layer.tensors["I"] = queries.given
    for role, projection in {**three, **({"O": output} if output else {})}.items():
        layer.tensors[f"W_{role}"] = projection.weight
        if projection.bias is not None:
            layer.tensors[f"b_{role}"] = projection.bias
    layer.told = f"I [1,{now.q.shape[2]},{queries.given.shape[2]}]"
    if queries.rotation:
        layer.tensors["cos_cache"], layer.tensors["sin_cache"] = queries.rotation.cos, queries.rotation.sin
        layer.attributes.update(queries.rotation.attributes(now.q.shape[3]))
        layer.told += ", rotary"
    if not output:
        layer.told += ", no W_O: what comes after the attention is no linear map of Y alone"


def take_given(layer, now):
    norms = own_norms(now.module)
    layer.tensors.update(Q=now.q, K=now.k, V=now.v)
    layer.told = (f"Q, K and V, which are more than rotated projections ({type(now.module).__name__}"
                  + (f" has {norms}" if norms else "") + ")")


def scale_text(scale, channels):
    return None if abs(scale - channels ** -0.5) <= 1e-7 * abs(scale) else repr(scale)


def layer_of(now, with_expected):
    attention_rule.check_formula(now)
    layer, three = Layer(now.number), three_of(now)
    output = output_of(now) if three else None
    if three:
        take_projections(layer, now, three, output)
    else:
        take_given(layer, now)
    attributes, mask = attention_rule.mask_rule(now.mask, now.window)
    scale = scale_text(now.scale * (three["Q"].factor if three else 1.0), now.q.shape[3])
    layer.attributes.update(attributes, q_num_heads=str(now.q.shape[1]), kv_num_heads=str(now.k.shape[1]))
    if scale:
        layer.attributes["scale"] = scale
    if now.softcap:
        layer.attributes["softcap"] = repr(float(now.softcap))
    if mask is not None:
        layer.tensors["attn_mask"] = mask
    words = [f"{name}={value}" for name, value in sorted(layer.attributes.items())]
    layer.told += "; " + ", ".join(words + ([] if mask is None else ["attn_mask"]))
    if with_expected:
        take_expected(layer, now, three, output)
    return layer


def take_expected(layer, now, three, output):
    """What the model made: of a layer with projections as `clattn attend` gives it, else the attention's output alone.
    A factor of Q is the file's scale, and Q there is without it."""
    if not three:
        layer.expected["Y"] = now.y.transpose(1, 2)
        return
    layer.expected.update(Q=now.q / three["Q"].factor, K=now.k, V=now.v, Y=now.y.flatten(2))
    if output:
        layer.expected["Z"] = now.output.made
