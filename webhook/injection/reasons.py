"""Why a pod got what it got: one closed vocabulary.

A value is the metric's label, the log's field, the Event's reason, the column of the
command line and the row of the documentation. `sentence` is for people.
"""

from webhook.reason import Reason


class InjectionReason(Reason):
    """The outcome of a decision on one pod."""

    INJECTED = "Injected", "The task containers were given the tracking keys."
    ALREADY_INJECTED = (
        "AlreadyInjected",
        "An earlier pass had given the tracking keys already.",
    )
    ALREADY_REFERENCED = (
        "AlreadyReferenced",
        "The pod refers to the tracking Secret by itself.",
    )
    OPTED_OUT = "OptedOut", "The pod's label switches injection off."
    NOT_A_TASK_POD = (
        "NotATaskPod",
        "Neither ray.io/node-type (head, worker) nor spark-role (driver, executor) "
        "marks the pod as a task pod, nor does tracking.michelangelo-ai.org/inject "
        "(enabled).",
    )
    NO_TASK_CONTAINER = (
        "NoTaskContainer",
        "The labels mark a task pod, but no container is recognizable as Ray's or "
        "Spark's, or has a name that the annotation "
        "tracking.michelangelo-ai.org/containers gives.",
    )
    MIRROR_POD = "MirrorPod", "A static pod belongs to its node and cannot be changed."
    EXCLUDED_NAMESPACE = "ExcludedNamespace", "The namespace is never injected."
    NOT_A_POD_CREATION = (
        "NotAPodCreation",
        "Only the creation of a pod can be injected.",
    )
    MALFORMED_POD = "MalformedPod", "The pod does not have a pod's shape."
    INTERNAL_ERROR = (
        "InternalError",
        "An error of ours; the pod is admitted as it was sent.",
    )


class Rejection(Reason):
    """Why a request's body is not a review that can be answered."""

    EMPTY_BODY = "EmptyBody", "The body is empty."
    TOO_LARGE = "TooLarge", "The body is larger than a pod's creation can be."
    TRUNCATED = "Truncated", "The body is shorter than its Content-Length."
    WRONG_CONTENT_TYPE = "WrongContentType", "The content type is not application/json."
    NOT_JSON = "NotJson", "The body is not JSON in UTF-8."
    NOT_A_REVIEW = "NotAReview", "The body is not an AdmissionReview."
    UNSUPPORTED_VERSION = (
        "UnsupportedVersion",
        "The AdmissionReview's apiVersion is not admission.k8s.io/v1.",
    )
    NO_REQUEST = "NoRequest", "The AdmissionReview has no request."
    NO_UID = "NoUid", "The AdmissionReview's request has no uid."
