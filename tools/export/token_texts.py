"""Tokens as a person reads them: the text that each stands for, one label a token."""

UNKNOWN = "\ufffd"  # what part of a character decodes to
LONGEST_RUN = 64    # tokens: no character takes as many, however runs of them overlap


def of(tokenizer, ids):
    pieces = tokenizer.convert_ids_to_tokens(ids)
    texts = [alone(tokenizer, i, piece) for i, piece in zip(ids, pieces)]
    at = 0
    while at < len(ids):
        at = join_parts(tokenizer, ids, texts, at)
    return texts


def alone(tokenizer, i, piece):
    """One token's text. Tokenizers that mark a word's beginning drop the space when they decode it alone."""
    text = tokenizer.decode([i], clean_up_tokenization_spaces=False)
    return " " + text if piece.startswith("\u2581") and not text.startswith(" ") else text


def join_parts(tokenizer, ids, texts, at):
    """Tokens that are only together a text get all of it, with their place in it; returns what comes next."""
    if UNKNOWN not in texts[at]:
        return at + 1
    for end in range(at + 2, min(len(ids), at + LONGEST_RUN) + 1):
        whole = tokenizer.decode(ids[at:end], clean_up_tokenization_spaces=False)
        if UNKNOWN not in whole:
            texts[at:end] = [f"{whole} {part}/{end - at}" for part in range(1, end - at + 1)]
            return end
    return at + 1
