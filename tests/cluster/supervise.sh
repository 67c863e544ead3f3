# Keeps daemons running, as systemd would. Sourced by the first process of a box; `box` is its folder.
# shellcheck shell=bash

box=${box:?the folder of the box}

# supervise NAME COMMAND...: runs it again a second after its end. While hold/NAME exists it stays down.
supervise() {
  local name=$1 pid
  shift
  while :; do
    if [[ -e $box/hold/$name ]]; then
      sleep 0.1
      continue
    fi
    "$@" >>"$box/log/$name.log" 2>&1 </dev/null &
    pid=$!
    echo "$pid" >"$box/pid/$name"
    wait "$pid" || true
    rm -f "$box/pid/$name"
    [[ -e $box/hold/$name ]] || sleep 1
  done
}

# after_api CA COMMAND...: becomes the command. The first time only when the API server has written its own roles: before, it
# refuses, and what is refused exits or backs off for seconds. Later starts wait for nobody, as on any machine.
after_api() {
  if [[ ! -e $box/api-was-ready ]]; then
    until curl -sf -m 2 -o /dev/null --cacert "$1" "$API/readyz"; do sleep 0.1; done
    touch "$box/api-was-ready"
  fi
  shift
  exec "$@"
}
