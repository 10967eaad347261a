module github.com/wasmerio/go-ext-wasm/benchmarks

go 1.25.0

require (
	github.com/bytecodealliance/wasmtime-go/v39 v39.0.1
	github.com/tetratelabs/wazero v1.12.0
	github.com/wasmerio/go-ext-wasm v0.0.0
)

require golang.org/x/sys v0.44.0 // indirect

replace github.com/wasmerio/go-ext-wasm => ../
