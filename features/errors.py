"""What a user can mend: the errors that every command turns into one line.

In a room of its own, so that media and tracks need no command line.
"""


class UserError(Exception):
    """A mistake that the user can mend; the message is one line: what, where, and the remedy."""


class UsageError(UserError):
    """A command line or configuration file that cannot be understood."""
