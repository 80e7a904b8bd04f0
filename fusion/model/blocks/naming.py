"""Names of tasks as keys of torch's containers, which have methods such as `values` themselves."""

from torch import nn


def key_of(task: str) -> str:
    """The key of a task; one that a container has a method of gets a mark.

    >>> key_of("va"), key_of("values")
    ('va', 'values_')
    """
    return f"{task}_" if hasattr(nn.ModuleDict, task) or hasattr(nn.ParameterDict, task) else task
