"""What ends an export with a message: the thing, its value and its limit."""


class Refusal(Exception):
    pass
