"""What an instance does first: fetch the code by its hash, check it, start it. Pure: facts in, a script out.

The text is the same on AWS and in a rehearsal. It stays far below EC2's limit of 16 KB because everything that can
wait is in the bundle's `bootstrap.sh`. What may differ between machines it reads from the environment: where petpark
lives (`PETPARK_HOME`) and where the instance metadata service answers (`AWS_EC2_METADATA_SERVICE_ENDPOINT`).
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from registry.layout.jobs import ATTEMPT_TAG, BOOTS, JOB_TAG, JOBS
from registry.layout.variables import Variable

LIMIT_BYTES = 16_384
"""EC2's limit, before base64. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html"""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Where the code lies, and the hash that it must have."""

    bucket: str
    key: str
    sha256: str


def job_script(*, region: str, bundle: Bundle, environment: Mapping[Variable, str], max_minutes: int) -> str:
    """Run one attempt at a job, both named by the instance's tags, and end the instance whatever happens.

    The worker and what it finds on the instance: `docs/design/pipeline.md`.
    """
    return "\n".join(
        [
            _HEAD,
            _METADATA,
            _ENDING.format(minutes=max_minutes),
            _HOME,
            _names(region, environment),
            _JOB,
            _ATTEMPT,
            _fetch(bundle),
            _start("job"),
        ]
    )


def serving_script(*, region: str, bundle: Bundle, environment: Mapping[Variable, str]) -> str:
    """Start an endpoint that continues for as long as the instance does."""
    return "\n".join(
        [_HEAD, _METADATA, _HOME, _FAILURE, _names(region, environment), _fetch(bundle), _start("serving")]
    )


def _names(region: str, environment: Mapping[Variable, str]) -> str:
    values = {"AWS_DEFAULT_REGION": region, **_METADATA_RETRIES, **environment}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(values.items()))


def _fetch(bundle: Bundle) -> str:
    source = shlex.quote(f"s3://{bundle.bucket}/{bundle.key}")
    return _FETCH.format(source=source, sha256=shlex.quote(bundle.sha256))


def _start(purpose: Literal["job", "serving"]) -> str:
    return f'bash "$PETPARK_HOME/code/bootstrap.sh" {purpose}\n'


# AWS's SDKs ask the metadata service for credentials once, for a second: an instance that boots is busier than that.
_METADATA_RETRIES = {"AWS_METADATA_SERVICE_TIMEOUT": "5", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "5"}

_HEAD = """\
#!/bin/bash
# Fetches petpark's code by its hash, checks it and starts it.
set -euo pipefail
say() { echo "petpark: $*"; }
"""

# IMDSv2: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
_METADATA = """\
metadata="${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}"
metadata="${metadata%/}/latest"
ask() {
  curl --silent --show-error --fail --noproxy '*' --max-time 5 --retry 8 --retry-delay 2 --retry-all-errors "$@"
}
fact() {
  local token
  token="$(ask -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 300' "$metadata/api/token")"
  ask -H "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/$1"
}
# The output is complete in the file once its writers have ended. The upload reports its result to the console.
complete_log() {
  if [ -z "${log_writer:-}" ]; then return; fi
  exec >&3 2>&3
  timeout 5 tail --pid="$log_writer" -s 0.1 -f /dev/null || true
}
"""

# EC2 keeps the console output for at least an hour after an instance has ended (GetConsoleOutput): a second place to
# look if nothing could be uploaded.
_HOME = """\
umask 022  # a service that is not root reads the code
export PETPARK_HOME="${PETPARK_HOME:-/opt/petpark}"
mkdir -p "$PETPARK_HOME"
exec 3>&1 > >(tee -a "$PETPARK_HOME/boot.log") 2>&1
log_writer=$!
"""

# The watchdog comes first: an instance that hangs in the very next line ends all the same, and so does one whose
# watchdog cannot start. A log that cannot be read or uploaded must not keep the instance from ending. A job's own log
# is in CloudWatch; what came before it, and why there is none, is only here.
_ENDING = f"""\
keep_log() {{{{
  local key="{JOBS}${{{{{Variable.JOB}:-none}}}}/{BOOTS}$instance.log"
  timeout -k 5 60 aws s3 cp --only-show-errors "$PETPARK_HOME/boot.log" "s3://${Variable.WORKSPACE}/$key" &&
    say "boot log stored as $key"
}}}}
finish() {{{{
  local status=$?
  trap '' PIPE
  say "job ended with status $status" || true
  if [ "$status" != 0 ]; then
    complete_log || true
    (keep_log) || say "boot log could not be stored" || true
  fi
  shutdown -h now
}}}}
trap finish EXIT
shutdown -h +{{minutes}}
"""

# Where people look for an endpoint's log. Limits: 10,000 events and 1 MiB per call; no event may be empty.
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
_FAILURE = f"""\
keep_log() {{
  local stream group="${Variable.LOG_GROUP}"
  stream="boot/$(fact instance-id)" || return
  python3 -c '
import json, sys, time
lines = open(sys.argv[1], "rb").read().splitlines()[-500:]
said = [line[:2000].decode(errors="ignore") or " " for line in lines]
print(json.dumps([{{"timestamp": int(1000 * time.time()), "message": line}} for line in said]))
' "$PETPARK_HOME/boot.log" > "$PETPARK_HOME/boot.json" &&
    timeout -k 5 60 aws logs create-log-stream --log-group-name "$group" --log-stream-name "$stream" &&
    timeout -k 5 60 aws logs put-log-events --log-group-name "$group" --log-stream-name "$stream" \\
      --log-events "file://$PETPARK_HOME/boot.json" > /dev/null &&
    say "boot log stored in $group, $stream"
}}
finish() {{
  local status=$?
  trap '' PIPE
  if [ "$status" = 0 ]; then return; fi
  say "the endpoint could not be started: status $status" || true
  complete_log || true
  (keep_log) || say "boot log could not be stored" || true
  exit "$status"
}}
trap finish EXIT
"""

_JOB = f"""\
instance="$(fact instance-id)"
{Variable.JOB}="$(fact tags/instance/{JOB_TAG})"
export {Variable.JOB}
say "job ${Variable.JOB} on $instance"
"""

_ATTEMPT = f"""\
{Variable.ATTEMPT}="$(fact tags/instance/{ATTEMPT_TAG})"
export {Variable.ATTEMPT}
"""

# A fresh instance's role can take some seconds to be usable, hence the retries; six attempts are two minutes at most
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
