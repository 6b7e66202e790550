"""XML as bytes, for names of any kind."""

import re
from xml.etree import ElementTree

_IMPOSSIBLE = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def xml_bytes(element: ElementTree.Element, name: str) -> bytes:
    """An element as UTF-8, on lines of its own.

    Args:
        element: it is indented.
        name: of what it is about, for messages.

    Raises:
        ValueError: if a text in it cannot be written in XML, such as a control character.
    """
    ElementTree.indent(element)
    text = ElementTree.tostring(element, encoding="unicode")
    found = _IMPOSSIBLE.search(text)
    if found is not None:
        raise ValueError(f"{name!r}: XML cannot hold the character {found[0]!r} of a name")
    return (text + "\n").encode()
