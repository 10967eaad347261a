package crypto

import "github.com/wasmerio/go-ext-wasm/wasmer"

// Whoever imports the package has the plug-in wasi_crypto, with the bounds of the zero Config. A plug-in of this name that is there
// already stays.
func init() {
	modules := map[string]func() (wasmer.HostModule, error){}
	for name, module := range New(Config{}).Modules() {
		modules[name] = func() (wasmer.HostModule, error) { return module, nil }
	}
	_ = wasmer.RegisterPlugin(wasmer.PluginConfig{
		Name: "wasi_crypto", Version: wasmer.Version().String(), Description: "cryptography: hashes, ciphers, signatures, key exchange",
		Modules: modules,
	})
}
