#!/usr/bin/env bash
# Sends requests that schemathesis (PyPI) makes from /openapi.json to a server with keys and a
# database, and checks its answers: no 5xx but 503, and statuses, media types and bodies as
# described.
#
#     cloud-server/schemathesis.sh CLOUD_SERVER RELEASE [OPTION OF SCHEMATHESIS]…
#
# CLOUD_SERVER is the program, RELEASE the folder of `tandem quickstart`.
#
# Two checks are left out. Not every request that fits the description is accepted: names of models
# and releases depend on the server, and a whole number has to be written without a fraction. And
# not every request that does not fit is refused: an invalid request of a batch has its error in
# the batch's answer. Three routes are left out, because schemathesis writes no lines of JSON and no
# archives.
set -euo pipefail
server=$(realpath "$1")
release=$(realpath "$2")
shift 2
folder=$(mktemp -d)
pid=
trap 'kill $pid; rm -rf "$folder"' EXIT

key=$("$server" keys new --file "$folder/keys.toml" --name schemathesis --kind admin)
"$server" --release "$release" --port 0 --port-file "$folder/port" --keys "$folder/keys.toml" \
    --storage "$folder/shop.db" --store-events 2>"$folder/log" &
pid=$!
for _ in $(seq 600); do
    [ -f "$folder/port" ] && break
    sleep 0.1
done
url=http://127.0.0.1:$(cat "$folder/port")
until curl --silent --fail --output "$folder/ready" "$url/readyz"; do
    sleep 0.1
done
# It writes a cache into the working folder.
cd "$folder"
schemathesis run "$url/openapi.json" --header "Authorization: Bearer $key" \
    --exclude-checks positive_data_acceptance,negative_data_rejection \
    --exclude-operation-id upsert --exclude-operation-id availability \
    --exclude-operation-id upload "$@"
