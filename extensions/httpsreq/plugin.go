package httpsreq

import "github.com/wasmerio/go-ext-wasm/wasmer"

// Whoever imports the package has the plug-in wasmedge_httpsreq, whose guests can reach nothing: add a module of New for those that shall. A plug-in of this name that
// is there already stays.
func init() {
	_ = wasmer.RegisterPlugin(wasmer.PluginConfig{
		Name: "wasmedge_httpsreq", Version: wasmer.Version().String(), Description: "requests by HTTPS, to hosts that are allowed",
		Modules: map[string]func() (wasmer.HostModule, error){
			"wasmedge_httpsreq": func() (wasmer.HostModule, error) { return New(Config{}), nil },
		},
	})
}
