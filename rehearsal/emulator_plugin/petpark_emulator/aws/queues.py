"""Queue attributes read back as AWS writes them.

AWS answers redrive policies as compact JSON. LocalStack answers the text it was given, spaces included, so a deployment
tool that compares texts sees a change at every run.
"""

import json
from functools import wraps
from typing import Any


def apply() -> None:
    """Fix GetQueueAttributes."""
    from localstack.services.sqs.models import SqsQueue

    original = SqsQueue.get_queue_attributes

    @wraps(original)
    def get_queue_attributes(self: Any, attribute_names: Any = None) -> Any:
        attributes = original(self, attribute_names)
        for name in ("RedrivePolicy", "RedriveAllowPolicy"):
            if attributes.get(name):
                attributes[name] = json.dumps(json.loads(attributes[name]), separators=(",", ":"))
        return attributes

    SqsQueue.get_queue_attributes = get_queue_attributes
