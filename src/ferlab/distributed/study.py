"""Share the study of a sweep with all workers, wherever its database is."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ferlab.search.trials import Search

if TYPE_CHECKING:
    import optuna


def with_shared_study(search: Search) -> Search:
    """Return a search whose workers reach the study through a Ray actor.

    Only the actor opens the database, so that SQLite, which is not safe on network storage, need not be opened by
    several machines at once. If its node dies, it starts again on another one.
    """
    import optuna
    import ray

    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(StudyStorage).remote(search.study._storage)
    study = optuna.load_study(
        study_name=search.study.study_name, storage=_remote_storage(actor), pruner=search.study.pruner
    )
    return replace(search, study=study)


class StudyStorage:
    """The storage of a study, as an actor."""

    def __init__(self, storage: "optuna.storages.BaseStorage") -> None:
        self.storage = storage

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Call a method of the storage."""
        return getattr(self.storage, method)(*arguments, **named)


def _remote_storage(actor: Any) -> "optuna.storages.BaseStorage":
    """Return a storage each of whose methods calls the actor."""
    import optuna

    names = optuna.storages.BaseStorage.__abstractmethods__
    kind = type("RemoteStorage", (optuna.storages.BaseStorage,), {name: _forwarding(name) for name in names})
    storage = kind()
    storage.actor = actor
    return storage


def _forwarding(name: str) -> Any:
    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        import ray

        return ray.get(self.actor.call.remote(name, *arguments, **named))

    return method
