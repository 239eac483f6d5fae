# shellcheck shell=bash
# A Kubernetes control plane without nodes: etcd and kube-apiserver on free loopback ports, with RBAC, an administrator
# and two tenants who may do nothing until a role says so. To be sourced.
#
# There is no controller-manager: no garbage collection by owner, no deletion of namespaces, no tokens for service
# accounts but those asked for by TokenRequest.
#
#   control_plane_build        builds what is missing and sets bin, the folder with etcd, kube-apiserver and kubectl
#   control_plane_start DIR    writes DIR/kubeconfig (contexts admin, tenant-a, tenant-b) and returns when all is ready
#   control_plane_stop DIR     ends both; their logs stay

control_plane_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/control-plane/programs.sh
source "$control_plane_folder/programs.sh"

control_plane_build() { bin=$("$control_plane_folder/build") || exit 1; }

control_plane_start() {
    local dir=$1 etcd_port api_port token_admin token_a token_b
    ! runs "$dir" etcd || fail "a control plane runs in $dir already"
    mkdir -p "$dir/certs"
    chmod 700 "$dir"
    token_admin=$(random_token) token_a=$(random_token) token_b=$(random_token)
    (umask 077 && cat >"$dir/tokens.csv") <<TOKENS
$token_admin,admin,admin,system:masters
$token_a,tenant-a,tenant-a
$token_b,tenant-b,tenant-b
TOKENS
    with_free_ports start_etcd "$dir" || return 1
    with_free_ports start_apiserver "$dir"
}

control_plane_stop() {
    # It would wait a minute for clients that still watch something. All that it holds is thrown away anyway.
    stop_program "$1" kube-apiserver 5
    stop_program "$1" etcd
    rm -rf "$1/etcd"
}

random_token() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# with_free_ports COMMAND...: again, with other ports, when somebody took one between the look and the start.
with_free_ports() {
    local try status
    for try in 1 2 3 4 5; do
        status=0
        "$@" || status=$?
        ((status == 3)) || return "$status"
    done
    say "no free port found in $try tries"
    return 1
}

start_etcd() {
    local dir=$1 peer
    etcd_port=$(free_port) peer=$(free_port)
    rm -rf "$dir/etcd"
    # Without fsync a crash of the machine may lose data, which nobody wants to keep here.
    start_program "$dir" etcd "$bin/etcd" --data-dir "$dir/etcd" --unsafe-no-fsync \
        --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
        --initial-cluster "default=http://127.0.0.1:$peer"
    await_program "$dir" etcd 30 grep -q 'ready to serve client requests' "$dir/etcd.log"
}

start_apiserver() {
    local dir=$1
    api_port=$(free_port)
    # The server makes a key and a certificate for itself before it reads the other keys, so the same key signs the
    # tokens of service accounts. A loopback address is nothing to announce to pods: hence no endpoint reconciler.
    start_program "$dir" kube-apiserver "$bin/kube-apiserver" --etcd-servers "http://127.0.0.1:$etcd_port" \
        --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$api_port" --endpoint-reconciler-type none \
        --cert-dir "$dir/certs" --token-auth-file "$dir/tokens.csv" --authorization-mode RBAC \
        --service-account-issuer https://kubernetes.default.svc \
        --service-account-key-file "$dir/certs/apiserver.key" \
        --service-account-signing-key-file "$dir/certs/apiserver.key" \
        --service-cluster-ip-range 10.0.0.0/24 --disable-admission-plugins ServiceAccount
    write_kubeconfig "$dir"
    await_program "$dir" kube-apiserver 60 apiserver_ready "$dir"
}

apiserver_ready() (
    # The default namespace is made by a loop of the server's own, which readyz does not wait for.
    [[ -s $1/certs/apiserver.crt ]] &&
        "$bin/kubectl" --kubeconfig "$1/kubeconfig" --request-timeout 5s get --raw /readyz &&
        "$bin/kubectl" --kubeconfig "$1/kubeconfig" --request-timeout 5s get --raw /api/v1/namespaces/default
) >/dev/null 2>&1

write_kubeconfig() {
    (umask 077 && cat >"$1/kubeconfig") <<KUBECONFIG
apiVersion: v1
kind: Config
clusters:
- name: hubtwin
  cluster: {server: "https://127.0.0.1:$api_port", certificate-authority: "$1/certs/apiserver.crt"}
users:
- {name: admin, user: {token: $token_admin}}
- {name: tenant-a, user: {token: $token_a}}
- {name: tenant-b, user: {token: $token_b}}
contexts:
- {name: admin, context: {cluster: hubtwin, user: admin}}
- {name: tenant-a, context: {cluster: hubtwin, user: tenant-a}}
- {name: tenant-b, context: {cluster: hubtwin, user: tenant-b}}
current-context: admin
KUBECONFIG
}
