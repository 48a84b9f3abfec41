#!/bin/sh
# Brings the clients that the store is tried with into FOLDER (default .clients): Python packages into an environment of
# their own, the SDKs of JavaScript, Go and Java, and restic, s3fs and Docker's registry from Debian where this is
# Debian and we are root. What cannot be had is said and left out; its tests are skipped and say so.
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-.clients}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
missing=""

have() { command -v "$1" >/dev/null 2>&1; }
step() {
    name=$1
    shift
    echo "clients: $name"
    if ! "$@" >"$folder/$name.log" 2>&1; then
        missing="$missing $name"
        tail -3 "$folder/$name.log"
    fi
}

python_clients() {
    [ -x "$folder/python/bin/pip" ] || python3 -m venv "$folder/python" || return 1
    "$folder/python/bin/pip" install -q -r "$here/requirements.txt"
}
javascript() {
    have npm && mkdir -p "$folder/js" && cp "$here/js/package.json" "$here/js/round_trip.mjs" "$folder/js/" &&
        cd "$folder/js" && npm install --no-audit --no-fund
}
go_sdk() { have go && cd "$here/go" && go build -o "$folder/go-round-trip" .; }
java_sdk() {
    have java && have mvn &&
        mvn -q -B -f "$here/java/pom.xml" dependency:copy-dependencies -DoutputDirectory="$folder/java"
}
debian() {
    have restic && have s3fs && have docker-registry && return 0
    [ "$(id -u)" = 0 ] && have apt-get && apt-get update -qq && apt-get install -y -qq --no-install-recommends restic s3fs docker-registry
}

step python python_clients
step js javascript
step go go_sdk
step java java_sdk
step debian debian
[ -z "$missing" ] || echo "clients: not had:$missing (see $folder/*.log); their tests are skipped"
