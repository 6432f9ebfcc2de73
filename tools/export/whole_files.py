"""Files that appear complete or not at all, and what is said of many at once."""
import os
import re

from export.refusal import Refusal


def make_folder(path):
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise Refusal(f"{path}: the folder cannot be made: {error.strerror}") from None


def write(path, writer):
    """writer(name) writes a file of another name in the same folder, which then takes the place of `path`."""
    folder, base = os.path.split(path)
    part = os.path.join(folder, f".{base}.{os.getpid()}.part")
    try:
        writer(part)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(part, 0o666 & ~mask)  # as of any new file, whatever the writer thinks of it
        os.replace(part, path)
    except OSError as error:
        raise Refusal(f"{path}: {error.strerror or error}") from None
    finally:
        if os.path.lexists(part):
            os.unlink(part)


def left_over(folder, written):
    """Layers in a folder besides those written, by name."""
    return sorted(name for name in os.listdir(folder)
                  if re.fullmatch(r"layer[0-9]+\.safetensors", name) and name not in written)


def group_by_text(pairs):
    """(text, number) pairs as {text: [number...]}, in the order of the texts' first numbers."""
    groups = {}
    for text, number in pairs:
        groups.setdefault(text, []).append(number)
    return groups
