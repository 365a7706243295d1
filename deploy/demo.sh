#!/usr/bin/env bash
# A production line on this machine: deploy/demo.sh [--frames N] [--enroll] [--observe]
#
# Installs what is missing, starts Kafka and Redis (or uses KAFKA_BOOTSTRAP and REDIS_URL, under names of this run), then
# three cameras and two inspectors with a live table, until N frames or Ctrl-C. The bundled model judges parts that it
# has never seen; with --enroll every camera is shown normal frames first; with --observe a real Prometheus, installed
# where missing, reads the metrics of every process, watch, trainer and HTTP API among them. What it started is gone
# afterwards; overlays stay in out/demo/. Exit code 1: something failed, or a frame has no result.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source deploy/supervise.sh

case ${1:-} in
  -h | --help)
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit
    ;;
esac

readonly STATE=.cache/demo
readonly SERVICES=$STATE/services

programs=()
[[ " $* " == *" --observe "* ]] && programs+=(prometheus)
deploy/setup.sh "${programs[@]}"
mkdir -p "$STATE" out/demo
exec 8>"$STATE/lock"
if ! flock --nonblock 8; then
  echo "demo: already running in this checkout; end it first" >&2
  exit 1
fi

shared=(--shared)
if [[ -z ${KAFKA_BOOTSTRAP:-} || -z ${REDIS_URL:-} ]]; then
  shared=()
  trap 'deploy/local/down "$SERVICES"; rm -rf "$SERVICES"' EXIT
  # What a demo that was killed has left; each demo starts with an empty line.
  deploy/local/down "$SERVICES"
  rm -rf "$SERVICES"
  addresses=$(deploy/local/up "$SERVICES" 8>&-)
  while IFS='=' read -r name value; do
    export "$name=$value"
  done <<<"$addresses"
fi

supervise .venv/bin/python deploy/demo.py --state "$STATE" --out out/demo "${shared[@]}" "$@" 8>&-
