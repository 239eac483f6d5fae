# shellcheck shell=bash
# A node, its control plane and its name server. To be sourced in namespaces of one's own, where every port is free:
#
#   node_start DIR CGROUP      writes DIR/kubeconfig and DIR/*.log; returns when the node is Ready and names resolve
#
# Nothing is stopped here: it ends with the namespaces.

node_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/control-plane/programs.sh
source "$node_folder/../control-plane/programs.sh"

# The node's address must lie outside the ranges of pods and Services, or kube-proxy takes its packets.
node=10.99.0.1
pods=10.88.0.0/16
services=10.0.0.0/24

node_start() {
    local dir=$1 cgroup=$2 kubeconfig=$1/kubeconfig
    mkdir -p "$dir"/{cni,certs,containerd,kubelet,pod-logs}
    chmod 700 "$dir"
    make_room "$dir"
    make_certificates "$dir/certs"
    write_kubeconfig "$dir"
    start_containerd "$dir"
    start_etcd "$dir"
    start_apiserver "$dir"
    start_program "$dir" kube-controller-manager kube-controller-manager --kubeconfig "$kubeconfig" \
        --service-account-private-key-file "$dir/certs/service-accounts.key" --root-ca-file "$dir/certs/ca.crt" \
        --leader-elect=false --secure-port 0
    start_program "$dir" kube-scheduler kube-scheduler --kubeconfig "$kubeconfig" --leader-elect=false --secure-port 0
    start_program "$dir" kube-proxy kube-proxy --kubeconfig "$kubeconfig" --proxy-mode nftables --cluster-cidr "$pods" \
        --hostname-override node --metrics-bind-address "" --healthz-bind-address "" \
        --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 --conntrack-tcp-timeout-close-wait 0
    start_coredns "$dir"
    load_pause_image "$dir"
    start_kubelet "$dir" "$cgroup"
    # It waits for the node itself.
    await_program "$dir" kube-proxy 30 services_answer
}

# Folders of the machine that programs write to whatever they are told: each gets an empty one over it.
make_room() {
    local folder
    for folder in /run /var/lib/cni /var/log/pods /var/log/containers; do
        mkdir -p "$folder"
        mount -t tmpfs -o mode=755 hubtwin "$folder"
    done
    ip link set lo up
    ip addr add "$node/32" dev lo
    # A packet of the node's own to a Service needs a route before kube-proxy turns it elsewhere.
    ip route add "$services" dev lo src "$node"
    sysctl -qw net.ipv4.ip_forward=1
    printf 'nameserver %s\n' "$node" >"$1/resolv.conf"
    # What runs in here finds Services by the names that pods use, but with their namespace.
    (cat "$1/resolv.conf" && echo 'search svc.cluster.local cluster.local' && echo 'options ndots:5') >"$1/host-resolv.conf"
    mount --bind "$1/host-resolv.conf" "$(realpath /etc/resolv.conf)"
}

# make_certificates DIR: an authority, the API server's certificate, its key to kubelets, and the key of tokens.
make_certificates() (
    cd "$1"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=hubtwin-cluster \
        -keyout ca.key -out ca.crt
    signed apiserver /CN=kube-apiserver \
        "subjectAltName=IP:$node,IP:10.0.0.1,IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
    signed kubelet-client /O=system:masters/CN=kube-apiserver extendedKeyUsage=clientAuth
    openssl ecparam -name prime256v1 -genkey -noout -out service-accounts.key
) 2>"$1/openssl.log"

signed() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out "$1.crt" -extfile <(echo "$3")
}

write_kubeconfig() {
    token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && echo "$token,admin,admin,system:masters" >"$1/tokens.csv" && cat >"$1/kubeconfig") <<KUBECONFIG
apiVersion: v1
kind: Config
clusters:
- {name: node, cluster: {server: "https://$node:6443", certificate-authority: "$1/certs/ca.crt"}}
users:
- {name: admin, user: {token: $token}}
contexts:
- {name: admin, context: {cluster: node, user: admin}}
current-context: admin
KUBECONFIG
}

start_etcd() {
    start_program "$1" etcd etcd --data-dir "$1/etcd" --unsafe-no-fsync \
        --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379
    await_program "$1" etcd 30 grep -q 'ready to serve client requests' "$1/etcd.log"
}

