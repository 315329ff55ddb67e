"""One policy for all deployments of an application: it sees them together, and says how many replicas each should have. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skate.serve._private.common import DeploymentID
from skate.serve._private.controller.cold_start import cold_start
from skate.serve.config import AutoscalingContext, AutoscalingPolicy


class ApplicationScaler:
    """The policy of one application.

    Args:
        app: The application's name.
        policy: The policy: a function of a dictionary of contexts by deployment.
    """

    def __init__(self, app: str, policy: AutoscalingPolicy) -> None:
        self._app = app
        self._decide = policy.make()

    def decide(
        self, contexts: Mapping[DeploymentID, AutoscalingContext]
    ) -> tuple[dict[DeploymentID, float], dict[DeploymentID, dict[str, Any]]]:
        """How many replicas each deployment should have, and what the policy wants to be told again, by deployment.

        A deployment that the policy does not name is left as it is, unless nothing of it runs and somebody waits.

        Args:
            contexts: What is known of each deployment that is autoscaled.

        Raises:
            TypeError: the policy returned something else than two dictionaries.
            ValueError: it named a deployment that is not autoscaled or not there.
        """
        returned = self._decide(dict(contexts))
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise TypeError(
                f"the autoscaling policy of application '{self._app}' returned a {type(returned).__name__}: a dictionary of numbers of "
                "replicas by deployment is needed, and one of states, or None."
            )
        numbers, states = returned
        for what, found in (("numbers of replicas", numbers), ("states", {} if states is None else states)):
            if not isinstance(found, dict):
                raise TypeError(
                    f"the autoscaling policy of application '{self._app}' returned {what} as a {type(found).__name__}: a dictionary by "
                    "deployment is needed."
                )
            strange = [str(key) for key in found if key not in contexts]
            if strange:
                raise ValueError(
                    f"the autoscaling policy of application '{self._app}' returned {what} of {', '.join(strange)}: keys are those of the "
                    "contexts that it is given."
                )
        wanted = dict(numbers)
        for key, context in contexts.items():
            first = cold_start(context)
            if first is not None:
                wanted[key] = first
        return wanted, {key: dict(state) for key, state in (states or {}).items()}
