"""A model and its tokenizer, read by transformers from this machine's disk; it runs in float32."""
import functools
import inspect
import os
import sys
import warnings

import torch
import transformers

from export.refusal import Refusal

STORED = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}


class Loaded:
    """net, tokenizer, name as labels have it, kind ("llama"), dtype of the weights, causal: there is a next token."""

    def __init__(self, net, tokenizer, name, causal):
        self.tokenizer, self.name, self.causal = tokenizer, name, causal
        self.kind, self.dtype = net.config.model_type, net.dtype
        self.net = torch.nn.Module.float(net).eval()  # as transformers' own does, which refuses what came from GGUF


def silence():
    transformers.utils.logging.set_verbosity_error()
    if not sys.stderr.isatty():
        transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore")


def read_once():
    """transformers parses a GGUF file for the configuration, the tokenizer and the model, and asks for the names of its
    tensors a module: half of the time that loading takes."""
    import gguf

    gguf.GGUFReader = functools.cache(gguf.GGUFReader)
    gguf.get_tensor_name_map = functools.cache(gguf.get_tensor_name_map)


def first_lines(error):
    return " ".join(str(error).split())[:600] or type(error).__name__


def has_head(config):
    """Whether the model is one that foretells tokens. GGUF files do not say; what they hold mostly is."""
    names = config.architectures or []
    if names:
        return any("CausalLM" in name or "LMHead" in name for name in names)
    return type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING


def load(path, gguf, dtype, name, recorder):
    silence()
    if gguf:
        read_once()
    folder, extra = (os.path.split(path)[0] or ".", {"gguf_file": os.path.basename(path)}) if gguf else (path, {})
    extra["local_files_only"] = True
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **extra)
        if getattr(config, "is_encoder_decoder", False):
            raise Refusal(f"{path}: a model of an encoder and a decoder ({config.model_type}); one stack is taken")
        causal = has_head(config)
        kind = transformers.AutoModelForCausalLM if causal else transformers.AutoModel
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **extra)
        net = kind.from_pretrained(folder, dtype=dtype if dtype == "auto" else getattr(torch, dtype),
                                   attn_implementation=recorder.NAME, **extra)
    except Refusal:
        raise
    except Exception as error:  # whatever a model's files make transformers say
        version = transformers.__version__
        raise Refusal(f"{path}: transformers {version} cannot read it: {first_lines(error)}") from error
    if net.dtype not in STORED:
        raise Refusal(f"{path}: its weights are {net.dtype}: --dtype float32, float16 or bfloat16 for the files")
    check_finite(path, net)
    return Loaded(net, tokenizer, name, causal)


def check_finite(path, net):
    """Weights that a 16-bit type cannot hold are infinite by now."""
    for name, weight in net.named_parameters():
        lost = weight.numel() - int(torch.isfinite(weight).sum())
        if lost:
            raise Refusal(f"{path}: {name}: {lost} of {weight.numel()} numbers are not finite as {STORED[net.dtype]}, "
                          f"whose limit is {torch.finfo(net.dtype).max:.6g}: another --dtype may hold them")


def tokens_of(loaded, text, most):
    ids = loaded.tokenizer(text)["input_ids"]
    limit = getattr(loaded.net.config.get_text_config(), "max_position_embeddings", None)
    if most and len(ids) > most:
        ids = ids[:most]
    if not ids:
        raise Refusal("the text has no token")
    if limit and len(ids) > limit:
        raise Refusal(f"the text has {len(ids)} tokens, {loaded.name} takes {limit}: --max-tokens {limit} cuts it")
    return ids


def run(loaded, ids):
    """One forward pass; the token that the model goes on with, where it is one that does."""
    takes = inspect.signature(loaded.net.forward).parameters
    extra = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
    loaded.net.config.get_text_config().use_cache = False
    try:
        with torch.inference_mode():
            out = loaded.net(input_ids=torch.tensor([ids]), **extra)
    except Refusal:
        raise
    except Exception as error:  # ids that the weights have no row for, say
        raise Refusal(f"its run fails: {type(error).__name__}: {first_lines(error)}") from error
    return int(out.logits[0, -1].argmax()) if loaded.causal else None
