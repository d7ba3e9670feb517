"""Merges sources into the one Secret that task pods refer to.

Pure: values in, values out; no I/O, no clock.
"""
