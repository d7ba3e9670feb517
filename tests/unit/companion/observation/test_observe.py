"""What is kept of the objects that are observed."""

from webhook.companion.observation.observe import workload_state


def test_pods_that_may_not_be_created_say_why() -> None:
    """As the Deployment's own condition has it: a quota, or Pod Security."""
    said = "pods is forbidden: exceeded quota: full"
    conditions = [
        {"type": "Available", "status": "False", "message": "no availability"},
        {"type": "ReplicaFailure", "status": "True", "message": said},
    ]
    body = {
        "metadata": {"name": "a"},
        "spec": {"template": {"spec": {"containers": [{"image": "i"}]}}},
        "status": {"conditions": conditions},
    }

    assert workload_state(body).refused == said
    assert workload_state(body | {"status": {}}).refused == ""
