"""Merges sources into the one Secret that task pods refer to.

Pure: values in, values out; no I/O, no clock. `profile` says which sources, `keys` and
`values` what may be in them, `merge` makes one content of them, `plan` decides what
becomes of each namespace's mirror, and `desired` is the Secret itself.
"""
