"""A model's run, written down: what each attention is given, and the linear maps before and after it.

Nothing here knows a model. transformers calls the attention that this file registers in place of its own, with Q, K and
V as they are after biases, norms and rotation; it does what the model's own plain attention does. Hooks on the linear
maps and the rotary tables see the rest. `recognise` then makes a layer of each, while the run goes on.
"""
import sys

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask
from transformers.pytorch_utils import Conv1D

from export import model, recognise
from export.refusal import Refusal

ROWS = 1024  # of scores at a time: a long text's are never all there


class Call:
    """A linear map's: module, and the tensors that went in and came out."""

    def __init__(self, module, given, made):
        self.module, self.given, self.made = module, given, made


class Attention:
    """One attention: its tensors q k v mask y, numbers scale softcap window, and around it calls, tables, output."""

    output = None  # the Call that takes y on


def plain_attention(module):
    """The model's own attention by matrices; what it adds to the formula (sinks, say) is in there."""
    for kind in type(module).__mro__:
        own = getattr(sys.modules[kind.__module__], "eager_attention_forward", None)
        if own:
            return own
    raise Refusal(f"{type(module).__name__}: the model has no plain attention to run it with")


def additive(mask, like):
    """What the plain attention adds to scores."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.where(mask, torch.zeros((), dtype=like.dtype), torch.finfo(like.dtype).min)


def whole_mask(*arguments, **named):
    """Every mask as a matrix of booleans: none is left out because an attention knows it by itself."""
    named.update(allow_is_causal_skip=False, allow_is_bidirectional_skip=False)
    return sdpa_mask(*arguments, **named)


class Recorder:
    NAME = "clattn"

    def __init__(self, wanted, with_expected):
        self.wanted, self.with_expected = wanted, with_expected
        self.layers, self.numbers = [], []
        self.calls, self.tables, self.now = [], [], None
        AttentionInterface.register(self.NAME, self.attend)
        AttentionMaskInterface.register(self.NAME, whole_mask)

    def attend(self, module, query, key, value, attention_mask, **named):
        """What transformers calls: writes down what it is given, and does what the model's plain attention does."""
        self.finish()
        self.now = now = Attention()
        number = getattr(module, "layer_idx", None)
        now.number = number if isinstance(number, int) else len(self.numbers)
        if now.number in self.numbers:
            raise Refusal(f"layer {now.number} ({type(module).__name__}) attends twice in one run: a file holds one")
        self.numbers.append(now.number)
        if query.shape[2] != key.shape[2]:
            raise Refusal(f"layer {now.number} ({type(module).__name__}): {query.shape[2]} queries on {key.shape[2]} "
                          f"keys; only attention of a text to itself is taken")
        now.module, now.q, now.k, now.v, now.mask = module, query, key, value, attention_mask
        now.scale = query.shape[-1] ** -0.5 if named.get("scaling") is None else float(named["scaling"])
        now.softcap, now.window, now.named = named.get("softcap"), named.get("sliding_window"), named
        now.calls, now.tables = self.calls, list(self.tables)
        self.calls = []
        now.y = self.by_rows(now)
        return now.y, None

    def by_rows(self, now):
        """The model's own attention, some rows of queries at a time."""
        own, parts = plain_attention(now.module), []
        for at in range(0, now.q.shape[2], ROWS):
            rows = slice(at, at + ROWS)
            mask = now.mask if now.mask is None or now.mask.shape[2] == 1 else now.mask[:, :, rows]
            parts.append(own(now.module, now.q[:, :, rows], now.k, now.v, additive(mask, now.q), **now.named)[0])
        return torch.cat(parts, 1)

    def on_linear(self, module, given, made):
        if not given or given[0].dim() != 3:
            return
        now, call = self.now, Call(module, given[0], made)
        if now is not None and now.output is None and given[0].numel() == now.y.numel():
            if torch.equal(given[0].reshape(-1), now.y.reshape(-1)):
                now.output = call
                return
        self.calls.append(call)

    def on_rotary(self, module, given, made):
        """Tables are made once for all layers, or for each kind of layer."""
        if isinstance(made, tuple) and len(made) == 2 and all(torch.is_tensor(table) for table in made):
            self.tables.append(made)

    def finish(self):
        """The attention before this one has been seen whole."""
        now, self.now = self.now, None
        if now is not None and (self.wanted is None or now.number in self.wanted):
            self.layers.append(recognise.layer_of(now, self.with_expected))

    def run(self, loaded, ids):
        for module in loaded.net.modules():
            if type(module) in (torch.nn.Linear, Conv1D):
                module.register_forward_hook(self.on_linear)
            elif "rotary" in type(module).__name__.lower():
                module.register_forward_hook(self.on_rotary)
        try:
            next_token = model.run(loaded, ids)
            self.finish()
        except Refusal as refusal:
            raise Refusal(f"{loaded.name}, {refusal}") from None
        if not self.numbers:
            raise Refusal(f"{loaded.name}: models of the type {loaded.kind} do not use transformers' common attention, "
                          f"which is what is watched: no layer was seen")
        return next_token
