#!/usr/bin/env bash
# Two machines share one compiler cache: each its own network namespace, home and empty caches, and a Redis in a third.
# Builds a few real files of llama.cpp on the first machine, then on the second; then with a Redis that is stopped, frozen,
# and one whose objects are exchanged. Prints hits and times. Needs root, ip, redis-server, and gpubuild[cache] on PATH.
# Usage: ci/shared-cache.sh [BUILD-TARGET...]    (default: ggml-base)
set -euo pipefail
targets=("${@:-ggml-base}")
work=$(mktemp -d)
store=${GPUBUILD_STORE:-${XDG_DATA_HOME:-$HOME/.local/share}/gpubuild}
redis=
tidy() {
    [ -z "$redis" ] || { kill -CONT "$redis"; kill "$redis"; } 2>/dev/null || true
    for name in cache one two; do ip netns delete "gpubuild-$name" 2>/dev/null || true; done
    chmod -R u+w "$work"; rm -rf "$work"
}
trap tidy EXIT

ip netns add gpubuild-cache
ip -n gpubuild-cache link add lan type bridge
ip -n gpubuild-cache address add 10.77.0.1/24 dev lan
ip -n gpubuild-cache link set lan up
ip -n gpubuild-cache link set lo up
number=1
for name in one two; do
    number=$((number + 1))
    ip netns add "gpubuild-$name"
    ip link add "gb-$name" netns gpubuild-cache type veth peer name eth0 netns "gpubuild-$name"
    ip -n gpubuild-cache link set "gb-$name" master lan up
    ip -n "gpubuild-$name" address add "10.77.0.$number/24" dev eth0
    ip -n "gpubuild-$name" link set eth0 up
    ip -n "gpubuild-$name" link set lo up
done
start_redis() {
    ip netns exec gpubuild-cache redis-server --bind 10.77.0.1 --protected-mode no --save "" --appendonly no \
        > "$work/redis.log" & redis=$!
    until ip netns exec gpubuild-cache redis-cli -h 10.77.0.1 ping > /dev/null 2>&1; do sleep 0.2; done
}
start_redis

key=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
machine() {  # machine NAME DIR: build in namespace NAME with empty caches below DIR
    local arguments=() target
    for target in "${targets[@]}"; do arguments+=(--build-target "$target"); done
    mkdir -p "$work/$2/home"
    # Nothing but the cache can be reached: the source is in the store already, and pip must not look for one.
    ip netns exec "gpubuild-$1" env HOME="$work/$2/home" GPUBUILD_CACHE="$work/$2/cache" GPUBUILD_STORE="$store" \
        GPUBUILD_REMOTE_CACHE=redis://10.77.0.1:6379 GPUBUILD_REMOTE_CACHE_KEY="$key" \
        gpubuild compile --backend cpu "${arguments[@]}" 2>&1 | grep -E "^(Built|sccache|The shared)"
    find "$work/$2/cache/build" -name '*.o' -printf '%P\n' | sort | while read -r object; do
        (cd "$work/$2/cache/build" && sha256sum "$object")
    done > "$work/$2/objects"
    echo "   $(wc -l < "$work/$2/objects") objects: $(sha256sum < "$work/$2/objects" | cut -c1-12)"
}
echo "== the first machine, everything empty";      machine one first
echo "== the second machine, its own cache empty";  machine two second
echo "== the second machine, Redis frozen";         kill -STOP "$redis"; machine two frozen; kill -CONT "$redis"
echo "== the second machine, objects exchanged"
cli() { ip netns exec gpubuild-cache redis-cli -h 10.77.0.1 "$@"; }
mapfile -t names < <(cli keys '*' | grep -v sccache_check | sort)
cli rename "${names[0]}" kept > /dev/null
for ((i = 0; i + 1 < ${#names[@]}; i++)); do cli rename "${names[i + 1]}" "${names[i]}" > /dev/null; done
cli rename kept "${names[-1]}" > /dev/null
machine two lying
echo "== the second machine, no Redis";             kill "$redis"; wait "$redis" || true; redis=; machine two dead
for name in second frozen lying dead; do cmp "$work/first/objects" "$work/$name/objects"; done
echo "== every machine made the same objects"
