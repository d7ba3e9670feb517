"""Engines that restrict egress with objects of their own.

Nothing of theirs is ever changed. `controls` tells which objects count; `counsel`
writes the rule that their owner has to add.
"""
