#!/bin/sh
# runc for a v2 tree that has no controllers (the machine's v1 hierarchies hold them): takes the limits out of a
# container's bundle, all but the device rules, which are BPF, and ignores later updates. Else: "cpu.weight: no such file".
bundle='' command='' previous=''
for word in "$@"; do
  [ "$previous" != --bundle ] || bundle=$word
  case $word in create | run | update) [ -n "$command" ] || command=$word ;; esac
  previous=$word
done
[ "$command" != update ] || exit 0
if [ -n "$bundle" ] && [ -n "$command" ]; then
  jq -c '.linux.resources |= {devices: .devices}' "$bundle/config.json" >"$bundle/config.json.new" &&
    mv "$bundle/config.json.new" "$bundle/config.json" || exit 1
fi
exec runc "$@"
