"""The modules that an export needs, looked for before any of them is loaded."""
import importlib.util
import os
import sys

from export.refusal import Refusal

NEEDED = ["torch", "transformers", "safetensors"]
NEEDED_BY_GGUF = ["gguf", "accelerate"]
FILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "model_requirements.txt")


def prepare():
    """What these modules read in the environment as they are loaded."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # a model is on this machine, or it is refused
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")


def check(gguf):
    missing = [name for name in NEEDED + (NEEDED_BY_GGUF if gguf else []) if not importlib.util.find_spec(name)]
    if missing:
        raise Refusal(f"this Python has no module {', '.join(missing)}: pip install {' '.join(missing)}, or all that "
                      f"is needed, as tested: pip install -r {os.path.relpath(FILE)}")
