"""How `calve sql` prints what Python prints otherwise."""

import struct


def shortest(value: float) -> float:
    """The shortest decimal that is this number of 32 bits."""
    for digits in range(1, 10):
        text = f"{value:.{digits}g}"
        if struct.pack("f", float(text)) == struct.pack("f", value):
            return float(text)
    return value


def timespec(microseconds: int) -> str:
    """As many digits as are needed, three at a time."""
    if microseconds == 0:
        return "seconds"
    return "milliseconds" if microseconds % 1000 == 0 else "microseconds"
