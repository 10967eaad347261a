# The project's tasks. `./justw` runs them too, and installs just where there is none.

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments

just := quote(just_executable())
ffi := "wasmer/internal/ffi"

# Outside the clone, so that every clone of the project shares the compiled dependencies.
home_cache := env("XDG_CACHE_HOME", "")
cache := if home_cache == "" { env("HOME") / ".cache" } else { home_cache }
export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", cache / "wasmer-go" / "target")

# What the archive has: Cranelift and Singlepass, with `features=llvm` LLVM too, with `features=nn` inference too, with
# `features=headless` no compiler. Each has an archive of its own, which a Go build tag chooses. It goes for any task:
# `./justw features=llvm test`.
features := env("WASMER_GO_FEATURES", "")
variant := if features =~ "headless" { "headless" } else if features =~ "llvm" { "llvm" } else if features =~ "nn" { "nn" } else { "" }
cargo_features := if variant == "headless" { "--no-default-features" } else { "--features=" + features }
suffix := if variant == "" { "" } else { "_" + variant }
constraint := if variant == "" { "!wasmer_llvm && !wasmer_headless && !wasmer_nn" } else { "wasmer_" + variant }
tag := if variant == "" { "" } else { "wasmer_" + variant }
export GOFLAGS := env("GOFLAGS", "") + (if tag == "" { "" } else { " -tags=" + tag })
# LLVM takes its time.
patience := if variant == "llvm" { "30m" } else { "15m" }
torture := "-tags wasmer_torture," + tag + " -count=1 -timeout 60m"

[private]
default:
    @{{just}} --list --unsorted

# Build everything: the Rust archive, then Go. `build llvm` has LLVM too, `build nn` inference, `build headless` no compilers
build features=features:
    @{{just}} features={{quote(features)}} rust
    @{{just}} features={{quote(features)}} go

# Build the Rust archive and put it beside the Go file that links it
rust features=features:
    @{{just}} features={{quote(features)}} _shared {{just}} features={{quote(features)}} _archive

# Build the Go packages and bin/wasmer-go
go:
    go build ./...
    go build -o bin/wasmer-go ./cmd/wasmer-go

# Run all tests
test: build
    go test -timeout {{patience}} ./...
    cd conformance && go test -timeout {{patience}} ./...
    cd wasmer/blobcache && go test -timeout 15m ./...
    {{just}} _shared cargo test --release --locked {{quote(cargo_features)}}

# Run the tests of the extensions, with `features=nn` those of inference too
extensions: build
    go test -timeout {{patience}} ./extensions/...
    {{just}} _shared cargo test --release --locked --lib {{quote(cargo_features)}} nn::

# Run the Go tests with the oldest Go that go.mod allows
floor: build
    GOTOOLCHAIN=go$(go list -m -f '{{{{.GoVersion}}') go test -timeout {{patience}} ./...

# Compare with other runtimes; arguments go to benchmarks/cmd/report
bench *args: build
    cd benchmarks && go run ./cmd/report "$@"

# Run the official suites of WebAssembly and WASI, and Go's own tests, here and on other runtimes, into CONFORMANCE.md
conformance: build
    cd conformance && go run ./cmd/report

# Run tests of Go's standard library as WASI programs; arguments go to conformance/cmd/gostd
gostd *args: build
    cd conformance && go run ./cmd/gostd "$@"

# Compare the compilers and wazero on so many new random modules
differential count="100000": build
    cd conformance && WASMER_GO_DIFFERENTIAL="$1" go test -count=1 -v -run TestDifferential -timeout 10h .

# Show the command and the library at work
demo: build
    #!/usr/bin/env bash
    set -euo pipefail
    show() { printf '\n%s\n$ %s\n' "$1" "${*:2}"; "${@:2}"; }
    fails() { printf '\n%s\n$ %s\n' "$1" "${*:2}"; if "${@:2}"; then false; else echo "(status $?)"; fi; }
    show 'Call an export:' bin/wasmer-go run testdata/simple.wasm --invoke sum 5 37
    show 'Count what it executes:' bin/wasmer-go run testdata/fib.wasm --metering exact --invoke fib 30
    fails 'Stop a guest that does not end:' bin/wasmer-go run testdata/loop.wasm --timeout 200ms --invoke forever
    fails 'See where a guest has failed, by the lines of its source:' bin/wasmer-go run testdata/debug/price.wasm --invoke run 0
    for dir in "${WASMER_GO_TESTDATA:-../shared/data}/bench" testdata/bench; do
        if [ -f "$dir/nbody.wasm" ]; then
            show 'See what a module needs and offers:' bin/wasmer-go inspect "$dir/nbody.wasm"
            show '100,000 steps of the n-body simulation:' bin/wasmer-go run "$dir/nbody.wasm" --invoke main 100000
            break
        fi
    done
    show 'The same from a Go program:' go run ./.ci/hello

