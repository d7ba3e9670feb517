"""The lab: real Kubernetes components, built here and run as plain processes.

Promise: no root, no containers, no network beyond loopback once the programs are
built, and no process outlives the one that started it.
"""
