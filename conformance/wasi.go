package conformance

import "github.com/wasmerio/go-ext-wasm/conformance/internal/wasi"

// WASIEngines are those of Engines, in the same order.
func WASIEngines() []wasi.Engine {
	var engines []wasi.Engine
	for _, engine := range Engines() {
		engines = append(engines, engine.(wasi.Engine))
	}
	return engines
}
