package logging

import "github.com/wasmerio/go-ext-wasm/wasmer"

// Whoever imports the package has the plug-in wasi_logging, which logs to slog.Default(). A plug-in of this name that
// is there already stays.
func init() {
	_ = wasmer.RegisterPlugin(wasmer.PluginConfig{
		Name: "wasi_logging", Version: wasmer.Version().String(), Description: "messages to log/slog",
		Modules: map[string]func() (wasmer.HostModule, error){
			"wasi:logging/logging": func() (wasmer.HostModule, error) { return New(Config{}), nil },
		},
	})
}
