"""The only importer of the official Kubernetes client.

`interface` is what others may ask of a cluster, and `errors` how that fails; `rest` and
`config` implement it on the official client. `informer`, `leader_election` and `events`
build on the interface alone, so that the tests' fake serves them as well as an API
server does.
"""
