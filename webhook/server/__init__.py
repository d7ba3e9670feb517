"""Answers kube-apiserver over TLS: Flask on gunicorn.

Has no access to the Kubernetes API and holds no credential.
"""
