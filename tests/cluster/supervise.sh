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

# after_api COMMAND...: becomes the command when the API server has written its own roles; before, it refuses.
after_api() {
  until curl -sf -m 2 -o /dev/null --cacert "$1" "$API/readyz"; do sleep 0.1; done
  shift
  exec "$@"
}
