//go:build wasmer_artifacts

package wasmer

import (
	"os"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// With this build tag the tests run with modules that were serialized and loaded again: as artifacts from memory, from a file
// (WASMER_GO_FORMAT=file), or out of universal WebAssembly (WASMER_GO_FORMAT=wasm).
func roundTrip(engine *ffi.Engine, wasm []byte, module *ffi.Module, err error) (*ffi.Module, error) {
	if err != nil {
		return nil, err
	}
	defer module.Delete()
	switch os.Getenv("WASMER_GO_FORMAT") {
	case "file":
		file, err := os.CreateTemp("", "artifact")
		if err != nil {
			return nil, err
		}
		defer file.Close()
		defer os.Remove(file.Name())
		if err := module.Write(file); err != nil {
			return nil, err
		}
		return engine.DeserializeFile(file)
	case "wasm":
		universal, err := module.Embed(wasm)
		if err != nil {
			return nil, err
		}
		artifacts, err := ffi.Embedded(universal)
		if err != nil {
			return nil, err
		}
		return engine.Deserialize(artifacts[len(artifacts)-1], true)
	}
	artifact, err := module.Serialize()
	if err != nil {
		return nil, err
	}
	return engine.Deserialize(artifact, true)
}
