// The etcd server, as its authors' main package does it. It is a module of its own because its requirements differ from
// those of Kubernetes.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
