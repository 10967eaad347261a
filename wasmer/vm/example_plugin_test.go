package vm_test

import (
	"fmt"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

// E19: the plug-ins that there are, and a module of one. VMs have the modules of all of them.
func Example_e19Plugins() {
	if wasmer.FindPlugin("vm-test") == nil { // once a process
		err := wasmer.RegisterPlugin(testPlugin)
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	for _, name := range wasmer.ListPlugins() {
		fmt.Println("Loaded plug-in name: ", name)
	}
	plugin := wasmer.FindPlugin("vm-test")
	for _, name := range plugin.Modules() {
		fmt.Println("Available module: ", name)
	}
	module := wasmer.Must(plugin.NewModule("vm_test"))

	v := vm.New(vm.Config{ForbiddenPlugins: []string{"vm-test"}, HostModules: []wasmer.HostModule{module}})
	defer v.Close()
	fmt.Println(v.ExecuteRegistered(background, "vm_test", "f"))
	// Output:
	// Loaded plug-in name:  vm-test
	// Available module:  vm_test
	// [7] <nil>
}
