"""Which destinations a namespace's task pods need, and the policies that allow them.

Pure: values in, values out; no I/O, no clock.
"""
