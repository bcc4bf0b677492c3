"""The one error type of a user's mistake.

The command line prints a ``UserError`` as one line and exits with 2; anything else is
a bug and keeps its traceback.
"""


class UserError(ValueError):
    """A mistake of the user: the message says what was wrong and what is allowed."""
