# Sourced. supervise COMMAND...: runs it to its end and returns its status, whatever signals come in between. INT, TERM
# and HUP are ignored from then on: what is left for the script is to clean up, and a second Ctrl-C must not end that.
#
# Ctrl-C reaches the command by itself, as the terminal sends it to the whole process group; a TERM or HUP that was sent
# to the script alone is passed on as the same request. The script then waits until the command has cleaned up.
supervise() {
  local child='' idle status=0
  trap ':' INT
  trap '[[ -z $child ]] || kill -INT "$child" 2>/dev/null || true' TERM HUP
  # Bash lets background commands ignore Ctrl-C, hence --default-signal; <&0 keeps the terminal for a debugger.
  env --default-signal=INT,QUIT "$@" <&0 &
  child=$!
  # Not `wait`: a Ctrl-C in it, while the child ends, can lose the child's status (255 instead) or never return at all
  # (seen with bash 5.2). So a pipe that nobody writes to is read until the child is gone.
  exec {idle}<> <(:)
  while kill -0 "$child" 2>/dev/null; do read -r -t 0.1 -u "$idle" || true; done
  exec {idle}>&-
  trap '' INT TERM HUP
  wait "$child" || status=$?
  return "$status"
}
