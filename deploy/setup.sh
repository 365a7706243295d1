#!/usr/bin/env bash
# Makes this machine able to run the demo and the tests: system packages (Debian, Ubuntu), then .venv/ at the root of
# the project, exactly as locked. Does only what is missing; a second run takes a fraction of a second.
# setup.sh [PROGRAM...] installs these programs' packages of the same name as well.
#
# With KAFKA_BOOTSTRAP and REDIS_URL set, others provide the servers, and only .venv/ is made.
# Package managers are used as the user has configured them, mirrors and proxies included.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly LOG=.cache/setup.log
readonly STAMP=.venv/installed-from
readonly LOCKS=(deploy/requirements.lock deploy/build.lock deploy/pretrain.lock)
readonly INPUTS=("${LOCKS[@]}" pyproject.toml)
readonly JAVA_AT_LEAST=17 # Kafka 4's

main() {
  mkdir -p .cache
  exec 9>.cache/setup.lock
  flock 9 # two runs in one checkout take turns
  local python
  python=$(find_python)
  install_system_packages "$python" "$@"
  make_environment "$python"
}

fail() {
  echo "setup: $*" >&2
  exit 1
}

# step WORDS COMMAND...: says what it does and how long that took; the command's own words go to the log.
step() {
  local words=$1 start=$SECONDS ticker=
  shift
  echo "setup: $words ..." >&2
  if [[ -t 2 ]]; then
    (while sleep 1; do printf '\r  %d s ' $((SECONDS - start)) >&2; done) 9>&- &
    ticker=$!
  fi
  local status=0
  "$@" >>"$LOG" 2>&1 9>&- || status=$?
  if [[ -n $ticker ]]; then
    kill "$ticker" 2>/dev/null
    wait "$ticker" 2>/dev/null || true
    printf '\r' >&2
  fi
  if ((status != 0)); then
    tail -n 15 "$LOG" >&2
    fail "$words: failed (all of it: $LOG)"
  fi
  echo "setup: $words: $((SECONDS - start)) s" >&2
}

find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    # A version manager may list a Python that it does not run, so each is asked, not just looked up.
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "expected Python 3.11 or newer, found $(python3 --version 2>/dev/null || echo none); install python3.11 or newer"
}

install_system_packages() {
  local -a missing=() servers=() # servers: whose packages would start one with the machine from now on
  if ! "$1" -c 'import ensurepip' 2>/dev/null && ! [[ -x .venv/bin/pip ]]; then
    missing+=("$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
  fi
  if [[ -z ${KAFKA_BOOTSTRAP:-} || -z ${REDIS_URL:-} ]]; then
    (($(java_version) >= JAVA_AT_LEAST)) || missing+=(JAVA)
    # Maven only fetches the jars, which then stay.
    [[ -d .cache/kafka-4.3.0/lib ]] || command -v mvn >/dev/null || missing+=(maven)
    command -v redis-server >/dev/null || { missing+=(redis-server) servers+=(redis-server); }
  fi
  local program
  for program in "${@:2}"; do
    command -v "$program" >/dev/null && continue
    missing+=("$program")
    [[ $program == prometheus* ]] && servers+=("$program")
  done
  ((${#missing[@]})) || return 0

  command -v apt-get >/dev/null ||
    fail "expected ${missing[*]//JAVA/Java $JAVA_AT_LEAST or newer}; install with this system's package manager"
  local -a as_root
  read -r -a as_root < <(become_root "${missing[*]//JAVA/openjdk-$JAVA_AT_LEAST-jre-headless}")
  step "package lists" "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=300 update
  local -a packages=()
  local package
  for package in "${missing[@]}"; do
    [[ $package == JAVA ]] && package=$(java_package)
    packages+=("$package")
  done
  step "installing ${packages[*]}" without_starting_services "${as_root[@]}" \
    apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${packages[@]}"
  local server
  for server in "${servers[@]}"; do
    step "leaving the package's own $server service off" service_off "$server" "${as_root[@]}"
  done
  if [[ -z ${KAFKA_BOOTSTRAP:-} || -z ${REDIS_URL:-} ]] && (($(java_version) < JAVA_AT_LEAST)); then
    fail "expected Java $JAVA_AT_LEAST or newer, but $(command -v java) is $(java_version); put the newer one first on PATH"
  fi
}

# Prints the words that run a command as root, for a fixed environment; a person may be asked for the password.
become_root() {
  if ((EUID == 0)); then
    echo "env DEBIAN_FRONTEND=noninteractive"
  elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || { [[ -t 2 ]] && sudo -v >&2; }; }; then
    echo "sudo env DEBIAN_FRONTEND=noninteractive"
  else
    fail "expected to be root or to have sudo; ask an administrator for: apt-get install $1"
  fi
}

# Debian's way to install a server without starting it (invoke-rc.d(8)); an existing policy is left as it is.
without_starting_services() {
  local policy=/usr/sbin/policy-rc.d status=0
  local -a privileged=("${@:1:2}")
  [[ $1 == sudo ]] && privileged=("${@:1:3}")
  if [[ -e $policy ]]; then
    "$@"
    return
  fi
  printf '#!/bin/sh\nexit 101\n' | "${privileged[@]}" tee "$policy"
  "${privileged[@]}" chmod 755 "$policy"
  "$@" || status=$?
  "${privileged[@]}" rm -f "$policy"
  return "$status"
}

# service_off SERVICE WORDS-THAT-MAKE-ROOT...
service_off() {
  if command -v systemctl >/dev/null; then
    "${@:2}" systemctl disable "$1"
  elif command -v update-rc.d >/dev/null; then
    "${@:2}" update-rc.d "$1" disable
  fi
}

# Major version, 0 for none; from the installation's release file where there is one, as starting Java takes longer.
java_version() {
  local java version=
  java=$(command -v java) || { echo 0; return; }
  java=$(readlink -f "$java")
  version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "${java%/bin/java}/release" 2>/dev/null) || true
  [[ -n $version ]] || version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
  echo "${version:-0}"
}

java_package() {
  local version
  for version in 21 17 25; do
    # A name that is only mentioned by other packages has no candidate.
    if apt-cache policy "openjdk-$version-jre-headless" 2>/dev/null | grep -q 'Candidate: [0-9]'; then
      echo "openjdk-$version-jre-headless"
      return
    fi
  done
  echo default-jre-headless
}

make_environment() {
  local want
  want=$(sha256sum "${INPUTS[@]}")
  if [[ -x .venv/bin/inspector && $(cat "$STAMP" 2>/dev/null) == "$want" ]] && .venv/bin/python -c '' 2>/dev/null; then
    return
  fi
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    step "virtual environment .venv" "$1" -m venv --clear .venv
  fi
  rm -f "$STAMP"
  # The lock is complete, so nothing is resolved; every archive must have the hash that the lock names.
  step "Python packages (6.6 GB installed, minutes the first time)" .venv/bin/python -m pip install \
    --disable-pip-version-check --no-input --require-hashes --no-deps "${LOCKS[@]/#/--requirement=}"
  step "inspector itself" .venv/bin/python -m pip install \
    --disable-pip-version-check --no-input --no-deps --no-build-isolation --editable .
  echo "$want" >"$STAMP"
}

main "$@"
