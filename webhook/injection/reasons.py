"""Why a pod got what it got: one closed vocabulary.

A value is the metric's label, the log's field, the Event's reason, the column of the
command line and the row of the documentation. `sentence` is for people.
"""

from enum import StrEnum


class InjectionReason(StrEnum):
    """The outcome of a decision on one pod."""

    INJECTED = "Injected"
    ALREADY_INJECTED = "AlreadyInjected"
    ALREADY_REFERENCED = "AlreadyReferenced"
    OPTED_OUT = "OptedOut"
    NOT_A_TASK_POD = "NotATaskPod"
    NO_TASK_CONTAINER = "NoTaskContainer"
    MIRROR_POD = "MirrorPod"
    EXCLUDED_NAMESPACE = "ExcludedNamespace"
    NOT_A_POD_CREATION = "NotAPodCreation"
    MALFORMED_POD = "MalformedPod"
    INTERNAL_ERROR = "InternalError"

    @property
    def sentence(self) -> str:
        """One sentence for an Event, a warning or a table."""
        return _SENTENCES[self]


_SENTENCES = {
    InjectionReason.INJECTED: "The task containers were given the tracking keys.",
    InjectionReason.ALREADY_INJECTED: (
        "An earlier pass had given the tracking keys already."
    ),
    InjectionReason.ALREADY_REFERENCED: (
        "The pod refers to the tracking Secret by itself."
    ),
    InjectionReason.OPTED_OUT: "The pod's label switches injection off.",
    InjectionReason.NOT_A_TASK_POD: (
        "Neither ray.io/node-type (head, worker) nor spark-role (driver, executor) "
        "marks the pod as a task pod."
    ),
    InjectionReason.NO_TASK_CONTAINER: (
        "The labels mark a task pod, but no container is recognizable as Ray's or "
        "Spark's."
    ),
    InjectionReason.MIRROR_POD: (
        "A static pod belongs to its node and cannot be changed."
    ),
    InjectionReason.EXCLUDED_NAMESPACE: "The namespace is never injected.",
    InjectionReason.NOT_A_POD_CREATION: "Only the creation of a pod can be injected.",
    InjectionReason.MALFORMED_POD: "The pod does not have a pod's shape.",
    InjectionReason.INTERNAL_ERROR: (
        "An error of ours; the pod is admitted as it was sent."
    ),
}


class Rejection(StrEnum):
    """Why a request's body is not a review that can be answered."""

    EMPTY_BODY = "EmptyBody"
    TOO_LARGE = "TooLarge"
    TRUNCATED = "Truncated"
    WRONG_CONTENT_TYPE = "WrongContentType"
    NOT_JSON = "NotJson"
    NOT_A_REVIEW = "NotAReview"
    UNSUPPORTED_VERSION = "UnsupportedVersion"
    NO_REQUEST = "NoRequest"
    NO_UID = "NoUid"

    @property
    def sentence(self) -> str:
        """One sentence for the answer; it never repeats any of the body."""
        return _REJECTION_SENTENCES[self]


_REJECTION_SENTENCES = {
    Rejection.EMPTY_BODY: "The body is empty.",
    Rejection.TOO_LARGE: "The body is larger than a pod's creation can be.",
    Rejection.TRUNCATED: "The body is shorter than its Content-Length.",
    Rejection.WRONG_CONTENT_TYPE: "The content type is not application/json.",
    Rejection.NOT_JSON: "The body is not JSON in UTF-8.",
    Rejection.NOT_A_REVIEW: "The body is not an AdmissionReview.",
    Rejection.UNSUPPORTED_VERSION: (
        "The AdmissionReview's apiVersion is not admission.k8s.io/v1."
    ),
    Rejection.NO_REQUEST: "The AdmissionReview has no request.",
    Rejection.NO_UID: "The AdmissionReview's request has no uid.",
}
