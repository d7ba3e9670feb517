"""Merges sources into the one Secret that task pods refer to.

Pure: values in, values out; no I/O, no clock. `profile` says which sources, `validate`
what may be in them, `merge` makes one content of them, `decide` what becomes of each
namespace's mirror, and `secret` is the Secret itself.
"""
