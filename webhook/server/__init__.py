"""Answers kube-apiserver over TLS: Flask on gunicorn, without access to the API.

One function, `Webhook.answer`, makes every answer to a review, whichever path the
request took. HTTP (`connection`, `app`), the decision (`webhook.injection`) and TLS
(`tls`) know nothing of each other; `worker` brings them together.
"""
