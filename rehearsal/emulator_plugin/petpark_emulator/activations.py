"""SSM activations, by which a computer outside AWS (a camera agent's) becomes a managed node.

AWS hands out an id and a code. moto does not know the calls. The code opens nothing here: there is no SSM agent.
"""

import json
import time
import uuid
from typing import Any

DAY_SECONDS = 86400


def apply() -> None:
    """Add CreateActivation, DescribeActivations and DeleteActivation to moto's SSM."""
    from moto.ssm.responses import SimpleSystemManagerResponse

    activations: dict[str, dict[str, Any]] = {}

    def create_activation(self):
        identifier, now = str(uuid.uuid4()), time.time()
        activations[identifier] = {
            "RegistrationLimit": 1,
            "ExpirationDate": now + DAY_SECONDS,
            **json.loads(self.body),
            "ActivationId": identifier,
            "CreatedDate": now,
            "Expired": False,
            "RegistrationsCount": 0,
        }
        return json.dumps({"ActivationId": identifier, "ActivationCode": uuid.uuid4().hex[:20]})

    def describe_activations(self):
        filters = json.loads(self.body).get("Filters") or []
        wanted = [value for f in filters if f["FilterKey"] == "ActivationIds" for value in f["FilterValues"]]
        found = [a for identifier, a in activations.items() if not wanted or identifier in wanted]
        return json.dumps({"ActivationList": found})

    def delete_activation(self):
        activations.pop(json.loads(self.body)["ActivationId"], None)
        return "{}"

    SimpleSystemManagerResponse.create_activation = create_activation
    SimpleSystemManagerResponse.describe_activations = describe_activations
    SimpleSystemManagerResponse.delete_activation = delete_activation
