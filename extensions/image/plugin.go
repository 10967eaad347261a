package image

import "github.com/wasmerio/go-ext-wasm/wasmer"

// Whoever imports the package has the plug-in wasmedge_image, with the bounds of the zero Config. A plug-in of this name that
// is there already stays.
func init() {
	_ = wasmer.RegisterPlugin(wasmer.PluginConfig{
		Name: "wasmedge_image", Version: wasmer.Version().String(), Description: "JPEG and PNG files, decoded and resized",
		Modules: map[string]func() (wasmer.HostModule, error){
			"wasmedge_image": func() (wasmer.HostModule, error) { return New(Config{}), nil },
		},
	})
}