# Check all but the tests: format, lint, header, licences, size, other platforms
check: rust check-format check-go check-rust check-header check-tidy check-licences check-consumer check-size check-cross

# Run the tests under everything that makes memory errors show: slow
torture: build
    WASMER_GO_SOAK=short go test -race {{torture}} ./wasmer/...
    WASMER_GO_SOAK=short GOEXPERIMENT=cgocheck2 go test {{torture}} ./wasmer/...
    WASMER_GO_SOAK=short GOGC=1 go test {{torture}} ./wasmer/...

# Run the tests with bounded memories where they do not choose, and the official suites
bounded: build
    go test -tags wasmer_bounded,{{tag}} -timeout 15m ./...
    cd conformance && go test -tags wasmer_bounded,{{tag}} -timeout 15m ./...
    WASMER_GO_SOAK=short go test -tags wasmer_bounded,{{tag}} -count=1 -timeout 15m -run 'TestTrapStorm|FiftyThousand' ./wasmer

# Run the tests and the official suites on modules that were serialized and loaded again: from memory, a file, universal wasm
artifacts: build
    for format in native file wasm; do \
        export WASMER_GO_FORMAT=$format; \
        go test -tags wasmer_artifacts,{{tag}} -count=1 -timeout 15m ./wasmer/...; \
        (cd conformance && go test -tags wasmer_artifacts,{{tag}} -count=1 -timeout 15m ./...); \
    done

# Run the official suite with instances that are replaced, at random points, by ones restored from their snapshots
snapshots: build
    cd conformance && go test -v -count=1 -timeout 15m -run TestOfficialSuiteThroughSnapshots . | grep -v '^ *--- PASS\|^=== '

# Run the tests with modules that come out of a cache, and the official suites
cached: build
    go test -tags wasmer_cached,{{tag}} -timeout 15m ./...
    cd conformance && go test -tags wasmer_cached,{{tag}} -timeout 15m ./...

# Run the soak tests at full length
soak: build
    WASMER_GO_SOAK=long go test -count=1 -v -run 'TestSoak' -timeout 180m ./wasmer/...
    cd conformance && WASMER_GO_SOAK=long go test -count=1 -v -run TestSuiteDoesNotLeak -timeout 60m .

# Run each fuzz target for the given time
fuzz time="30s": build
    #!/usr/bin/env bash
    set -euo pipefail
    for package in $(go list ./wasmer/...); do
        # -fuzz takes one target at a time.
        targets=$(go test -list '^Fuzz' "$package")
        for target in $(grep '^Fuzz' <<<"$targets" || true); do
            echo "$package $target"
            go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$package"
        done
    done

# Format Rust and Go
fmt:
    cargo fmt
    cargo fmt --manifest-path conformance/tools/Cargo.toml
    gofmt -w .
    if go tool -n gofumpt >/dev/null 2>&1; then go tool gofumpt -w .; fi

[private]
check-format:
    #!/usr/bin/env bash
    set -euo pipefail
    formatter=gofmt
    if go tool -n gofumpt >/dev/null 2>&1; then formatter="go tool gofumpt"; fi
    unformatted=$($formatter -l .)
    if [ -n "$unformatted" ]; then
        printf 'these files want `just fmt`:\n%s\n' "$unformatted" >&2
        exit 1
    fi
    cargo fmt --check
    cargo fmt --check --manifest-path conformance/tools/Cargo.toml

# `./...` leaves out what lies under .ci, and the modules below the root.
[private]
check-go:
    go vet ./... ./.ci/hello ./.ci/licenses
    go vet -tags wasmer_torture,{{tag}} ./wasmer/...
    go tool staticcheck ./... ./.ci/hello ./.ci/licenses
    for module in benchmarks conformance wasmer/blobcache; do (cd "$module" && go vet ./...); done

[private]
check-rust:
    {{just}} _shared cargo clippy --release --locked --all-targets {{quote(cargo_features)}} -- -D warnings
    CARGO_TARGET_DIR={{quote(cache / "wasmer-go" / "tools-target")}} \
        cargo clippy --release --locked --manifest-path conformance/tools/Cargo.toml -- -D warnings

