#!/usr/bin/env python3
"""Attention layers of a language model, with what they see of a text, as files for `clattn attend` and `clattn draw`.

    python3 -m venv .venv-models && .venv-models/bin/pip install -r tools/model_requirements.txt
    .venv-models/bin/python tools/export_layers.py MODEL --text "What word follows too?" -o layers

The model runs once; `export/observe.py` writes down what its attention is given, `export/recognise.py` finds the
projections and tables that make it, and what it finds is held against what was seen before a file is written.
"""
import os
import sys
import time

sys.dont_write_bytecode = True  # a source tree holds sources
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from export import command_line, requirements, whole_files  # noqa: E402
from export.refusal import Refusal  # noqa: E402


def show(texts):
    """What was found, once for all layers of which it is true."""
    for text, numbers in texts.items():
        print(f"  layer{'s' if len(numbers) > 1 else ''} {command_line.spell_layers(numbers)}: {text}")


def export(options):
    text = command_line.text_of(options)
    gguf = command_line.check_model(options.model)
    name = command_line.name_of(options)
    command_line.check_folders(options)
    requirements.check(gguf)
    requirements.prepare()
    from export import layer_files, model, observe  # torch and transformers, only once nothing else is wrong

    begin = time.monotonic()
    recorder = observe.Recorder(options.layers, bool(options.expect))
    loaded = model.load(options.model, gguf, options.dtype, name, recorder)
    ids = model.tokens_of(loaded, text, options.max_tokens)
    run_begin = time.monotonic()
    next_token = recorder.run(loaded, ids)
    command_line.check_layers(options.layers, recorder.numbers)
    for folder in filter(None, (options.output, options.expect)):
        whole_files.make_folder(folder)
    written = [layer_files.write(file, options.output, options.expect) for file in
               layer_files.files_of(loaded, ids, recorder.layers, next_token, max(recorder.numbers))]
    end = time.monotonic()
    print(f"{loaded.name}: {len(recorder.layers)} of {len(recorder.numbers)} layers, {len(ids)} tokens, in {options.output}"
          f" ({run_begin - begin:.1f} s to load, {end - run_begin:.1f} s to run and write)")
    left_over = command_line.tell_left_over(options.output, whole_files.left_over(options.output, written))
    if left_over:
        print(f"export_layers: {left_over}", file=sys.stderr)
    show(whole_files.group_by_text((layer.told, layer.number) for layer in recorder.layers))


def main(arguments):
    options = command_line.read(arguments)
    try:
        export(options)
    except Refusal as refusal:
        print(f"export_layers: {refusal}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # for names of folders that are not UTF-8
    sys.exit(main(sys.argv[1:]))
