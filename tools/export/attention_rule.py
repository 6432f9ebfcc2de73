"""What a file says of an attention beyond its tensors: masks as attributes; and the formula, held against the model."""
import math

import torch

from export.refusal import Refusal

ROWS = 1024
NEAR = 1e-5        # of the largest number: what is found is right to float32, what is not found is off by its own size
NEAR_Y = 1e-4      # where large scores race closely, their rounding is y's
CLOSED = -1e30     # an additive mask's number from which on a key is not attended
KNOWN = {"scaling", "softcap", "sliding_window", "dropout", "is_causal", "position_ids", "cache_position",
         "output_attentions", "use_cache"}


def near(made, seen, part=NEAR):
    return made.shape == seen.shape and float((made - seen).abs().max()) <= part * max(float(seen.abs().max()), 1e-6)


def as_open(mask):
    """An additive mask of two values only, as booleans; else None."""
    if mask.dtype == torch.bool:
        return mask
    allowed = mask > CLOSED
    return allowed if not bool((mask[allowed] != 0).any()) else None


def band_of(allowed):
    """(left, right) so that query i attends keys i - left to i + right and no other; None for any other pattern."""
    size = allowed.shape[-1]
    if not bool(allowed.any(-1).all()):
        return None
    at = torch.arange(size)
    first = allowed.to(torch.uint8).argmax(-1)
    last = size - 1 - allowed.flip(-1).to(torch.uint8).argmax(-1)
    left, right = int((at - first).max()), int((last - at).max())
    if left < 0 or right < 0:
        return None
    band = torch.ones(size, size, dtype=torch.bool).tril(right).triu(-left)
    return (left, right) if torch.equal(band, allowed) else None


def mask_rule(mask, window):
    """Attributes and, where these cannot say it, attn_mask."""
    if mask is None:
        return {}, None
    mask = mask[:1]
    if mask.shape[1] > 1 and bool((mask == mask[:, :1]).all()):
        mask = mask[:, :1]
    allowed, size = as_open(mask), mask.shape[-1]
    if allowed is None:
        return {}, mask.float().masked_fill(mask <= CLOSED, -math.inf)
    whole = mask.shape[1] == 1 and allowed.expand(1, 1, size, size)[0, 0]
    band = band_of(whole) if mask.shape[1] == 1 else None
    if band is None:
        return {}, allowed.clone()
    left, right = band
    attributes = {"is_causal": "1"} if right == 0 else {"right_window_size": str(right)} if right < size - 1 else {}
    hidden = right == 0 and window and window > left  # by a text that is shorter than the window
    if hidden or left < size - 1:
        left = window - 1 if hidden else left
        attributes["left_window_size"] = str(left)
    return attributes, None


def formula(now, rows):
    """Some rows of y by the operator's formula."""
    group = now.q.shape[1] // now.k.shape[1]
    keys, values = (t.repeat_interleave(group, 1) for t in (now.k, now.v))
    scores = now.q[:, :, rows] @ keys.transpose(2, 3) * now.scale
    if now.softcap:
        scores = now.softcap * torch.tanh(scores / now.softcap)
    if now.mask is not None:
        mask = now.mask[:, :, rows] if now.mask.shape[2] > 1 else now.mask
        scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
    return (scores.softmax(-1) @ values).transpose(1, 2)


def check_formula(now):
    """The file's attention is the model's, or the layer is refused."""
    if now.q.shape[1] % now.k.shape[1]:
        raise Refusal(f"layer {now.number}: {now.q.shape[1]} query heads on {now.k.shape[1]} key heads, no multiple")
    made = torch.cat([formula(now, slice(at, at + ROWS)) for at in range(0, now.q.shape[2], ROWS)], 1)
    if near(made, now.y, NEAR_Y):
        return
    worst = float((made - now.y).abs().max()) if made.shape == now.y.shape else math.inf
    given = sorted(name for name, value in now.named.items() if value is not None and name not in KNOWN)
    more = f"; it is given {', '.join(given)}" if given else ""
    raise Refusal(f"layer {now.number} ({type(now.module).__name__}): its attention is no softmax(scale Q K^T) V: "
                  f"off by {worst:.3g} of {float(now.y.abs().max()):.3g}{more}")
