"""Answers kube-apiserver over TLS: Flask on gunicorn, without access to the API.

One function, `AdmissionHandler.answer`, makes every answer to a review, whichever path
the request took. HTTP (`connection`, `app`), the decision (`webhook.injection`) and TLS
(`certwatcher`) know nothing of each other; `worker` brings them together.
"""
