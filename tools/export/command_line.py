"""The command line of tools/export_layers.py, and everything that can be wrong before a model is loaded."""
import argparse
import os

from export.refusal import Refusal

DTYPES = ["auto", "float32", "float16", "bfloat16"]
MOST_LAYERS = 10000  # of a model: a longer list is a slip of the finger
EXAMPLE = """\
example: tools/export_layers.py SmolLM2-135M-Instruct.gguf --text "What word follows? It was too" -o layers
         clattn draw layers/*.safetensors -o network.html
example: tools/export_layers.py MODEL_FOLDER --text-file story.txt --layers 0,3-5 -o layers --expect expected
         clattn attend layers/layer00.safetensors --expect expected/layer00.expect.safetensors
"""


def layer_list(text):
    """'0,3-5' as [0, 3, 4, 5]: whole numbers and ranges, in any order, each once."""
    numbers = set()
    for part in text.split(","):
        ends = part.split("-")
        if len(ends) > 2 or not all(end.isascii() and end.isdigit() for end in ends):
            raise argparse.ArgumentTypeError(f"'{part}' of '{text}' is neither a layer (3) nor a range (3-5)")
        first, last = int(ends[0]), int(ends[-1])
        if first > last:
            raise argparse.ArgumentTypeError(f"'{part}' of '{text}' ends before it begins")
        if last >= MOST_LAYERS:
            raise argparse.ArgumentTypeError(f"layer {last} of '{text}' is above the limit, {MOST_LAYERS - 1}")
        numbers.update(range(first, last + 1))
    return sorted(numbers)


def spell_layers(numbers):
    """[0, 3, 4, 5] as '0,3-5'."""
    parts = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def token_count(text):
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of tokens, 1 or more")
    return int(text)


def parser():
    p = argparse.ArgumentParser(
        prog="tools/export_layers.py", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs a language model on a text and writes its attention layers as files that `clattn attend`\n"
                    "and `clattn draw` take, DIR/layerNN.safetensors: hidden states, weights, biases, rotary tables,\n"
                    "tokens. A layer whose Q and K are more than a rotated projection (norms of q and k, say) is\n"
                    "written as Q, K and V; one whose attention is no softmax of scores is refused.",
        epilog=EXAMPLE)
    p.add_argument("model", metavar="MODEL", help="a model's folder (config.json, weights, tokenizer) or a .gguf file")
    text = p.add_mutually_exclusive_group(required=True)
    text.add_argument("--text", metavar="TEXT", help="what the model reads")
    text.add_argument("--text-file", metavar="FILE", help="a file of it, in UTF-8")
    p.add_argument("-o", "--output", metavar="DIR", required=True, help="write the layers here (made if missing)")
    p.add_argument("--expect", metavar="DIR",
                   help="write here what the model itself computed, layerNN.expect.safetensors, for attend --expect")
    p.add_argument("--layers", metavar="LIST", type=layer_list, help="these layers, as in 0,3-5; unsaid: all")
    p.add_argument("--max-tokens", metavar="N", type=token_count, help="cut the text after N tokens")
    p.add_argument("--dtype", choices=DTYPES, default="auto",
                   help="round the model's weights to this type, run it with them in float32 and store them in it; "
                        "auto is the model's own")
    p.add_argument("--name", metavar="NAME", help="the model's name in labels; unsaid: the folder's or file's")
    return p


def read(arguments):
    """The options; a wrong command line ends the process with status 2, as argparse does it."""
    p = parser()
    options = p.parse_args(arguments)
    for name in ("model", "output", "expect", "text_file"):
        if getattr(options, name) == "":
            p.error(f"the name of {name.replace('_', '-')} is empty")
    if options.expect and os.path.realpath(options.expect) == os.path.realpath(options.output):
        p.error(f"--expect {options.expect} is the folder of -o: {options.output}/*.safetensors is to be layers alone")
    return options


def check_utf8(option, text):
    """Of bytes that are no UTF-8 Python makes surrogates, which neither tokenizers nor labels take."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Refusal(f"{option}: byte {len(os.fsencode(text[:error.start]))} is not UTF-8") from None


def text_of(options):
    if options.text_file is None:
        check_utf8("--text", options.text)
        return options.text
    try:
        with open(options.text_file, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise Refusal(f"--text-file {options.text_file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Refusal(f"--text-file {options.text_file}: byte {error.start} is not UTF-8") from None


def check_model(path):
    """Whether it is a GGUF file rather than a folder."""
    if os.path.isdir(path):
        if not os.path.isfile(os.path.join(path, "config.json")):
            raise Refusal(f"{path}: the folder has no config.json, so that it is no model's")
        return False
    if not os.path.exists(path):
        raise Refusal(f"{path}: no such folder or file (models are read from this machine, none is downloaded)")
    try:
        with open(path, "rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise Refusal(f"{path}: {error.strerror}") from None
    if magic != b"GGUF":
        raise Refusal(f"{path}: a file that begins with {magic!r}, not with b'GGUF'; otherwise a model is a folder")
    return True


def name_of(options):
    """The model's, as labels have it."""
    if options.name:
        check_utf8("--name", options.name)
        return options.name
    name = os.path.basename(os.path.abspath(options.model)).removesuffix(".gguf")
    check_utf8(f"the model's name, {os.fsencode(name)}, which --name overrides", name)
    return name


def check_folders(options):
    for option, path in (("-o", options.output), ("--expect", options.expect)):
        if path and os.path.exists(path) and not os.path.isdir(path):
            raise Refusal(f"{option} {path}: is there, and is no folder")


def tell_left_over(folder, names):
    """names: of layers in the folder that this run has not written; None where there are none."""
    if not names:
        return None
    some = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return (f"{folder} holds layers of an earlier run as well, perhaps of another text: {some}; `clattn draw` of all files "
            "there mixes them: remove them, or write to a folder of its own")


def check_layers(wanted, numbers):
    """What --layers asks for, against the layers that the model has."""
    missing = sorted(set(wanted or []) - set(numbers))
    if missing:
        raise Refusal(f"--layers {spell_layers(wanted)}: no layer {spell_layers(missing)} with attention, "
                      f"the model has {spell_layers(numbers)}")
