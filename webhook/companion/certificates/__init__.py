"""Keeps the webhook's certificate valid and trusted: observe, plan, write.

Safe with any number of companions at once: every write carries the resourceVersion it
was planned on, and objects are read in the order that `certs.state.ObservedState` asks
for. A Secret without our label is never written.
"""
