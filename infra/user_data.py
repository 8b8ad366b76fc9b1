"""What an instance does first: fetch the code by its hash, check it, start it. Pure: facts in, a script out.

The text is the same on AWS and in a rehearsal. It stays far below EC2's limit of 16 KB because everything that can
wait is in the bundle's `bootstrap.sh`. What may differ between machines it reads from the environment: where petpark
lives (`PETPARK_HOME`) and where the instance metadata service answers (`AWS_EC2_METADATA_SERVICE_ENDPOINT`).
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from registry.layout import JOB_TAG, Variable

LIMIT_BYTES = 16_384
"""EC2's limit, before base64. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html"""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Where the code lies, and the hash that it must have."""

    bucket: str
    key: str
    sha256: str


def training_script(*, region: str, bundle: Bundle, environment: Mapping[Variable, str], max_minutes: int) -> str:
    """Run one job, named by the instance's tag, and end the instance whatever happens."""
    return "\n".join(
        [
            _HEAD,
            _ENDING.format(minutes=max_minutes),
            _HOME,
            _names(region, environment),
            _JOB,
            _fetch(bundle),
            _start("training"),
        ]
    )


def serving_script(*, region: str, bundle: Bundle, environment: Mapping[Variable, str]) -> str:
    """Start an endpoint that goes on for as long as the instance does."""
    return "\n".join([_HEAD, _HOME, _names(region, environment), _fetch(bundle), _start("serving")])


def _names(region: str, environment: Mapping[Variable, str]) -> str:
    values = {"AWS_DEFAULT_REGION": region, **_PATIENCE, **environment}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(values.items()))


def _fetch(bundle: Bundle) -> str:
    source = shlex.quote(f"s3://{bundle.bucket}/{bundle.key}")
    return _FETCH.format(source=source, sha256=shlex.quote(bundle.sha256))


def _start(purpose: Literal["training", "serving"]) -> str:
    return f'bash "$PETPARK_HOME/code/bootstrap.sh" {purpose}\n'


# AWS's SDKs ask the metadata service for credentials once, for a second: an instance that boots is busier than that.
_PATIENCE = {"AWS_METADATA_SERVICE_TIMEOUT": "5", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5"}

_HEAD = """\
#!/bin/bash
# Fetches petpark's code by its hash, checks it and starts it.
set -euo pipefail
say() { echo "petpark: $*"; }
"""

_HOME = """\
umask 022  # a service that is not root reads the code
export PETPARK_HOME="${PETPARK_HOME:-/opt/petpark}"
mkdir -p "$PETPARK_HOME"
exec > >(tee -a "$PETPARK_HOME/boot.log") 2>&1
"""

# The watchdog comes first: an instance that hangs in the very next line ends all the same. And a log that nobody reads
# any more must not keep the ending from happening.
_ENDING = """\
shutdown -h +{minutes}
finish() {{
  local status=$?
  trap '' PIPE
  say "job ended with status $status" || true
  shutdown -h now
}}
trap finish EXIT
"""

# IMDSv2: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
_JOB = f"""\
metadata="${{AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}}"
metadata="${{metadata%/}}/latest"
ask() {{
  curl --silent --show-error --fail --noproxy '*' --max-time 5 --retry 8 --retry-delay 2 --retry-all-errors "$@"
}}
token="$(ask -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$metadata/api/token")"
{Variable.JOB}="$(ask -H "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/tags/instance/{JOB_TAG}")"
export {Variable.JOB}
say "job ${Variable.JOB}"
"""

# A fresh instance's role can take some seconds to be usable, hence the patience; six tries are two minutes at most
# when S3 refuses and fourteen when it is silent.
_FETCH = """\
archive="$PETPARK_HOME/code.zip"
for pause in 2 4 8 16 32 0; do
  if timeout 120 aws s3 cp --only-show-errors {source} "$archive"; then break; fi
  if [ "$pause" = 0 ]; then say "the code cannot be fetched from" {source}; exit 1; fi
  say "no code yet; again in $pause s"
  sleep "$pause"
done
if ! echo {sha256}"  $archive" | sha256sum --check --status; then
  say "the code fetched is not the code named by its hash; refusing to run it"
  exit 1
fi
rm -rf "$PETPARK_HOME/code"
mkdir "$PETPARK_HOME/code"
python3 -m zipfile -e "$archive" "$PETPARK_HOME/code"
"""
