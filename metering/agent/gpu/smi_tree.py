"""The two forms in which `nvidia-smi -q` tells everything, XML (`-x`) and indented text, as the same tree. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.etree import ElementTree

_GPU_LINE = re.compile(r"GPU [0-9A-Fa-f]+:")
_NOT_A_WORD = re.compile(r"[^a-z0-9]+")


@dataclass(slots=True)
class Node:
    """`values` and `nodes` by name in lower case with underscores, as XML's tags are; text's captions are brought to that."""

    values: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, list["Node"]] = field(default_factory=dict)

    def value(self, path: str) -> str | None:
        """At a path such as `fb_memory_usage/used`."""
        node = self
        *steps, name = path.split("/")
        for step in steps:
            found = node.nodes.get(step)
            if not found:
                return None
            node = found[0]
        return node.values.get(name)


def gpus(text: str) -> Sequence[Node]:
    """The GPUs in the order of nvidia-smi, which is that of NVML's indexes. Raises ValueError if it is neither form."""
    if "<nvidia_smi_log" in text:
        return _of_xml(text)
    if "NVSMI LOG" in text:
        return _of_text(text)
    raise ValueError("it is not what nvidia-smi -q says")


def _of_xml(text: str) -> Sequence[Node]:
    # Comes from a program of this machine. Entities: nvidia-smi declares none, and expat limits how far they may grow.
    try:
        root = ElementTree.fromstring(text[text.index("<nvidia_smi_log") :])  # noqa: S314
    except ElementTree.ParseError as error:
        raise ValueError("its XML is broken") from error
    return [_node(element) for element in root.iter("gpu")]


def _node(element: ElementTree.Element) -> Node:
    node = Node()
    for child in element:
        if len(child):
            node.nodes.setdefault(child.tag, []).append(_node(child))
        else:
            node.values.setdefault(child.tag, (child.text or "").strip())
    return node


def _of_text(text: str) -> Sequence[Node]:
    """A line is `caption : value`, or a caption alone above lines that are indented further. Each `GPU <address>` begins a GPU."""
    found: list[Node] = []
    above: list[
        tuple[int, Node]
    ] = []  # the nodes that the next line may belong to, and how far their lines are indented
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip())
        if _GPU_LINE.match(line):
            found.append(Node())
            above = [(0, found[-1])]
        elif depth == 0:
            above = []
        elif above and line.strip():
            while above[-1][0] >= depth:
                above.pop()
            above.append((depth, _add(above[-1][1], line.strip())))
    return found


def _add(parent: Node, line: str) -> Node:
    """Some captions have both a value and lines below them (HW Slowdown), so each gets a node for these."""
    caption, _, value = line.partition(" : ")
    name = _NOT_A_WORD.sub("_", caption.lower()).strip("_")
    if value:
        parent.values.setdefault(name, value.strip())
    below = Node()
    parent.nodes.setdefault(name, []).append(below)
    return below
