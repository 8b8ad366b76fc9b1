#!/bin/bash
# Starts what an instance is for: bootstrap.sh job|serving. Comes with the code bundle; called by the user data.
#
# The environment is installed from the lock, unless PETPARK_PYTHON names an interpreter that has it already (a
# machine image that carries it). A job's worker has the environment of trainings. Jobs run here, and their exit
# status is this script's; serving is handed to systemd, which starts it again after a reboot without this script.
set -euo pipefail

purpose="${1:?usage: bootstrap.sh job|serving}"
code="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
home="${PETPARK_HOME:-/opt/petpark}"

# /tmp is in memory on Amazon Linux 2023, limited to half of it: unpacked packages and a job's checkpoints and pixels
# belong on the volume. (The serving unit has its own folder.)
# https://docs.aws.amazon.com/linux/al2023/ug/filesystem-slash-tmp.html
export TMPDIR="$home/tmp"
rm -rf "$TMPDIR"
mkdir -p "$TMPDIR"

say() { echo "petpark: $*"; }

# Tries a command that needs the network five times, with pauses.
persist() {
  local pause
  for pause in 5 10 20 40 0; do
    if timeout 1200 "$@"; then return 0; fi
    if [ "$pause" = 0 ]; then say "gave up: $*"; return 1; fi
    say "failed: $*; again in $pause s"
    sleep "$pause"
  done
}

# Builds the environment for $purpose from the hashes of its lock; sets PETPARK_PYTHON.
install_environment() {
  local lock="$purpose"
  if [ "$purpose" = job ]; then lock=training; fi
  local uv="$home/tools/bin/uv"
  say "installing the environment for $purpose"
  # By default uv puts them below root's home, where a service that is not root could not read them.
  export UV_PYTHON_INSTALL_DIR="$home/python" UV_CACHE_DIR="$home/tools/cache"
  python3 -m venv "$home/tools"
  persist "$home/tools/bin/python" -m pip install --quiet --require-hashes -r "$code/requirements/tools.txt"
  persist "$uv" venv --quiet --clear --python 3.13 "$home/environment"
  persist "$uv" pip sync --quiet --python "$home/environment/bin/python" --require-hashes "$code/requirements/$lock.txt"
  PETPARK_PYTHON="$home/environment/bin/python"
}

# Names of the variables that the service needs: systemd starts it with an empty environment.
service_variables() { compgen -e | grep -E '^(PETPARK_|AWS_|OTEL_|PYTHON)'; }

# The variables as systemd reads them: systemd.exec(5), EnvironmentFile=.
environment_file() {
  local name
  while IFS= read -r name; do
    printf '%s="%s"\n' "$name" "$(printf '%s' "${!name}" | sed 's/[\\"$`]/\\&/g')"
  done < <(service_variables)
}

# A path as the replacement of a sed command, and as systemd reads it in a unit file.
replacement() { printf '%s' "$1" | sed 's/%/%%/g; s/[\\&|]/\\&/g'; }

# The unit file with this instance's paths.
unit_file() {
  sed -e "s|/opt/petpark/|$(replacement "$home")/|g" \
    -e "s|^ExecStart=\"[^\"]*\"|ExecStart=\"$(replacement "$PETPARK_PYTHON")\"|" "$code/serving/petpark.service"
}

# Everything that the service needs is then on the volume, because user data does not run again at a reboot.
serve() {
  rm -f "$home/serving.env"
  (umask 077 && environment_file > "$home/serving.env")
  unit_file > "$home/petpark.service"
  systemctl enable "$home/petpark.service"
  systemctl restart petpark.service
}

case "$purpose" in job | serving) ;; *) say "expected job or serving, got $purpose"; exit 2 ;; esac
if [ -z "${PETPARK_PYTHON:-}" ]; then install_environment; fi
export PETPARK_PYTHON PYTHONPATH="$code" PYTHONUNBUFFERED=1
# Threads of a training that wait for each other do not spin: others here, that fetch and decode, want the cores too.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"

case "$purpose" in
  job) exec "$PETPARK_PYTHON" -m petpark.worker ;;
  serving) serve ;;
esac
