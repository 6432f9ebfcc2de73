"""Layers as safetensors files: types, labels, names."""
import json
import os

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from export import token_texts, whole_files
from export.model import STORED

WEIGHTS = ("W_", "b_")


class File:
    """base: the names' beginning; tensors, attributes and labels of the layer; expected: tensors of the other file."""

    def __init__(self, base, tensors, metadata, expected):
        self.base, self.tensors, self.metadata, self.expected = base, tensors, metadata, expected


def stored(layer, dtype):
    """The tensors as they lie in the file: dense, each with memory of its own."""
    out = {}
    for name, tensor in layer.tensors.items():
        if tensor.dtype != torch.bool:
            tensor = tensor.to(dtype if name.startswith(WEIGHTS) else torch.float32)
        out[name] = tensor.clone(memory_format=torch.contiguous_format)
    return out


def files_of(loaded, ids, layers, next_token, last):
    """A file after the other, for one at a time to be in memory. last: the number of the model's last layer, as long as
    every name's."""
    tokens = json.dumps(token_texts.of(loaded.tokenizer, ids), ensure_ascii=False)
    following = {} if next_token is None else {"next_token": token_texts.of(loaded.tokenizer, [next_token])[0]}
    digits = max(2, len(str(last)))
    for layer in layers:
        labels = {"tokens": tokens, **following, "title": f"layer {layer.number}", "layer": str(layer.number),
                  "source": f"{loaded.name} ({loaded.kind}, weights in {STORED[loaded.dtype]}), layer {layer.number}"}
        expected = {name: tensor.float().clone(memory_format=torch.contiguous_format)
                    for name, tensor in layer.expected.items()}
        metadata = {**layer.attributes, **labels}
        yield File(f"layer{layer.number:0{digits}}", stored(layer, loaded.dtype), metadata, expected)


def save(tensors, metadata, path):
    def writer(part):
        try:
            save_file(tensors, part, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error

    whole_files.write(path, writer)


def write(file, folder, expect_folder):
    """Returns the name of the layer's file."""
    name = f"{file.base}.safetensors"
    save(file.tensors, file.metadata, os.path.join(folder, name))
    if expect_folder:
        path = os.path.join(expect_folder, f"{file.base}.expect.safetensors")
        save(file.expected, {"source": file.metadata["source"]}, path)
    return name
