"""Keeps egress policies in step with tracking keys, DNS and other policies.

`names` asks DNS and remembers; `concern` decides and writes; `seen` is what they keep
of the objects they follow.
"""
