"""The same decision as a MutatingAdmissionPolicy, which kube-apiserver makes by itself.

Pure: `expressions` says it in CEL, from the tables that `decide` reads; `objects` makes
the policy and its binding.
"""
