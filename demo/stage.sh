# shellcheck shell=bash
# The stage for the demo and for `make up`: a control plane, the local hub and the operator, on loopback. To be sourced.
#
#   stage_build        builds what is missing: the control plane's programs and hubtwin
#   stage_start DIR    starts all of it, and writes DIR/{kubeconfig,hub.env,operator.env,secret.yaml,connection.yaml}
#   stage_stop DIR     ends it; logs and manifests stay

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=tests/control-plane/control-plane.sh
source "$root/tests/control-plane/control-plane.sh"
programs=${CARGO_TARGET_DIR:-$root/target}/debug
stage_programs=(etcd kube-apiserver hub operator)

stage_build() {
    need cargo "https://rustup.rs, or: apt-get install rustup && rustup default stable"
    control_plane_build
    # The profile of the tests, so that both share one build. Quiet when there is nothing to do.
    say "hubtwin: building the program (minutes the first time, with all its libraries) ..."
    (cd "$root" && cargo build --locked) >&2 || fail "building hubtwin failed; cargo's own messages stand above"
    PATH=$programs:$bin:$PATH
}

stage_start() {
    local dir=$1
    mkdir -p "$dir"
    start_hub "$dir" && control_plane_start "$dir" || return 1
    export KUBECONFIG=$dir/kubeconfig
    install_crds && start_operator "$dir" && write_manifests "$dir"
}

stage_stop() {
    stop_program "$1" operator
    control_plane_stop "$1"
    stop_program "$1" hub
}

# Reads hub.env into exported variables: HUB_HTTPS_PORT, HUB_CA_FILE, HUB_SERVICE_CONNECTION_STRING and others.
start_hub() {
    local dir=$1
    rm -f "$dir/hub.env"
    start_program "$dir" hub "$programs/hubtwin" hub \
        --host localhost --https-port 0 --mqtt-port 0 --admin-port 0 --env-file "$dir/hub.env"
    await_program "$dir" hub 30 test -s "$dir/hub.env" || return 1
    set -a
    # shellcheck source=/dev/null
    source "$dir/hub.env"
    set +a
}

# kubectl wait, unlike apply, would descend into the examples.
install_crds() {
    kubectl apply -f "$root/crds" >/dev/null &&
        kubectl wait --for=condition=Established --timeout=30s --recursive=false -f "$root/crds" >/dev/null
}

start_operator() {
    local dir=$1
    rm -f "$dir/operator.env"
    start_program "$dir" operator "$programs/hubtwin" operator --kubeconfig "$dir/kubeconfig" \
        --allow-host "localhost:$HUB_HTTPS_PORT" --listen 127.0.0.1:0 --env-file "$dir/operator.env"
    await_program "$dir" operator 30 operator_ready "$dir"
}

operator_ready() (
    [[ -s $1/operator.env ]] || exit 1
    # shellcheck source=/dev/null
    source "$1/operator.env"
    http_get "$OPERATOR_URL/readyz" >/dev/null
)

# The examples with this hub's port, key and certificate. The key is in a file, never in an argument.
write_manifests() (
    umask 077
    sed "s/localhost:8443/localhost:$HUB_HTTPS_PORT/" "$root/crds/examples/connection.yaml" >"$1/connection.yaml"
    cat >"$1/secret.yaml" <<SECRET
apiVersion: v1
kind: Secret
metadata:
  name: plant-hub
stringData:
  connectionString: "$HUB_SERVICE_CONNECTION_STRING"
  ca.crt: |
$(sed 's/^/    /' "$HUB_CA_FILE")
SECRET
)
