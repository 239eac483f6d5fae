# shellcheck shell=bash
# Prints what the demo cost. Sourced at its end, while all programs still run; wants `dir` and HUB_ADMIN_URL.

printf '\nHub calls by operation and outcome (GET %s/counters):\n' "$HUB_ADMIN_URL"
http_get "$HUB_ADMIN_URL/counters" | tr -d '{}" \n' | tr ',' '\n' | sed -n 's/^\(.*\.[0-9]*\):\([0-9]*\)$/\1 \2/p' |
    awk '{ printf "  %-32s %6d\n", $1, $2 }'

printf '\nWrites to Kubernetes, of hubtwin.dev kinds (status is the operator'\''s, the rest is ours by kubectl):\n'
kubectl get --raw /metrics | awk '
    function label(name,   at) { at = match($0, name "=\"[^\"]*\""); return substr($0, at + length(name) + 2, RLENGTH - length(name) - 3) }
    /^apiserver_request_total/ && label("group") == "hubtwin.dev" && label("verb") ~ /^(POST|PUT|PATCH|APPLY|DELETE)$/ {
        name = label("resource"); if (label("subresource") != "") name = name "/" label("subresource")
        count[name " " label("verb") " " label("code")] += $NF
    }
    END { for (key in count) { split(key, part, " "); printf "  %-32s %6d   %s %s\n", part[1], count[key], part[2], part[3] } }' | sort

printf '\nMost memory that each program used:\n'
for name in operator hub device kube-apiserver etcd; do
    if pid=$(pid_of "$dir" "$name"); then
        awk -v name="$name" '/^VmHWM/ { printf "  %-32s %6.1f MB\n", name, $2 / 1024 }' "/proc/$pid/status"
    fi
done
