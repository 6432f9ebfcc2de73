"""A model and its tokenizer, from this machine's disk by transformers, in float32 with the weights it will be said to have."""
import inspect
import os
import sys
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
if not sys.stderr.isatty():
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars are for terminals

import torch  # noqa: E402
import transformers  # noqa: E402

from export.refusal import Refusal  # noqa: E402

STORED = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}


class Loaded:
    """net, tokenizer, name as labels have it, kind ("llama"), dtype of the weights, causal: it foretells a next token."""

    def __init__(self, net, tokenizer, name, causal):
        self.tokenizer, self.name, self.causal = tokenizer, name, causal
        self.kind, self.dtype = net.config.model_type, net.dtype
        self.net = torch.nn.Module.float(net).eval()  # as transformers' own does, which refuses what came from GGUF


def silence():
    transformers.utils.logging.set_verbosity_error()
    warnings.filterwarnings("ignore")


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
    folder, extra = (os.path.split(path)[0] or ".", {"gguf_file": os.path.basename(path)}) if gguf else (path, {})
    extra["local_files_only"] = True
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **extra)
        if config.is_encoder_decoder:
            raise Refusal(f"{path}: a model of an encoder and a decoder ({config.model_type}); one stack of layers is taken")
        causal = has_head(config)
        kind = transformers.AutoModelForCausalLM if causal else transformers.AutoModel
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **extra)
        net = kind.from_pretrained(folder, dtype=dtype if dtype == "auto" else getattr(torch, dtype),
                                   attn_implementation=recorder.NAME, **extra)
    except Refusal:
        raise
    except Exception as error:  # whatever a model's files make transformers say
        raise Refusal(f"{path}: transformers {transformers.__version__} cannot read it: {first_lines(error)}") from error
    if net.dtype not in STORED:
        raise Refusal(f"{path}: its weights are {net.dtype}: --dtype float32, float16 or bfloat16 says how to store them")
    return Loaded(net, tokenizer, name or os.path.basename(os.path.abspath(path)).removesuffix(".gguf"), causal)


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
