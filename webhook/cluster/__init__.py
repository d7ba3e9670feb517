"""The only part that knows the Kubernetes client.

Ports are Protocols with typed results and errors by meaning; adapters stand behind.
"""
