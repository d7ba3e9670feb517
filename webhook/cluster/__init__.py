"""The only part that knows the Kubernetes client.

`ports` is what others may ask of a cluster and `errors` how it fails; `api` and
`access` stand behind on the official client. `follow`, `lease` and `announce` are built
on the ports alone, so the tests' fake serves them as well as an API server does.
"""
