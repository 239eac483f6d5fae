# What to do with this repository; each target is a short script or one command. Needs Linux, Rust and Go.
.PHONY: help demo up down test lint images test-sdk test-page test-chart test-cluster fuzz bench bench-memory bench-devices bench-query

help: ## This list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

demo: ## The tutorial on real parts, told step by step; stops all that it started
	@demo/tutorial

up: ## The same stage, left running to explore; its state is in .stage/
	@demo/up

down: ## Ends what `make up` started
	@demo/down

test: lint ## Format, lints, unit tests, integration tests against a fresh control plane, test-chart, test-sdk and test-page
	@tests/control-plane/run -- cargo test --locked --lib --test it -- --test-threads 8
	@$(MAKE) --no-print-directory test-chart test-sdk test-page

lint: ## Format and lints, with and without the default features
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --no-default-features -- -D warnings

test-sdk: ## Microsoft's own packages against the local hub; needs Python, Node.js, a JDK, Maven, and root or user namespaces
	cargo build --locked
	@tests/sdk/run --prove

test-page: ## The page of the local hub in a headless browser; needs Python, chromium and chromium-driver
	cargo build --locked
	@tests/page/run

images: ## Both images as OCI archives in target/images, with nothing pulled; needs buildah
	@mkdir -p target/images
	@image/build hubtwin target/images/hubtwin.oci
	@image/build hubtwin-full target/images/hubtwin-full.oci

test-chart: ## What the Helm chart makes of many values; needs Go and Python with PyYAML
	@tests/chart/run

test-cluster: ## helm install into a real cluster of one node: tutorial, tenants, GitOps, drain, upgrade, rights; needs root on Debian, Rust and Go
	@tests/cluster/test

fuzz: ## One fuzz target: make fuzz TARGET=query (connection_string, mqtt, patch, query, sas), SECONDS=600; needs cargo-fuzz
	@cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: cargo install --locked cargo-fuzz"; exit 1; }
	@test -f fuzz/fuzz_targets/$(TARGET).rs || { echo "TARGET is one of: $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))"; exit 1; }
	@cargo fetch --locked --manifest-path fuzz/Cargo.toml
	RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none $(TARGET) -- -max_total_time=$(or $(SECONDS),600) -timeout=10 -max_len=1500 -dict=fuzz/dictionaries/$(TARGET).dict

bench: ## The operator beside one written the usual way, with ceilings of the same run, in target/bench; W (one workload), SCALE
	cargo bench --locked --bench local_hub --no-run
	@W=$(W) SCALE=$(or $(SCALE),1) tests/control-plane/run -- cargo bench --locked --bench local_hub -- workloads

bench-memory: ## What a DeviceTwin takes of the operator's memory, at rest and while a new list is taken in; TWINS=10000,100000
	cargo bench --locked --bench local_hub -- memory

bench-devices: ## 2,000 devices at the local hub: memory a connection, p99 of a report, nothing lost; DEVICES, SECONDS, WEBSOCKET, DATA
	cargo bench --locked --bench local_hub -- devices

bench-query: ## Queries that look at each of 10,000 twins, hub and driver on one core together; TWINS
	cargo bench --locked --bench local_hub --no-run
	taskset -c 0 cargo bench --locked --bench local_hub -- query
