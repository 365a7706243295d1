#!/usr/bin/env bash
# Checks and tests everything: tests/run.sh [--long] [PYTEST ARGUMENTS]
#
# Sets the environment up where needed, then ruff, mypy, import-linter (quiet when fine), then pytest, which starts Kafka
# and Redis by itself (or uses KAFKA_BOOTSTRAP and REDIS_URL). Files run side by side, one for each core, four at most
# (-n 0: one after the other). --long adds the tests that take minutes to hours, and whose figures want the machine alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source deploy/supervise.sh

marks=(-m "not long" --numprocesses auto --maxprocesses 4 --dist loadfile)
programs=(kcat prometheus) # a stranger's producer, in tests/integration; rules and dashboards, in tests/deploy
if [[ ${1:-} == --long ]]; then
  marks=()
  programs+=(buildah mmdebstrap) # images, in tests/deploy
  shift
fi

deploy/setup.sh "${programs[@]}"

check() {
  local report
  if ! report=$("$@" 2>&1); then
    printf '%s\n%s: failed\n' "$report" "$*" >&2
    return 1
  fi
}

no_twins() {
  local twins
  twins=$(find tests -name 'test_*.py' -printf '%f\n' | sort | uniq -d)
  [[ -z $twins ]] || { printf 'test modules of one name:\n%s\n' "$twins" && return 1; }
}

bin=.venv/bin
failed=0
check $bin/ruff check --quiet . || failed=1
check $bin/ruff format --check --quiet . || failed=1
check $bin/mypy || failed=1
check $bin/mypy deploy/local/*.py || failed=1
check env MYPYPATH=deploy $bin/mypy deploy/demo*.py || failed=1
check env MYPYPATH=deploy $bin/mypy -p observability || failed=1
check $bin/lint-imports || failed=1
# pytest refuses to collect two modules of one name, minutes later and whatever else there is.
check no_twins || failed=1
((failed == 0)) || exit 1

# The overlays of k8s/ are looked at as they are rendered; distributions have no kubectl, or one too old.
$bin/python tests/deploy/control_plane/build.py .cache/kube kubectl

scratch=$(mktemp -d "${TMPDIR:-/tmp}/inspector-tests.XXXXXX")
# pytest stops what it started; this is for the run that is killed before it can.
clean_up() {
  local plan
  while IFS= read -r plan; do
    deploy/local/down "$(dirname "$plan")" || true
  done < <(find "$scratch" -name plan.json -exec grep -l '"brokers"' {} + 2>/dev/null)
  rm -rf "$scratch"
}
trap clean_up EXIT

supervise $bin/python -m pytest --basetemp="$scratch/pytest" "${marks[@]}" "$@"