# The crate's build script has written the header anew, if the crate's interface has changed.
[private]
check-header: rust
    git ls-files --error-unmatch {{ffi}}/wasmer_go.h
    git diff --exit-code -- {{ffi}}/wasmer_go.h

[private]
check-tidy:
    go mod tidy -diff
    for module in benchmarks conformance wasmer/blobcache; do (cd "$module" && go mod tidy -diff); done

[private]
check-licences:
    go run ./.ci/licenses . benchmarks conformance conformance/tools wasmer/blobcache

[private]
check-consumer: rust
    .ci/consumer

[private]
check-size: rust
    .ci/size

# Other platforms, as far as this machine has, or can get, what that takes.
[private]
check-cross:
    #!/usr/bin/env bash
    set -euo pipefail
    # cargo check links nothing: what C code the dependencies have need not be real.
    stub=$PWD/.ci/cc-stub
    export CC_aarch64_unknown_linux_gnu=$stub AR_aarch64_unknown_linux_gnu=$stub
    export CC_aarch64_apple_darwin=$stub AR_aarch64_apple_darwin=$stub
    for target in aarch64-unknown-linux-gnu aarch64-apple-darwin; do
        if rustup target add "$target" >/dev/null 2>&1; then
            {{just}} _shared cargo check --locked --target "$target"
        else
            echo "skipped: cargo check for $target (rustup cannot add the target)"
        fi
    done
    if command -v aarch64-linux-gnu-gcc >/dev/null; then
        CGO_ENABLED=1 CC=aarch64-linux-gnu-gcc GOOS=linux GOARCH=arm64 go vet ./...
    else
        echo "skipped: go vet for linux/arm64 (no aarch64-linux-gnu-gcc)"
    fi
    echo "skipped: go vet for darwin/arm64 (cgo needs Apple's headers)"

# Runs a command that builds with cargo. Clones share the target directory, where cargo knows a package of the workspace by
# its name, and its state by the age of its files: it would take the archive of a clone that built later for this one's.
# So one clone builds at a time, and after another one this one's files count as changed.
_shared +command:
    #!/usr/bin/env bash
    set -euo pipefail
    mkdir -p "$CARGO_TARGET_DIR"
    if command -v flock >/dev/null; then
        exec 9>>"$CARGO_TARGET_DIR/wasmer-go.lock"
        flock -n 9 || { echo "waiting for another build in $CARGO_TARGET_DIR" >&2; flock 9; }
    fi
    owner=$CARGO_TARGET_DIR/wasmer-go.clone
    if [ "$(cat "$owner" 2>/dev/null)" != "$PWD" ]; then
        find . \( -name target -o -name benchmarks -o -name conformance -o -name '.?*' \) -prune -o -name '*.rs' -exec touch {} +
        echo "$PWD" >"$owner"
    fi
    if [ {{quote(variant)}} = llvm ]; then
        LLVM_SYS_221_PREFIX=$(.ci/llvm)
        export LLVM_SYS_221_PREFIX
    fi
    "$@" 9>&-

_archive:
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --release --locked --lib {{quote(cargo_features)}}

    built=$CARGO_TARGET_DIR/release/libwasmer_go.a
    archive={{ffi}}/libwasmer_go{{suffix}}_$(go env GOHOSTOS)_$(go env GOHOSTARCH).a
    digest={{ffi}}/archive_digest{{suffix}}.h
    trap 'rm -f "$archive.new" "$digest.new"' EXIT
    # Debug information is most of the archive, and every linked program would carry it.
    strip -S -o "$archive.new" "$built" 2>/dev/null || objcopy --strip-debug "$built" "$archive.new" 2>/dev/null ||
        cp "$built" "$archive.new"
    replace() { cmp -s "$1.new" "$1" || mv -f "$1.new" "$1"; }
    replace "$archive"
    # Go's build cache looks at the headers of a package, those that the build tags choose, not at the archives it links.
    sum=$( (sha256sum "$archive" 2>/dev/null || shasum -a 256 "$archive") | cut -d ' ' -f 1)
    printf '//go:build %s\n\n// Written by `just rust`; changes with the archive.\n#define WASMERGO_ARCHIVE_DIGEST "%s"\n' \
        {{quote(constraint)}} "$sum" >"$digest.new"
    replace "$digest"
