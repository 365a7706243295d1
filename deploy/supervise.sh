# Sourced. supervise COMMAND...: runs it to its end and returns its status, whatever signals come in between.
#
# Ctrl-C reaches the command by itself, as the terminal sends it to the whole process group; a TERM or HUP that was sent
# to the script alone is passed on as the same request. The script then waits until the command has cleaned up.
supervise() {
  local child status
  # Bash lets background commands ignore Ctrl-C, hence --default-signal; <&0 keeps the terminal for a debugger.
  env --default-signal=INT,QUIT "$@" <&0 &
  child=$!
  trap ':' INT
  # shellcheck disable=SC2064  # the child of now
  trap "kill -INT $child 2>/dev/null || true" TERM HUP
  while :; do
    status=0
    wait "$child" || status=$?
    kill -0 "$child" 2>/dev/null || break
  done
  # Once more: a signal may have ended the last wait just before the command ended.
  status=0
  wait "$child" || status=$?
  trap - INT TERM HUP
  return "$status"
}
