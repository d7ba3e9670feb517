"""What can be seen of an installation from outside: one frozen value, read at once.

`status`, `doctor`, `report` and the status page read it; each piece is there, or the
reason why it could not be read.
"""
