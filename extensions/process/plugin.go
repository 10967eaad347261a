package process

import "github.com/wasmerio/go-ext-wasm/wasmer"

// Whoever imports the package has the plug-in wasmedge_process, whose guests may run nothing until Module.Allow says what. A plug-in of this name that
// is there already stays.
func init() {
	_ = wasmer.RegisterPlugin(wasmer.PluginConfig{
		Name: "wasmedge_process", Version: wasmer.Version().String(), Description: "commands of the host, those that are allowed",
		Modules: map[string]func() (wasmer.HostModule, error){
			"wasmedge_process": func() (wasmer.HostModule, error) { return New(Config{}), nil },
		},
	})
}