start_apiserver() {
    local certs=$1/certs
    # What hubtwin's service accounts ask for, so that it can be held against what they may.
    rm -f "$1/audit.log"
    cat >"$1/audit.yaml" <<AUDIT
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- {level: Metadata, userGroups: ["system:serviceaccounts:hubtwin"]}
- {level: None}
AUDIT
    start_program "$1" kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 \
        --bind-address "$node" --advertise-address "$node" --secure-port 6443 --allow-privileged \
        --tls-cert-file "$certs/apiserver.crt" --tls-private-key-file "$certs/apiserver.key" \
        --client-ca-file "$certs/ca.crt" --token-auth-file "$1/tokens.csv" --authorization-mode Node,RBAC \
        --kubelet-client-certificate "$certs/kubelet-client.crt" --kubelet-client-key "$certs/kubelet-client.key" \
        --kubelet-preferred-address-types InternalIP --service-cluster-ip-range "$services" \
        --audit-policy-file "$1/audit.yaml" --audit-log-path "$1/audit.log" \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$certs/service-accounts.key" \
        --service-account-signing-key-file "$certs/service-accounts.key"
    await_program "$1" kube-apiserver 60 apiserver_ready "$1"
}

apiserver_ready() (
    kubectl --kubeconfig "$1/kubeconfig" --request-timeout 5s get --raw /readyz &&
        kubectl --kubeconfig "$1/kubeconfig" --request-timeout 5s get --raw /api/v1/namespaces/default
) >/dev/null 2>&1

start_coredns() {
    cat >"$1/Corefile" <<COREFILE
. {
    bind $node
    errors
    kubernetes cluster.local in-addr.arpa {
        kubeconfig $1/kubeconfig
    }
}
COREFILE
    start_program "$1" coredns coredns -conf "$1/Corefile"
}

services_answer() { timeout 1 bash -c 'exec 3<>/dev/tcp/10.0.0.1/443'; } 2>/dev/null

start_containerd() {
    # Pods are links of their own, without a bridge between them: then every packet is routed, and answers that come from
    # behind a Service find their way back through it.
    cat >"$1/cni/10-pods.conflist" <<CNI
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pods"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
CNI
    # Without restrict_oom_score_adj runc dies where the machine lacks CAP_SYS_RESOURCE.
    cat >"$1/containerd.toml" <<TOML
version = 2
root = "$1/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pause:1"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "$1/cni"
TOML
    start_program "$1" containerd containerd --config "$1/containerd.toml"
    await_program "$1" containerd 30 containerd_answers
}

containerd_answers() { ctr version; } >/dev/null 2>&1

# The image that holds a pod's namespaces: a program that waits.
load_pause_image() {
    cc -static -Os -s -o "$1/pause" "$node_folder/pause.c"
    "$node_folder/image" "$1/pause.tar" localhost/pause:1 "$1/pause"
    ctr -n k8s.io images import "$1/pause.tar" >/dev/null
}

start_kubelet() {
    cat >"$1/kubelet.yaml" <<KUBELET
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
cgroupRoot: /$2
enforceNodeAllocatable: []
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
authentication: {anonymous: {enabled: false}, webhook: {enabled: false}, x509: {clientCAFile: "$1/certs/ca.crt"}}
authorization: {mode: AlwaysAllow}
failSwapOn: false
makeIPTablesUtilChains: false
evictionHard: {memory.available: 100Mi, nodefs.available: 100Mi, imagefs.available: 100Mi}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
clusterDNS: [$node]
clusterDomain: cluster.local
resolvConf: "$1/resolv.conf"
podLogsDir: "$1/pod-logs"
volumePluginDir: "$1/kubelet/plugins"
nodeStatusUpdateFrequency: 2s
syncFrequency: 10s
KUBELET
    start_program "$1" kubelet kubelet --kubeconfig "$1/kubeconfig" --config "$1/kubelet.yaml" --root-dir "$1/kubelet" \
        --cert-dir "$1/kubelet/pki" --hostname-override node --node-ip "$node"
    await_program "$1" kubelet 60 node_ready "$1"
}

node_ready() {
    [[ $(kubectl --kubeconfig "$1/kubeconfig" get node node --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]] &&
        kubectl --kubeconfig "$1/kubeconfig" get serviceaccount default
} >/dev/null 2>&1
