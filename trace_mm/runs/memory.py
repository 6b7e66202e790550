"""Lack of memory, as the errors of several libraries tell it. Imports nothing."""

# What torch says of GPUs, and of the machine's own memory.
_TOO_LITTLE = ("out of memory", "can't allocate memory", "not enough memory")


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that something is too large for the memory."""
    return isinstance(error, MemoryError) or any(text in str(error) for text in _TOO_LITTLE)
