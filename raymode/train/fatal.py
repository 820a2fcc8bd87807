"""An error of raymode's own ends a training, however few of its workers meet it: trying again cannot mend it."""

from ray.train.v2._internal.execution.failure_handling import DefaultFailurePolicy, FailureDecision
from ray.train.v2.api.exceptions import TrainingFailedError, WorkerGroupError

from raymode.errors import RaymodeError


class OwnErrorsEnd(DefaultFailurePolicy):  # type: ignore[misc]  # Ray's classes have no types
    """What Ray Train does about failures, but that it starts no workers again after an error of raymode's own."""

    def make_decision(self, training_failed_error: TrainingFailedError) -> FailureDecision:
        """Return what to do, by the errors of the workers."""
        if own_failure(training_failed_error):
            return FailureDecision.RAISE
        return super().make_decision(training_failed_error)


def own_failure(failure: TrainingFailedError) -> RaymodeError | None:
    """Return the first error of raymode's own among those of the workers, by rank."""
    failures = failure.worker_failures if isinstance(failure, WorkerGroupError) else {}
    for _, error in sorted(failures.items()):
        if isinstance(error, RaymodeError):
            return error
    return None
